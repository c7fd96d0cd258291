"""Examples that work on the example records of the internal source (data/internal)."""

from __future__ import annotations

from typing import Any, Final

from helpers.records import (
    Connection,
    Electrophysiology,
    End,
    Link,
    Marker,
    Measurements,
    Metadata,
    Model,
    Morphology,
    Property,
    Provenance,
    Record,
)

HUB: Final = "http://127.0.0.1:8000"
FILES: Final = f"{HUB}/files/internal"
OWN: Final = Provenance(source="internal")
MORPHOLOGY_ID: Final = "internal_morphology-EX-PC-01"
MODEL_ID: Final = "internal_model-EX-M-PC"
RECORD_IDS: Final = {"dataset": MORPHOLOGY_ID, "model": MODEL_ID}
OWN_FILE: Final = "morphologies/EX-PC-01.swc"
AT: Final = "2026-11-20T09:00:00Z"

# Values of filters that some example record has. A dotted name not here has those of its last part.
FILTER_VALUES: Final[dict[str, list[str]]] = {
    "type": ["morphology"],
    "source": ["internal_morphology"],
    "region": ["hippocampus"],
    "secondary_region": ["CA1"],
    "layers": ["CA1:SP"],
    "species": ["rat", "mouse"],
    "cell_type": ["pyramidal"],
    "brain_region": ["CA1"],
    "archive": ["Example laboratory"],
    "strain": ["Wistar"],
    "gender": ["female"],
    "reconstruction_software": ["Neutube"],
    "domain": ["Dendrites, Soma, Axon"],
    "physical_integrity": ["Dendrites Moderate, Axon Incomplete"],
    "neurotransmitter": ["excitatory"],
    "soma_layers": ["CA1:SP"],
    "axon_layers": ["CA1:SP"],
    "dendrite_layers": ["CA1:SR"],
    "positive_markers": ["CB"],
    "negative_markers": ["PV"],
    "firing_patterns": ["regular spiking"],
    "presynaptic.firing_patterns": ["fast spiking"],
    "etype": ["cAC"],
    "model_types": ["Channel/Receptor"],
    "cell_types": ["Hippocampus CA1 pyramidal GLU cell"],
    "channels": ["I K"],
    "receptors": ["GabaA"],
    "transmitters": ["Gaba"],
    "model_concepts": ["Action Potentials"],
    "simulators": ["NEURON"],
    "implementers": ["Example, A."],
}

# Searches by what they show. Each finds some of the example records.
SEARCHES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "dataset": {
        "words": {"query": "pyramidal | basket"},
        "filters": {
            "data_type": "morphology",
            "filters": {"species": ["rat", "mouse"], "secondary_region": ["CA1"]},
        },
        "both ends of a connection": {
            "data_type": "connection",
            "filters": {"presynaptic": {"secondary_region": ["CA3"]}, "postsynaptic": {"layers": ["CA1:SP"]}},
        },
        "some ids": {"ids": [MORPHOLOGY_ID]},
        "sorted": {"sort": "-name"},
    },
    "model": {
        "words": {"query": "pyramidal | basket"},
        "filters": {"filters": {"channels": ["I K"], "receptors": ["GabaA"]}},
        "some ids": {"ids": [MODEL_ID]},
        "sorted": {"sort": "-version_date"},
    },
}


def _common(record_id: str, kind: str, index: str = "dataset") -> dict[str, Any]:
    source_id = f"internal_{kind}-{record_id}"
    return {
        "source_id": source_id,
        "id": record_id,
        "source": f"internal_{kind}",
        "description": "Made-up example, no real data.",
        "region": "hippocampus",
        "secondary_region": ("CA1",),
        "species": "rat",
        "page_link": f"{HUB}/records/{index}/{source_id}",
        "licence": "CC0-1.0",
        "provenance": OWN,
    }


