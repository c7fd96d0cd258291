"""The records of Ammon: one definition for validation, storage, filters and API schema.

JSON names, ids and shapes are those of the HBP backend's clients (docs/api.md): front ends and
bookmarks depend on them. Missing is `None` or an empty tuple, never a spelling of "not reported".
What a field does beyond being kept is said by its `Indexed` mark; `helpers/fields.py` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Words = Literal["name", "terms", "body"]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What search does with a field."""

    filter: bool = False  # exact filter and facet under the field's name
    sort: bool = False  # may stand in `sort=`
    words: Words | None = None  # full text, with the weight of this class (name > terms > body)
    name: str | None = None  # another public name of the filter than the field's own
    date: bool = False  # an ISO 8601 date or time, sorted as such


FILTER = Indexed(filter=True)
TERM = Indexed(filter=True, sort=True, words="terms")
TERMS = Indexed(filter=True, words="terms")
WORDS = Indexed(words="body")
NUMBER = Indexed(sort=True)
DATE = Indexed(sort=True, date=True)

NonEmpty = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=4_000, pattern=r"^(https?://|/)")]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Strings = tuple[NonEmpty, ...]


class Frozen(BaseModel):
    """A value: immutable, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Paper(Frozen):
    """A publication; `label` is never empty, so that a front end can always show it."""

    label: Annotated[Text, WORDS]
    url: Url | None = None
    pmid: Annotated[str | None, Indexed(filter=True, words="body", name="pmid")] = None
    doi: Annotated[str | None, Indexed(filter=True, words="body", name="doi")] = None


class Link(Frozen):
    """A file or page with the name to show for it."""

    label: NonEmpty
    url: Url


class Provenance(Frozen):
    """Where a record came from. When it was fetched stands beside the record, not in it."""

    source: NonEmpty = Field(description="key of the source, for example `neuromorpho`")
    url: Url | None = Field(default=None, description="the item at its source, as the API gave it")
    release: str | None = Field(default=None, description="the source's own release or version of the item")


class Record(Frozen):
    """What every record has."""

    source_id: Annotated[NonEmpty, Indexed(words="terms")] = Field(
        description="id over all sources, for example `neuromorpho-1013`"
    )
    id: NonEmpty = Field(description="the source's bare id")
    type: Annotated[NonEmpty, FILTER]
    name: Annotated[NonEmpty, Indexed(sort=True, words="name")]
    source: Annotated[NonEmpty, Indexed(filter=True, sort=True)] = Field(description="the source as shown")
    description: Annotated[Text | None, WORDS] = None
    region: Annotated[NonEmpty | None, TERM] = Field(default=None, description="outermost brain region")
    secondary_region: Annotated[Strings, TERMS] = Field(default=(), description="regions within `region`")
    layers: Annotated[Strings, TERMS] = Field(default=(), description="`CA1:SP` or the source's own words")
    species: Annotated[NonEmpty | None, TERM] = None
    papers: tuple[Paper, ...] = ()
    page_link: Url = Field(description="the record's page at its source")
    download_link: Url | None = Field(default=None, description="the file that a download fetches")
    icon: Url | None = Field(default=None, description="a picture")
    licence: NonEmpty | None = None
    citations: Strings = Field(default=(), description="what the source requires to be cited")
    provenance: Provenance
    extra: dict[str, Any] = Field(
        default_factory=dict, description="what else the source said, as it said it"
    )


class Measurements(Frozen):
    """Published morphometry, as computed by the source with L-Measure from the standard SWC.

    Definitions: http://cng.gmu.edu:8080/Lm/help/index.htm. Null where the source has no value.
    """

    soma_surface_um2: Annotated[float | None, NUMBER] = Field(None, description="surface of the soma, µm²")
    surface_um2: Annotated[float | None, NUMBER] = Field(None, description="total surface without soma, µm²")
    volume_um3: Annotated[float | None, NUMBER] = Field(None, description="total volume without soma, µm³")
    length_um: Annotated[float | None, NUMBER] = Field(None, description="total length of all branches, µm")
    width_um: Annotated[float | None, NUMBER] = Field(None, description="extent along the first axis, µm")
    height_um: Annotated[float | None, NUMBER] = Field(None, description="extent along the second axis, µm")
    depth_um: Annotated[float | None, NUMBER] = Field(None, description="extent along the third axis, µm")
    diameter_um: Annotated[float | None, NUMBER] = Field(None, description="mean diameter of branches, µm")
    euclidean_distance_um: Annotated[float | None, NUMBER] = Field(
        None, description="largest straight distance from the soma, µm"
    )
    path_distance_um: Annotated[float | None, NUMBER] = Field(
        None, description="largest distance from the soma along the branches, µm"
    )
    n_stems: Annotated[float | None, NUMBER] = Field(None, description="stems at the soma")
    n_bifurcations: Annotated[float | None, NUMBER] = Field(None, description="bifurcations")
    n_branches: Annotated[float | None, NUMBER] = Field(None, description="branches")
    branch_order: Annotated[float | None, NUMBER] = Field(None, description="largest branch order")
    contraction: Annotated[float | None, NUMBER] = Field(
        None, description="mean ratio of straight to path distance"
    )
    fragmentation: Annotated[float | None, NUMBER] = Field(
        None, description="reconstruction points between branch points"
    )
    partition_asymmetry: Annotated[float | None, NUMBER] = Field(
        None, description="mean topological asymmetry at bifurcations"
    )
    pk_classic: Annotated[float | None, NUMBER] = Field(None, description="mean ratio after Rall, power 3/2")
    bifurcation_angle_local_deg: Annotated[float | None, NUMBER] = Field(
        None, description="mean angle next to a bifurcation, degrees"
    )
    bifurcation_angle_remote_deg: Annotated[float | None, NUMBER] = Field(
        None, description="mean angle between the next nodes, degrees"
    )
    fractal_dimension: Annotated[float | None, NUMBER] = Field(None, description="mean fractal dimension")


class Morphology(Record):
    """One reconstructed neuron or glial cell."""

    type: Annotated[Literal["morphology"], FILTER] = "morphology"
    accession: Annotated[NonEmpty | None, Indexed(words="terms")] = Field(
        default=None, description="id for citations, for example `NMO_00860`"
    )
    cell_type: NonEmpty | None = Field(
        default=None, description="the source's first term, as the ancestor shows"
    )
    cell_types: Annotated[Strings, Indexed(filter=True, words="terms", name="cell_type")] = Field(
        default=(), description="every cell-type term; the filter `cell_type` matches any of them"
    )
    brain_region: Annotated[Strings, TERMS] = Field(default=(), description="whole path, general to specific")
    archive: Annotated[NonEmpty | None, TERM] = None
    strain: Annotated[NonEmpty | None, TERM] = None
    scientific_name: Annotated[NonEmpty | None, TERM] = None
    gender: Annotated[NonEmpty | None, Indexed(filter=True, sort=True)] = None
    age_classification: Annotated[NonEmpty | None, TERM] = None
    age_scale: NonEmpty | None = Field(default=None, description="unit of `min_age` and `max_age`")
    min_age: Annotated[float | None, NUMBER] = None  # in age_scale
    max_age: Annotated[float | None, NUMBER] = None  # in age_scale
    min_weight_g: Annotated[float | None, NUMBER] = None
    max_weight_g: Annotated[float | None, NUMBER] = None
    stain: Annotated[NonEmpty | None, TERM] = None
    experiment_condition: Annotated[Strings, TERMS] = ()
    protocol: Annotated[NonEmpty | None, TERM] = None
    slicing_direction: NonEmpty | None = None
    slicing_thickness_um: Annotated[float | None, NUMBER] = None
    objective_type: NonEmpty | None = None
    magnification: Annotated[float | None, NUMBER] = None
    reconstruction_software: Annotated[NonEmpty | None, TERM] = None
    original_format: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="`<Software>.<ext>`, not a file name"
    )
    domain: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="parts that were reconstructed"
    )
    attributes: Annotated[NonEmpty | None, TERM] = None
    physical_integrity: Annotated[NonEmpty | None, TERM] = None
    deposition_date: Annotated[Day | None, DATE] = None
    upload_date: Annotated[Day | None, DATE] = None
    shrinkage: dict[str, Any] = Field(
        default_factory=dict, description="reported and corrected shrinkage, as said"
    )
    measurements: Measurements = Measurements()
    standard_link: Url | None = Field(default=None, description="standardised SWC")
    original_link: Url | None = Field(default=None, description="file as its authors gave it")
    log_link: Url | None = Field(default=None, description="standardisation log")


class Marker(Frozen):
    """Expression of one molecule in one neuron type. Absence of evidence is no Marker at all."""

    name: Annotated[NonEmpty, Indexed(words="terms")]  # "PV", "CB", "5HT-3": the source's spelling
    expression: Literal["positive", "negative", "mixed"]
    evidence: NonEmpty | None = Field(default=None, description="the source's qualification, as said")


class Property(Frozen):
    """One electrophysiological property with its statistics."""

    name: NonEmpty
    unit: NonEmpty | None = None
    value: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    n: int | None = Field(default=None, description="cells measured")
    n_sources: int | None = Field(default=None, description="publications with a value")
    text: NonEmpty = Field(description="the source's own words")


class NeuronType(Frozen):
    """What is known of one neuron type: the body of an `Electrophysiology`, an end of a `Connection`."""

    nickname: Annotated[NonEmpty | None, Indexed(words="name")] = None
    synonyms: Annotated[Strings, Indexed(words="name")] = ()
    neurotransmitter: Annotated[Literal["excitatory", "inhibitory"] | None, TERM] = None
    supertype: Annotated[NonEmpty | None, Indexed(words="terms")] = None
    soma_layers: Annotated[Strings, FILTER] = ()
    axon_layers: Annotated[Strings, FILTER] = ()
    dendrite_layers: Annotated[Strings, FILTER] = ()
    markers: tuple[Marker, ...] = ()
    positive_markers: Annotated[Strings, FILTER] = ()
    negative_markers: Annotated[Strings, FILTER] = ()
    mixed_markers: Annotated[Strings, FILTER] = ()
    properties: tuple[Property, ...] = ()
    firing_patterns: Annotated[Strings, TERMS] = ()
    models: tuple[Link, ...] = Field(default=(), description="computational models of the type")


class Metadata(Frozen):
    """Where a trace's description can be fetched; the neuron builder asks for `metadata.url`."""

    url: Url


