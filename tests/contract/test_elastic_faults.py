"""Faults of a real Elasticsearch: an outage is always told, and what is released stays whole.

Tests that kill, stop or misconfigure a node start one of their own with the command that
`AMMON_TEST_ELASTICSEARCH_START` names, which takes `--port`, `--dir`, `--major`, `--heap`, `stop`, `kill9`
and `-- SETTING=VALUE`; `AMMON_TEST_ELASTICSEARCH_MAJORS` (by default 9) says which majors.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import StorageUnavailable
from helpers.query import Document, SearchQuery
from helpers.storage.elastic import ElasticOptions, ElasticStorage
from helpers.storage.elastic.errors import whole
from helpers.storage.elastic.schema import ANALYSIS
from tests.contract.conftest import Server
from tests.records import documents, electrophysiology, morphology, release

EVERYTHING = SearchQuery(index="dataset")
START_KEY = "AMMON_TEST_ELASTICSEARCH_START"
START = os.environ.get(START_KEY, "")
MAJORS = os.environ.get("AMMON_TEST_ELASTICSEARCH_MAJORS", "9").split(",")
OWN_NODE = pytest.mark.skipif(not START, reason=f"{START_KEY} names no command")
INGEST = "convert-the-id"


def found(storage: Any, **query: Any) -> list[str]:
    page = storage.search(SearchQuery(**{"index": "dataset", **query}))
    return [document.source_id for document in page.documents]


def put(storage: Any, records: list[Any], number: int = 1, source: str = "neuromorpho") -> None:
    storage.replace(source, documents(records), release(source, number))


def questions() -> list[Any]:
    asked: list[tuple[str, Callable[[ElasticStorage], Any]]] = [
        ("search", lambda storage: storage.search(EVERYTHING)),
        ("get", lambda storage: storage.get("dataset", ["neuromorpho-1"])),
        ("walk", lambda storage: list(storage.walk(EVERYTHING))),
        ("suggest", lambda storage: storage.suggest("dataset", "species", "r")),
        ("released", lambda storage: storage.released()),
        ("health", lambda storage: storage.health()),
        ("rebuild", lambda storage: storage.rebuild_if_outdated()),
    ]
    return [pytest.param(ask, id=name) for name, ask in asked]


@contextmanager
def silent_port() -> Iterator[int]:
    """A port of the loopback that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class TestNoServer:
    @pytest.mark.parametrize("ask", questions())
    def test_connection_refused(self, ask: Callable[[ElasticStorage], Any]) -> None:
        storage = ElasticStorage(ElasticOptions(urls=(f"http://127.0.0.1:{closed_port()}",)))
        begun = time.monotonic()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            ask(storage)
        assert time.monotonic() - begun < 2

    def test_a_release_waits_and_then_says_so(self) -> None:
        options = ElasticOptions(urls=(f"http://127.0.0.1:{closed_port()}",), write_timeout_s=0.5)
        begun = time.monotonic()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            put(ElasticStorage(options), [morphology(1)])
        assert time.monotonic() - begun < 2

    def test_no_answer_ends_at_the_deadline(self) -> None:
        with silent_port() as port:
            storage = ElasticStorage(ElasticOptions(urls=(f"http://127.0.0.1:{port}",), timeout_s=0.4))
            begun = time.monotonic()
            with pytest.raises(StorageUnavailable, match=r"does not answer|did not answer"):
                storage.search(EVERYTHING)
            assert 0.3 < time.monotonic() - begun < 1


class TestTwoAddresses:
    @pytest.mark.parametrize("dead_first", [True, False], ids=["dead first", "dead second"])
    @pytest.mark.parametrize("kind", ["refused", "silent"])
    def test_one_of_which_is_dead(self, server: Server, kind: str, dead_first: bool) -> None:
        with silent_port() as silent:
            dead = f"http://127.0.0.1:{silent if kind == 'silent' else closed_port()}"
            urls = (dead, server.url) if dead_first else (server.url, dead)
            storage = server.storage(urls=urls, timeout_s=2)
            put(storage, [morphology(1)])
            assert [found(storage) for _ in range(6)] == [["neuromorpho-1"]] * 6


