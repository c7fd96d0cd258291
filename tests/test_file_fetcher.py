"""One record's file: what is asked, what is refused, and the reason where there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.download import DownloadGate, FileFetcher, Outcome, Wanted, wanted_of
from helpers.errors import Busy, NotFound
from helpers.http import HTTPClient, Politeness
from helpers.records import Paper
from helpers.spool import MEMORY_BYTES
from tests.file_server import Answer, FileServer, body, cut, endless, one_by_one, running, temporary_files
from tests.records import electrophysiology, morphology

SWC = b"1 1 0 0 0 1 -1\n"
LIMIT = 3 * MEMORY_BYTES


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with running() as server:
        yield server


def client(hosts: str = "127.0.0.1", concurrency: int = 8) -> HTTPClient:
    return HTTPClient(
        "test",
        Politeness(
            allow_private=True,
            hosts=frozenset({hosts}),
            rate=0,
            backoff_s=0.01,
            retries=4,
            concurrency=concurrency,
        ),
    )


def find_in(folder: Path) -> Callable[[str], Path]:
    def find(relative: str) -> Path:
        if relative == "unknown.swc":
            raise NotFound("no file 'unknown.swc' among the own files")
        return folder / relative

    return find


@pytest.fixture(scope="module")
def clients() -> dict[str, HTTPClient]:
    return {"neuromorpho": client(), "modeldb": client(), "internal": client()}


@pytest.fixture
def fetcher(tmp_path: Path, clients: dict[str, HTTPClient]) -> Iterator[FileFetcher]:
    """A fetcher whose temporary files are all gone afterwards, whatever the test did."""
    own, spools = tmp_path / "own", tmp_path / "spools"
    own.mkdir()
    spools.mkdir()
    yield FileFetcher(clients, find_in(own), max_bytes=LIMIT, folder=spools)
    assert temporary_files(spools) == []


def fetched(fetcher: FileFetcher, url: str, *, provider: str = "neuromorpho", **more: str) -> Outcome:
    wanted = Wanted(record_id="r-1", provider=provider, url=url, **more)
    return fetcher.fetch(wanted, threading.Event())


def content(outcome: Outcome) -> bytes:
    """What was fetched, given back at once."""
    assert outcome.content is not None, outcome.reason
    read = b"".join(outcome.content.pieces())
    outcome.close()
    return read


@pytest.mark.parametrize("size", [1, MEMORY_BYTES, MEMORY_BYTES + 1, LIMIT])
def test_a_file_is_fetched_whole(server: FileServer, fetcher: FileFetcher, size: int) -> None:
    outcome = fetched(fetcher, server.url("/n.swc", b"x" * size))
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert content(outcome) == b"x" * size


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(body(b"x" * (LIMIT + 1)), id="announced"),
        pytest.param(endless(threading.Event()), id="not announced"),
    ],
)
def test_a_file_over_the_limit_fails(server: FileServer, fetcher: FileFetcher, answer: Answer) -> None:
    outcome = fetched(fetcher, server.url("/large.swc", answer))
    assert outcome.status == "failed"
    assert "larger than the 3,145,728 bytes allowed" in outcome.reason


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        pytest.param("/a.swc", body(b"gone", 404), "answered 404", id="404"),
        pytest.param("/a.swc", body(b"no", 403), "answered 403", id="403"),
        pytest.param("/a.swc", body(b"oops", 500), "answered 500", id="500"),
        pytest.param("/a.swc", body(b"later", 503), "503, after 4 attempts", id="503"),
        pytest.param("/a.swc", cut(SWC, 1000), "broke off", id="cut"),
        pytest.param("/a.swc", body(b""), "an empty file", id="empty"),
        pytest.param("/a.swc", body(b"\n<!DOCTYPE html><html>down"), "a web page", id="page"),
        pytest.param("/a.swc", body(b"<HTML>x"), "a web page", id="page in capitals"),
        pytest.param("/a.xml", body(b'<?xml version="1.0"?><!-- x --><html>'), "a web page", id="XHTML"),
        pytest.param("/a.swc", body(b'{"status": 500}'), "a message instead", id="message"),
        pytest.param("/a.zip", body(b"Forbidden"), "no zip file", id="no zip"),
        pytest.param(
            "/a.swc", body(b"", 302, Location="http://169.254.169.254/x"), "169.254", id="redirect away"
        ),
        pytest.param("/a.swc", body(b"", 302, Location="/a.swc"), "redirects", id="redirect in a circle"),
    ],
)
def test_what_a_source_did_is_a_reason(
    server: FileServer, fetcher: FileFetcher, path: str, answer: Answer, reason: str
) -> None:
    outcome = fetched(fetcher, server.url(path, answer))
    assert outcome.status == "failed"
    assert outcome.content is None
    assert reason in outcome.reason


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/a.swc",
        "file:///etc/passwd",
        "/etc/passwd",
        "//127.0.0.1/a.swc",
        "http://example.org/a.swc",
        "http://169.254.169.254/a.swc",
        "http://127.0.0.1:port/a.swc",
        "http://[::1/a.swc",
        "http://127.0.0.1\udcff/a.swc",
    ],
)
def test_other_addresses_are_not_asked(fetcher: FileFetcher, url: str) -> None:
    outcome = fetched(fetcher, url)
    assert (outcome.status, outcome.content) == ("failed", None)
    assert outcome.reason


@pytest.mark.parametrize(
    "path", ["/neuron_info.jsp", "/X.JSP?neuron_name=a", "/a.jsp;jsessionid=1", "/a.js%70", "/a.jsp/b.swc"]
)
def test_jsp_pages_are_never_asked(server: FileServer, fetcher: FileFetcher, path: str) -> None:
    before = len(server.asked)
    outcome = fetched(fetcher, server.url(path, SWC))
    assert "terms of NeuroMorpho.Org" in outcome.reason
    assert len(server.asked) == before


def test_a_jsp_page_in_the_place_of_the_standard_file_is_not_asked(
    server: FileServer, fetcher: FileFetcher
) -> None:
    outcome = fetched(fetcher, server.url("/none.asc"), standard_url=server.url("/page.jsp", SWC))
    assert outcome.status == "failed"
    assert "/page.jsp" not in server.asked


def test_an_answer_that_breaks_off_once_is_fetched_again(server: FileServer, fetcher: FileFetcher) -> None:
    outcome = fetched(fetcher, server.url("/n.swc", one_by_one(cut(SWC, 1000), body(SWC))))
    assert content(outcome) == SWC


def test_the_standard_file_stands_in_for_an_original_that_is_gone(
    server: FileServer, fetcher: FileFetcher
) -> None:
    standard = server.url("/n.CNG.swc", SWC)
    original = server.url("/gone.asc")
    outcome = fetched(fetcher, original, standard_url=standard)
    assert (outcome.status, outcome.url, outcome.file_name) == ("ok", standard, "n.CNG.swc")
    assert outcome.reason == f"the original {original} answered 404; this is the standard SWC"
    assert content(outcome) == SWC


def test_when_both_are_gone_the_reason_names_both(server: FileServer, fetcher: FileFetcher) -> None:
    original, standard = server.url("/gone.asc"), server.url("/gone.CNG.swc")
    outcome = fetched(fetcher, original, standard_url=standard)
    assert outcome.reason == f"the original {original} answered 404, and {standard} answered 404"


@pytest.mark.parametrize("status", [403, 500, 503])
def test_only_a_missing_original_is_replaced(server: FileServer, fetcher: FileFetcher, status: int) -> None:
    standard = server.url("/n.CNG.swc", SWC)
    outcome = fetched(fetcher, server.url("/n.asc", body(b"", status)), standard_url=standard)
    assert (outcome.status, outcome.url) == ("failed", server.url("/n.asc"))


def test_a_standard_file_that_is_gone_is_asked_once(server: FileServer, fetcher: FileFetcher) -> None:
    url = server.url("/once.CNG.swc")
    assert fetched(fetcher, url, standard_url=url).reason == f"{url} answered 404"
    assert server.asked.count("/once.CNG.swc") == 1


def test_an_unknown_source_is_not_asked(server: FileServer, fetcher: FileFetcher) -> None:
    outcome = fetched(fetcher, server.url("/n.swc", SWC), provider="other")
    assert "the source 'other' is off" in outcome.reason


@pytest.mark.parametrize(
    ("link", "name"),
    [
        pytest.param("/files/internal/a.swc", "a.swc", id="plain"),
        pytest.param("/files/internal/sub/my%20cell%231.swc", "my cell#1.swc", id="escaped, in a folder"),
        pytest.param("https://ammon.example.org/files/internal/a.swc", "a.swc", id="with our own host"),
    ],
)
def test_own_files_are_read_from_disk(fetcher: FileFetcher, tmp_path: Path, link: str, name: str) -> None:
    (tmp_path / "own" / "sub").mkdir()
    (tmp_path / "own" / "a.swc").write_bytes(SWC)
    (tmp_path / "own" / "sub" / "my cell#1.swc").write_bytes(SWC)
    outcome = fetched(fetcher, link, provider="internal")
    assert (outcome.file_name, content(outcome)) == (name, SWC)


def test_own_records_may_point_to_declared_hosts(server: FileServer, fetcher: FileFetcher) -> None:
    outcome = fetched(fetcher, server.url("/files/internal/n.swc", SWC), provider="internal")
    assert content(outcome) == SWC
    assert server.asked[-1] == "/files/internal/n.swc"


def test_another_source_cannot_name_own_files(fetcher: FileFetcher, tmp_path: Path) -> None:
    (tmp_path / "own" / "a.swc").write_bytes(SWC)
    assert fetched(fetcher, "/files/internal/a.swc").status == "failed"


@pytest.mark.parametrize(
    "link",
    [
        "/files/internal/../secret",
        "/files/internal/%2e%2e/secret",
        "/files/internal/a/..%2f..%2fsecret",
        "/files/internal//etc/passwd",
        "/files/internal/%00",
        "/files/internal/",
        "/files/internal/absent.swc",
        "/files/internal/unknown.swc",
        "/files/internal/folder",
        "/files/internal/pipe",
        "/files/internal/large.abf",
    ],
)
def test_own_files_that_cannot_be_had(fetcher: FileFetcher, tmp_path: Path, link: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "own" / "folder").mkdir()
    os.mkfifo(tmp_path / "own" / "pipe")
    (tmp_path / "own" / "large.abf").write_bytes(b"x" * (LIMIT + 1))
    outcome = fetched(fetcher, link, provider="internal")
    assert outcome.status == "failed"
    assert outcome.reason
    assert str(tmp_path) not in outcome.reason, "paths of this machine are nobody's business"


def test_without_a_folder_there_are_no_own_files() -> None:
    outcome = fetched(FileFetcher({}, None, max_bytes=1), "/files/internal/a.swc", provider="internal")
    assert outcome.reason == "there is no folder of own files"


@pytest.mark.parametrize(
    ("provider", "url", "name"),
    [
        pytest.param("neuromorpho", "https://x/a/b%20c%2Fd.CNG.swc?v=1#f", "b c/d.CNG.swc", id="decoded"),
        pytest.param("neuromorpho", "https://x/a/", "r-1", id="no last part"),
        pytest.param("modeldb", "https://modeldb.science/download/2796", "r-1.zip", id="ModelDB"),
    ],
)
def test_names_that_sources_give(provider: str, url: str, name: str) -> None:
    outcome = Outcome(wanted=Wanted(record_id="r-1", provider=provider), status="ok", url=url)
    assert outcome.file_name == name


def test_a_modeldb_answer_must_be_a_zip(server: FileServer, fetcher: FileFetcher) -> None:
    good = fetched(fetcher, server.url("/download/1", b"PK\3\4..."), provider="modeldb")
    assert content(good).startswith(b"PK")
    bad = fetched(fetcher, server.url("/download/2", b"Forbidden"), provider="modeldb")
    assert "no zip file" in bad.reason


def test_waiting_for_a_slot_ends_when_the_download_is_closed(server: FileServer) -> None:
    fetcher = FileFetcher({"neuromorpho": client(concurrency=1)}, None, max_bytes=10**12)
    started, stop, outcomes = threading.Event(), threading.Event(), list[Outcome]()
    first = Wanted(record_id="r-1", provider="neuromorpho", url=server.url("/endless", endless(started)))
    second = Wanted(record_id="r-2", provider="neuromorpho", url=server.url("/never", SWC))
    threads = [
        threading.Thread(target=lambda one=one: outcomes.append(fetcher.fetch(one, stop)))
        for one in (first, second)
    ]
    threads[0].start()
    assert started.wait(5)
    threads[1].start()
    stop.set()
    for thread in threads:
        thread.join(5)
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert "/never" not in server.asked


def test_what_is_taken_from_a_record() -> None:
    record = morphology(
        7,
        download_link="https://x/n.asc",
        standard_link="https://x/n.CNG.swc",
        licence="CC BY 4.0",
        citations=("Ascoli 2007",),
        papers=(Paper(label="A 1999", doi="10.1/X", pmid="5"), Paper(label="B", url="https://x/b")),
    )
    wanted = wanted_of(record.model_dump(mode="json"))
    assert (wanted.record_id, wanted.provider, wanted.source) == (
        "neuromorpho-7",
        "neuromorpho",
        "Neuromorpho",
    )
    assert (wanted.url, wanted.standard_url) == ("https://x/n.asc", "https://x/n.CNG.swc")
    assert (wanted.licence, wanted.citations) == ("CC BY 4.0", ("Ascoli 2007",))
    assert [paper.text for paper in wanted.papers] == ["A 1999 · doi:10.1/X · PMID 5", "B · https://x/b"]
    assert wanted.papers[0].key == "doi:10.1/x"


def test_a_record_without_a_file_is_missing(fetcher: FileFetcher) -> None:
    wanted = wanted_of(electrophysiology(4000).model_dump(mode="json"))
    outcome = fetcher.fetch(wanted, threading.Event())
    assert (outcome.status, outcome.reason) == ("missing", "the record has no file")


def test_the_gate_lets_in_so_many_and_no_more() -> None:
    gate = DownloadGate(2)
    gate.enter()
    gate.enter()
    with pytest.raises(Busy, match="2 downloads are under way") as busy:
        gate.enter()
    assert busy.value.retry_after_s == 10
    gate.leave()
    gate.enter()
