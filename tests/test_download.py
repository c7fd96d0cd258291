"""Zips of files: what is in them, what is said of what is not, and that nothing is left behind."""

from __future__ import annotations

import csv
import gc
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from helpers.download import DownloadGate, FileFetcher
from helpers.errors import Busy, InvalidArguments, NotFound, StorageUnavailable
from helpers.http import HTTPClient, Politeness
from helpers.query import Document, Release, SearchQuery
from helpers.records import Paper, Record
from helpers.storage.base import Storage
from helpers.storage.embedded import EmbeddedStorage
from helpers.zip_report import COLUMNS, as_cell
from services.download import IDS_AT_ONCE, Download, DownloadService
from tests.file_server import FileServer, body, endless, once_set, running, temporary_files
from tests.records import documents, electrophysiology, model, morphology, release

EVERYTHING = SearchQuery("dataset")
REPORTS = ["manifest.csv", "CITATIONS.txt"]


class Records(Storage):
    """A storage of a list of records, of which `walk` and `get` may break at one of them."""

    def __init__(self, records: Iterable[Record], breaks_at: str | None = None) -> None:
        self._documents = documents(records)
        self._breaks_at = breaks_at
        self.asked: list[int] = []  # ids of each `get`

    def get(self, index: str, source_ids: Sequence[str]) -> list[Document]:
        self.asked.append(len(source_ids))
        if self._breaks_at in source_ids:
            raise StorageUnavailable("the engine went away")
        found = {document.source_id: document for held, document in self._documents if held == index}
        return [found[one] for one in source_ids if one in found]

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        for index, document in self._documents:
            if document.source_id == self._breaks_at:
                raise StorageUnavailable("the engine went away")
            if index == query.index:
                yield document

    def search(self, query: SearchQuery):
        raise AssertionError("a download needs no pages")

    def suggest(self, index: str, field: str, prefix: str, limit: int = 10) -> list[str]:
        return []

    def replace(self, source: str, documents: Iterable[tuple[str, Document]], release: Release) -> Release:
        raise AssertionError("a download replaces nothing")

    def released(self) -> dict[str, Release]:
        return {}

    def health(self):
        raise AssertionError("a download asks for no health")

    def rebuild_if_outdated(self) -> bool:
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def client() -> HTTPClient:
    polite = Politeness(
        allow_private=True, hosts=frozenset({"127.0.0.1"}), rate=0, backoff_s=0.01, retries=1, concurrency=8
    )
    return HTTPClient("test", polite)


@pytest.fixture
def gate() -> DownloadGate:
    return DownloadGate(1)


@pytest.fixture
def fetcher(client: HTTPClient, tmp_path: Path) -> Iterator[FileFetcher]:
    """A fetcher of which no thread and no temporary file is left, whatever the test did."""
    spools = tmp_path / "spools"
    spools.mkdir()
    clients = dict.fromkeys(("neuromorpho", "modeldb"), client)
    yield FileFetcher(clients, None, max_bytes=10**12, folder=spools)
    assert temporary_files(spools) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("download")] == []


def whole(download: Download) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(download.chunks)))
    assert archive.testzip() is None
    return archive


def rows(archive: zipfile.ZipFile) -> dict[str, dict[str, str]]:
    """The manifest by id, each row of which agrees with the zip."""
    read = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))
    for row in read:
        assert (row["status"] == "ok") == bool(row["file"])
        if row["file"]:
            content = archive.read(row["file"])
            assert (row["size"], row["sha256"]) == (str(len(content)), hashlib.sha256(content).hexdigest())
        else:
            assert row["reason"]
    named = [row["file"] for row in read if row["file"]]
    assert sorted(archive.namelist()) == sorted([*named, *REPORTS])
    assert archive.namelist()[-2:] == REPORTS
    return {row["id"]: row for row in read}


def neuron(server: FileServer, number: int, path: str | None = None, **fields: object) -> Record:
    """A neuron with a file on the server."""
    link = server.url(path or f"/n{number}.CNG.swc", b"file of %d" % number)
    return morphology(number, download_link=link, **fields)