class TestLayout:
    def test_alias_missing(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(1)])
        server.client.indices.delete_alias(index=server.served(), name=f"{server.prefix}dataset")
        for ask in (storage.search, storage.walk):
            with pytest.raises(StorageUnavailable, match="is missing"):
                ask(EVERYTHING)
        put(server.storage(), [electrophysiology(1)], source="hippocampome")
        assert found(storage) == ["neuromorpho-1", "hippocampome-1"]

    @pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
    def test_alias_name_taken_by_an_index(self, server: Server, filled: bool) -> None:
        name = f"{server.prefix}dataset"
        server.client.indices.create(index=name)
        if filled:
            server.client.index(index=name, document={"source_id": "x", "name_sort": "x"}, refresh=True)
        storage = server.storage()
        with pytest.raises(StorageUnavailable):
            storage.search(EVERYTHING)
        with pytest.raises(StorageUnavailable, match=r"is an index .* delete or rename"):
            put(storage, [morphology(1)])
        server.client.indices.delete(index=name)
        put(storage, [morphology(1)])
        assert found(storage) == ["neuromorpho-1"]

    def test_alias_also_points_elsewhere(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(1)])
        assert found(storage) == ["neuromorpho-1"]
        other = f"{server.prefix}foreign"
        server.client.indices.create(index=other, aliases={f"{server.prefix}dataset": {}})
        with pytest.raises(StorageUnavailable):
            storage.search(SearchQuery(index="dataset", sort=None, words="cell"))

    def test_an_index_is_deleted(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(1)])
        server.client.indices.delete(index=server.served("dataset"))
        with pytest.raises(StorageUnavailable, match="missing"):
            storage.search(EVERYTHING)

    def test_an_index_is_closed(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(1)])
        server.client.indices.close(index=server.served())
        with pytest.raises(StorageUnavailable, match="closed"):
            storage.search(EVERYTHING)
        with pytest.raises(StorageUnavailable):
            storage.health()


class TestBlocks:
    def test_reading_is_blocked(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(1)])
        server.client.indices.put_settings(index=server.served(), settings={"index.blocks.read": True})
        with pytest.raises(StorageUnavailable, match="blocked"):
            storage.search(EVERYTHING)

    def test_read_only_after_a_full_disk(self, server: Server) -> None:
        storage = server.storage(write_timeout_s=2)
        put(storage, [morphology(1)])

        def filling_up() -> Iterator[tuple[str, Document]]:
            yield from documents([morphology(2)])
            block = {"index.blocks.read_only_allow_delete": True}
            server.client.indices.put_settings(index=server.names(), settings=block)

        with pytest.raises(StorageUnavailable, match="disk is nearly full"):
            storage.replace("neuromorpho", filling_up(), release("neuromorpho", 2))
        assert found(storage) == ["neuromorpho-1"]
        put(storage, [morphology(3)], 2)  # a new index is not blocked
        assert found(storage) == ["neuromorpho-3"]
        assert len(server.names("dataset")) == 2


class TestOverload:
    def test_circuit_breaker(self, server: Server) -> None:
        """Not `indices.breaker.total.limit`: under it the server refuses even to have the limit lifted."""
        limit = "indices.breaker.request.limit"
        storage = server.storage()
        put(storage, [morphology(n, strain=f"s{n}") for n in range(200)])
        query = SearchQuery(index="dataset", facets=("strain",))
        whole_page = storage.search(query)
        server.client.cluster.put_settings(persistent={limit: "1kb"})
        try:
            with pytest.raises(StorageUnavailable, match="too large"):
                storage.search(query)
        finally:
            server.client.cluster.put_settings(persistent={limit: None})
        assert storage.search(query) == whole_page

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({"timed_out": True, "_shards": {"total": 1, "successful": 1, "failed": 0}}, "in time"),
            ({"_shards": {"total": 2, "successful": 1, "failed": 1}}, "1 of 2"),
            ({"_shards": {"total": 2, "successful": 1, "failed": 0}}, "of 2"),
        ],
        ids=["timed out", "a part failed", "a part is missing"],
    )
    def test_answers_with_status_200_that_are_not_whole(self, answer: dict[str, Any], said: str) -> None:
        with pytest.raises(StorageUnavailable, match=said):
            whole(answer)


