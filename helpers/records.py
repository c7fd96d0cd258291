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

    label: Annotated[Text, WORDS] = Field(description="text to show: authors and title, or the identifier")
    url: Url | None = Field(default=None, description="page of the publication")
    pmid: Annotated[str | None, Indexed(filter=True, words="body", name="pmid")] = Field(
        default=None, description="PubMed identifier"
    )
    doi: Annotated[str | None, Indexed(filter=True, words="body", name="doi")] = Field(
        default=None, description="digital object identifier"
    )


class Link(Frozen):
    """A file or page with the name to show for it."""

    label: NonEmpty = Field(description="name to show")
    url: Url = Field(description="address")


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
    type: Annotated[NonEmpty, FILTER] = Field(description="kind of record")
    name: Annotated[NonEmpty, Indexed(sort=True, words="name")] = Field(description="name at the source")
    source: Annotated[NonEmpty, Indexed(filter=True, sort=True)] = Field(description="the source as shown")
    description: Annotated[Text | None, WORDS] = Field(default=None, description="the source's own notes")
    region: Annotated[NonEmpty | None, TERM] = Field(default=None, description="outermost brain region")
    secondary_region: Annotated[Strings, TERMS] = Field(default=(), description="regions within `region`")
    layers: Annotated[Strings, TERMS] = Field(default=(), description="`CA1:SP` or the source's own words")
    species: Annotated[NonEmpty | None, TERM] = Field(default=None, description="species of the animal")
    papers: tuple[Paper, ...] = Field(default=(), description="publications of the record")
    page_link: Url = Field(description="the record's page at its source")
    download_link: Url | None = Field(default=None, description="the file that a download fetches")
    icon: Url | None = Field(default=None, description="a picture")
    licence: NonEmpty | None = Field(default=None, description="terms under which the data may be used")
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
    archive: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="laboratory that gave the reconstruction"
    )
    strain: Annotated[NonEmpty | None, TERM] = Field(default=None, description="strain of the animal")
    scientific_name: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="scientific name of the species"
    )
    gender: Annotated[NonEmpty | None, Indexed(filter=True, sort=True)] = Field(
        default=None, description="sex of the animal"
    )
    age_classification: Annotated[NonEmpty | None, TERM] = Field(default=None, description="stage of life")
    age_scale: NonEmpty | None = Field(default=None, description="unit of `min_age` and `max_age`")
    min_age: Annotated[float | None, NUMBER] = Field(
        default=None, description="youngest animal, in `age_scale`"
    )
    max_age: Annotated[float | None, NUMBER] = Field(
        default=None, description="oldest animal, in `age_scale`"
    )
    min_weight_g: Annotated[float | None, NUMBER] = Field(default=None, description="lightest animal, grams")
    max_weight_g: Annotated[float | None, NUMBER] = Field(default=None, description="heaviest animal, grams")
    stain: Annotated[NonEmpty | None, TERM] = Field(default=None, description="staining method")
    experiment_condition: Annotated[Strings, TERMS] = Field(
        default=(), description="control, or what was done to the animal"
    )
    protocol: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="preparation: in vivo, in vitro, culture, ..."
    )
    slicing_direction: NonEmpty | None = Field(default=None, description="plane of the slices")
    slicing_thickness_um: Annotated[float | None, NUMBER] = Field(
        default=None, description="thickness of the slices, µm"
    )
    objective_type: NonEmpty | None = Field(default=None, description="immersion of the objective")
    magnification: Annotated[float | None, NUMBER] = Field(
        default=None, description="magnification of the objective, times"
    )
    reconstruction_software: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="software of the tracing"
    )
    original_format: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="`<Software>.<ext>`, not a file name"
    )
    domain: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="parts that were reconstructed"
    )
    attributes: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="what the tracing holds: diameter, angles, 2D or 3D"
    )
    physical_integrity: Annotated[NonEmpty | None, TERM] = Field(
        default=None, description="how complete each part is"
    )
    deposition_date: Annotated[Day | None, DATE] = Field(
        default=None, description="day of deposition at the source"
    )
    upload_date: Annotated[Day | None, DATE] = Field(default=None, description="day of release by the source")
    shrinkage: dict[str, Any] = Field(
        default_factory=dict, description="reported and corrected shrinkage, as said"
    )
    measurements: Measurements = Measurements()
    standard_link: Url | None = Field(default=None, description="standardised SWC")
    original_link: Url | None = Field(default=None, description="file as its authors gave it")
    log_link: Url | None = Field(default=None, description="standardisation log")


class Marker(Frozen):
    """Expression of one molecule in one neuron type. Absence of evidence is no Marker at all."""

    name: Annotated[NonEmpty, Indexed(words="terms")] = Field(
        description="molecule, in the source's spelling"
    )
    expression: Literal["positive", "negative", "mixed"]
    evidence: NonEmpty | None = Field(default=None, description="the source's qualification, as said")


class Property(Frozen):
    """One electrophysiological property with its statistics."""

    name: NonEmpty = Field(description="property")
    unit: NonEmpty | None = Field(default=None, description="unit of the numbers")
    value: float | None = Field(default=None, description="mean, in `unit`")
    sd: float | None = Field(default=None, description="standard deviation, in `unit`")
    minimum: float | None = Field(default=None, description="smallest value, in `unit`")
    maximum: float | None = Field(default=None, description="largest value, in `unit`")
    n: int | None = Field(default=None, description="cells measured")
    n_sources: int | None = Field(default=None, description="publications with a value")
    text: NonEmpty = Field(description="the source's own words")


