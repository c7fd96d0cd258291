"""The state that processes share: documents and leases in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import LeaseHeld, StorageUnavailable
from helpers.state import LEASE_S, SQLiteState
from tests.fakes import folder_with, run_without_rights

ROOT = Path(__file__).resolve().parents[1]
HOLDER = """
import sys, time
from pathlib import Path
from helpers.state import SQLiteState
with SQLiteState(Path(sys.argv[1])).lease("refresh", "a task of another process"):
    print("held", flush=True)
    sys.stdin.read()
"""
WRITER = """
import sys
from pathlib import Path
from helpers.state import SQLiteState
state, name = SQLiteState(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
for number in range(40):
    state.put("kind", f"{name}-{number}", {"number": number})
    state.put("kind", "shared", {"by": name})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "state.sqlite"


@pytest.fixture
def state(path: Path) -> SQLiteState:
    return SQLiteState(path)


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def edit(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)


class TestDocuments:
    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"number": 1, "float": 0.5, "none": None, "flag": True, "list": [1, {"deep": []}]},
            {"text": "神経 µm² \U0001f9e0 'quoted' \n \t"},
            {"long": "x" * 2_000_000},
        ],
        ids=["empty", "every type", "other scripts", "long"],
    )
    def test_come_back_as_they_were(self, path: Path, document: dict[str, Any]) -> None:
        SQLiteState(path).put("kind", "key", document)
        assert SQLiteState(path).all("kind") == {"key": document}

    def test_are_replaced_as_a_whole(self, state: SQLiteState) -> None:
        state.put("kind", "key", {"a": 1, "b": 2})
        state.put("kind", "key", {"a": 3})
        assert state.all("kind") == {"key": {"a": 3}}

    def test_of_other_kinds_are_not_mixed_in(self, state: SQLiteState) -> None:
        state.put("one", "key", {"a": 1})
        state.put("other", "key", {"a": 2})
        assert (state.all("one"), state.all("none")) == ({"key": {"a": 1}}, {})

    def test_reading_makes_no_file(self, path: Path, state: SQLiteState) -> None:
        assert state.all("kind") == {}
        assert not path.parent.exists()

    def test_of_processes_that_write_at_once_are_all_kept(self, path: Path, state: SQLiteState) -> None:
        writers = [start(WRITER, str(path), name) for name in ("one", "two", "three")]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        said = [writer.communicate(timeout=60) for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0, 0], said
        kept = state.all("kind")
        assert len(kept) == 3 * 40 + 1
        assert kept["shared"]["by"] in ("one", "two", "three")

    def test_of_threads_that_make_the_file_at_once_are_all_kept(self, path: Path) -> None:
        together = threading.Barrier(8)

        def put(number: int) -> None:
            together.wait()
            SQLiteState(path).put("kind", str(number), {"number": number})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(8)))
        assert len(SQLiteState(path).all("kind")) == 8

    def test_wait_for_a_process_that_is_making_the_file(self, path: Path, state: SQLiteState) -> None:
        """SQLite itself does not wait where a file is not in WAL mode yet and another one writes to it."""
        path.parent.mkdir()
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("CREATE TABLE anything (x)")
            other.execute("BEGIN IMMEDIATE")
            ending = threading.Timer(0.1, other.execute, ("COMMIT",))
            ending.start()
            try:
                state.put("kind", "key", {"a": 1})
            finally:
                ending.join()
        assert state.all("kind") == {"key": {"a": 1}}


class TestUnusableFile:
    CALLS: tuple[Callable[[SQLiteState], object], ...] = (
        lambda state: state.put("kind", "key", {}),
        lambda state: state.acquire("refresh", "test"),
    )

    @pytest.mark.parametrize("call", CALLS, ids=["put", "acquire"])
    def test_below_a_file_is_named(self, tmp_path: Path, call: Callable[[SQLiteState], object]) -> None:
        (tmp_path / "file").write_bytes(b"")
        path = tmp_path / "file" / "state.sqlite"
        with pytest.raises(StorageUnavailable, match=str(path)):
            call(SQLiteState(path))

    @pytest.mark.parametrize(
        "call", ["put('kind', 'key', {})", "acquire('refresh', 'test')", "all('kind')"], ids=lambda call: call
    )
    @pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read only", "no rights"])
    def test_in_a_folder_without_rights_is_named(self, call: str, mode: int) -> None:
        script = (
            "from pathlib import Path\nfrom helpers.state import SQLiteState\n---\n"
            f"print('gave', SQLiteState(Path(sys.argv[1])).{call})"
        )
        with folder_with(mode) as folder:
            said = run_without_rights(script, str(folder / "state.sqlite"))
        if call.startswith("all") and mode:
            assert said == "gave {}\n"
        else:
            assert said.startswith("StorageUnavailable") and str(folder) in said

    @pytest.mark.parametrize("call", [*CALLS, lambda state: state.all("kind")], ids=["put", "acquire", "all"])
    def test_that_is_no_database_is_named(
        self, path: Path, state: SQLiteState, call: Callable[[SQLiteState], object]
    ) -> None:
        path.parent.mkdir()
        path.write_bytes(b"no database at all" * 100)
        with pytest.raises(StorageUnavailable, match=str(path)):
            call(state)

    def test_that_is_a_folder_is_named(self, path: Path, state: SQLiteState) -> None:
        path.mkdir(parents=True)
        with pytest.raises(StorageUnavailable, match=str(path)):
            state.all("kind")


