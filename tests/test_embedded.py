"""The embedded engine where no contract reaches: kills, other schemas, damaged files, several processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from helpers.errors import StorageUnavailable
from helpers.query import FieldFilter, SearchQuery, Sort
from helpers.storage.base import Storage
from helpers.storage.embedded import EmbeddedStorage
from helpers.storage.embedded.schema import schema_version
from tests.fakes import folder_with, run_without_rights
from tests.records import documents, model, morphology, release

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = SearchQuery(index="dataset", hits=10_000, facets=("archive", "species"))

START = """
import resource, sys
from pathlib import Path
from helpers.query import SearchQuery
from helpers.storage.embedded import EmbeddedStorage
from tests.test_embedded import documents, morphology, release, seen, write
storage = EmbeddedStorage(Path(sys.argv[1]))
"""
WRITER = (
    START
    + """
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    write(storage, number)
    print(number, flush=True)
"""
)


def write(storage: Storage, number: int, source: str = "neuromorpho") -> None:
    """Release a set that says its number in every record of both indices."""
    marked = [morphology(place, archive=f"set {number}") for place in range(20 + number % 7)]
    records = [*marked, *(model(place, name=f"set {number}") for place in range(5 + number % 3))]
    storage.replace(source, documents(records), release(source, number))


def seen(storage: Storage) -> int:
    """The number of the set that is served, once it is certain that it is served whole; 0 for none."""
    released = storage.released().get("neuromorpho")
    number = released.number if released else 0
    page = storage.search(EVERYTHING)
    models = storage.search(SearchQuery(index="model", hits=10_000)).documents
    expected = (20 + number % 7, 5 + number % 3) if number else (0, 0)
    assert (page.total, len(page.documents), len(models)) == (expected[0], *expected)
    assert {document.parsed()["archive"] for document in page.documents} <= {f"set {number}"}
    assert {document.parsed()["name"] for document in models} <= {f"set {number}"}
    assert dict(page.facets["archive"]) == ({f"set {number}": expected[0]} if number else {})
    assert len(list(storage.walk(EVERYTHING))) == expected[0]
    return number


def run(script: str, *arguments: object) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", START + script, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "embedded"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with set 1 released; tests copy it."""
    folder = tmp_path_factory.mktemp("prepared") / "embedded"
    write(EmbeddedStorage(folder), 1)
    return folder


@pytest.fixture
def storage(root: Path, prepared: Path) -> EmbeddedStorage:
    """An engine with set 1 released."""
    shutil.copytree(prepared, root)
    return EmbeddedStorage(root)


def manifest(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "manifest.json").read_bytes())
    return content


def named(root: Path) -> set[str]:
    """The folders that the manifest names, if there is one."""
    if not (root / "manifest.json").exists():
        return set()
    return {*manifest(root)["folders"].values(), *manifest(root)["previous"]}


def folders(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir()}


def rewrite(root: Path, **changes: Any) -> None:
    """Change the manifest as another version of the program might have written it."""
    content = orjson.dumps(manifest(root) | changes)
    (root / "manifest.new").write_bytes(content)
    (root / "manifest.new").replace(root / "manifest.json")


@pytest.mark.processes
@pytest.mark.parametrize("round_", range(15))
def test_a_writer_killed_at_any_moment_leaves_the_old_set_or_the_new_one(
    root: Path, prepared: Path, round_: int
) -> None:
    if round_ % 3:  # else the very first release is what is broken off
        shutil.copytree(prepared, root)
    storage = EmbeddedStorage(root)
    before = seen(storage)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(before)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    try:
        writer.wait((round_ * 0.618034 % 1) * 0.3)  # spread evenly over two or three releases
    except subprocess.TimeoutExpired:
        writer.kill()
    told = writer.communicate(timeout=30)[0].split()
    finished = int(told[-1]) if told else before
    fresh = int(run("print(seen(storage))", root)) if round_ % 5 == 0 else seen(EmbeddedStorage(root))
    assert fresh in (finished, finished + 1)
    assert seen(storage) == fresh, "a reader that was there all the time sees the same"
    kept = named(root)  # for readers of the release that is replaced now, and of the one before it
    write(storage, fresh + 1)
    assert seen(storage) == seen(EmbeddedStorage(root)) == fresh + 1
    assert folders(root) == kept | named(root), "nothing else is left over"


@pytest.mark.processes
def test_a_reader_that_was_open_before_sees_the_new_release(root: Path, storage: EmbeddedStorage) -> None:
    script = "print(seen(storage), flush=True)\nfor line in sys.stdin: print(seen(storage), flush=True)"
    reader = subprocess.Popen(
        [sys.executable, "-c", START + script, str(root)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None and reader.stdout is not None
    assert reader.stdout.readline() == "1\n"
    for number in range(2, 6):
        write(storage, number)
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == f"{number}\n"
    reader.communicate(timeout=30)


@pytest.mark.processes
def test_processes_that_write_at_once_both_get_their_turn(root: Path) -> None:
    script = START + "for number in range(1, 4):\n    write(storage, number, sys.argv[2])"
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(root), source], cwd=ROOT)
        for source in ("neuromorpho", "internal")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    released = EmbeddedStorage(root).released()
    assert {key: (made.number, made.total) for key, made in released.items()} == {
        "neuromorpho": (3, 28),
        "internal": (3, 28),
    }
    assert EmbeddedStorage(root).search(EVERYTHING).total == 46


