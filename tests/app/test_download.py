"""`/download`: zips of files with their manifest and citations, by ids and by search; the lab's own files."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import create_app
from helpers.example_upstream import ExampleUpstream
from tests.app import files_of, problem, settings_for

Records = dict[str, list[dict[str, Any]]]
COLUMNS = ["id", "name", "source", "url", "file", "size", "sha256", "status", "reason"]
CELLS = ["neuromorpho-301", "neuromorpho-5001", "internal_morphology-EX-PC-01"]


def check_manifest(content: dict[str, bytes], rows: list[dict[str, str]]) -> None:
    """Every file of the zip has its row with its true size and hash; every row without a file a reason."""
    assert content["manifest.csv"].decode().splitlines()[0].split(",") == COLUMNS
    listed = [row["file"] for row in rows if row["status"] == "ok"]
    assert sorted([*listed, "manifest.csv", "CITATIONS.txt"]) == sorted(content)
    for row in rows:
        if row["status"] == "ok":
            file = content[row["file"]]
            assert row["sha256"] == hashlib.sha256(file).hexdigest(), row
            assert row["size"] == str(len(file)), row
            assert row["url"].startswith("http"), row
        else:
            assert (row["file"], row["sha256"]) == ("", ""), row
            assert row["reason"], row


ASKED = {
    "get, comma text": ("get", {"query_string": {"ids": ",".join(CELLS)}}),
    "get, repeated": ("get", {"query_string": [("ids", one) for one in CELLS]}),
    "post, a list": ("post", {"json": {"ids": CELLS}}),
    "post, comma text": ("post", {"json": {"ids": " , ".join(CELLS)}}),
    "post, in the query string": ("post", {"query_string": {"ids": ",".join(CELLS)}}),
}


@pytest.mark.parametrize(("method", "how"), ASKED.values(), ids=ASKED.keys())
def test_files_by_ids(client: FlaskClient, records: Records, method: str, how: Any) -> None:
    answer = getattr(client, method)("/download/dataset", **how)
    assert answer.mimetype == "application/zip"
    assert answer.is_streamed
    assert re.fullmatch(r'attachment; filename="[\w.-]+\.zip"', answer.headers["Content-Disposition"])
    content, rows = files_of(answer)
    check_manifest(content, rows)
    assert {row["id"] for row in rows} == set(CELLS)
    known = {item["source_id"]: item for item in records["dataset"]}
    for row in rows:
        item = known[row["id"]]
        assert (row["status"], row["name"], row["source"]) == ("ok", item["name"], item["source"])
        assert row["url"] == item["download_link"]


def test_original_file_names_are_kept(client: FlaskClient) -> None:
    content, rows = files_of(client.get("/download/dataset?ids=neuromorpho-5001,neuromorpho-301"))
    assert {row["id"]: row["file"] for row in rows} == {
        "neuromorpho-5001": "tide_ca1_001.asc",
        "neuromorpho-301": "rb-ca1-1.swc",
    }
    assert content["rb-ca1-1.swc"]


def test_names_of_every_kind_become_safe_and_unique(client: FlaskClient, records: Records) -> None:
    cells = [item["source_id"] for item in records["dataset"] if item["type"] == "morphology"]
    content, rows = files_of(client.post("/download/dataset", json={"ids": cells}))
    check_manifest(content, rows)
    assert len(rows) == len(cells)
    for name in content:
        assert name == Path(name).name
        assert not set(name) & set('<>:"|?*/\\')
    assert len({name.casefold() for name in content}) == len(content)


def test_ids_are_asked_for_once(client: FlaskClient) -> None:
    _, rows = files_of(client.post("/download/dataset", json={"ids": ["neuromorpho-301"] * 3}))
    assert [row["id"] for row in rows] == ["neuromorpho-301"]


def test_citations_stand_beside_the_files(client: FlaskClient, records: Records) -> None:
    content, _ = files_of(client.get("/download/dataset?ids=neuromorpho-5002"))
    text = content["CITATIONS.txt"].decode()
    item = next(item for item in records["dataset"] if item["source_id"] == "neuromorpho-5002")
    for wanted in (item["licence"], *item["citations"], *(paper["doi"] for paper in item["papers"])):
        assert wanted in text


@pytest.mark.parametrize("path", ["/download/dataset", "/download/model"])
@pytest.mark.parametrize("one", ["model_db-200001", "neuromorpho-301", "internal_model-EX-M-PC"])
def test_either_address_serves_ids_of_both_indices(client: FlaskClient, path: str, one: str) -> None:
    content, rows = files_of(client.get(f"{path}?ids={one}"))
    check_manifest(content, rows)
    assert [(row["id"], row["status"]) for row in rows] == [(one, "ok")]


def test_a_models_file_is_its_archive(client: FlaskClient) -> None:
    content, _ = files_of(client.get("/download/dataset?ids=model_db-200001"))
    with zipfile.ZipFile(io.BytesIO(content["model_db-200001.zip"])) as model:
        assert model.namelist()


def test_an_unknown_id_stands_in_the_manifest(client: FlaskClient) -> None:
    asked = "nothing-1,neuromorpho-301,model_db-999999999"
    content, rows = files_of(client.get(f"/download/dataset?ids={asked}"))
    check_manifest(content, rows)
    by_id = {row["id"]: row for row in rows}
    assert by_id.keys() == set(asked.split(","))
    for one in ("nothing-1", "model_db-999999999"):
        assert by_id[one]["status"] == "missing"
        assert one in by_id[one]["reason"]


def test_when_every_id_is_unknown_they_are_named(client: FlaskClient) -> None:
    problem(client.get("/download/dataset?ids=nothing-1,nothing-2"), 404, "nothing-1", "nothing-2")


def test_a_record_without_a_file_is_named_with_the_reason(client: FlaskClient) -> None:
    _, rows = files_of(client.get("/download/model?ids=model_db-200007,model_db-200001"))
    row = next(row for row in rows if row["id"] == "model_db-200007")
    assert row["status"] != "ok"
    assert row["reason"]


def test_without_ids_everything_is_not_meant(client: FlaskClient) -> None:
    for answer in (client.get("/download/dataset"), client.post("/download/dataset", json={"ids": []})):
        problem(answer, 400, "ids")


def test_ten_thousand_ids_by_post(client: FlaskClient, records: Records) -> None:
    many = [f"neuromorpho-{number}" for number in range(5_001, 15_001)]
    _, rows = files_of(client.post("/download/dataset", json={"ids": many}))
    assert {row["id"] for row in rows} == set(many)
    known = {item["source_id"] for item in records["dataset"]} & set(many)
    assert {row["id"] for row in rows if row["status"] == "ok"} == known


def test_more_ids_than_allowed_are_refused(client: FlaskClient) -> None:
    many = [f"neuromorpho-{number}" for number in range(10_001)]
    problem(client.post("/download/dataset", json={"ids": many}), 400, "10001", "10000")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/download/dataset/all?data_type=electrophysiology&species=rat", "internal_electrophysiology"),
        ("/download/dataset/all?species=human", "neuromorpho"),
        ("/download/model/all?query=example&implementers=Example%2C%20A.", "internal_model"),
    ],
)
def test_the_files_of_a_search(client: FlaskClient, path: str, wanted: str) -> None:
    matches = client.get(path.replace("/download/", "/search/")).get_json()["items"]
    content, rows = files_of(client.get(path))
    check_manifest(content, rows)
    assert {row["id"] for row in rows} == {item["source_id"] for item in matches}
    assert any(row["id"].startswith(wanted) and row["status"] == "ok" for row in rows)


def test_the_files_of_a_search_by_post(client: FlaskClient) -> None:
    body = {"data_type": "morphology", "filters": {"species": ["human"]}}
    _, rows = files_of(client.post("/download/dataset/all", json=body))
    assert {row["id"] for row in rows} == {"neuromorpho-5014", "neuromorpho-5015"}


def test_a_search_without_a_match_has_no_zip(client: FlaskClient) -> None:
    problem(client.get("/download/dataset/all?species=unicorn"), 404, "dataset")


# The lab's own files


def test_own_files_are_served_by_their_links(client: FlaskClient, records: Records) -> None:
    own = [item for items in records.values() for item in items if item["source"].startswith("internal")]
    links = {
        item[name] for item in own for name in ("download_link", "icon", "readme_link") if item.get(name)
    }
    links |= {item["metadata"]["url"] for item in own if item.get("metadata")}
    links |= {link["url"] for item in own for link in item.get("model_files") or ()}
    assert len(links) > 20
    for link in links:
        path = link.removeprefix("http://127.0.0.1:8000")
        assert path.startswith("/files/internal/")
        with client.get(path) as answer:
            assert (answer.status_code, bool(answer.get_data())) == (200, True), path


@pytest.mark.parametrize(
    "path",
    [
        "morphology.csv",  # the table itself
        "folder.toml",
        "nothing.swc",
        "../internal/morphologies/EX-PC-01.swc",
        "..%2f..%2fapp.py",
        "%2e%2e/%2e%2e/app.py",
        "morphologies",
        "morphologies/",
        "morphologies/../folder.toml",
        "/etc/passwd",
        "%00",
        "morphologies/EX-PC-01.swc%00.txt",
        "a" * 5_000,
    ],
)
def test_nothing_else_is_served(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/files/internal/{path}")
    if answer.status_code in (301, 308):  # werkzeug mends double slashes
        answer = client.get(answer.headers["Location"])
    problem(answer, 404)


# Files that fail


@pytest.fixture
def own_hub(tmp_path: Path, own_upstream: ExampleUpstream) -> Iterator[FlaskClient]:
    """A hub of its own with the neurons released."""
    app = create_app(settings_for(tmp_path, own_upstream, max_download_bytes=100_000))
    result = app.test_cli_runner().invoke(args=["refresh", "neuromorpho", "modeldb"])
    assert result.exit_code == 0, result.output
    yield app.test_client()


FAULTS = {
    "down": "broke off",
    "http500": "500",
    "http503": "503",
    "html200": "web page",
    "empty200": "empty",
    "truncate": "broke off",
    "redirect_evil": "169.254.169.254",
    "redirect_http": "neuromorpho.org",
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items())
def test_a_file_that_fails_is_named_with_its_reason(
    own_hub: FlaskClient, own_upstream: ExampleUpstream, fault: str, reason: str
) -> None:
    own_upstream.fault("neuromorpho", fault)
    asked = "neuromorpho-301,model_db-200001"
    content, rows = files_of(own_hub.get(f"/download/dataset?ids={asked}"))
    check_manifest(content, rows)
    status = {row["id"]: row["status"] for row in rows}
    assert status == {"neuromorpho-301": "failed", "model_db-200001": "ok"}
    assert reason in next(row["reason"] for row in rows if row["status"] == "failed")


def test_a_file_that_is_gone_is_replaced_by_the_standard_one(
    own_hub: FlaskClient, own_upstream: ExampleUpstream
) -> None:
    own_upstream.withheld.add("tide_ca1_001.asc")
    content, rows = files_of(own_hub.get("/download/dataset?ids=neuromorpho-5001"))
    check_manifest(content, rows)
    assert (rows[0]["status"], rows[0]["file"]) == ("ok", "tide_ca1_001.CNG.swc")
    assert "404" in rows[0]["reason"]


def test_no_web_page_of_neuromorpho_was_ever_asked(upstream: ExampleUpstream, hub: object) -> None:
    assert not [asked for asked in upstream.requests if ".jsp" in asked.path.lower()]


def test_downloads_leave_half_the_threads_to_searches(tmp_path: Path, upstream: ExampleUpstream) -> None:
    app = create_app(settings_for(tmp_path, upstream, threads=4))
    assert app.test_cli_runner().invoke(args=["refresh", "internal"]).exit_code == 0
    address = "/download/dataset?ids=internal_morphology-EX-PC-01"
    client = app.test_client()
    under_way = [client.get(address, buffered=False) for _ in range(2)]
    try:
        refused = client.get(address)
        problem(refused, 503, "2 downloads")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/search/dataset").status_code == 200
    finally:
        for answer in under_way:
            answer.close()
    files_of(client.get(address))  # a place is free again
