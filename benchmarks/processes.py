"""Processes that a benchmark starts, what they use, and their certain end. Reads Linux's /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from benchmarks.measures import Unmeasurable

ROOT: Final = Path(__file__).resolve().parent.parent
END_S: Final = 10.0  # to end by themselves after SIGTERM
SAMPLE_S: Final = 0.1
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for certain: its number may be given to another one later."""

    pid: int
    started: int  # ticks since the machine's start


@dataclass(frozen=True, slots=True)
class Use:
    """What one process has used so far."""

    command: str
    peak_mb: float  # most resident memory, pages of mapped files included (VmHWM)
    own_mb: float  # resident memory now that no file backs (RssAnon)
    cpu_s: float


@contextmanager
def running(
    command: Sequence[str], *, env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that has ended, with all its children, when the block does.

    What it prints goes to `log`, which begins anew.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(env), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    family = tree(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + END_S
    while (process.poll() is None or any(map(_alive, family))) and time.monotonic() < deadline:
        time.sleep(0.02)
    for one in filter(_alive, family):
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    process.wait(END_S)


def _alive(one: Identity) -> bool:
    found = _stat(one.pid)
    return found is not None and int(found[19]) == one.started and found[0] not in ("Z", "X")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on; see proc_pid_stat(5). None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def tree(pid: int) -> list[Identity]:
    """A process and all that descend from it."""
    children: dict[int, list[Identity]] = {}
    found: list[Identity] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (stat := _stat(int(folder.name))) is not None:
            one = Identity(int(folder.name), int(stat[19]))
            children.setdefault(int(stat[1]), []).append(one)
            if one.pid == pid:
                found.append(one)
    for one in found:  # grows while it is walked
        found += children.get(one.pid, ())
    return found


def use(one: Identity) -> Use | None:
    """What a process has used; None when it is gone."""
    stat = _stat(one.pid)
    try:
        status = Path(f"/proc/{one.pid}/status").read_text()
        command = Path(f"/proc/{one.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    if stat is None or int(stat[19]) != one.started or "VmHWM" not in status:
        return None
    sizes = {key: text.split() for key, _, text in (line.partition(":") for line in status.splitlines())}
    return Use(
        command=command,
        peak_mb=int(sizes["VmHWM"][0]) * 1024 / 1e6,
        own_mb=int(sizes["RssAnon"][0]) * 1024 / 1e6,
        cpu_s=(int(stat[11]) + int(stat[12])) / _TICKS,
    )


def cpu_s(pid: int) -> float:
    """Processor time of a process and its children so far."""
    return sum(used.cpu_s for one in tree(pid) if (used := use(one)) is not None)


class Watch:
    """Follows a process and its children while the block runs, ten times a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[Identity, Use] = {}
        self._own_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        while True:
            now = {one: used for one in tree(self._pid) if (used := use(one)) is not None}
            self._seen.update(now)
            self._own_mb = max(self._own_mb, sum(used.own_mb for used in now.values()))
            if self._done.wait(SAMPLE_S):
                return

    @property
    def peak_mb(self) -> float:
        """The sum of each process's own peak: never less than they took together at any moment."""
        return sum(used.peak_mb for used in self._seen.values())

    @property
    def own_mb(self) -> float:
        """The most that they took together without pages of mapped files, as sampled."""
        return self._own_mb

    @property
    def cpu_s(self) -> float:
        """Processor time of all of them, at least."""
        return sum(used.cpu_s for used in self._seen.values())


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def closed_port() -> Iterator[int]:
    """A TCP port of the loopback that refuses every connection and that nobody else can take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def wait_for_line(process: subprocess.Popen[bytes], log: Path, beginning: str, timeout_s: float) -> str:
    """The first line of a log that begins so. Raises `Unmeasurable` when the process ends before it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        for line in log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith(beginning) and line.endswith("\n"):
                return line.strip()
        if ended:
            break
        time.sleep(0.02)
    raise Unmeasurable(f"{process.args!r} did not say {beginning!r}: {last_lines(log)}")


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for an error."""
    return " / ".join(log.read_text(errors="replace").splitlines()[-count:]) or "it said nothing"