class NeuronType(Frozen):
    """What is known of one neuron type: the body of an `Electrophysiology`, an end of a `Connection`."""

    nickname: Annotated[NonEmpty | None, Indexed(words="name")] = Field(
        default=None, description="short name"
    )
    synonyms: Annotated[Strings, Indexed(words="name")] = Field(default=(), description="other names")
    neurotransmitter: Annotated[Literal["excitatory", "inhibitory"] | None, TERM] = Field(
        default=None, description="effect on the target"
    )
    supertype: Annotated[NonEmpty | None, Indexed(words="terms")] = Field(
        default=None, description="the source's code and name of the supertype"
    )
    soma_layers: Annotated[Strings, FILTER] = Field(default=(), description="layers with somata, `CA1:SP`")
    axon_layers: Annotated[Strings, FILTER] = Field(default=(), description="layers with axons")
    dendrite_layers: Annotated[Strings, FILTER] = Field(default=(), description="layers with dendrites")
    markers: tuple[Marker, ...] = Field(default=(), description="molecules with the sign of their expression")
    positive_markers: Annotated[Strings, FILTER] = Field(default=(), description="markers that are expressed")
    negative_markers: Annotated[Strings, FILTER] = Field(
        default=(), description="markers that are not expressed"
    )
    mixed_markers: Annotated[Strings, FILTER] = Field(
        default=(), description="markers with evidence for both"
    )
    properties: tuple[Property, ...] = Field(default=(), description="electrophysiological properties")
    firing_patterns: Annotated[Strings, TERMS] = Field(default=(), description="firing patterns")
    models: tuple[Link, ...] = Field(default=(), description="computational models of the type")


class Metadata(Frozen):
    """Where a trace's description can be fetched; the neuron builder asks for `metadata.url`."""

    url: Url = Field(description="file that describes the trace")


class Electrophysiology(NeuronType, Record):
    """A neuron type's electrophysiology, or one cell's trace."""

    type: Annotated[Literal["electrophysiology"], FILTER] = "electrophysiology"
    cell_type: Annotated[NonEmpty | None, TERM] = Field(default=None, description="cell type")
    etype: Annotated[NonEmpty | None, TERM] = Field(default=None, description="Blue Brain electrical type")
    metadata: Metadata | None = None


class End(NeuronType):
    """One end of a connection, whole: as the ancestor shows it, and all that is known."""

    source_id: NonEmpty = Field(description="id over all sources")
    id: NonEmpty = Field(description="the source's bare id")
    name: Annotated[NonEmpty, Indexed(words="name")] = Field(description="name at the source")
    source: NonEmpty = Field(description="the source as shown")
    region: NonEmpty | None = Field(default=None, description="outermost brain region")
    secondary_region: Annotated[Strings, TERMS] = Field(default=(), description="regions within `region`")
    layers: Annotated[Strings, TERMS] = Field(default=(), description="layers of the neuron type, `CA1:SP`")
    icon: Url | None = Field(default=None, description="a picture")
    papers: tuple[Paper, ...] = Field(default=(), description="publications of the neuron type")
    page_link: Url = Field(description="the neuron type's page at its source")
    download_link: Url | None = Field(default=None, description="file of the neuron type")


class Connection(Record):
    """A connection from one neuron type to another."""

    type: Annotated[Literal["connection"], FILTER] = "connection"
    presynaptic: End
    postsynaptic: End


class Model(Record):
    """One computational model."""

    type: Annotated[Literal["single"], FILTER] = "single"
    model_types: Annotated[Strings, TERMS] = Field(
        default=(), description="what is modelled: neuron, network, channel, ..."
    )
    cell_types: Annotated[Strings, TERMS] = Field(default=(), description="modelled cell types")
    channels: Annotated[Strings, TERMS] = Field(default=(), description="currents")
    receptors: Annotated[Strings, TERMS] = Field(default=(), description="modelled receptors")
    transmitters: Annotated[Strings, TERMS] = Field(default=(), description="modelled transmitters")
    genes: Annotated[Strings, TERMS] = Field(default=(), description="modelled genes")
    model_concepts: Annotated[Strings, TERMS] = Field(
        default=(), description="concepts that the model is about"
    )
    simulators: Annotated[Strings, TERMS] = Field(
        default=(), description="merged spellings: NEURON, GENESIS, ..."
    )
    simulator_is_web_link: bool = Field(
        default=False, description="the code of a simulator lies elsewhere, at a web link"
    )
    implementers: Annotated[Strings, TERMS] = Field(default=(), description="who wrote the code")
    readme_link: Url | None = Field(default=None, description="readme of the model")
    model_files: tuple[Link, ...] = Field(default=(), description="`.mod` files")
    files: tuple[NonEmpty, ...] = Field(default=(), description="paths in the model's archive")
    region_decision: NonEmpty | None = Field(
        default=None, description="why the model counts as one of the configured region"
    )
    created: NonEmpty | None = Field(default=None, description="when the source added it")
    version_date: Annotated[NonEmpty | None, DATE] = Field(default=None, description="date of the version")
    version_number: Annotated[int | None, NUMBER] = Field(default=None, description="number of the version")


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
