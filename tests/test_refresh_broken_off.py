"""A refresh that is stopped, killed or without room: nothing released is lost, and the next one works."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.errors import HubError, StorageUnavailable, UpstreamUnavailable
from helpers.query import Document, Release
from helpers.storage.embedded import EmbeddedStorage
from tests.fakes import SOON_S, fake, folder_with, make_hub, raws, run_without_rights

ROOT = Path(__file__).resolve().parents[1]
KILLED = """
import sys, time
from pathlib import Path
from tests.fakes import fake, make_hub, raws
steps = raws(60, species=sys.argv[2])
steps[30:30] = [lambda: time.sleep(0.02)]
print("ready", flush=True)
hub = make_hub(Path(sys.argv[1]), fake("neuromorpho", steps), fake("internal", raws(5, species=sys.argv[2])))
while True:
    outcomes = hub.refreshes.refresh(["neuromorpho", "internal"], task="the killed one")
    assert not any(outcomes.values()), outcomes
    strain = str(time.time())  # so that the next one is another release
    for step in steps:
        if hasattr(step, "data"):
            step.data["strain"] = strain
"""
NEURONS = [f"neuromorpho-{number}" for number in range(3)]


class _AtRelease(EmbeddedStorage):
    """A storage that does something before it replaces."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.first = threading.Event()
        self.act = self.first.set

    def replace(self, source: str, documents: Iterable[tuple[str, Document]], release: Release) -> Release:
        self.act()
        return super().replace(source, documents, release)


class TestStop:
    def test_in_the_middle_of_fetching_keeps_what_is_released(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(3))).one("neuromorpho")
        source = fake("neuromorpho", raws(9))
        hub = make_hub(tmp_path, source)
        source.steps.insert(4, hub.refreshes.stop)
        outcome = hub.one("neuromorpho")
        assert isinstance(outcome, UpstreamUnavailable) and "stopping" in str(outcome)
        assert (hub.ids(), hub.storage.released()["neuromorpho"].number) == (NEURONS, 1)
        assert not (tmp_path / "staging" / "neuromorpho").exists()

    def test_in_the_middle_of_releasing_keeps_what_is_released(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(3))).one("neuromorpho")
        storage = _AtRelease(tmp_path / "embedded")
        hub = make_hub(tmp_path, fake("neuromorpho", raws(9)), storage=storage)
        storage.act = hub.refreshes.stop
        assert isinstance(hub.one("neuromorpho"), UpstreamUnavailable)
        assert (hub.ids(), hub.storage.released()["neuromorpho"].number) == (NEURONS, 1)

    def test_of_something_held_keeps_it_held(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(9))).one("neuromorpho")
        make_hub(tmp_path, fake("neuromorpho", raws(3))).one("neuromorpho")
        storage = _AtRelease(tmp_path / "embedded")
        hub = make_hub(tmp_path, fake("neuromorpho", []), storage=storage)
        storage.act = hub.refreshes.stop
        assert isinstance(hub.one("neuromorpho", accept=True), UpstreamUnavailable)
        assert make_hub(tmp_path, fake("neuromorpho", [])).one("neuromorpho", accept=True) is None
        assert hub.ids() == NEURONS

    def test_ends_all_sources(self, tmp_path: Path) -> None:
        begun = threading.Barrier(3)
        sources = [fake(key, [lambda: None, *raws(5)]) for key in ("neuromorpho", "internal")]
        hub = make_hub(tmp_path, *sources)
        stopped = threading.Event()

        def wait() -> None:
            begun.wait(SOON_S)
            assert stopped.wait(SOON_S)

        for source in sources:
            source.steps[0] = wait
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(hub.refreshes.refresh, ["neuromorpho", "internal"])
            begun.wait(SOON_S)
            hub.refreshes.stop()
            stopped.set()
            outcomes = running.result(SOON_S)
        assert all(isinstance(error, UpstreamUnavailable) for error in outcomes.values())
        assert dict(hub.storage.released()) == {}


