"""Small honest stand-ins: a provider of made-up items, a client for the loopback, waits that take no time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

import helpers.http
from helpers.errors import HubError, InvalidItem
from helpers.http import HTTPClient, Politeness
from helpers.providers.base import About, Provider, Raw, Report, Unfetched
from helpers.query import SearchQuery
from helpers.records import Morphology
from helpers.state import SQLiteState
from helpers.storage.base import Storage
from helpers.storage.embedded import EmbeddedStorage
from services.refresh import Expectation, RefreshService, Sources
from services.sources import Catalogue, SourceService
from tests.file_server import Answer
from tests.records import morphology

AGENT = "Ammon/test (somebody@example.org)"
SOON_S = 5.0  # how long a test waits for what must happen at once


def loopback_client(**politeness: Any) -> HTTPClient:
    """A client that may ask this machine, without a rate limit and with short pauses."""
    given: dict[str, Any] = {
        "rate": 0,
        "backoff_s": 0.01,
        "retries": 2,
        "timeout_s": 5.0,
        "allow_private": True,
        "hosts": frozenset({"127.0.0.1"}),
    }
    return HTTPClient(AGENT, Politeness(**{**given, **politeness}))


def announcing(content: bytes, length: str, **headers: str) -> Answer:
    """An answer that announces any length, and then closes the line."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", length)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return send


class Clock:
    """Time that passes as ever, and at once where somebody waits; the waits are noted, in seconds."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """See `time.monotonic`."""
        return time.monotonic() + sum(self.waits)

    def time(self) -> float:
        """See `time.time`."""
        return time.time() + sum(self.waits)


class _PassingEvent(threading.Event):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        if timeout and timeout > 0:
            self._clock.waits.append(timeout)
        return self.is_set()


def without_waiting(client: HTTPClient, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a client a clock of its own, on which waiting takes no time; returns its waits, in seconds."""
    clock = Clock()
    client._stop = _PassingEvent(clock)
    monkeypatch.setattr(helpers.http, "time", clock)
    return clock.waits


@contextmanager
def folder_with(mode: int) -> Iterator[Path]:
    """A folder with these rights, which another user can get to; removed afterwards."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "locked"
        folder.mkdir()
        folder.chmod(mode)
        yield folder
        folder.chmod(0o700)


def run_without_rights(script: str, *arguments: str) -> str:
    """What a script prints in a process that may not override the rights of files, whoever runs the tests.

    The script is the body of a function `work()`; its imports are those of the first lines.
    """
    imports, _, work = script.partition("\n---\n")
    lines = [
        *("import os, sys", imports, "def work():", textwrap.indent(work, "    ")),
        *("if os.geteuid() == 0:", "    os.seteuid(65534)", "try:", "    work()"),
        *("except Exception as error:", "    print(type(error).__name__, error)"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), *arguments],
        check=False,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(holds: Callable[[], Any], timeout_s: float = SOON_S) -> None:
    """Wait until something holds; fail when it does not soon."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


Step = Raw | Unfetched | Exception | Callable[[], None]


class FakeProvider(Provider):
    """Yields given items; an exception among them is raised, a function is called. Keeps no state."""

    about: ClassVar[About]

    def __init__(self, steps: Iterable[Step], expected: int | None = None) -> None:
        self.steps = list(steps)
        self.expected = expected
        self.fetches = 0

    def fetch(self, report: Report) -> Iterator[Raw | Unfetched]:
        """See `Provider.fetch`."""
        self.fetches += 1
        if self.expected is not None:
            report(self.expected)
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Raw | Unfetched):
                yield step
            else:
                step()


def fake(key: str, steps: Iterable[Step], expected: int | None = None) -> FakeProvider:
    """A provider of neurons. `Raw.data` has fields of the record, or `broken` with why there can be none."""

    def normalise(raw: Raw) -> Morphology:
        if "broken" in raw.data:
            raise InvalidItem(raw.data["broken"])
        return morphology(int(raw.id), **{"source_id": f"{key}-{raw.id}", **raw.data})

    about = About(
        key=key, title=key.title(), url="https://fake.example", api_docs="-", licence=None, citations=()
    )
    members = {"about": about, "normalise": staticmethod(normalise)}
    provider: FakeProvider = type(f"Fake{key.title()}", (FakeProvider,), members)(steps, expected)
    return provider


def raw(number: int, **fields: Any) -> Raw:
    """One item of a fake source."""
    return Raw(str(number), fields, "https://fake.example")


def raws(count: int, **fields: Any) -> list[Step]:
    """So many items, numbered from 0."""
    return [raw(number, **fields) for number in range(count)]


@dataclass(frozen=True, kw_only=True)
class Hub:
    """What refreshing needs, wired by hand as `app.py` does, over one folder."""

    folder: Path
    storage: Storage
    state: SQLiteState
    statuses: SourceService
    refreshes: RefreshService

    def ids(self) -> list[str]:
        """The ids that are served, in order of their numbers."""
        found = self.storage.walk(SearchQuery(index="dataset"))
        return sorted((one.source_id for one in found), key=lambda name: int(name.rpartition("-")[2]))

    def one(self, key: str, **named: Any) -> HubError | None:
        """Refresh one source; what went wrong."""
        return self.refreshes.refresh([key], **named)[key]


def make_hub(
    folder: Path,
    *providers: FakeProvider,
    expectations: dict[str, Expectation] | None = None,
    storage: Storage | None = None,
    files: Path | None = None,
) -> Hub:
    """A hub over a folder, as a process that starts there has it."""
    sources = {provider.about.key: provider for provider in providers}
    state = SQLiteState(folder / "state.sqlite")
    engine = storage or EmbeddedStorage(folder / "embedded")
    abouts = {key: provider.about for key, provider in sources.items()}
    catalogue = Catalogue(abouts, frozenset(sources), folder / "quarantine")
    statuses = SourceService(catalogue, state, engine)
    service = RefreshService(Sources(sources, expectations or {}, files or folder), engine, state, statuses)
    return Hub(folder=folder, storage=engine, state=state, statuses=statuses, refreshes=service)
