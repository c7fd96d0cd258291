"""`/types` and `/filters`: what the front end draws its drop-downs from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.app import found, problem

Records = dict[str, list[dict[str, Any]]]
KEYS = {"key", "label", "type", "order", "depends_on", "values"}

# index, type -> (filter, label, order, depends_on), as the ancestor's front end knows them
OFFERED: dict[tuple[str, str], list[tuple[str, str, int, list[str]]]] = {
    ("dataset", "morphology"): [
        ("species", "species", 1, []),
        ("secondary_region", "region", 2, []),
        ("cell_type", "cell type", 3, []),
    ],
    ("dataset", "electrophysiology"): [
        ("secondary_region", "region", 1, []),
        ("layers", "layers", 2, ["secondary_region"]),
    ],
    ("model", ""): [
        ("cell_types", "cell types", 1, []),
        ("channels", "channels", 2, []),
        ("receptors", "receptors", 3, []),
        ("model_concepts", "model concepts", 4, []),
        ("implementers", "implementers", 5, []),
    ],
}
MORE_PATHS = {"cell_type": "cell_types"}  # a morphology's filter `cell_type` matches any of its terms


def of_type(records: Records, index: str, data_type: str) -> list[dict[str, Any]]:
    return [item for item in records[index] if not data_type or item["type"] == data_type]


def values(items: list[dict[str, Any]], name: str) -> set[str]:
    """Every value that records hold."""
    held: set[str] = set()
    for item in items:
        value = item.get(name)
        held.update(value if isinstance(value, list) else [value] if value else [])
    return held


@pytest.mark.parametrize(
    ("index", "types"),
    [("dataset", ["connection", "electrophysiology", "morphology"]), ("model", ["single"])],
)
def test_types(client: FlaskClient, index: str, types: list[str]) -> None:
    body = client.get(f"/types/{index}").get_json()
    assert body.keys() == {"label", "values"}
    assert body["label"] == "type"
    assert sorted(body["values"]) == types


@pytest.mark.parametrize(("place", "offered"), OFFERED.items(), ids=[" ".join(key) for key in OFFERED])
def test_filters_of_a_type(
    client: FlaskClient,
    records: Records,
    place: tuple[str, str],
    offered: list[tuple[str, str, int, list[str]]],
) -> None:
    index, data_type = place
    body = client.get(f"/filters/{index}/{data_type}".rstrip("/")).get_json()
    assert list(body) == [name for name, *_ in offered]
    items = of_type(records, index, data_type)
    for name, label, order, depends_on in offered:
        one = body[name]
        assert one.keys() == KEYS
        assert (one["key"], one["label"], one["type"], one["order"]) == (name, label, "multiple", order)
        assert one["depends_on"] == depends_on
        path = MORE_PATHS.get(name, name) if data_type == "morphology" else name
        assert set(one["values"]) == values(items, path), name
        assert one["values"], name


@pytest.mark.parametrize(("end", "order"), [("presynaptic", 1), ("postsynaptic", 2)])
def test_filters_of_connections_are_nested(
    client: FlaskClient, records: Records, end: str, order: int
) -> None:
    body = client.get("/filters/dataset/connection").get_json()
    assert list(body) == ["presynaptic", "postsynaptic"]
    group = body[end]
    assert group.keys() == {"label", "order", "items"}
    assert (group["label"], group["order"]) == (end, order)
    region, layers = group["items"]["secondary_region"], group["items"]["layers"]
    assert list(group["items"]) == ["secondary_region", "layers"]
    assert region.keys() == layers.keys() == KEYS
    assert (region["key"], region["label"], region["order"]) == ("secondary_region", "region", 1)
    assert (layers["key"], layers["label"], layers["order"]) == ("layers", "layers", 2)
    assert (region["depends_on"], layers["depends_on"]) == ([], [f"{end}.secondary_region"])
    ends = [item[end] for item in of_type(records, "dataset", "connection")]
    assert set(region["values"]) == values(ends, "secondary_region")
    assert set(layers["values"]) == values(ends, "layers")


def test_the_filters_of_a_whole_index_are_those_of_its_types(client: FlaskClient) -> None:
    merged = client.get("/filters/dataset").get_json()
    for data_type in ("morphology", "electrophysiology", "connection"):
        own = client.get(f"/filters/dataset/{data_type}").get_json()
        assert own.keys() <= merged.keys(), data_type


def drop_downs(tree: dict[str, Any], group: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(dotted name, filter) of an answer of `/filters`."""
    for name, entry in tree.items():
        if "items" in entry:
            yield from drop_downs(entry["items"], f"{name}.")
        else:
            yield group + name, entry


PLACES = [
    ("dataset", "morphology"),
    ("dataset", "electrophysiology"),
    ("dataset", "connection"),
    ("model", ""),
]


@pytest.mark.parametrize(("index", "data_type"), PLACES)
def test_every_offered_value_finds_something(client: FlaskClient, index: str, data_type: str) -> None:
    body = client.get(f"/filters/{index}/{data_type}".rstrip("/")).get_json()
    for name, one in drop_downs(body):
        for value in one["values"]:
            asked = {"data_type": data_type or None, "filters": {name: [value]}}
            assert found(client.post(f"/search/{index}/0/100", json=asked)), (name, value)


@pytest.mark.parametrize(("index", "data_type"), PLACES)
def test_values_are_sorted_non_empty_texts_without_repetition(
    client: FlaskClient, index: str, data_type: str
) -> None:
    body = client.get(f"/filters/{index}/{data_type}".rstrip("/")).get_json()
    for name, one in drop_downs(body):
        assert all(isinstance(value, str) and value.strip() for value in one["values"]), name
        assert one["values"] == sorted(set(one["values"]), key=lambda text: (text.casefold(), text)), name


def test_layers_carry_their_region_before_a_colon(client: FlaskClient) -> None:
    """The front end keeps the layers whose part before the colon is among the chosen regions."""
    body = client.get("/filters/dataset/connection").get_json()
    for group in body.values():
        regions = set(group["items"]["secondary_region"]["values"])
        layers = group["items"]["layers"]["values"]
        assert layers
        assert {layer.split(":")[0] for layer in layers} <= regions


def test_an_unknown_type_is_named_with_the_known_ones(client: FlaskClient) -> None:
    problem(
        client.get("/filters/dataset/morphologie"), 400, "morphologie", "electrophysiology", "did you mean"
    )


@pytest.mark.parametrize("path", ["/types/data", "/filters/data", "/filters/data/morphology"])
def test_an_unknown_index_is_named_with_the_known_ones(client: FlaskClient, path: str) -> None:
    problem(client.get(path), 404, "'data'", "dataset", "model")