def test_a_walk_that_was_begun_goes_on_over_many_releases(storage: EmbeddedStorage) -> None:
    walk = storage.walk(EVERYTHING)
    first = next(walk)
    for number in range(2, 6):
        write(storage, number)
    assert {document.parsed()["archive"] for document in (first, *walk)} == {"set 1"}


class TestOlderSchema:
    QUERIES = (
        EVERYTHING,
        SearchQuery(index="dataset", words="cell 0003"),
        SearchQuery(index="dataset", filters=(FieldFilter("archive", ("set 1",)),), hits=7, page=1),
        SearchQuery(index="dataset", sort=Sort("archive", descending=True), hits=100),
        SearchQuery(index="model", words="set", hits=100),
        SearchQuery(index="dataset", ids=("neuromorpho-3", "neuromorpho-99")),
    )

    def test_is_served_and_says_that_it_is_rebuilt(self, root: Path, storage: EmbeddedStorage) -> None:
        rewrite(root, schema="old")
        assert storage.health().rebuilding and EmbeddedStorage(root).health().rebuilding
        assert seen(storage) == seen(EmbeddedStorage(root)) == 1

    def test_is_rebuilt_with_the_same_answers(self, root: Path, storage: EmbeddedStorage) -> None:
        answers = [storage.search(query) for query in self.QUERIES]
        releases = storage.released()
        rewrite(root, schema="old")
        assert EmbeddedStorage(root).rebuild_if_outdated() is True
        assert [storage.search(query) for query in self.QUERIES] == answers
        assert storage.released() == releases
        assert not storage.health().rebuilding
        assert manifest(root)["schema"] == schema_version()
        assert storage.rebuild_if_outdated() is False

    def test_is_rebuilt_before_anything_is_added(self, root: Path, storage: EmbeddedStorage) -> None:
        rewrite(root, schema="old")
        storage.replace("internal", documents([morphology(1, source_id="internal-1")]), release("internal"))
        assert storage.search(EVERYTHING).total == 21 + 1
        assert not storage.health().rebuilding

    @pytest.mark.parametrize(
        "query",
        [
            SearchQuery(index="dataset", filters=(FieldFilter("species", ("rat",)),)),
            SearchQuery(index="dataset", facets=("species",)),
            SearchQuery(index="dataset", sort=Sort("species")),
        ],
        ids=["filter", "facet", "sort"],
    )
    def test_without_a_column_cannot_answer_for_it(
        self, root: Path, storage: EmbeddedStorage, query: SearchQuery
    ) -> None:
        columns = manifest(root)["columns"]
        columns["dataset"].remove("f_species")
        rewrite(root, schema="old", columns=columns)
        with pytest.raises(StorageUnavailable, match="`species` can be asked for when that is done"):
            EmbeddedStorage(root).search(query)
        assert EmbeddedStorage(root).search(SearchQuery(index="dataset")).total == 21
        storage.rebuild_if_outdated()
        assert EmbeddedStorage(root).search(query).total in (0, 21)

    def test_whose_rebuilding_is_broken_off_stays_served(self, root: Path, storage: EmbeddedStorage) -> None:
        served = manifest(root)["folders"]
        rewrite(root, schema="old")
        stored = next((root / served["model"]).glob("*.store"))
        content = stored.read_bytes()
        stored.write_bytes(b"")
        with pytest.raises(StorageUnavailable):
            EmbeddedStorage(root).rebuild_if_outdated()
        assert manifest(root)["folders"] == served
        stored.write_bytes(content)
        assert EmbeddedStorage(root).rebuild_if_outdated() is True
        assert seen(EmbeddedStorage(root)) == 1

    def test_is_no_matter_where_nothing_was_released(self, root: Path) -> None:
        assert EmbeddedStorage(root).rebuild_if_outdated() is False
        assert not root.exists()


WHOLE = {"revision": 1, "schema": "x", "folders": {}, "columns": {}, "previous": [], "releases": {}}
UNREADABLE = {
    "nothing": b"",
    "half an object": b'{"revision": 1, "sch',
    "invalid UTF-8": b"\xff\xfe",
    "zeros, as after a power cut": bytes(200),
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "an empty object": b"{}",
    "folders as a list": orjson.dumps(WHOLE | {"folders": ["dataset"]}),
    "columns as a list": orjson.dumps(WHOLE | {"columns": []}),
    "columns as null": orjson.dumps(WHOLE | {"columns": None}),
    "releases as a list": orjson.dumps(WHOLE | {"releases": []}),
    "a release of another shape": orjson.dumps(WHOLE | {"releases": {"internal": {"new": 1}}}),
    "a release that is a list": orjson.dumps(WHOLE | {"releases": {"internal": [1]}}),
}
UNTRUE = {
    "a folder that is gone": orjson.dumps(
        WHOLE | {"folders": {"dataset": "dataset-99"}, "columns": {"dataset": []}}
    ),
    "a folder without its columns": orjson.dumps(WHOLE | {"folders": {"dataset": "dataset-00000001"}}),
}


