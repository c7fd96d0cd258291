"""`/`, `/sources` and `/health`: what the hub says of itself and of each source, in every state."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from config.settings import ModelDBSettings
from config.values import Expected
from helpers.example_upstream import ExampleUpstream
from tests.app import SOURCES, Outage, With, all_items, problem, settings_for

KEYS = {
    "key",
    "title",
    "url",
    "enabled",
    "state",
    "progress",
    "counts",
    "last_success",
    "next_refresh",
    "error",
}
COUNTS = {"fetched", "normalised", "quarantined", "released"}


def listed(client: FlaskClient) -> dict[str, dict[str, Any]]:
    """`/sources` by key."""
    body = client.get("/sources").get_json()
    assert [source["key"] for source in body] == list(SOURCES)
    return {source["key"]: source for source in body}


def refresh(app: Flask, *arguments: str) -> int:
    """The exit code of `flask refresh`."""
    return app.test_cli_runner().invoke(args=["refresh", *arguments]).exit_code


# The front door


def test_the_start_names_version_and_links(client: FlaskClient) -> None:
    body = client.get("/").get_json()
    version = (Path(__file__).parents[2] / "VERSION").read_text().strip()
    assert body["name"] == "Ammon"
    assert body["version"].startswith(version)
    for link in body["links"].values():
        assert client.get(link).status_code == 200, link


def test_browsers_get_a_page(client: FlaskClient) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    text = answer.get_data(as_text=True)
    assert "Ammon" in text
    assert "/apidocs" in text
    assert not re.search(r"""(src|href)=["'](https?:)?//[^"']+\.(js|css)""", text)  # works offline


def test_swagger_can_be_off(tmp_path: Path, upstream: ExampleUpstream) -> None:
    client = create_app(settings_for(tmp_path, upstream, swagger=False)).test_client()
    assert "documentation" not in client.get("/").get_json()["links"]
    for path in ("/apidocs/", "/apidocs", "/swagger.json"):
        problem(client.get(path), 404)


# Before anything is released


def test_nothing_released_is_an_answer_that_says_so(empty: Flask) -> None:
    client = empty.test_client()
    missing = {"dataset": ["neuromorpho", "hippocampome", "internal"], "model": ["modeldb", "internal"]}
    for index, sources in missing.items():
        body = client.post(f"/search/{index}", json={"query": "CA1", "facets": True}).get_json()
        assert (body["total"], body["total_page"], body["items"]) == (0, 0, [])
        assert sorted(body["incomplete"]) == sorted(sources)
        everything = client.get(f"/search/{index}/all").get_json()
        assert (everything["items"], everything["total"]) == ([], 0)
        assert sorted(everything["incomplete"]) == sorted(sources)
        assert client.get(f"/types/{index}").get_json() == {"label": "type", "values": []}
        for name, entry in client.get(f"/filters/{index}").get_json().items():
            assert "items" in entry or entry["values"] == [], name


def test_ready_names_the_sources_never_released(empty: Flask, client: FlaskClient) -> None:
    ready = empty.test_client().get("/health/ready")
    assert ready.status_code == 200
    assert sorted(ready.get_json()["never_released"]) == sorted(SOURCES)
    assert client.get("/health/ready").get_json()["never_released"] == []


def test_sources_wait_at_first(empty: Flask) -> None:
    for source in listed(empty.test_client()).values():
        assert source.keys() == KEYS
        assert (source["enabled"], source["state"]) == (True, "waiting")
        assert source["counts"] == dict.fromkeys(COUNTS, 0)
        assert (source["last_success"], source["error"]) == (None, None)


# After a refresh


def test_released_sources(client: FlaskClient) -> None:
    records = {index: all_items(client, index) for index in ("dataset", "model")}
    for key, source in listed(client).items():
        held = [i for items in records.values() for i in items if i["provenance"]["source"] == key]
        assert source.keys() == KEYS
        assert source["counts"].keys() == COUNTS
        assert (source["state"], source["error"], source["progress"]) == ("released", None, None)
        assert source["counts"]["released"] == len(held) > 0
        counts = source["counts"]
        assert counts["fetched"] == counts["normalised"] + counts["quarantined"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", source["last_success"])
        assert source["title"]
        assert source["url"] is None or source["url"].startswith("http"), "missing is null, never ''"


def test_an_incomplete_index_names_only_what_was_never_released(
    tmp_path: Path, own_upstream: ExampleUpstream
) -> None:
    own_upstream.fault("hippocampome", "http500")
    app = create_app(settings_for(tmp_path, own_upstream))
    assert refresh(app) == 1
    client = app.test_client()
    assert client.get("/search/dataset").get_json()["incomplete"] == ["hippocampome"]
    assert "incomplete" not in client.get("/search/model").get_json()
    states = {key: source["state"] for key, source in listed(client).items()}
    assert states == {
        "neuromorpho": "released",
        "hippocampome": "failed",
        "modeldb": "released",
        "internal": "released",
    }
    assert "500" in listed(client)["hippocampome"]["error"]


def test_a_source_that_is_off(tmp_path: Path, own_upstream: ExampleUpstream) -> None:
    """What it has released is served either way."""
    app = create_app(settings_for(tmp_path, own_upstream))
    assert refresh(app) == 0
    before = all_items(app.test_client(), "model")
    off = ModelDBSettings(enabled=False, base_url=own_upstream.base("modeldb"))
    client = create_app(settings_for(tmp_path, own_upstream, modeldb=off)).test_client()
    source = listed(client)["modeldb"]
    assert (source["enabled"], source["state"], source["next_refresh"]) == (False, "off", None)
    assert source["counts"]["released"] > 0
    assert all_items(client, "model") == before


FAULTS = ["down", "http500", "html200", "empty200", "error_in_200", "truncate", "garbage"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", ["neuromorpho", "hippocampome", "modeldb"])
def test_a_source_that_breaks_takes_nothing_away(
    tmp_path: Path, own_upstream: ExampleUpstream, source: str, fault: str
) -> None:
    app = create_app(settings_for(tmp_path, own_upstream))
    assert refresh(app) == 0
    client = app.test_client()
    before = {index: all_items(client, index) for index in ("dataset", "model")}
    own_upstream.fault(source, fault)
    assert refresh(app) == 1
    assert {index: all_items(client, index) for index in ("dataset", "model")} == before
    after = listed(client)
    assert after[source]["state"] in ("failed", "held")
    assert after[source]["error"]
    assert after[source]["last_success"]
    assert after[source]["counts"]["released"] > 0
    assert {after[key]["state"] for key in SOURCES if key != source} == {"released"}


def test_a_count_that_falls_below_half_is_held_back(tmp_path: Path, own_upstream: ExampleUpstream) -> None:
    app = create_app(settings_for(tmp_path, own_upstream))
    assert refresh(app) == 0
    client = app.test_client()
    before = all_items(client, "dataset")
    own_upstream.fault("neuromorpho", "shrink:40")
    assert refresh(app, "neuromorpho") == 1
    source = listed(client)["neuromorpho"]
    assert source["state"] == "held"
    assert "half" in source["error"]
    assert all_items(client, "dataset") == before


def test_a_count_outside_the_expected_range_is_held_back(
    tmp_path: Path, own_upstream: ExampleUpstream
) -> None:
    expected = {"neuromorpho": Expected(31, 100), "modeldb": Expected(0, 14)}
    app = create_app(settings_for(tmp_path, own_upstream, expected=expected))
    assert refresh(app) == 1
    sources = listed(app.test_client())
    assert [sources[key]["state"] for key in ("neuromorpho", "modeldb")] == ["held", "held"]
    assert "31" in sources["neuromorpho"]["error"]
    assert "14" in sources["modeldb"]["error"]
    assert sources["neuromorpho"]["counts"]["released"] == 0


# Quarantine


def test_quarantine_of_an_unknown_source(client: FlaskClient) -> None:
    problem(client.get("/sources/nothing/quarantine"), 404, "nothing", *SOURCES)


def test_quarantine_is_empty_where_everything_was_good(client: FlaskClient) -> None:
    for key in SOURCES:
        body = client.get(f"/sources/{key}/quarantine").get_json()
        assert body["total"] == len(body["items"])


# Health under an outage


def test_health_in_an_outage(tmp_path: Path, upstream: ExampleUpstream) -> None:
    client = create_app(settings_for(tmp_path, upstream), With(Outage())).test_client()
    assert client.get("/health/live").status_code == 200
    problem(client.get("/health/ready"), 503, "starting")


def test_health_is_live(client: FlaskClient) -> None:
    assert client.get("/health/live").get_json() == {"status": "live"}