class Electrophysiology(NeuronType, Record):
    """A neuron type's electrophysiology, or one cell's trace."""

    type: Annotated[Literal["electrophysiology"], FILTER] = "electrophysiology"
    cell_type: Annotated[NonEmpty | None, TERM] = None
    etype: Annotated[NonEmpty | None, TERM] = Field(default=None, description="Blue Brain electrical type")
    metadata: Metadata | None = None


class End(NeuronType):
    """One end of a connection, whole: as the ancestor shows it, and all that is known."""

    source_id: NonEmpty
    id: NonEmpty
    name: Annotated[NonEmpty, Indexed(words="name")]
    source: NonEmpty
    region: NonEmpty | None = None
    secondary_region: Annotated[Strings, TERMS] = ()
    layers: Annotated[Strings, TERMS] = ()
    icon: Url | None = None
    papers: tuple[Paper, ...] = ()
    page_link: Url
    download_link: Url | None = None


class Connection(Record):
    """A connection from one neuron type to another."""

    type: Annotated[Literal["connection"], FILTER] = "connection"
    presynaptic: End
    postsynaptic: End


class Model(Record):
    """One computational model."""

    type: Annotated[Literal["single"], FILTER] = "single"
    model_types: Annotated[Strings, TERMS] = ()
    cell_types: Annotated[Strings, TERMS] = ()
    channels: Annotated[Strings, TERMS] = Field(default=(), description="currents")
    receptors: Annotated[Strings, TERMS] = ()
    transmitters: Annotated[Strings, TERMS] = ()
    genes: Annotated[Strings, TERMS] = ()
    model_concepts: Annotated[Strings, TERMS] = ()
    simulators: Annotated[Strings, TERMS] = Field(
        default=(), description="merged spellings: NEURON, GENESIS, ..."
    )
    simulator_is_web_link: bool = Field(
        default=False, description="the code of a simulator lies elsewhere, at a web link"
    )
    implementers: Annotated[Strings, TERMS] = ()
    readme_link: Url | None = None
    model_files: tuple[Link, ...] = Field(default=(), description="`.mod` files")
    files: tuple[NonEmpty, ...] = Field(default=(), description="paths in the model's archive")
    region_decision: NonEmpty | None = Field(
        default=None, description="why the model counts as one of the configured region"
    )
    created: NonEmpty | None = None
    version_date: Annotated[NonEmpty | None, DATE] = None
    version_number: Annotated[int | None, NUMBER] = None


INDICES: dict[str, tuple[type[Record], ...]] = {
    "dataset": (Morphology, Electrophysiology, Connection),
    "model": (Model,),
}


def type_name(record_class: type[Record]) -> str:
    """The value of `type` of a class of records: `morphology`, `single`, ..."""
    return str(record_class.model_fields["type"].default)


TYPES: dict[str, tuple[str, ...]] = {
    index: tuple(map(type_name, classes)) for index, classes in INDICES.items()
}
INDEX_OF: dict[str, str] = {name: index for index, names in TYPES.items() for name in names}


def index_of(record: Record) -> str:
    """The index that a record belongs to."""
    return INDEX_OF[record.type]
