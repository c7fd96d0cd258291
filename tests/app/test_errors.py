"""One shape for every failure, the status that fits, and what was wrong and what is allowed in its words."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from helpers.errors import StorageUnavailable
from helpers.example_upstream import ExampleUpstream
from helpers.query import Document, SearchQuery
from helpers.storage.base import Storage
from tests.app import Outage, With, problem, settings_for

BAD = {  # method, path, body -> what the detail names
    "a negative page": ("get", "/search/dataset/-1", None, ["page", "-1", "0"]),
    "a page of letters": ("get", "/search/dataset/x", None, ["page", "'x'"]),
    "a broken page": ("get", "/search/dataset/1.5", None, ["page", "1.5"]),
    "an endless page": ("get", f"/search/dataset/{'9' * 50}", None, ["page"]),
    "a page in another script": ("get", "/search/dataset/٣", None, ["page"]),
    "no hits": ("get", "/search/dataset/0/0", None, ["hits", "0", "1", "10000"]),
    "negative hits": ("get", "/search/dataset/0/-5", None, ["hits", "-5"]),
    "too many hits": ("get", "/search/dataset/0/10001", None, ["hits", "10001", "10000"]),
    "hits as a power": ("get", "/search/dataset/0/1e9", None, ["hits", "1e9", "10000"]),
    "hits of a body": ("post", "/search/dataset", {"hits": 1e9}, ["hits", "10000"]),
    "hits of true": ("post", "/search/dataset", {"hits": True}, ["hits", "True"]),
    "a page of a list": ("post", "/search/dataset", {"page": [1]}, ["page", "[1]"]),
    "an unknown type": ("get", "/search/dataset?data_type=cell", None, ["'cell'", "morphology"]),
    "a type of the other index": (
        "get",
        "/search/model?data_type=morphology",
        None,
        ["morphology", "single"],
    ),
    "a type that is a number": ("post", "/search/dataset", {"data_type": 5}, ["5", "morphology"]),
    "a type that is a list": ("post", "/search/dataset", {"data_type": ["morphology"]}, ["morphology"]),
    "an unknown parameter": ("get", "/search/dataset?colour=red", None, ["'colour'"]),
    "a parameter that is nearly right": ("get", "/search/dataset?specis=rat", None, ["specis", "'species'"]),
    "an unknown name in the body": ("post", "/search/dataset", {"limit": 5}, ["'limit'", "hits"]),
    "an unknown filter": ("post", "/search/dataset", {"filters": {"specis": ["rat"]}}, ["specis", "species"]),
    "an unknown filter of an end": (
        "post",
        "/search/dataset",
        {"filters": {"presynaptic": {"layer": ["CA1:SP"]}}},
        ["presynaptic.layer", "presynaptic.layers"],
    ),
    "a filter of the other index": ("post", "/search/model", {"filters": {"species!": "rat"}}, ["species!"]),
    "filters of text": ("post", "/search/dataset", {"filters": "species=rat"}, ["filters", "species=rat"]),
    "filters of a number": ("post", "/search/dataset", {"filters": 5}, ["filters", "5"]),
    "filters of a list": ("post", "/search/dataset", {"filters": ["species"]}, ["filters", "species"]),
    "filters of true": ("post", "/search/dataset", {"filters": True}, ["filters", "True"]),
    "a filter of a number": ("post", "/search/dataset", {"filters": {"species": 5}}, ["species", "5"]),
    "a filter of numbers": ("post", "/search/dataset", {"filters": {"species": [5]}}, ["species", "5"]),
    "a filter of an object": (
        "post",
        "/search/dataset",
        {"filters": {"species": {"is": "rat"}}},
        ["species.is"],
    ),
    "a long filter": ("post", "/search/dataset", {"filters": {"species": "x" * 1_001}}, ["1001", "1000"]),
    "long words": ("post", "/search/dataset", {"query": "x" * 1_001}, ["1001", "1000"]),
    "words of a number": ("post", "/search/dataset", {"query": 5}, ["query", "5"]),
    "words of a list": ("post", "/search/dataset", {"query": ["CA1"]}, ["query", "CA1"]),
    "two queries": ("get", "/search/dataset?query=a&query=b", None, ["query", "'a'", "'b'"]),
    "an unknown order": ("get", "/search/dataset?sort=nam", None, ["nam", "'name'"]),
    "an order of a list": ("post", "/search/dataset", {"sort": ["name"]}, ["name"]),
    "two minus signs": ("get", "/search/dataset?sort=--name", None, ["name"]),
    "an unknown facet": ("get", "/search/dataset?facets=specis", None, ["specis", "species"]),
    "facets of a number": ("post", "/search/dataset", {"facets": 5}, ["facets", "5"]),
    "ids of a number": ("post", "/search/dataset", {"ids": 5}, ["ids", "5"]),
    "ids of an object": ("post", "/download/dataset", {"ids": {"a": 1}}, ["ids"]),
    "ids of lists": ("post", "/download/dataset", {"ids": [["a"]]}, ["ids"]),
    "an unknown parameter of a download": (
        "get",
        "/download/dataset?ids=neuromorpho-301&species=rat",
        None,
        ["species", "ids"],
    ),
    "filters as a parameter": ("get", "/search/dataset?filters={}", None, ["filters"]),
}


@pytest.mark.parametrize(("method", "path", "body", "named"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_named(
    client: FlaskClient, method: str, path: str, body: Any, named: list[str]
) -> None:
    given = {} if body is None else {"json": body}
    problem(getattr(client, method)(path, **given), 400, *named)


BROKEN_BODIES = {
    "no JSON": b'{"query": ',
    "a trailing comma": b'{"query": "a",}',
    "a list": b'["query"]',
    "a text": b'"query"',
    "a number": b"5",
    "not a number": b'{"page": NaN}',
    "no UTF-8": b'{"query": "\xff\xfe"}',
    "UTF-16": '{"query": "CA1"}'.encode("utf-16"),
    "very deep": b'{"filters":' * 5_000 + b"1" + b"}" * 5_000,
    "deep lists": b"[" * 100_000,
    "a null character": b"\x00",
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
@pytest.mark.parametrize("path", ["/search/dataset", "/search/dataset/all", "/download/dataset"])
def test_a_broken_body_is_a_bad_request(client: FlaskClient, path: str, body: bytes) -> None:
    problem(client.post(path, data=body, content_type="application/json"), 400)


def test_nested_filters_of_any_depth_do_not_break_the_server(client: FlaskClient) -> None:
    body = b'{"filters":' + b'{"a":' * 900 + b'"x"' + b"}" * 900 + b"}"
    problem(client.post("/search/dataset", data=body, content_type="application/json"), 400, "unknown filter")


@pytest.mark.parametrize("query", ["query=%ff", "species=%c3%28", "query=%ed%a0%80", "ids=a%fe"])
def test_invalid_utf8_in_a_query_is_named(client: FlaskClient, query: str) -> None:
    problem(client.get(f"/search/dataset?{query}"), 400, "UTF-8")


@pytest.mark.parametrize("path", ["/search/%ff", "/records/dataset/%ff", "/search/dataset/%ff"])
def test_invalid_utf8_in_a_path_is_an_error_in_the_one_shape(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    problem(answer, answer.status_code)
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
def test_another_content_type_is_refused(client: FlaskClient, kind: str) -> None:
    problem(client.post("/search/dataset", data=b'{"query": ""}', content_type=kind), 415, "application/json")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/problem+json"])
def test_kinds_of_json_are_taken(client: FlaskClient, kind: str) -> None:
    answer = client.post("/search/dataset", data=b'{"query": ""}', content_type=kind)
    assert answer.status_code == 200


def test_a_form_is_refused_and_not_ignored(client: FlaskClient) -> None:
    """Ignoring its `ids` would answer another question than the one asked."""
    problem(client.post("/download/dataset", data={"ids": "neuromorpho-301"}), 415, "application/json")


def test_a_body_over_the_limit(client: FlaskClient, hub: Flask) -> None:
    limit = hub.config["MAX_CONTENT_LENGTH"]
    big = b'{"query": "' + b"x" * limit + b'"}'
    problem(client.post("/search/dataset", data=big, content_type="application/json"), 413, str(limit))


MISSING = {
    "an unknown index": ("/search/data", ["'data'", "dataset", "model"]),
    "an unknown index of all": ("/search/data/all", ["'data'", "dataset", "model"]),
    "an unknown index of a page": ("/search/data/0/20", ["'data'", "dataset", "model"]),
    "an unknown index of a record": ("/records/data/x", ["'data'", "dataset", "model"]),
    "an unknown index of a download": ("/download/data?ids=x", ["'data'", "dataset", "model"]),
    "an unknown index of a big download": ("/download/data/all", ["'data'", "dataset", "model"]),
    "an unknown record": ("/records/dataset/neuromorpho-0", ["neuromorpho-0", "dataset"]),
    "a record with odd letters": ("/records/dataset/%3Cb%3E%20%27%22", ["<b>"]),
    "an unknown path": ("/nothing/here", ["/nothing/here"]),
    "too many parts": ("/search/dataset/0/20/30", ["/search/dataset/0/20/30"]),
}


@pytest.mark.parametrize(("path", "named"), MISSING.values(), ids=MISSING.keys())
def test_what_is_not_there_is_named(client: FlaskClient, path: str, named: list[str]) -> None:
    problem(client.get(path), 404, *named)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "/search/dataset"),
        ("delete", "/records/dataset/neuromorpho-301"),
        ("post", "/sources"),
        ("patch", "/download/dataset"),
        ("post", "/types/dataset"),
    ],
)
def test_another_method_is_refused_with_the_allowed_ones(client: FlaskClient, method: str, path: str) -> None:
    answer = getattr(client, method)(path)
    problem(answer, 405, method.upper(), path)
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/search/dataset", "/download/dataset", "/search/dataset/all"])
def test_a_request_line_over_8190_bytes_names_post(client: FlaskClient, path: str) -> None:
    answer = client.get(path, query_string={"ids": ",".join(f"neuromorpho-{n}" for n in range(1_000))})
    problem(answer, 414, "POST", "8190")


def test_a_request_line_of_8000_bytes_is_served(client: FlaskClient) -> None:
    many = ",".join(["neuromorpho-301"] * 490)
    assert 7_700 < len(many) < 8_000
    assert client.get(f"/search/dataset?ids={many}").get_json()["total"] == 1


# Ids of requests


@pytest.mark.parametrize("given", ["abc-123", "A.b_c", "x" * 64])
def test_a_given_request_id_is_kept(client: FlaskClient, given: str) -> None:
    for path in ("/search/dataset", "/nothing"):
        assert client.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", "é", "a;b"])
def test_a_strange_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    answer = client.get("/sources", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] not in ("", given)


def test_request_ids_differ(client: FlaskClient) -> None:
    seen = {client.get("/health/live").headers["X-Request-ID"] for _ in range(20)}
    assert len(seen) == 20


def test_requests_are_logged_with_id_and_duration(
    tmp_path: Path, upstream: ExampleUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    client = create_app(settings_for(tmp_path, upstream, log_level="INFO")).test_client()
    logger = logging.getLogger("ammon.requests")
    logger.addHandler(caplog.handler)
    try:
        client.get("/health/live", headers={"X-Request-ID": "one-request"})
        client.get("/no%0Aforged%0Dline")
    finally:
        logger.removeHandler(caplog.handler)
        logging.getLogger("ammon").setLevel(logging.WARNING)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("GET /health/live 200 ")
    assert first.endswith(" ms one-request")
    assert "\n" not in second
    assert "\r" not in second


# An outage is never an empty answer


@pytest.fixture
def outage(tmp_path: Path, upstream: ExampleUpstream) -> FlaskClient:
    """The application before an engine that does not answer."""
    return create_app(settings_for(tmp_path, upstream), With(Outage())).test_client()


@pytest.mark.parametrize(
    "path",
    [
        "/search/dataset",
        "/search/dataset/all",
        "/types/dataset",
        "/filters/model",
        "/records/dataset/neuromorpho-301",
        "/download/dataset?ids=neuromorpho-301",
        "/download/dataset/all",
        "/sources",
        "/health/ready",
    ],
)
def test_an_outage_is_503(outage: FlaskClient, path: str) -> None:
    answer = outage.get(path)
    problem(answer, 503, "the engine is starting")
    assert int(answer.headers["Retry-After"]) > 0


def test_wrong_arguments_are_still_400_in_an_outage(outage: FlaskClient) -> None:
    problem(outage.get("/search/dataset/-1"), 400, "page")


class BreaksOff(Outage):
    """An engine that fails while it yields."""

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        for number in range(3):
            yield Document(f"x-{number}", json.dumps({"source_id": f"x-{number}"}).encode())
        raise StorageUnavailable("the disk is gone")

    def released(self) -> dict[str, Any]:
        return {}


def test_an_outage_amid_an_answer_does_not_end_as_a_whole_one(
    tmp_path: Path, upstream: ExampleUpstream
) -> None:
    storage: Storage = BreaksOff()
    client = create_app(settings_for(tmp_path, upstream), With(storage)).test_client()
    pieces: list[bytes] = []
    with pytest.raises(StorageUnavailable, match="the disk is gone"):
        pieces.extend(client.get("/search/dataset/all", buffered=False).iter_encoded())
    with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated"):
        json.loads(b"".join(pieces))


class Careless(Outage):
    """An engine with a fault of ours."""

    def search(self, query: SearchQuery) -> Any:
        raise ZeroDivisionError("secret detail")


def test_a_fault_of_ours_is_500_without_its_inside(tmp_path: Path, upstream: ExampleUpstream) -> None:
    client = create_app(settings_for(tmp_path, upstream), With(Careless())).test_client()
    body = problem(client.get("/types/dataset"), 500, "request_id")
    assert "secret" not in body["detail"]
