"""`/search`: pages, defaults, words, filters, facets, order, everything at once, and single records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.app import INDICES, PAGE_KEYS, found, ids, problem

Records = dict[str, list[dict[str, Any]]]


# Pages


@pytest.mark.parametrize("index", INDICES)
def test_a_page_has_exactly_the_ancestors_keys(client: FlaskClient, records: Records, index: str) -> None:
    body = client.post(f"/search/{index}", json={"query": "", "filters": None}).get_json()
    total = len(records[index])
    assert body.keys() == PAGE_KEYS  # `incomplete` only where a source was never released
    assert (body["total"], body["page"], body["size"]) == (total, 0, 20)
    assert body["total_page"] == -(-total // 20)
    assert ids(body["items"]) == ids(records[index])[:20]


@pytest.mark.parametrize("hits", [1, 10, 20, 50, 100, 10_000])
@pytest.mark.parametrize("index", INDICES)
def test_pages_together_are_everything_once(
    client: FlaskClient, records: Records, index: str, hits: int
) -> None:
    pages = -(-len(records[index]) // hits)
    walked: list[str] = []
    for page in range(pages):
        body = client.post(f"/search/{index}/{page}/{hits}", json={}).get_json()
        assert (body["page"], body["size"], body["total_page"]) == (page, hits, pages)
        walked += ids(body["items"])
    assert walked == ids(records[index])


@pytest.mark.parametrize("page", ["1000", "999999999999999999"])
def test_a_page_past_the_end_is_empty_with_the_exact_total(
    client: FlaskClient, records: Records, page: str
) -> None:
    body = client.post(f"/search/dataset/{page}/100", json={}).get_json()
    assert (body["items"], body["total"]) == ([], len(records["dataset"]))


def test_page_and_hits_may_stand_in_the_query_string_and_in_the_body(
    client: FlaskClient, records: Records
) -> None:
    wanted = ids(records["dataset"])[6:9]
    assert found(client.get("/search/dataset?page=2&hits=3")) == wanted
    assert found(client.post("/search/dataset", json={"page": 2, "hits": 3})) == wanted
    assert found(client.get("/search/dataset/2?hits=3")) == wanted


# What restricts nothing

NOTHING = {
    "no body": None,
    "an empty body": b"",
    "a null": b"null",
    "an empty object": b"{}",
    "null for everything": b'{"data_type": null, "query": null, "filters": null}',
    "empty texts": b'{"data_type": "", "query": "", "filters": ""}',
    "filters that are an empty object": b'{"filters": {}}',
    "filters that are an empty list": b'{"filters": []}',
    "a filter of null": b'{"filters": {"species": null}}',
    "a filter of an empty text": b'{"filters": {"species": ""}}',
    "a filter of an empty list": b'{"filters": {"species": []}}',
    "a filter of empty texts": b'{"filters": {"species": ["", null]}}',
    "an empty group": b'{"filters": {"presynaptic": {}}}',
    "an empty list in a group": b'{"filters": {"presynaptic": {"layers": [], "secondary_region": null}}}',
    "ids of null": b'{"ids": null}',
    "words of blanks": b'{"query": "  \\t\\n "}',
}


@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING.keys())
def test_what_is_missing_or_empty_restricts_nothing(
    client: FlaskClient, records: Records, body: bytes | None
) -> None:
    kind = {} if body is None else {"content_type": "application/json"}
    answer = client.post("/search/dataset/0/100", data=body, **kind)
    assert found(answer) == ids(records["dataset"])


@pytest.mark.parametrize(
    "query", ["", "?query=", "?data_type=", "?species=", "?species=&species=", "?sort=&facets=&ids="]
)
def test_an_empty_parameter_restricts_nothing(client: FlaskClient, records: Records, query: str) -> None:
    assert found(client.get(f"/search/dataset/0/100{query}")) == ids(records["dataset"])


@pytest.mark.parametrize("value", [None, "", []], ids=["null", "empty text", "empty list"])
def test_a_group_without_values_restricts_nothing(
    client: FlaskClient, records: Records, value: object
) -> None:
    answer = client.post("/search/dataset/0/100", json={"filters": {"presynaptic": value}})
    assert found(answer) == ids(records["dataset"])


def test_the_ancestors_first_call_for_models(client: FlaskClient, records: Records) -> None:
    assert found(client.post("/search/model/0/50", json={"query": ""})) == ids(records["model"])


# Types and filters


@pytest.mark.parametrize("data_type", ["morphology", "electrophysiology", "connection"])
def test_one_type(client: FlaskClient, records: Records, data_type: str) -> None:
    wanted = [item["source_id"] for item in records["dataset"] if item["type"] == data_type]
    assert wanted
    by_post = client.post("/search/dataset/0/100", json={"data_type": data_type, "filters": None})
    assert found(by_post) == wanted
    assert found(client.get(f"/search/dataset/0/100?data_type={data_type}")) == wanted


def test_values_of_one_filter_are_alternatives_and_filters_all_hold(
    client: FlaskClient, records: Records
) -> None:
    wanted = [
        item["source_id"]
        for item in records["dataset"]
        if item.get("species") in ("rat", "mouse") and "CA1" in item["secondary_region"]
    ]
    assert wanted
    filters = {"species": ["rat", "mouse"], "secondary_region": "CA1"}  # one text is a list of one
    assert found(client.post("/search/dataset/0/100", json={"filters": filters})) == wanted
    query = "species=rat&species=mouse&secondary_region=CA1"
    assert found(client.get(f"/search/dataset/0/100?{query}")) == wanted


@pytest.mark.parametrize("end", ["presynaptic", "postsynaptic"])
def test_filters_on_an_end_of_a_connection_nested_dotted_and_by_get(
    client: FlaskClient, records: Records, end: str
) -> None:
    connections = [item for item in records["dataset"] if item["type"] == "connection"]
    layer = next(layer for item in connections for layer in item[end]["layers"])
    wanted = [item["source_id"] for item in connections if layer in item[end]["layers"]]
    nested = {"data_type": "connection", "filters": {end: {"layers": [layer]}}}
    assert found(client.post("/search/dataset/0/100", json=nested)) == wanted
    assert found(client.post("/search/dataset/0/100", json={"filters": {f"{end}.layers": layer}})) == wanted
    by_get = client.get("/search/dataset/0/100", query_string={f"{end}.layers": layer})
    assert found(by_get) == wanted


def test_a_filter_without_a_match_finds_nothing_and_says_so(client: FlaskClient) -> None:
    body = client.get("/search/dataset?species=unicorn").get_json()
    assert (body["total"], body["total_page"], body["items"]) == (0, 0, [])


def test_ids_are_a_list_or_comma_text(client: FlaskClient) -> None:
    wanted = {"neuromorpho-301", "neuromorpho-5001"}
    text = ",".join(sorted(wanted))
    for answer in (
        client.post("/search/dataset/all", json={"ids": [*wanted, "neuromorpho-1"]}),
        client.post("/search/dataset/all", json={"ids": f" {text} , "}),
        client.get(f"/search/dataset/all?ids={text}"),
        client.post("/search/dataset", json={"ids": text}),
    ):
        assert set(found(answer)) == wanted


# Facets


def counted(items: list[dict[str, Any]], path: tuple[str, ...]) -> dict[str, int]:
    """value -> records that hold it, counted by hand."""
    counts: dict[str, int] = {}
    for item in items:
        value: Any = item
        for part in path:
            value = (value or {}).get(part)
        for one in set(value if isinstance(value, list) else [value] if value is not None else []):
            counts[one] = counts.get(one, 0) + 1
    return counts


def as_dict(facet: list[dict[str, Any]]) -> dict[str, int]:
    """A facet as a dictionary; no value comes twice."""
    assert all(entry.keys() == {"value", "count"} for entry in facet)
    assert len({entry["value"] for entry in facet}) == len(facet)
    return {entry["value"]: entry["count"] for entry in facet}


@pytest.mark.parametrize("asked", ["true", "species,secondary_region,archive"])
def test_facets_are_counted_as_if_their_own_filter_were_off(
    client: FlaskClient, records: Records, asked: str
) -> None:
    query = f"data_type=morphology&species=rat&archive=Tidepool&facets={asked}"
    facets = client.get(f"/search/dataset?{query}").get_json()["facets"]
    cells = [item for item in records["dataset"] if item["type"] == "morphology"]
    of_archive = [item for item in cells if item["archive"] == "Tidepool"]
    rats = [item for item in of_archive if item["species"] == "rat"]
    assert as_dict(facets["species"]) == counted(of_archive, ("species",))
    assert as_dict(facets["secondary_region"]) == counted(rats, ("secondary_region",))
    if asked == "true":
        assert set(facets) == set(client.get("/filters/dataset/morphology").get_json())


def test_facets_true_of_a_whole_index_are_those_of_its_filters(client: FlaskClient, records: Records) -> None:
    facets = client.post("/search/model", json={"facets": True}).get_json()["facets"]
    assert set(facets) == {"cell_types", "channels", "receptors", "model_concepts", "implementers"}
    for name, facet in facets.items():
        assert as_dict(facet) == counted(records["model"], (name,)), name


def test_facets_of_both_ends(client: FlaskClient, records: Records) -> None:
    body = {"data_type": "connection", "facets": ["presynaptic.layers", "postsynaptic.secondary_region"]}
    facets = client.post("/search/dataset", json=body).get_json()["facets"]
    connections = [item for item in records["dataset"] if item["type"] == "connection"]
    assert as_dict(facets["presynaptic.layers"]) == counted(connections, ("presynaptic", "layers"))
    regions = counted(connections, ("postsynaptic", "secondary_region"))
    assert as_dict(facets["postsynaptic.secondary_region"]) == regions


# Order


def expected_order(items: list[dict[str, Any]], path: str, descending: bool) -> list[str]:
    """By a field, missing values last, ties by `source_id` ascending."""

    def value(item: dict[str, Any]) -> Any:
        for part in path.split("."):
            item = item.get(part) if item else None  # type: ignore[assignment]
        return item.casefold() if isinstance(item, str) else item

    known = sorted((item for item in items if value(item) is not None), key=lambda item: item["source_id"])
    missing = sorted(ids(item for item in items if value(item) is None))
    return [*ids(sorted(known, key=value, reverse=descending)), *missing]


@pytest.mark.parametrize("index", INDICES)
def test_without_words_the_order_is_by_name_then_id(records: Records, index: str) -> None:
    assert ids(records[index]) == expected_order(records[index], "name", descending=False)


SORTS = ["name", "species", "region", "archive", "measurements.length_um", "upload_date", "min_age"]


@pytest.mark.parametrize("field", SORTS)
def test_sort_ascending(client: FlaskClient, records: Records, field: str) -> None:
    asked = found(client.get(f"/search/dataset/0/100?sort={field}"))
    assert asked == expected_order(records["dataset"], field, descending=False)


@pytest.mark.parametrize("field", SORTS)
def test_sort_descending_keeps_ties_ascending(client: FlaskClient, records: Records, field: str) -> None:
    asked = found(client.post("/search/dataset/0/100", json={"sort": f"-{field}"}))
    assert asked == expected_order(records["dataset"], field, descending=True)


def test_sorted_pages_follow_each_other(client: FlaskClient) -> None:
    whole = found(client.get("/search/dataset/0/100?sort=-species"))
    pages = [found(client.get(f"/search/dataset/{page}/7?sort=-species")) for page in range(20)]
    assert [one for page in pages for one in page] == whole


# Everything at once


@pytest.mark.parametrize("method", ["get", "post"])
def test_all_is_streamed_and_complete(client: FlaskClient, records: Records, method: str) -> None:
    answer = getattr(client, method)("/search/dataset/all", query_string={"data_type": "connection"})
    assert answer.is_streamed
    body = json.loads(answer.get_data())
    wanted = [item for item in records["dataset"] if item["type"] == "connection"]
    assert body == {"items": wanted, "total": len(wanted)}


def test_all_without_a_match_is_an_empty_list(client: FlaskClient) -> None:
    assert client.get("/search/dataset/all?species=unicorn").get_json() == {"items": [], "total": 0}


def test_all_keeps_the_order_asked_for(client: FlaskClient) -> None:
    ordered = found(client.get("/search/dataset/0/100?sort=-measurements.length_um"))
    assert found(client.get("/search/dataset/all?sort=-measurements.length_um")) == ordered


@pytest.mark.parametrize("name", ["page", "hits"])
def test_all_has_no_pages(client: FlaskClient, name: str) -> None:
    problem(client.get(f"/search/dataset/all?{name}=1"), 400, name)


# Single records


@pytest.mark.parametrize("index", INDICES)
def test_every_record_can_be_asked_for_by_its_id(client: FlaskClient, records: Records, index: str) -> None:
    for item in records[index]:
        body = client.get(f"/records/{index}/{item['source_id']}").get_json()
        beside = body.pop("_release")
        assert body == item
        assert beside.keys() == {"number", "released_at", "fetched_at"}
        assert beside["number"] == 1
        assert beside["fetched_at"] <= beside["released_at"]


def test_a_record_is_found_only_in_its_index(client: FlaskClient) -> None:
    problem(client.get("/records/model/neuromorpho-301"), 404, "neuromorpho-301", "model")


# HTTP


@pytest.mark.parametrize(
    "path",
    ["/", "/search/dataset", "/search/dataset/all", "/types/model", "/filters/dataset", "/sources"],
)
def test_head_is_get_without_a_body(client: FlaskClient, path: str) -> None:
    asked, whole = client.head(path), client.get(path)
    assert (asked.status_code, asked.get_data(), asked.mimetype) == (200, b"", whole.mimetype)


@pytest.mark.parametrize("path", ["/search/dataset", "/filters/dataset/morphology", "/sources", "/"])
def test_answers_are_json(client: FlaskClient, path: str) -> None:
    assert client.get(path).mimetype == "application/json"