class TestShards:
    def test_red_index(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(1)])
        whole_name, red = server.served(), f"{server.prefix}dataset-00000002-0000beef"
        self.serve_a_lost_one(server, whole_name, red)
        for ask in (storage.search, storage.walk):
            with pytest.raises(StorageUnavailable, match="Elasticsearch answered 503"):
                ask(EVERYTHING)
        with pytest.raises(StorageUnavailable):
            storage.health()
        with pytest.raises(StorageUnavailable, match="place"):
            put(server.storage(write_timeout_s=4), [electrophysiology(1)], source="hippocampome")
        server.client.indices.delete(index=red)
        put(storage, [electrophysiology(1)], source="hippocampome")
        assert found(storage) == ["neuromorpho-1", "hippocampome-1"]

    @staticmethod
    def serve_a_lost_one(server: Server, name: str, red: str) -> None:
        """Point the alias at an index for which no node may hold a copy."""
        mappings = server.client.indices.get_mapping(index=name)[name]["mappings"]
        meta = mappings["_meta"]
        indices = {**meta["indices"], "dataset": red}
        mappings["_meta"] = {**meta, "name": red, "indices": indices, "previous": [name]}
        settings = {
            "index.routing.allocation.require._name": "none",
            "index.blocks.write": True,
            "analysis": ANALYSIS,
        }
        server.client.indices.create(
            index=red, mappings=mappings, settings=settings, wait_for_active_shards="0"
        )
        alias = f"{server.prefix}dataset"
        server.client.indices.update_aliases(
            actions=[{"remove": {"index": name, "alias": alias}}, {"add": {"index": red, "alias": alias}}]
        )

    def test_no_place_for_a_new_index(self, server: Server) -> None:
        storage = server.storage(write_timeout_s=4)
        put(storage, [morphology(1)])
        nowhere = {"cluster.routing.allocation.enable": "none"}
        server.client.cluster.put_settings(persistent=nowhere)
        try:
            with pytest.raises(StorageUnavailable, match="place"):
                put(storage, [morphology(2)], 2)
            assert found(storage) == ["neuromorpho-1"]
        finally:
            server.client.cluster.put_settings(persistent=dict.fromkeys(nowhere))
        put(storage, [morphology(2)], 2)
        assert found(storage) == ["neuromorpho-2"]
        assert len(server.names("dataset")) == 2


class TestRefusedDocuments:
    @pytest.fixture
    def picky(self, server: Server) -> Iterator[Server]:
        """A server whose served index has come to refuse documents: of one id, or all."""
        put(server.storage(), [electrophysiology(n) for n in range(5)], source="hippocampome")
        yield server
        server.client.indices.put_settings(index=server.names(), settings={"index.default_pipeline": None})
        server.client.ingest.delete_pipeline(id=f"{server.prefix}{INGEST}")

    def refuse(self, server: Server, condition: str) -> None:
        convert = {"convert": {"field": "source_id", "type": "integer", "if": condition}}
        server.client.ingest.put_pipeline(id=f"{server.prefix}{INGEST}", processors=[convert])
        setting = {"index.default_pipeline": f"{server.prefix}{INGEST}"}
        server.client.indices.put_settings(index=server.served(), settings=setting)

    def test_a_single_bad_one_is_left_out_and_told(self, picky: Server) -> None:
        self.refuse(picky, "ctx.source_id == 'neuromorpho-13'")
        told: list[tuple[str, str]] = []
        made = picky.storage().replace(
            "neuromorpho",
            documents([morphology(n) for n in range(30)]),
            release("neuromorpho"),
            rejected=lambda source_id, reason: told.append((source_id, reason)),
        )
        assert made.counts == {"dataset": 29}
        assert [source_id for source_id, _ in told] == ["neuromorpho-13"]
        assert "unable to convert" in told[0][1]
        assert picky.storage().health().counts["dataset"] == 34

    def test_when_all_are_refused_nothing_is_released(self, picky: Server) -> None:
        self.refuse(picky, "true")
        with pytest.raises(StorageUnavailable, match="refused 12 of 12 records"):
            put(picky.storage(), [morphology(n) for n in range(12)])
        assert len(found(picky.storage())) == 5


class TestPointInTime:
    def test_lost_is_opened_again_on_the_same_release(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(n) for n in range(2_500)])
        expected = [document.source_id for document in storage.walk(EVERYTHING)]
        name = server.served()
        walk = storage.walk(EVERYTHING)
        begun = [next(walk).source_id for _ in range(10)]
        put(storage, [morphology(1)], 2)
        server.client.indices.close(index=name)  # frees every point in time on it
        server.client.indices.open(index=name)
        assert begun + [document.source_id for document in walk] == expected

    def test_lost_with_its_release(self, server: Server) -> None:
        storage = server.storage()
        put(storage, [morphology(n) for n in range(1_500)])
        name = server.served()
        walk = storage.walk(EVERYTHING)
        next(walk)
        put(storage, [morphology(1)], 2)
        server.client.indices.close(index=name)
        server.client.indices.delete(index=name)
        with pytest.raises(StorageUnavailable, match="is gone"):
            list(walk)
        assert found(storage) == ["neuromorpho-1"]


