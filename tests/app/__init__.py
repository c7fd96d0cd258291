"""The application as its users see it, asked through its URLs and its commands.

One hub is refreshed once from the example upstream and asked by most tests; the helpers here read answers.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
