"""Pages of other sites: the preflight before a JSON POST, and which of them may read answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from config.settings import CORSSettings
from helpers.example_upstream import ExampleUpstream
from tests.app import settings_for

SITE = "https://hippocampushub.example.org"
PREFLIGHT = {
    "Origin": SITE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


def listed(text: str) -> set[str]:
    return {item.strip().lower() for item in text.split(",")}


@pytest.mark.parametrize("path", ["/search/dataset/0/20", "/search/model", "/download/dataset"])
def test_the_preflight_of_a_json_post(client: FlaskClient, path: str) -> None:
    answer = client.options(path, headers=PREFLIGHT)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "content-type" in listed(answer.headers["Access-Control-Allow-Headers"])
    assert {"post", "get"} <= listed(answer.headers["Access-Control-Allow-Methods"])


@pytest.mark.parametrize(
    ("path", "status"),
    [("/search/dataset", 200), ("/search/nothing", 404), ("/search/dataset?page=-1", 400), ("/nowhere", 404)],
)
def test_every_answer_can_be_read_by_other_sites(client: FlaskClient, path: str, status: int) -> None:
    answer = client.get(path, headers={"Origin": SITE})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_the_name_of_a_download_can_be_read(client: FlaskClient) -> None:
    answer = client.get("/download/dataset?ids=internal_morphology-EX-PC-01", headers={"Origin": SITE})
    exposed = listed(answer.headers["Access-Control-Expose-Headers"])
    assert {"content-disposition", "retry-after", "x-request-id"} <= exposed


def test_without_an_origin_nothing_is_said(client: FlaskClient) -> None:
    assert "Access-Control-Allow-Origin" not in client.get("/sources").headers


@pytest.fixture
def restricted(tmp_path: Path, upstream: ExampleUpstream) -> FlaskClient:
    """A hub that one site alone may call."""
    cors = CORSSettings(origins=(SITE,), methods=("GET",), headers=("X-Special",))
    return create_app(settings_for(tmp_path, upstream, cors=cors)).test_client()


def test_a_listed_origin_is_named_back(restricted: FlaskClient) -> None:
    answer = restricted.options("/search/dataset", headers=PREFLIGHT)
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert listed(answer.headers["Access-Control-Allow-Methods"]) == {"get"}
    assert listed(answer.headers["Access-Control-Allow-Headers"]) == {"x-special"}


@pytest.mark.parametrize("origin", ["https://evil.example.org", f"{SITE}.evil.org", "null", SITE.upper()])
def test_another_origin_gets_no_permission(restricted: FlaskClient, origin: str) -> None:
    answer = restricted.get("/sources", headers={"Origin": origin})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers.get("Vary", "")


def test_answers_to_no_origin_are_not_cached_for_one(restricted: FlaskClient) -> None:
    """Else a cache gives a browser the answer without permission that it kept from `curl`."""
    assert "Origin" in restricted.get("/sources").headers.get("Vary", "")
