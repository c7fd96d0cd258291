"""ModelDB: what is asked of the site and what comes of each kind of answer, over a faked transport."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from helpers.errors import UpstreamChanged, UpstreamError, UpstreamUnavailable
from helpers.http import HTTPClient, Politeness
from helpers.providers.base import Raw, Unfetched
from helpers.providers.modeldb import ModelDB

DATA = Path(__file__).parent.parent / "data" / "modeldb"
BASE = "https://modeldb.science"
MODEL: dict[str, Any] = json.loads((DATA / "model_7001.json").read_text("utf-8"))
PAPER: dict[str, Any] = json.loads((DATA / "paper_7002.json").read_text("utf-8"))
FILES = ("7001/readme.txt", "7001/a b/kä.mod", "7001/run.hoc")
NO_ARCHIVE = {"files": [], "note": None, "exists": False}


def terms(*names: str) -> dict[str, Any]:
    return {"value": [{"object_id": None, "object_name": name} for name in names], "attr_id": 1}


def zipped(*paths: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in paths:
            archive.writestr(path, "text")
    return content.getvalue()


class Site:
    """A faked ModelDB: what it lists and what each address answers."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self._mock = mock

    def answers(self, path: str, body: Any = None, status: int = 200, **more: Any) -> None:
        plain = isinstance(body, bytes | Exception)
        self._mock.get(BASE + path, body=body if plain else json.dumps(body), status=status, **more)

    def lists(self, *ids: Any) -> None:
        self.answers("/api/v1/models", list(ids))
        self.answers("/api/v1/models/ver_date", ["2020-01-02T03:04:05"] * len(ids))

    def has(self, **model: Any) -> None:
        self.answers(f"/api/v1/models/{model['id']}", model)

    def asked(self, path: str) -> int:
        return sum(call.request.url == BASE + path for call in self._mock.calls)

    def fetched(self, region_key: str = "hippocampus") -> list[Raw | Unfetched]:
        self.expected: list[int] = []
        politeness = Politeness(rate=0, retries=1, backoff_s=0.001, hosts=frozenset({"modeldb.science"}))
        provider = ModelDB(HTTPClient("ammon (test@example.org)", politeness), BASE + "/", region_key)
        return list(provider.fetch(self.expected.append))


@pytest.fixture
def site():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Site(mock)


WEB = terms("NEURON (web link to model)", "Brian (web link to method)")


def test_models_of_the_region_come_with_papers_and_files(site):
    site.lists(7001, 8)
    site.has(**MODEL)
    site.has(id=8, name="Cerebellar granule cell")
    site.answers("/api/v1/papers/7002", PAPER)
    site.answers("/api/v1/papers/7003", "404 Not Found", status=404)
    site.answers("/download/7001", zipped(*FILES, "../x"))
    (item,) = site.fetched()
    assert isinstance(item, Raw)
    assert (item.id, item.base, item.data["model"]) == ("7001", BASE, MODEL)
    assert item.data["papers"] == {"7002": PAPER}
    assert "answered 404" in item.data["paper_notes"]["7003"]
    assert json.loads(json.dumps(item.data)) == item.data
    record = ModelDB.normalise(item)
    assert record.files == tuple(sorted(FILES))
    assert "../x" in record.extra["archive"]
    assert site.expected[0] == 2
    assert site.expected[-1] == 1


def test_papers_that_models_share_are_asked_for_once(site):
    site.lists(1, 2, 3)
    papers = {"value": [{"object_id": 7002, "object_name": "Doe J (2001)"}]}
    for number in (1, 2, 3):
        site.has(id=number, name="CA1", model_paper=papers, modeling_application=WEB)
    site.answers("/api/v1/papers/7002", PAPER)
    assert all(item.data["papers"] for item in site.fetched())
    assert site.asked("/api/v1/papers/7002") <= 2  # two are under way at once


def test_a_model_elsewhere_on_the_web_is_not_asked_for_its_zip(site):
    site.lists(1)
    site.has(id=1, name="CA1", modeling_application=WEB)
    (item,) = site.fetched()
    assert item.data["archive"] == NO_ARCHIVE
    assert site.asked("/download/1") == 0


@pytest.mark.parametrize(
    ("answer", "link"),
    [
        ({"status": 500, "body": b"Error reading file"}, None),
        ({"status": 403, "body": b"Forbidden"}, None),
        ({"status": 404, "body": b""}, None),
        ({"body": b"<html>maintenance</html>"}, None),
        ({"body": requests.exceptions.ConnectionError("reset")}, None),
        ({"status": 302, "headers": {"Location": "http://169.254.169.254/"}, "body": b""}, None),
        (
            {
                "body": b"PK",
                "headers": {"Content-Length": "99999999"},
                "auto_calculate_content_length": False,
            },
            f"{BASE}/download/1",
        ),
    ],
    ids=["500", "403", "404", "a page", "broken off", "redirected", "too large"],
)
def test_a_zip_that_cannot_be_read_leaves_a_record_with_a_note(site, answer, link):
    site.lists(1)
    site.has(id=1, name="CA1")
    site.answers("/download/1", **answer)
    (item,) = site.fetched()
    record = ModelDB.normalise(item)
    assert (record.files, record.model_files, record.download_link) == ((), (), link)
    assert record.extra["archive"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 404, "body": "404 Not Found"}, "model 2 is listed but not there"),
        ({"status": 500, "body": ""}, "answered 500"),
        ({"body": b"<html>"}, "answered no JSON"),
        ({"body": []}, "an object is expected"),
        ({"body": {"name": "CA1"}}, "without an id"),
        ({"body": {"id": 1, "name": "CA1"}}, "an alternative version of model 1"),
        ({"body": {"id": 2, "name": "x", "neurons": 7}}, "neurons holds 7"),
        ({"body": {"id": 2, "name": "CA1", "model_paper": {"value": "doi" * 999}}}, "model_paper"),
    ],
    ids=["gone", "500", "a page", "a list", "no id", "alternative version", "wrong type", "papers"],
)
def test_one_model_that_cannot_be_had_does_not_stop_the_others(site, answer, reason):
    site.lists(1, 2, 3)
    for number in (1, 3):
        site.has(id=number, name="CA1", modeling_application=WEB)
    site.answers("/api/v1/models/2", **answer)
    first, second, third = site.fetched()
    assert (first.id, third.id) == ("1", "3")
    assert isinstance(second, Unfetched)
    assert (second.id, reason in second.reason) == ("2", True)