def assert_free(gate: DownloadGate) -> None:
    """One place, no more, no less: `BoundedSemaphore` refuses a second release."""
    gate.enter()
    with pytest.raises(Busy):
        gate.enter()
    gate.leave()


@pytest.mark.parametrize("records", [1, 7, 8, 9, 15, 16, 17, 40])
def test_every_match_is_in_the_zip(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate, records: int
) -> None:
    storage = Records(neuron(server, number) for number in range(records))
    download = DownloadService(storage, fetcher, gate).by_query(EVERYTHING)
    with whole(download) as archive:
        assert {one: row["status"] for one, row in rows(archive).items()} == {
            f"neuromorpho-{number}": "ok" for number in range(records)
        }
        assert archive.read("n0.CNG.swc") == b"file of 0"
    assert_free(gate)


def test_ids_are_found_in_both_indices_and_served_once(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate, tmp_path: Path
) -> None:
    storage = EmbeddedStorage(tmp_path / "storage")
    zipped = model(7, download_link=server.url("/download/7", b"PK\5\6" + bytes(18)))
    storage.replace("neuromorpho", documents([neuron(server, 1), neuron(server, 2)]), release("neuromorpho"))
    storage.replace("modeldb", documents([zipped]), release("modeldb"))
    service = DownloadService(storage, fetcher, gate)
    wanted = ["neuromorpho-1", "model_db-7", "neuromorpho-1"]
    for index in ("dataset", "model"):
        with whole(service.by_ids(wanted, index)) as archive:
            assert sorted(rows(archive)) == ["model_db-7", "neuromorpho-1"]
            assert sorted(archive.namelist()[:-2]) == ["model_db-7.zip", "n1.CNG.swc"]
    with whole(service.by_query(EVERYTHING)) as archive:
        assert sorted(rows(archive)) == ["neuromorpho-1", "neuromorpho-2"]