class Node:
    """A node of this test's own, which it may kill."""

    def __init__(self, major: str, *settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ammon-node-", dir="/var/tmp"))
        self._folder.chmod(0o755)
        self._port = closed_port()
        self._arguments = ["--major", major, "--port", str(self._port), "--heap", "512m"]
        self._settings = settings
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()
        self.server = Server(self.url)

    def start(self) -> None:
        self._run(*self._arguments, "--", *self._settings)

    def kill(self) -> None:
        self._run("kill9")

    def signal(self, number: signal.Signals) -> None:
        os.kill(int((self._folder / "es.pid").read_text()), number)

    def end(self) -> None:
        self.server.client.close()
        self._run("stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *arguments: str) -> None:
        command = [START, "--dir", str(self._folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=MAJORS)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node that may be killed and started again."""
    made = Node(request.param)
    yield made
    made.end()


@OWN_NODE
@pytest.mark.processes
class TestKilledNode:
    def test_in_the_middle_of_a_release(self, node: Node) -> None:
        storage = node.server.storage(write_timeout_s=8)
        put(storage, [morphology(n) for n in range(300)])

        def killing() -> Iterator[tuple[str, Document]]:
            for number, document in enumerate(documents([morphology(n) for n in range(7_000)])):
                yield document
                if number == 6_000:
                    node.kill()

        with pytest.raises(StorageUnavailable, match="does not answer"):
            storage.replace("neuromorpho", killing(), release("neuromorpho", 2))
        with pytest.raises(StorageUnavailable, match="does not answer"):
            storage.search(EVERYTHING)
        node.start()
        assert storage.health().counts["dataset"] == 300
        assert len(list(storage.walk(EVERYTHING))) == 300
        put(storage, [morphology(n) for n in range(400)], 2)
        assert storage.health().counts["dataset"] == 400
        assert len(node.server.names("dataset")) == 2

    def test_right_after_a_release(self, node: Node) -> None:
        storage = node.server.storage(prefix=f"{node.server.prefix}b-")
        put(storage, [morphology(n) for n in range(100)])
        put(storage, [morphology(n) for n in range(200)], 2)
        node.kill()
        node.start()
        assert storage.health().counts["dataset"] == 200
        assert storage.released()["neuromorpho"].number == 2

    def test_in_the_middle_of_a_walk(self, node: Node) -> None:
        """It goes on where it was once the node is back; it never ends early."""
        storage = node.server.storage(prefix=f"{node.server.prefix}c-", walk_timeout_s=60)
        put(storage, [morphology(n) for n in range(2_500)])
        expected = [document.source_id for document in storage.walk(EVERYTHING)]
        walk = storage.walk(EVERYTHING)
        begun = [next(walk).source_id for _ in range(10)]
        node.kill()
        node.start()
        assert begun + [document.source_id for document in walk] == expected

    def test_that_does_not_come_back_ends_a_walk(self, node: Node) -> None:
        storage = node.server.storage(prefix=f"{node.server.prefix}d-", walk_timeout_s=0.5)
        put(storage, [morphology(n) for n in range(1_500)])
        walk = storage.walk(EVERYTHING)
        next(walk)
        node.signal(signal.SIGSTOP)
        try:
            with pytest.raises(StorageUnavailable, match="does not answer"):
                list(walk)
            with pytest.raises(StorageUnavailable, match="does not answer"):
                node.server.storage(timeout_s=0.5).search(EVERYTHING)
        finally:
            node.signal(signal.SIGCONT)
        assert len(found(storage)) == 20


@OWN_NODE
@pytest.mark.processes
@pytest.mark.parametrize("major", MAJORS)
def test_indexing_pressure(major: str) -> None:
    """A server that holds 64 kB of writing gets small requests; one that holds less than a record, none."""
    node = Node(major, "indexing_pressure.memory.limit=64kb")
    try:
        storage = node.server.storage(write_timeout_s=20)
        put(storage, [morphology(n) for n in range(600)])
        assert storage.health().counts["dataset"] == 600
        large = [morphology(1, description="x" * 100_000)]
        with pytest.raises(StorageUnavailable, match=r"429.*overloaded"):
            put(node.server.storage(write_timeout_s=2), large, 2)
        assert storage.health().counts["dataset"] == 600
    finally:
        node.end()