def _morphology() -> Morphology:
    return Morphology(
        **_common("EX-PC-01", "morphology"),
        name="Example CA1 pyramidal cell 1",
        layers=("CA1:SP",),
        cell_type="pyramidal",
        cell_types=("pyramidal", "principal cell"),
        brain_region=("hippocampus", "CA1"),
        archive="Example laboratory",
        strain="Wistar",
        gender="male",
        age_scale="day",
        min_age=28,
        max_age=35,
        reconstruction_software="Neutube",
        domain="Dendrites, Soma, Axon",
        physical_integrity="Dendrites Moderate, Axon Incomplete",
        deposition_date="2026-01-03",
        measurements=Measurements(length_um=784.5, n_stems=5, n_bifurcations=7),
        download_link=f"{FILES}/{OWN_FILE}",
        original_link=f"{FILES}/{OWN_FILE}",
        icon=f"{FILES}/pictures/EX-PC-01.png",
        extra={"experimenter": "A. Example"},
    )


def _electrophysiology() -> Electrophysiology:
    return Electrophysiology(
        **_common("EX-T-PC", "electrophysiology"),
        name="Example CA1 pyramidal, current step",
        layers=("CA1:SP",),
        nickname="Pyramidal",
        neurotransmitter="excitatory",
        soma_layers=("CA1:SP",),
        axon_layers=("CA1:SO", "CA1:SP"),
        dendrite_layers=("CA1:SLM", "CA1:SR", "CA1:SP", "CA1:SO"),
        markers=(Marker(name="CB", expression="positive"), Marker(name="PV", expression="negative")),
        positive_markers=("CB",),
        negative_markers=("PV",),
        properties=(Property(name="Vrest", unit="mV", value=-65.0, text="-65 mV"),),
        firing_patterns=("regular spiking",),
        cell_type="pyramidal",
        etype="cAC",
        metadata=Metadata(url=f"{FILES}/traces/EX-T-PC_metadata.json"),
        download_link=f"{FILES}/traces/EX-T-PC.csv",
    )


def _end(record_id: str, name: str, region: str) -> End:
    source_id = f"internal_electrophysiology-{record_id}"
    return End(
        source_id=source_id,
        id=record_id,
        name=name,
        source="internal_electrophysiology",
        region="hippocampus",
        secondary_region=(region,),
        layers=(f"{region}:SP",),
        soma_layers=(f"{region}:SP",),
        neurotransmitter="excitatory",
        page_link=f"{HUB}/records/dataset/{source_id}",
    )


def _connection() -> Connection:
    return Connection(
        **_common("EX-C-1", "connection") | {"secondary_region": ("CA3", "CA1")},
        name="Example: CA3 pyramidal to CA1 pyramidal",
        presynaptic=_end("EX-T-CA3", "Example CA3 pyramidal, current step", "CA3"),
        postsynaptic=_end("EX-T-PC", "Example CA1 pyramidal, current step", "CA1"),
    )


def _model() -> Model:
    return Model(
        **_common("EX-M-PC", "model", "model"),
        name="Example CA1 pyramidal point cell",
        model_types=("Neuron or other electrically excitable cell",),
        cell_types=("Hippocampus CA1 pyramidal GLU cell",),
        channels=("I K", "I Na,p"),
        model_concepts=("Action Potentials",),
        simulators=("NEURON",),
        implementers=("Example, A.",),
        download_link=f"{FILES}/models/EX-M-PC.zip",
        model_files=(Link(label="kdr_example.mod", url=f"{FILES}/models/kdr_example.mod"),),
        version_date="2026-03-01",
        version_number=1,
    )


def records() -> dict[str, dict[str, Any]]:
    """One example of each record class by its name, as the API shows it."""
    made: tuple[Record, ...] = (_morphology(), _electrophysiology(), _connection(), _model())
    return {type(record).__name__: record.model_dump(mode="json") for record in made}


def filter_values(name: str) -> list[str] | None:
    """Values that the filter of this name finds something by, or None."""
    return FILTER_VALUES.get(name) or FILTER_VALUES.get(name.rpartition(".")[2])
