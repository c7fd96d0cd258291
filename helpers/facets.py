"""The filters that `/filters` offers for each type of record, as the ancestor's front end draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helpers.records import TYPES


@dataclass(frozen=True, slots=True)
class Offered:
    """One drop-down of the front end. `name` is a filter; a dotted one is shown within its group."""

    name: str
    label: str
    order: int
    depends_on: tuple[str, ...] = ()


def _end(end: str) -> tuple[Offered, ...]:
    region = f"{end}.secondary_region"
    return (Offered(region, "region", 1), Offered(f"{end}.layers", "layers", 2, (region,)))


OFFERED: dict[str, tuple[Offered, ...]] = {
    "morphology": (
        Offered("species", "species", 1),
        Offered("secondary_region", "region", 2),
        Offered("cell_type", "cell type", 3),
    ),
    "electrophysiology": (
        Offered("secondary_region", "region", 1),
        Offered("layers", "layers", 2, ("secondary_region",)),
    ),
    "connection": (*_end("presynaptic"), *_end("postsynaptic")),
    "single": (
        Offered("cell_types", "cell types", 1),
        Offered("channels", "channels", 2),
        Offered("receptors", "receptors", 3),
        Offered("model_concepts", "model concepts", 4),
        Offered("implementers", "implementers", 5),
    ),
}
GROUP_ORDER = {"presynaptic": 1, "postsynaptic": 2}


def offered(index: str, data_type: str | None) -> tuple[Offered, ...]:
    """What `/filters` lists for a type, or for all types of an index together."""
    names = TYPES[index] if data_type is None else (data_type,)
    merged: dict[str, Offered] = {}
    for name in names:
        for item in OFFERED[name]:
            merged.setdefault(item.name, item)
    return tuple(merged.values())


def warm_facets(index: str) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """(type, fields) whose values every visitor asks for: counted once per release."""
    for data_type in (None, *TYPES[index]):
        names = tuple(item.name for item in offered(index, data_type))
        yield data_type, names
        yield data_type, ("type",)
