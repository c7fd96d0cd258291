"""The table of fields that search is derived from."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.facets import OFFERED, offered, warm_facets
from helpers.fields import FIELDS, FieldSpec, values
from helpers.records import INDICES, TYPES, Indexed, index_of, type_name
from tests.records import connection, electrophysiology, end, model, morphology

DATASET, MODEL = FIELDS["dataset"], FIELDS["model"]


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        ({"a": 1}, ("a",), [1]),
        ({"a": None}, ("a",), []),
        ({}, ("a",), []),
        (None, ("a",), []),
        ({"a": {"b": [1, 2]}}, ("a", "b"), [1, 2]),
        ({"a": [{"b": 1}, {"b": None}, {}, {"b": [2, 3]}]}, ("a", "b"), [1, 2, 3]),
        ({"a": []}, ("a", "b"), []),
        ({"a": None}, ("a", "b"), []),
        ({"a": 0}, ("a",), [0]),
        ({"a": False}, ("a",), [False]),
        ({"a": ""}, ("a",), [""]),
    ],
    ids=str,
)
def test_values_at_a_path(document: Any, path: tuple[str, ...], found: list[Any]) -> None:
    assert list(values(document, path)) == found


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (DATASET["species"], {"kind": "keyword", "filter": True, "sort": True, "many": False}),
        (DATASET["secondary_region"], {"kind": "keyword", "filter": True, "sort": False, "many": True}),
        (DATASET["name"], {"filter": False, "sort": True, "words": "name"}),
        (DATASET["upload_date"], {"kind": "date", "sort": True, "filter": False}),
        (DATASET["measurements.length_um"], {"kind": "number", "sort": True, "filter": False}),
        (DATASET["pmid"], {"many": True, "filter": True, "words": "body"}),
        (DATASET["presynaptic.layers"], {"paths": (("presynaptic", "layers"),), "many": True}),
        (DATASET["presynaptic.layers"], {"types": frozenset({"connection"})}),
        (DATASET["layers"], {"types": frozenset(TYPES["dataset"])}),
        (MODEL["version_number"], {"kind": "number", "sort": True}),
        (MODEL["channels"], {"types": frozenset({"single"}), "filter": True}),
    ],
    ids=lambda value: value.name if isinstance(value, FieldSpec) else None,
)
def test_marks_become_a_spec(spec: FieldSpec, expected: dict[str, Any]) -> None:
    assert {name: getattr(spec, name) for name in expected} == expected


def test_one_filter_looks_at_every_place_where_a_type_keeps_it() -> None:
    """A morphology has several terms under `cell_types`, an electrophysiology one under `cell_type`."""
    spec = DATASET["cell_type"]
    assert set(spec.paths) == {("cell_types",), ("cell_type",)}
    assert spec.types == {"morphology", "electrophysiology"}
    assert (spec.many, spec.sort) == (True, False)


def test_a_field_of_several_values_is_never_a_sort_key() -> None:
    assert [
        spec.name for table in FIELDS.values() for spec in table.values() if spec.sort and spec.many
    ] == []


def test_every_mark_is_of_some_use() -> None:
    idle = [
        spec.name
        for table in FIELDS.values()
        for spec in table.values()
        if not (spec.filter or spec.sort or spec.words)
    ]
    assert idle == [] and Indexed() == Indexed(filter=False)


@pytest.mark.parametrize("index", INDICES)
def test_every_path_leads_into_the_records_of_its_types(index: str) -> None:
    made = [morphology(1), electrophysiology(1), connection(end(1), end(2)), model(1)]
    bodies = [record.model_dump(mode="json") for record in made]
    for spec in FIELDS[index].values():
        for body in bodies:
            if body["type"] in spec.types:
                assert any(path[0] in body for path in spec.paths), spec.name


@pytest.mark.parametrize(
    "record", [morphology(1), electrophysiology(1), connection(end(1), end(2)), model(1)]
)
def test_a_record_knows_its_index(record: Any) -> None:
    assert type(record) in INDICES[index_of(record)]
    assert type_name(type(record)) == record.type


@pytest.mark.parametrize("name", [name for names in TYPES.values() for name in names])
def test_every_type_offers_filters_that_exist_and_that_it_has(name: str) -> None:
    (index,) = (index for index, names in TYPES.items() if name in names)
    for item in OFFERED[name]:
        spec = FIELDS[index][item.name]
        assert spec.filter and name in spec.types
        assert all(other in {entry.name for entry in OFFERED[name]} for other in item.depends_on)


@pytest.mark.parametrize("index", INDICES)
def test_all_types_together_offer_each_filter_once(index: str) -> None:
    names = [item.name for item in offered(index, None)]
    assert len(names) == len(set(names))
    assert set(names) == {item.name for kind in TYPES[index] for item in OFFERED[kind]}


@pytest.mark.parametrize("index", INDICES)
def test_warm_facets_are_filters(index: str) -> None:
    asked = list(warm_facets(index))
    assert {kind for kind, _ in asked} == {None, *TYPES[index]}
    assert all(FIELDS[index][name].filter for _, names in asked for name in names)
