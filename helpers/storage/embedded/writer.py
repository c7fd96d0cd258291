"""Builds the next state of the embedded indices beside the served one and publishes it in one rename.

A new state begins as a copy of the served folder by hard links (Tantivy never changes a segment file), so
it costs what changes. Until the manifest names it, nobody reads it; what a killed writer leaves is removed
by the next one.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson
import tantivy

from helpers.errors import StorageUnavailable
from helpers.facets import warm_facets
from helpers.fields import FIELDS
from helpers.query import Document, Release, SearchQuery
from helpers.records import INDICES
from helpers.storage.embedded import manifest as manifests
from helpers.storage.embedded.manifest import Manifest
from helpers.storage.embedded.schema import (
    DocumentBuilder,
    build_schema,
    column,
    schema_version,
    stored_as_keyword,
    stored_as_number,
    tokenizer,
)
from helpers.storage.embedded.snapshot import WARM_FILE, IndexSnapshot, engine_errors, open_index

HEAP_BYTES: Final = 100_000_000
THREADS: Final = 1
COPIED: Final = ("meta.json", ".managed.json")  # all other files of an index are never changed in place

log = logging.getLogger(__name__)


class Writer:
    """Writes below one root; one at a time over all threads and processes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._thread = threading.Lock()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the writer's lock; the kernel frees it when its holder dies."""
        with self._thread:
            self._root.mkdir(parents=True, exist_ok=True)
            with (self._root / "writer.lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    def replace(self, source: str, documents: Iterable[tuple[str, Document]], release: Release) -> Release:
        """See `Storage.replace`."""
        with _write_errors(), self._alone():
            current = self._current()
            new: dict[str, _NewIndex] = {}
            try:
                for index in INDICES:  # both, so that what a source no longer has goes
                    new[index] = _NewIndex(self._root, index, current, source)
                for index, document in documents:
                    new[index].add(source, document)
                counts = {index: item.added for index, item in new.items() if item.added}
                made = replace(release, source=source, counts=counts)
                self._publish(current, new, {**current.releases, source: made})
            except BaseException:
                for item in new.values():
                    item.discard()
                raise
            return made

    def rebuild_if_outdated(self) -> bool:
        """See `Storage.rebuild_if_outdated`."""
        served = manifests.load(self._root)
        if served is None or served.schema == schema_version():
            return False
        with _write_errors(), self._alone():
            self._current()
        return True

    def _current(self) -> Manifest:
        """The served manifest, rebuilt first when its schema is not this program's."""
        current = manifests.load(self._root) or Manifest()
        self._remove_leftovers(current)
        if current.folders and current.schema != schema_version():
            log.info("rebuilding the indices from the stored records: their schema is an older one")
            current = self._rebuild(current)
        return current

    def _rebuild(self, old: Manifest) -> Manifest:
        new: dict[str, _NewIndex] = {}
        try:
            for index, folder in old.folders.items():
                new[index] = _NewIndex(self._root, index, replace(old, folders={}), None)
                snapshot = IndexSnapshot(index, self._root / folder, old.columns[index])
                for source, document in snapshot.of_source():
                    new[index].add(source, document)
            return self._publish(old, new, old.releases)
        except BaseException:
            for item in new.values():
                item.discard()
            raise

    def _publish(
        self, current: Manifest, new: Mapping[str, _NewIndex], releases: Mapping[str, Release]
    ) -> Manifest:
        for item in new.values():
            item.finish()
        made = Manifest(
            revision=current.revision + 1,
            schema=schema_version(),
            folders={index: item.folder.name for index, item in new.items()},
            columns={index: item.columns for index, item in new.items()},
            previous=tuple(current.folders.values()),
            releases=releases,
        )
        manifests.publish(self._root, made)
        return made

    def _remove_leftovers(self, current: Manifest) -> None:
        """Delete folders that neither the manifest nor a late reader of the one before needs."""
        needed = {*current.folders.values(), *current.previous}
        for folder in self._root.iterdir():
            if folder.is_dir() and folder.name not in needed:
                shutil.rmtree(folder)


class _NewIndex:
    """One index of the next state, in the making."""

    def __init__(self, root: Path, index: str, current: Manifest, replaced: str | None) -> None:
        self.added = 0
        self.folder = root / f"{index}-{current.revision + 1:08d}"
        self._index_name = index
        self._builder = DocumentBuilder(index)
        self.columns = _column_names(index)
        served = current.folders.get(index)
        self.folder.mkdir()
        with engine_errors():
            if served is None:
                made = tantivy.Index(build_schema(index), path=str(self.folder))
                made.register_tokenizer("words", tokenizer())
            else:
                _link_files(root / served, self.folder)
                made = open_index(self.folder)
            self._writer = made.writer(HEAP_BYTES, THREADS)
            if replaced is not None:
                self._writer.delete_documents_by_term("from_source", replaced)

    def add(self, source: str, document: Document) -> None:
        """Add one document; `ValueError` of a body that is no record goes to the caller."""
        made = self._builder.build(source, document)
        try:
            self._writer.add_document(made)
        except ValueError as error:  # Tantivy's thread has died: no room, most likely
            raise StorageUnavailable(f"the index cannot be written: {error}") from error
        self.added += 1

    def finish(self) -> None:
        """Commit durably and count the facets that everybody asks for."""
        with engine_errors():
            self._writer.commit()
            self._writer.wait_merging_threads()
        snapshot = IndexSnapshot(self._index_name, self.folder, self.columns)
        warm = []
        for data_type, names in warm_facets(self._index_name):
            query = SearchQuery(index=self._index_name, data_type=data_type, facets=names)
            warm.append((data_type, names, snapshot.facets(query)))
        (self.folder / WARM_FILE).write_bytes(orjson.dumps(warm))

    def discard(self) -> None:
        """Leave nothing behind; an uncommitted writer has published nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _column_names(index: str) -> tuple[str, ...]:
    stored = (spec for spec in FIELDS[index].values() if stored_as_keyword(spec) or stored_as_number(spec))
    return tuple(column(spec.name) for spec in stored)


def _link_files(served: Path, folder: Path) -> None:
    """Copy an index by hard links, or really where the file system has none."""
    for path in served.iterdir():
        if path.name in COPIED:
            shutil.copy2(path, folder / path.name)
        elif not path.name.endswith(".lock") and path.name != WARM_FILE:
            try:
                os.link(path, folder / path.name)
            except OSError:
                shutil.copy2(path, folder / path.name)


@contextmanager
def _write_errors() -> Iterator[None]:
    """Name what could not be written: a full disk, a folder without rights."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"the index cannot be written: {error}") from error