def test_what_is_missing_is_named_with_its_reason(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    gone = morphology(3, download_link=server.url("/gone.swc"))
    elsewhere = morphology(4, download_link="http://169.254.169.254/latest")
    storage = Records([neuron(server, 1), electrophysiology(2), gone, elsewhere])
    ids = ["x-1", "neuromorpho-1", "hippocampome-2", "neuromorpho-3", "neuromorpho-4", "=x"]
    with whole(DownloadService(storage, fetcher, gate).by_ids(ids, "dataset")) as archive:
        manifest = rows(archive)
    assert [manifest[one]["status"] for one in ids[:5]] == ["missing", "ok", "missing", "failed", "failed"]
    assert manifest["x-1"]["reason"] == "no record has the id 'x-1'"
    assert manifest["hippocampome-2"]["reason"] == "the record has no file"
    assert manifest["neuromorpho-3"]["reason"].endswith("/gone.swc answered 404")
    assert manifest["neuromorpho-4"]["url"] == "http://169.254.169.254/latest"
    assert manifest["'=x"]["status"] == "missing", "no formula for a spreadsheet"


def test_when_every_file_fails_the_zip_still_says_why(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    storage = Records(morphology(number, download_link=server.url("/none.swc")) for number in range(3))
    with whole(DownloadService(storage, fetcher, gate).by_query(EVERYTHING)) as archive:
        assert [row["status"] for row in rows(archive).values()] == ["failed"] * 3


def test_hostile_and_equal_names(server: FileServer, fetcher: FileFetcher, gate: DownloadGate) -> None:
    paths = ["/1/a.swc", "/2/A.SWC", "/3/..%2F..%2Fx", "/4/manifest.csv", "/5/%3Db.swc", "/6/CON.swc"]
    storage = Records(neuron(server, number, path) for number, path in enumerate(paths))
    with whole(DownloadService(storage, fetcher, gate).by_query(EVERYTHING)) as archive:
        manifest = {
            row["id"]: row["file"] for row in csv.DictReader(io.StringIO(archive.read(REPORTS[0]).decode()))
        }
        names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(paths) + 2
    assert not [name for name in names if "/" in name or "\\" in name or name.startswith(".")]
    assert manifest["neuromorpho-3"] == "manifest_neuromorpho-3.csv"
    assert manifest["neuromorpho-4"] == "'=b.swc"
    assert manifest["neuromorpho-5"] == "_CON.swc"


def test_the_manifest_is_plain_csv(server: FileServer, fetcher: FileFetcher, gate: DownloadGate) -> None:
    storage = Records([neuron(server, 1, name='a "b", ç\nd')])
    with whole(DownloadService(storage, fetcher, gate).by_query(EVERYTHING)) as archive:
        text = archive.read("manifest.csv").decode()
        assert text.splitlines()[0] == ",".join(COLUMNS)
        assert rows(archive)["neuromorpho-1"]["name"] == 'a "b", ç\nd'


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_formulas_are_disarmed(value: str) -> None:
    assert as_cell(value) == f"'{value}"


def test_citations_name_each_source_and_paper_once(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    terms = {"licence": "CC BY 4.0", "citations": ("Ascoli 2007",)}
    shared = Paper(label="Shared 1999", doi="10.1/ABC")
    again = Paper(label="Shared, spelled otherwise", doi="10.1/abc")
    absent = morphology(
        3, source="Elsewhere", papers=(Paper(label="Absent"),), download_link=server.url("/no.swc")
    )
    storage = Records(
        [
            neuron(server, 1, papers=(shared, Paper(label="Own", pmid="5")), **terms),
            neuron(server, 2, papers=(again,), **terms),
            absent,
        ]
    )
    with whole(DownloadService(storage, fetcher, gate).by_query(EVERYTHING)) as archive:
        text = archive.read("CITATIONS.txt").decode()
    assert [text.count(one) for one in ("Neuromorpho", "CC BY 4.0", "Ascoli 2007")] == [1, 1, 1]
    assert text.casefold().count("10.1/abc") == 1
    assert text.count("Own · PMID 5") == 1
    assert "Elsewhere" not in text, "nothing of it is in the zip"
    assert "Absent" not in text


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a"], "no record has the id 'a'"),
        (["a", "b"], "no record has the id 'a', 'b'"),
        (list("abcdefg"), "no record has the id 'a', 'b', 'c', 'd', 'e' and 2 more"),
    ],
    ids=["one", "two", "seven"],
)
def test_when_every_id_is_unknown(
    fetcher: FileFetcher, gate: DownloadGate, ids: list[str], message: str
) -> None:
    with pytest.raises(NotFound) as error:
        DownloadService(Records([]), fetcher, gate).by_ids(ids, "dataset")
    assert str(error.value) == message
    assert_free(gate)


def test_no_ids_and_no_matches(fetcher: FileFetcher, gate: DownloadGate) -> None:
    service = DownloadService(Records([]), fetcher, gate)
    with pytest.raises(InvalidArguments, match="at least one"):
        service.by_ids([], "dataset")
    with pytest.raises(NotFound, match="no record of dataset matches"):
        service.by_query(EVERYTHING)
    assert_free(gate)


def test_many_ids_are_looked_up_in_parts(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    storage = Records([neuron(server, 1)])
    ids = [f"x-{number}" for number in range(2 * IDS_AT_ONCE)] + ["neuromorpho-1"]
    with whole(DownloadService(storage, fetcher, gate).by_ids(ids, "dataset")) as archive:
        manifest = rows(archive)
    assert list(manifest) == ids
    assert max(storage.asked) == IDS_AT_ONCE


def test_filenames_are_plain(server: FileServer, fetcher: FileFetcher, gate: DownloadGate) -> None:
    service = DownloadService(Records([neuron(server, 1, source_id='neuromorpho-"é/1')]), fetcher, gate)
    one = service.by_ids(['neuromorpho-"é/1'], "dataset")
    one.chunks.close()
    every = service.by_query(SearchQuery("dataset", data_type="morphology"))
    every.chunks.close()
    assert one.filename.startswith("ammon-neuromorpho-_1-")
    assert every.filename.startswith("ammon-dataset-morphology-20")
    assert every.filename.endswith(".zip")


def test_a_storage_that_breaks_at_once_is_no_broken_zip(fetcher: FileFetcher, gate: DownloadGate) -> None:
    service = DownloadService(Records([morphology(1)], breaks_at="neuromorpho-1"), fetcher, gate)
    with pytest.raises(StorageUnavailable):
        service.by_query(EVERYTHING)
    with pytest.raises(StorageUnavailable):
        service.by_ids(["neuromorpho-1"], "dataset")
    assert_free(gate)


@pytest.mark.parametrize("by", ["query", "ids"])
def test_a_storage_that_breaks_on_the_way_leaves_no_valid_zip(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate, by: str
) -> None:
    count = 2 * IDS_AT_ONCE if by == "ids" else 60
    records = [neuron(server, number, "/same.swc") for number in range(60)]
    records += [morphology(number) for number in range(60, count)]
    storage = Records(records, breaks_at=f"neuromorpho-{count - 1}")
    service = DownloadService(storage, fetcher, gate)
    ids = [f"neuromorpho-{number}" for number in range(count)]
    download = service.by_ids(ids, "dataset") if by == "ids" else service.by_query(EVERYTHING)
    sent = b""
    with pytest.raises(StorageUnavailable):
        for chunk in download.chunks:
            sent += chunk
    assert sent.startswith(b"PK")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))
    assert_free(gate)


