"""Small records for tests, made by literals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from helpers.query import Document, Release
from helpers.records import Connection, Electrophysiology, End, Model, Morphology, Provenance, Record
from helpers.staging import to_document

PAGE = "https://example.org/page"


def morphology(number: int, **fields: Any) -> Morphology:
    """A neuron of NeuroMorpho.Org."""
    given = {
        "source_id": f"neuromorpho-{number}",
        "id": str(number),
        "name": f"cell {number:04d}",
        "source": "Neuromorpho",
        "region": "hippocampus",
        "page_link": PAGE,
        "provenance": Provenance(source="neuromorpho"),
    }
    return Morphology(**{**given, **fields})


def electrophysiology(number: int, **fields: Any) -> Electrophysiology:
    """A neuron type of Hippocampome.org."""
    given = {
        "source_id": f"hippocampome-{number}",
        "id": str(number),
        "name": f"type {number}",
        "source": "Hippocampome",
        "page_link": PAGE,
        "provenance": Provenance(source="hippocampome"),
    }
    return Electrophysiology(**{**given, **fields})


def end(number: int, **fields: Any) -> End:
    """One end of a connection."""
    given = {
        "source_id": f"hippocampome-{number}",
        "id": str(number),
        "name": f"type {number}",
        "source": "Hippocampome",
        "page_link": PAGE,
    }
    return End(**{**given, **fields})


def connection(presynaptic: End, postsynaptic: End) -> Connection:
    """A connection of Hippocampome.org."""
    return Connection(
        source_id=f"hippocampome-{presynaptic.id}-{postsynaptic.id}",
        id=f"{presynaptic.id}-{postsynaptic.id}",
        name=f"{presynaptic.name} to {postsynaptic.name}",
        source="Hippocampome",
        presynaptic=presynaptic,
        postsynaptic=postsynaptic,
        page_link=PAGE,
        provenance=Provenance(source="hippocampome"),
    )


def model(number: int, **fields: Any) -> Model:
    """A model of ModelDB."""
    given = {
        "source_id": f"model_db-{number}",
        "id": str(number),
        "name": f"model {number}",
        "source": "ModelDB",
        "page_link": PAGE,
        "provenance": Provenance(source="modeldb"),
    }
    return Model(**{**given, **fields})


def documents(records: Iterable[Record]) -> list[tuple[str, Document]]:
    """As a storage takes them."""
    return [to_document(record) for record in records]


def release(source: str, number: int = 1) -> Release:
    """A release as a refresh announces it."""
    return Release(source, number, "2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z")
