"""The application as its users see it, asked through its URLs and its commands.

One hub is refreshed once from the example upstream and asked by most tests; the helpers here read answers.
`Hub` runs real servers and commands, for tests/test_processes.py.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from injector import Binder, Module, singleton
from werkzeug.test import TestResponse

from config.settings import HippocampomeSettings, ModelDBSettings, NeuroMorphoSettings, Settings
from config.values import Expected
from helpers.errors import StorageUnavailable
from helpers.example_upstream import ExampleUpstream
from helpers.query import Document, Page, Release, SearchQuery
from helpers.storage.base import Health, Storage

INDICES = ("dataset", "model")
PAGE_KEYS = {"total", "total_page", "items", "page", "size"}
PROBLEM_KEYS = {"type", "title", "status", "detail", "request_id"}
SOURCES = ("neuromorpho", "hippocampome", "modeldb", "internal")


def settings_for(
    folder: Path, upstream: ExampleUpstream, *, expected: Mapping[str, Expected] | None = None, **more: Any
) -> Settings:
    """Settings of a hub that refreshes from the example upstream into a folder."""

    def section(key: str) -> dict[str, Any]:
        return {
            "base_url": upstream.base(key),
            "rate": 0.0,
            "retries": 0,
            "timeout_s": 10.0,
            "expected": (expected or {}).get(key, Expected(0)),
        }

    given: dict[str, Any] = {
        "data_dir": folder,
        "allow_private_upstreams": True,
        "log_level": "WARNING",
        "neuromorpho": NeuroMorphoSettings(**section("neuromorpho")),
        "hippocampome": HippocampomeSettings(**section("hippocampome")),
        "modeldb": ModelDBSettings(**section("modeldb")),
    }
    return Settings(**(given | more))


def all_items(client: FlaskClient, index: str) -> list[dict[str, Any]]:
    """Every record of an index, by name."""
    answer = client.get(f"/search/{index}/all")
    assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items


def ids(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of records, in their order."""
    return [item["source_id"] for item in items]


def found(response: TestResponse) -> list[str]:
    """The ids of a page that was answered with 200."""
    assert response.status_code == 200, response.get_data(as_text=True)[:500]
    return ids(response.get_json()["items"])


def problem(response: TestResponse, status: int, *named: str) -> dict[str, Any]:
    """The body of an error of this status, in the one shape, whose detail holds every `named` text."""
    shown = response.get_data(as_text=True)[:500]
    assert response.status_code == status, f"{response.status_code} instead of {status}: {shown}"
    assert response.mimetype == "application/problem+json", f"{response.mimetype}: {shown}"
    body: dict[str, Any] = response.get_json()
    assert body.keys() == PROBLEM_KEYS, shown
    assert body["status"] == status, shown
    assert body["request_id"] == response.headers["X-Request-ID"], shown
    missing = [text for text in named if text not in body["detail"]]
    assert not missing, f"{missing} not in {body['detail']!r}"
    return body


def files_of(response: TestResponse) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """(content by name, rows of the manifest) of a zip that was answered."""
    assert response.status_code == 200, response.get_data(as_text=True)[:500]
    with zipfile.ZipFile(io.BytesIO(response.get_data())) as archive:
        assert archive.testzip() is None, "a file of the zip is damaged"
        names = archive.namelist()
        assert len(names) == len(set(names)), f"a name comes twice: {names}"
        content = {name: archive.read(name) for name in names}
    rows = list(csv.DictReader(io.StringIO(content["manifest.csv"].decode())))
    return content, rows


class Outage(Storage):
    """An engine that cannot answer anything now."""

    def _down(self) -> Any:
        raise StorageUnavailable("the engine is starting")

    def search(self, query: SearchQuery) -> Page:
        return self._down()

    def get(self, index: str, source_ids: Sequence[str]) -> list[Document]:
        return self._down()

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        return self._down()

    def suggest(self, index: str, field: str, prefix: str, limit: int = 10) -> list[str]:
        return self._down()

    def replace(self, source: str, documents: Iterable[tuple[str, Document]], release: Release) -> Release:
        return self._down()

    def released(self) -> Mapping[str, Release]:
        return self._down()

    def health(self) -> Health:
        return self._down()

    def rebuild_if_outdated(self) -> bool:
        return self._down()