class TestLease:
    def test_is_held_once_over_threads(self, path: Path) -> None:
        together, held = threading.Barrier(8), []

        def work(number: int) -> str:
            together.wait()
            try:
                held.append(SQLiteState(path).acquire("refresh", f"thread {number}"))
            except LeaseHeld as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(8) as pool:
            refusals = list(filter(None, pool.map(work, range(8))))
        assert (len(held), len(refusals)) == (1, 7)
        assert all(held[0].task in refusal and str(os.getpid()) in refusal for refusal in refusals)

    def test_is_free_again_after_its_block(self, state: SQLiteState) -> None:
        for _ in range(2):
            with state.lease("refresh", "test"), pytest.raises(LeaseHeld, match="test, process"):
                state.acquire("refresh", "another")

    def test_is_free_again_after_an_error(self, state: SQLiteState) -> None:
        with pytest.raises(KeyError), state.lease("refresh", "test"):
            raise KeyError("inside")
        state.acquire("refresh", "another")

    def test_leaves_no_thread(self, state: SQLiteState) -> None:
        before = threading.active_count()
        with state.lease("refresh", "test"):
            assert threading.active_count() == before + 1
        assert threading.active_count() == before

    def test_of_another_name_is_another_lease(self, state: SQLiteState) -> None:
        with state.lease("refresh", "test"), state.lease("refresher", "test"):
            pass

    def test_of_a_living_process_is_respected_and_named(self, path: Path, state: SQLiteState) -> None:
        holder = start(HOLDER, str(path))
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(
            LeaseHeld, match=f"a task of another process, process {holder.pid} on .* since 20"
        ):
            state.acquire("refresh", "test")
        holder.communicate("", timeout=30)
        state.acquire("refresh", "test")

    def test_of_a_killed_process_is_free_at_once(self, path: Path, state: SQLiteState) -> None:
        holder = start(HOLDER, str(path))
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        holder.kill()
        holder.communicate(timeout=30)
        begun = time.monotonic()
        state.acquire("refresh", "test")
        assert time.monotonic() - begun < 1

    def test_of_another_machine_is_respected_until_it_expires(self, path: Path, state: SQLiteState) -> None:
        state.acquire("refresh", "elsewhere")
        edit(path, "UPDATE leases SET host = 'other-machine', pid = 1")
        with pytest.raises(LeaseHeld, match="other-machine"):
            state.acquire("refresh", "test")
        edit(path, "UPDATE leases SET renewed = ?", time.time() - LEASE_S - 1)
        assert state.acquire("refresh", "test").task == "test"

    def test_that_was_not_renewed_is_taken_over_from_a_living_process(
        self, path: Path, state: SQLiteState
    ) -> None:
        with pytest.raises(LeaseHeld, match="taken over"), state.lease("refresh", "slow") as lease:
            edit(path, "UPDATE leases SET renewed = ?", time.time() - LEASE_S - 1)
            other = state.acquire("refresh", "quick")
            assert state.renew("refresh", other)
            lease.check()
        assert state.renew("refresh", other), "who lost a lease does not end it for the next one"

    def test_renewed_lives_on(self, path: Path, state: SQLiteState) -> None:
        holder = state.acquire("refresh", "test")
        edit(path, "UPDATE leases SET renewed = ?", time.time() - LEASE_S + 1)
        assert state.renew("refresh", holder)
        edit(path, "UPDATE leases SET renewed = renewed - ?", LEASE_S - 1)
        with pytest.raises(LeaseHeld):
            state.acquire("refresh", "another")

    def test_checked_while_it_holds_says_nothing(self, state: SQLiteState) -> None:
        with state.lease("refresh", "test") as lease:
            lease.check()

    def test_given_back_by_a_former_holder_stays_with_the_new_one(
        self, path: Path, state: SQLiteState
    ) -> None:
        former = state.acquire("refresh", "former")
        edit(path, "DELETE FROM leases")
        present = state.acquire("refresh", "present")
        state.release("refresh", former)
        assert (state.renew("refresh", former), state.renew("refresh", present)) == (False, True)

    def test_survives_a_clock_that_was_set_back(self, path: Path, state: SQLiteState) -> None:
        """A holder on another machine that seems to have renewed in the future is not waited for for ever."""
        state.acquire("refresh", "elsewhere")
        edit(path, "UPDATE leases SET host = 'other-machine', renewed = ?", time.time() + 86_400)
        assert state.acquire("refresh", "test").task == "test"