def test_the_gate_refuses_one_more_until_the_stream_has_ended(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    service = DownloadService(Records([neuron(server, 1)]), fetcher, gate)
    download = service.by_query(EVERYTHING)
    with pytest.raises(Busy):
        service.by_query(EVERYTHING)
    whole(download).close()
    download.chunks.close()  # as Werkzeug does after the end, too
    assert_free(gate)


@pytest.mark.parametrize("way", ["closed", "closed twice", "collected"])
def test_a_stream_that_is_never_begun_gives_its_place_back(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate, way: str
) -> None:
    download = DownloadService(Records([neuron(server, 1)]), fetcher, gate).by_query(EVERYTHING)
    if way == "collected":
        del download
        gc.collect()
    else:
        for _ in way.split():
            download.chunks.close()
        assert list(download.chunks) == []
    assert_free(gate)


def test_closing_early_stops_everything_within_a_second(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    started = threading.Event()
    large = morphology(1, download_link=server.url("/endless.abf", endless(started)))
    storage = Records(
        [neuron(server, 0), large, *(neuron(server, number, f"/early/{number}") for number in range(2, 90))]
    )
    download = DownloadService(storage, fetcher, gate).by_query(EVERYTHING)
    assert next(download.chunks).startswith(b"PK")
    assert started.wait(5)
    begun = time.monotonic()
    download.chunks.close()
    assert time.monotonic() - begun < 1.5
    assert_free(gate)
    asked = len(server.asked)
    assert len([path for path in server.asked if path.startswith("/early/")]) < 40
    time.sleep(0.1)
    assert len(server.asked) == asked
    # The fixture checks that no thread and no temporary file is left.


def test_one_slow_file_does_not_hold_up_the_others(
    server: FileServer, fetcher: FileFetcher, gate: DownloadGate
) -> None:
    others_sent = threading.Event()
    slow = morphology(0, download_link=server.url("/slow.swc", once_set(others_sent, body(b"slow"))))
    storage = Records([slow, *(neuron(server, number) for number in range(1, 41))])
    sent = b""
    for chunk in DownloadService(storage, fetcher, gate).by_query(EVERYTHING).chunks:
        sent += chunk
        if sent.count(b"PK\3\4") == 40:  # only the slow one is to come
            others_sent.set()
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert len(rows(archive)) == 41
        assert archive.namelist()[-3] == "slow.swc"