class With(Module):
    """Another storage in the place of the one that the settings name."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def configure(self, binder: Binder) -> None:
        binder.bind(Storage, to=self._storage, scope=singleton)


# Real processes

ROOT = Path(__file__).resolve().parents[2]
GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "app:create_app()"]
FLASK = [sys.executable, "-m", "flask", "--app", "app"]
SITES = ("neuromorpho", "hippocampome", "modeldb")
TICK_S = 0.05


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value of a condition; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(TICK_S)
    pytest.fail(f"not within {seconds} s: {what}")


class Hub:
    """One data folder with what runs on it: servers and commands, all with the same environment."""

    def __init__(self, folder: Path, bases: dict[str, str], **settings: object) -> None:
        self.data = folder / "var"
        self.log = folder / "log"
        self.port = free_port()
        (folder / "config").mkdir(exist_ok=True)
        given: dict[str, object] = {
            "CONFIG_DIR": folder / "config",
            "DATA_DIR": self.data,
            "PORT": self.port,
            "WORKERS": 2,
            "ALLOW_PRIVATE_UPSTREAMS": "true",
            **{f"{site.upper()}_BASE_URL": base for site, base in bases.items()},
            **{f"{site.upper()}_{key}": "0" for site in SITES for key in ("RATE", "RETRIES")},
            **{f"{site.upper()}_EXPECTED": "0-" for site in SITES},
            **settings,
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AMMON_")}
        self.environment = inherited | {f"AMMON_{key}": str(value) for key, value in given.items()}
        self.started: list[subprocess.Popen[bytes]] = []

    def serve(self, command: list[str] | None = None, **more: str) -> subprocess.Popen[bytes]:
        """Start a server as the leader of a process group, as a terminal does."""
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                command or GUNICORN,
                cwd=ROOT,
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(server)
        return server

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command until its end."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def get(self, path: str, port: int | None = None) -> tuple[int, Any]:
        """(status, body) of an answer; status 0 while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        try:
            connection.request("GET", path)
            with connection.getresponse() as response:
                return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def total(self, index: str = "dataset") -> int | None:
        """How many records are served; None while nobody answers."""
        status, body = self.get(f"/search/{index}")
        return int(body["total"]) if status == 200 else None

    def sources(self) -> dict[str, dict[str, Any]]:
        """`/sources` by key; empty while nobody answers."""
        status, body = self.get("/sources")
        return {source["key"]: source for source in body} if status == 200 else {}

    def states(self) -> set[str]:
        return {source["state"] for source in self.sources().values()}

    def processes(self) -> dict[int, str]:
        """(id, command line) of every living process with our data folder."""
        mark = b"\0AMMON_DATA_DIR=" + str(self.data).encode() + b"\0"
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in b"\0" + (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = command
        return {number: command for number, command in found.items() if command}

    def refreshers(self) -> list[int]:
        return [number for number, command in self.processes().items() if " refresher" in command]

    def told(self) -> str:
        """The log of the servers so far."""
        return self.log.read_text() if self.log.exists() else ""

    def ends(self, server: subprocess.Popen[bytes], seconds: float) -> None:
        """Fail unless a server and all its processes end by themselves in time."""
        begun = time.monotonic()
        try:
            server.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still there after {seconds} s: {self.processes()}")
        rest = max(0.3, seconds - (time.monotonic() - begun))
        wait_for(f"no process left, but {self.processes()}", lambda: not self.processes(), rest)

    def kill_all(self) -> None:
        """End everything of ours at once, the way a power cut does."""
        for number in self.processes():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for server in self.started:
            server.wait(10)


@contextmanager
def hub_at(folder: Path, bases: dict[str, str], **settings: object) -> Iterator[Hub]:
    """A hub whose processes are ended whatever happens."""
    hub = Hub(folder, bases, **settings)
    try:
        yield hub
    except BaseException:
        print(hub.told()[-5_000:])  # pytest shows it with the failure
        raise
    finally:
        hub.kill_all()
