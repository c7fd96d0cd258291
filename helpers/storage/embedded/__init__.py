"""The embedded engine: Tantivy in a folder, no server. Several processes read while one writes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from helpers.errors import StorageUnavailable
from helpers.query import Document, Page, Release, SearchQuery
from helpers.records import INDICES
from helpers.storage.base import Health, Storage
from helpers.storage.embedded import manifest as manifests
from helpers.storage.embedded.schema import ENGINE_VERSION, schema_version
from helpers.storage.embedded.snapshot import IndexSnapshot, Snapshot
from helpers.storage.embedded.writer import Writer

OPEN_ATTEMPTS = 3  # a folder may go between reading the manifest and opening it


class EmbeddedStorage(Storage):
    """Released records below one folder. Constructing it touches nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writer = Writer(root)
        self._lock = threading.Lock()
        self._opened: tuple[object, Snapshot | None] = (None, None)

    def search(self, query: SearchQuery) -> Page:
        """See `Storage.search`."""
        index = self._index(query.index)
        if index is None:
            return Page(total=0, documents=(), facets=dict.fromkeys(query.facets, ()))
        return index.search(query)

    def get(self, index: str, source_ids: Sequence[str]) -> list[Document]:
        """See `Storage.get`."""
        snapshot = self._index(index)
        return snapshot.get(source_ids) if snapshot else []

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        """See `Storage.walk`."""
        index = self._index(query.index)
        return index.walk(query) if index else iter(())

    def suggest(self, index: str, field: str, prefix: str, limit: int = 10) -> list[str]:
        """See `Storage.suggest`."""
        snapshot = self._index(index)
        if snapshot is None:
            return []
        counted = snapshot.facets(SearchQuery(index=index, facets=(field,)))[field]
        folded = prefix.casefold()
        return [value for value, _ in counted if value.casefold().startswith(folded)][:limit]

    def replace(self, source: str, documents: Iterable[tuple[str, Document]], release: Release) -> Release:
        """See `Storage.replace`."""
        return self._writer.replace(source, documents, release)

    def released(self) -> Mapping[str, Release]:
        """See `Storage.released`."""
        snapshot = self._snapshot()
        return snapshot.manifest.releases if snapshot else {}

    def health(self) -> Health:
        """See `Storage.health`."""
        snapshot = self._snapshot()
        counts = dict.fromkeys(INDICES, 0)
        if snapshot:
            counts.update({name: index.count for name, index in snapshot.indices.items()})
        outdated = bool(snapshot and snapshot.manifest.schema != schema_version())
        return Health(engine="tantivy", version=ENGINE_VERSION, counts=counts, rebuilding=outdated)

    def rebuild_if_outdated(self) -> bool:
        """See `Storage.rebuild_if_outdated`."""
        return self._writer.rebuild_if_outdated()

    def _index(self, name: str) -> IndexSnapshot | None:
        snapshot = self._snapshot()
        return snapshot.indices.get(name) if snapshot else None

    def _snapshot(self) -> Snapshot | None:
        """The newest released state, opened once per process and release; None before the first one."""
        mark = self._mark()
        opened_mark, snapshot = self._opened
        if mark == opened_mark:
            return snapshot
        with self._lock:
            if self._opened[0] != mark:
                self._opened = (mark, self._open())
            return self._opened[1]

    def _mark(self) -> object:
        """What changes with each release, and with the process: a searcher must not cross a fork."""
        try:
            status = os.stat(self._root / manifests.FILE)  # noqa: PTH116 - half the time of Path.stat
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnavailable(f"{self._root} cannot be read: {error}") from error
        return os.getpid(), status.st_mtime_ns, status.st_ino

    def _open(self) -> Snapshot | None:
        for attempt in range(OPEN_ATTEMPTS):
            manifest = manifests.load(self._root)
            if manifest is None:
                return None
            try:
                return Snapshot(self._root, manifest)
            except StorageUnavailable:
                if attempt == OPEN_ATTEMPTS - 1:
                    raise
        return None