@pytest.mark.parametrize("failing", [4, 5])
def test_five_failures_in_a_row_are_an_outage(site, failing):
    site.lists(*range(1, 8))
    for number in range(1, 8):
        if 2 <= number < 2 + failing:
            site.answers(f"/api/v1/models/{number}", "", status=500)
        else:
            site.has(id=number, name="CA1", modeling_application=WEB)
    if failing < 5:
        assert len(site.fetched()) == 7
    else:
        with pytest.raises(UpstreamUnavailable, match=r"5 models in a row.*models/6 answered 500"):
            site.fetched()


@pytest.mark.parametrize("failing", [19, 20])
def test_zips_that_all_fail_are_an_outage_too(site, failing):
    site.lists(*range(failing + 1))
    for number in range(failing + 1):
        site.has(id=number, name="CA1", **({"modeling_application": WEB} if number == 3 else {}))
        site.answers(f"/download/{number}", b"", status=500)
    if failing < 20:
        assert len(site.fetched()) == 20
    else:
        with pytest.raises(UpstreamUnavailable, match="20 papers or zips of models in a row"):
            site.fetched()


def test_models_gone_since_the_list_are_no_outage(site):
    site.lists(*range(10))
    for number in range(10):
        site.answers(f"/api/v1/models/{number}", "404 Not Found", status=404)
    assert len(site.fetched()) == 10


def test_an_id_that_is_listed_twice_is_noticed_and_fetched_once(site):
    site.lists(1, 1)
    site.has(id=1, name="CA1", modeling_application=WEB)
    twice, model = site.fetched()
    assert isinstance(twice, Unfetched)
    assert twice.reason.startswith("listed twice")
    assert isinstance(model, Raw)
    assert site.asked("/api/v1/models/1") == 1


def test_lists_of_two_moments_are_asked_for_once_more(site):
    site.answers("/api/v1/models", [1])
    site.answers("/api/v1/models", [1, 2])
    site.answers("/api/v1/models/ver_date", [None, "2020-01-02T03:04:05"])
    for number in (1, 2):
        site.has(id=number, name="CA1", modeling_application=WEB)
    assert [item.data["listed_ver_date"] for item in site.fetched()] == [None, "2020-01-02T03:04:05"]


@pytest.mark.parametrize(
    ("ids", "dates"),
    [
        ([1], [None, None]),
        ([], []),
        ({"status": 500, "error": "Internal Server Error"}, []),
        (["1"], [None]),
        ([True], [None]),
        ([1], [7]),
        (b"<html><body>Service Interruption</body></html>", []),
        (b"", []),
        (b"\xff\xfe[1]", []),
    ],
    ids=["lengths", "empty", "error", "texts", "booleans", "date", "page", "nothing", "encoding"],
)
def test_lists_of_another_shape_stop_the_fetch(site, ids, dates):
    site.answers("/api/v1/models", ids)
    site.answers("/api/v1/models/ver_date", dates)
    with pytest.raises(UpstreamChanged):
        site.fetched()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 503, "body": ""},
        {"status": 403, "body": ""},
        {"body": requests.exceptions.ConnectionError("refused")},
        {"status": 302, "headers": {"Location": "http://169.254.169.254/"}, "body": ""},
    ],
    ids=["503", "403", "down", "redirected"],
)
def test_lists_that_cannot_be_had_stop_the_fetch(site, answer):
    site.answers("/api/v1/models", **answer)
    with pytest.raises(UpstreamError):
        site.fetched()


def test_without_a_region_key_every_model_comes(site):
    site.lists(1, 2)
    for number in (1, 2):
        site.has(id=number, name="Anything", modeling_application=WEB)
    assert [item.id for item in site.fetched("")] == ["1", "2"]


def test_a_model_may_give_its_id_as_text(site):
    site.lists(1)
    site.has(id="1", name="CA1", modeling_application=WEB)
    (item,) = site.fetched()
    assert ModelDB.normalise(item).source_id == "model_db-1"


def test_a_model_that_is_far_too_long_is_named_whatever_its_region(site):
    site.lists(1)
    site.has(id=1, name="Cell", notes={"value": "x" * 200_001})
    (item,) = site.fetched()
    assert item == Unfetched("1", "notes is a text of 200,001 characters, 200,000 are allowed")