class TestNoRoom:
    def test_for_the_staged_records_is_named_and_keeps_what_is_released(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(3))).one("neuromorpho")
        (tmp_path / "file").write_bytes(b"")
        hub = make_hub(tmp_path, fake("neuromorpho", raws(5)), files=tmp_path / "file")
        outcome = hub.one("neuromorpho")
        assert isinstance(outcome, HubError) and str(tmp_path / "file") in str(outcome)
        assert (hub.statuses.get("neuromorpho").state, hub.ids()) == ("failed", NEURONS)

    def test_for_the_index_is_named_and_keeps_what_is_released(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(3))).one("neuromorpho")
        storage = _AtRelease(tmp_path / "embedded")

        def full() -> None:
            raise StorageUnavailable("the index cannot be written: no space left on device")

        storage.act = full
        hub = make_hub(tmp_path, fake("neuromorpho", raws(5)), storage=storage)
        assert "no space left" in str(hub.one("neuromorpho"))
        status = hub.statuses.get("neuromorpho")
        assert (status.state, hub.ids()) == ("failed", NEURONS)
        assert "no space left" in (status.error or "")

    def test_while_records_are_staged_is_named(self, tmp_path: Path) -> None:
        script = (
            "import resource, sys\nfrom pathlib import Path\nfrom tests.fakes import fake, make_hub, raws\n"
            "hub = make_hub(Path(sys.argv[1]), fake('neuromorpho', raws(3000)))\n"
            "hub.one('neuromorpho')\n"
            "steps = raws(3000, species='rat')\n"
            "steps.insert(0, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1)))\n"
            "hub = make_hub(Path(sys.argv[1]), fake('neuromorpho', steps))\n"
            "outcome = hub.one('neuromorpho')\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
            "number = hub.storage.released()['neuromorpho'].number\n"
            "print(type(outcome).__name__, outcome, len(hub.ids()), number)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "File too large" in done.stdout and done.stdout.endswith(" 3000 1\n")
        assert make_hub(tmp_path, fake("neuromorpho", raws(2999, species="rat"))).one("neuromorpho") is None

    @pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read only", "no rights"])
    def test_and_no_rights_either_is_one_clear_error(self, mode: int) -> None:
        script = (
            "from pathlib import Path\nfrom tests.fakes import fake, make_hub, raws\n---\n"
            "make_hub(Path(sys.argv[1]), fake('neuromorpho', raws(3))).one('neuromorpho')"
        )
        with folder_with(mode) as folder:
            said = run_without_rights(script, str(folder))
        assert said.startswith("StorageUnavailable") and str(folder) in said


@pytest.mark.processes
@pytest.mark.parametrize("round_", range(6))
def test_a_refresh_killed_at_any_moment_is_followed_by_one_that_works(tmp_path: Path, round_: int) -> None:
    if round_ % 2:
        make_hub(
            tmp_path, fake("neuromorpho", raws(60, species="old")), fake("internal", raws(5))
        ).refreshes.refresh(["neuromorpho", "internal"])
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), "new"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None and killed.stdout.readline() == "ready\n"
    time.sleep((round_ * 0.618034 % 1) * 0.2 + (round_ > 3) * 0.1)
    assert killed.poll() is None
    killed.kill()
    killed.communicate(timeout=30)

    hub = make_hub(tmp_path, fake("neuromorpho", raws(61, species="next")), fake("internal", raws(6)))
    released = hub.storage.released()
    assert {made.total for key, made in released.items() if key == "neuromorpho"} <= {60}
    found = [one.parsed() for one in hub.storage.get("dataset", [f"neuromorpho-{n}" for n in range(61)])]
    assert len({(one["species"], one["strain"]) for one in found}) <= 1, "one set, and no mixture"
    assert len(found) == (60 if "neuromorpho" in released else 0)

    begun = time.monotonic()
    assert hub.refreshes.refresh(["neuromorpho", "internal"]) == {"neuromorpho": None, "internal": None}
    assert time.monotonic() - begun < SOON_S, "the lease of the killed one is not waited for"
    assert (len(hub.ids()), hub.statuses.get("neuromorpho").state) == (67, "released")
    assert list((tmp_path / "staging").iterdir()) == []