class TestDamage:
    @pytest.mark.parametrize("content", [*UNREADABLE.values(), *UNTRUE.values()], ids=[*UNREADABLE, *UNTRUE])
    @pytest.mark.parametrize("opened", [False, True], ids=["fresh", "open before"])
    def test_to_the_manifest_is_an_outage(
        self, root: Path, storage: EmbeddedStorage, content: bytes, opened: bool
    ) -> None:
        reader = storage if opened else EmbeddedStorage(root)
        (root / "new").write_bytes(content)
        (root / "new").replace(root / "manifest.json")
        for call in (lambda: reader.search(EVERYTHING), reader.released, reader.health):
            with pytest.raises(StorageUnavailable):
                call()

    @pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
    def test_to_the_manifest_is_not_written_over(
        self, root: Path, storage: EmbeddedStorage, content: bytes
    ) -> None:
        """Whoever repairs the manifest by hand must find the folders that it named."""
        before = folders(root)
        (root / "manifest.json").write_bytes(content)
        with pytest.raises(StorageUnavailable):
            write(EmbeddedStorage(root), 2)
        assert folders(root) >= before

    @pytest.mark.parametrize("content", [b"", b"{", b"[[1]]", b"null", b'[["x", ["y"], []]]'], ids=repr)
    def test_to_the_counted_facets_does_not_stop_searches(
        self, root: Path, storage: EmbeddedStorage, content: bytes
    ) -> None:
        """They are only counted ahead; after a power cut the file may be empty."""
        for folder in manifest(root)["folders"].values():
            (root / folder / "facets.json").write_bytes(content)
        assert seen(EmbeddedStorage(root)) == 1

    @pytest.mark.parametrize("pattern", ["*.store", "*.idx", "*.term", "*.fast", "meta.json"])
    def test_to_the_index_is_an_outage_and_never_an_empty_answer(
        self, root: Path, storage: EmbeddedStorage, pattern: str
    ) -> None:
        for path in (root / manifest(root)["folders"]["dataset"]).glob(pattern):
            path.write_bytes(b"")
        with pytest.raises(StorageUnavailable):
            EmbeddedStorage(root).search(EVERYTHING)

    def test_in_the_folder_is_over_when_it_comes_back(self, root: Path, storage: EmbeddedStorage) -> None:
        folder = root / manifest(root)["folders"]["dataset"]
        folder.rename(root / "away")
        with pytest.raises(StorageUnavailable):
            EmbeddedStorage(root).search(EVERYTHING)
        (root / "away").rename(folder)
        assert seen(EmbeddedStorage(root)) == 1


class TestNowhereToWrite:
    def test_below_a_file_is_an_outage(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        storage = EmbeddedStorage(tmp_path / "file" / "embedded")
        for call in (lambda: write(storage, 1), lambda: storage.search(EVERYTHING), storage.health):
            with pytest.raises(StorageUnavailable, match=str(tmp_path / "file")):
                call()

    @pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read only", "no rights"])
    def test_for_want_of_rights_is_an_outage(self, mode: int) -> None:
        script = (
            "from pathlib import Path\nfrom helpers.storage.embedded import EmbeddedStorage\n"
            "from tests.test_embedded import write\n---\nwrite(EmbeddedStorage(Path(sys.argv[1])), 1)"
        )
        with folder_with(mode) as folder:
            said = run_without_rights(script, str(folder / "embedded"))
            assert said.startswith("StorageUnavailable") and str(folder) in said
            said = run_without_rights(script, str(folder))
            assert said.startswith("StorageUnavailable") and str(folder) in said

    FULL = """
import hashlib
from helpers.errors import StorageUnavailable
number, size = int(sys.argv[3]), int(sys.argv[4])
noise = [hashlib.shake_128(bytes([place])).hexdigest(size // 2) for place in range(number)]
records = (morphology(place, archive="set 2", extra={"x": text}) for place, text in enumerate(noise))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    storage.replace("neuromorpho", documents(records), release("neuromorpho", 2))
except StorageUnavailable as error:
    print("StorageUnavailable", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""

    @pytest.mark.processes
    @pytest.mark.parametrize(
        ("limit", "records", "size"),
        [(0, 20, 0), (300, 20, 0), (3_000, 200, 100), (100_000, 60, 20_000), (1_000_000, 40, 500_000)],
        ids=["at once", "for the manifest", "at the commit", "in the stored records", "in the middle"],
    )
    def test_for_want_of_room_is_an_outage_and_keeps_the_old_set(
        self, root: Path, storage: EmbeddedStorage, limit: int, records: int, size: int
    ) -> None:
        said = run(self.FULL, root, limit, records, size)
        assert said.startswith("StorageUnavailable")
        assert seen(storage) == seen(EmbeddedStorage(root)) == 1
        kept = named(root)
        write(storage, 3)
        assert seen(EmbeddedStorage(root)) == 3
        assert folders(root) == kept | named(root), "what could not be written is removed"
