"""Ammon and the replica of its sources as a benchmark runs them: real processes, set up by environment."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measures import Unmeasurable
from benchmarks.processes import (
    Identity,
    Use,
    Watch,
    closed_port,
    cpu_s,
    free_port,
    last_lines,
    running,
    tree,
    use,
    wait_for_line,
)
from benchmarks.wire import BadAnswer, Client, request
from helpers.errors import StorageUnavailable
from helpers.storage.embedded import EmbeddedStorage

START_S: Final = 600.0  # the replica makes up its records one by one
READY_S: Final = 60.0
SOURCE: Final = "neuromorpho"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run and where."""

    scales: tuple[int, ...]  # records in the index
    files: int  # of 512 kB in a zip
    real_files: int
    asks: int  # of each kind of question
    seconds: float  # of each round of the throughput
    starts: int
    work: Path  # everything that is written
    replica: Path | None  # its serve.py

    def data(self, scale: int) -> Path:
        """The data folder that holds this many refreshed records."""
        return self.work / f"records-{scale}"

    def log(self, name: str) -> Path:
        """Where a process prints to."""
        folder = self.work / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """One real `flask refresh`."""

    records: int
    seconds: float
    staged_s: float | None  # until all records lay on disk, before the index was made
    watch: Watch
    replica_cpu_s: float


def environment(data: Path, base_url: str, **more: str) -> dict[str, str]:
    """Ours without settings of Ammon, then those of a benchmark: one source, nothing held back."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AMMON_")}
    key = f"AMMON_{SOURCE.upper()}"
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "AMMON_DATA_DIR": str(data),
        "AMMON_SOURCES": SOURCE,
        "AMMON_ALLOW_PRIVATE_UPSTREAMS": "1",
        f"{key}_BASE_URL": base_url,
        f"{key}_BRAIN_REGIONS": "",  # an empty list: all
        f"{key}_EXPECTED": "0-",
        f"{key}_RATE": "0",
        f"{key}_RETRIES": "0",
        f"{key}_SCHEDULE": "never",
        **more,
    }


@dataclass(frozen=True, slots=True)
class Replica:
    """A running replica."""

    base_url: str  # of NeuroMorpho.Org
    pid: int


@contextmanager
def replica(plan: Plan, scale: int) -> Iterator[Replica]:
    """The replica with this many neurons, on a free port."""
    if plan.replica is None or not plan.replica.is_file():
        raise Unmeasurable("it needs the replica of the sources: name its serve.py with --replica")
    log = plan.log(f"replica-{scale}")
    command = [sys.executable, "-u", str(plan.replica), "--port", "0", "--scale", str(scale)]
    with running(command, env=os.environ, log=log) as process:
        line = wait_for_line(process, log, "replica on ", START_S)
        yield Replica(f"{line.split()[2]}/{SOURCE}", process.pid)


def refresh(plan: Plan, source: Replica, data: Path) -> Refreshed:
    """Run `flask refresh neuromorpho` into a folder, begun anew, and wait for its end."""
    shutil.rmtree(data, ignore_errors=True)
    log = plan.log(data.name)
    command = [sys.executable, "-m", "flask", "--app", "app", "refresh", SOURCE]
    staged = data / "staging" / SOURCE / "facts.json"  # written when the last record is staged
    before = cpu_s(source.pid)
    begun = time.perf_counter()
    with running(command, env=environment(data, source.base_url), log=log) as process:
        staged_s = None
        with Watch(process.pid) as watch:
            while process.poll() is None:
                if staged_s is None and staged.exists():
                    staged_s = time.perf_counter() - begun
                time.sleep(0.02)
        seconds = time.perf_counter() - begun
    release = EmbeddedStorage(data / "embedded").released().get(SOURCE)
    if process.returncode or release is None:
        raise Unmeasurable(f"the refresh failed: {last_lines(log)}")
    return Refreshed(release.total, seconds, staged_s, watch, cpu_s(source.pid) - before)


def keep_as(plan: Plan, made: Path, scale: int) -> None:
    """Make a refreshed folder the one that later benchmarks use."""
    shutil.rmtree(plan.data(scale), ignore_errors=True)
    made.rename(plan.data(scale))


def filled(plan: Plan, scale: int) -> Path:
    """The data folder with this many records, refreshed now unless an earlier run has left it."""
    data = plan.data(scale)
    if not _usable(data):
        new = plan.work / f"{data.name}.new"
        with replica(plan, scale) as source:
            refresh(plan, source, new)
        keep_as(plan, new, scale)
    return data


def _usable(data: Path) -> bool:
    """Whether a folder holds records under the present schema; an older one would be rebuilt meanwhile."""
    try:
        storage = EmbeddedStorage(data / "embedded")
        return bool(storage.released()) and not storage.health().rebuilding
    except StorageUnavailable:
        return False


@dataclass(frozen=True, slots=True)
class Web:
    """A running web server."""

    port: int
    pid: int

    def workers(self) -> dict[Identity, Use]:
        """What each web process has used; neither the one that keeps them nor the refresher."""
        used = {one: found for one in tree(self.pid)[1:] if (found := use(one)) is not None}
        return {one: found for one, found in used.items() if "refresher" not in found.command}


@contextmanager
def web(plan: Plan, data: Path, more: Mapping[str, str] | None = None) -> Iterator[Web]:
    """gunicorn by config/gunicorn.py over a data folder, its only source refusing connections."""
    log = plan.log(f"web-{data.name}")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "app:create_app()"]
    with closed_port() as closed:
        env = environment(data, f"http://127.0.0.1:{closed}", AMMON_PORT=str(port), **(more or {}))
        with running(command, env=env, log=log) as process:
            if not first_answer(port, request("GET", "/health/ready"), READY_S):
                raise Unmeasurable(f"the web server does not answer: {last_lines(log)}")
            time.sleep(2.0)  # the refresher starts beside it, is refused, and is quiet from then on
            yield Web(port, process.pid)


def first_answer(port: int, question: bytes, timeout_s: float) -> object | None:
    """Ask until there is an answer, every five milliseconds; None when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            with closing(Client(port, timeout_s)) as client:
                return client.json(question)
        except (OSError, BadAnswer):
            time.sleep(0.005)
    return None
