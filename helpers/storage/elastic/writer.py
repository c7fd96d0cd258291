"""Builds the next release's indices beside the served ones and swaps the aliases in one request.

No lock is held: the swap itself states what it replaces (`must_exist`), and Elasticsearch applies it
whole or not at all. Of two writers at once the later one begins by taking the other's unfinished index
away, so that one of them fails cleanly and neither's release is lost; the refresh lease keeps such a
meeting rare. A name is never written twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from helpers.errors import BadConfiguration, StorageUnavailable
from helpers.query import Document, Release
from helpers.records import INDICES
from helpers.storage.elastic.bulk import Rejected
from helpers.storage.elastic.cluster import Cluster
from helpers.storage.elastic.errors import Refusal
from helpers.storage.elastic.layout import FIRST, WRITING, Layout, Meta
from helpers.storage.elastic.making import NewIndex, delete_unfinished
from helpers.storage.elastic.reader import Reader
from helpers.storage.elastic.schema import columns, schema_version

TOLERATED_SHARE: Final = 0.01  # of a source's documents that the server may refuse
TOLERATED: Final = 10  # that may always be refused

log = logging.getLogger(__name__)


class Writer:
    """Writes the indices of one prefix; one release at a time in this process."""

    def __init__(self, cluster: Cluster, reader: Reader) -> None:
        self._cluster = cluster
        self._reader = reader
        self._thread = threading.Lock()
        self._schema = schema_version(cluster.options.shards)

    def replace(
        self,
        source: str,
        documents: Iterable[tuple[str, Document]],
        release: Release,
        rejected: Rejected | None = None,
    ) -> Release:
        """See `ElasticStorage.replace`."""
        with self._thread:
            layout = self._prepared()
            made = _Made(self._cluster, self._reader, layout, self._schema, source)
            try:
                for index, document in documents:
                    made.add(index, document)
                made.send_all()
                _tolerate(made.taken, made.refused)
                released = replace(release, source=source, counts=made.counts())
                before = layout.meta.releases if layout.meta else {}
                self._publish(layout, made.indices, {**before, source: released})
            except BaseException:
                made.discard()
                raise
            for source_id, reason in made.refused:
                (rejected or _log_rejected)(source_id, reason)
            self._clean_up()
            return released

    def rebuild_if_outdated(self) -> bool:
        """See `Storage.rebuild_if_outdated`."""
        meta = self._reader.layout(self._cluster.deadline()).meta
        if meta is None or meta.schema == self._schema:
            return False
        with self._thread:
            layout = self._prepared()
            if layout.meta is None or layout.meta.schema == self._schema:
                return False
            log.info("rebuilding the indices from the stored records: their schema is an older one")
            made = _Made(self._cluster, self._reader, layout, self._schema, None)
            try:
                made.send_all()
                self._publish(layout, made.indices, layout.meta.releases)
            except BaseException:
                made.discard()
                raise
            self._clean_up()
        return True

    def _prepared(self) -> Layout:
        """What is served, after repairing and removing what an interrupted writer left."""
        patience = self._cluster.patience()
        try:
            self._cluster.check_writer(patience)
        except BadConfiguration as error:
            raise StorageUnavailable(str(error)) from error
        layout = self._reader.layout(patience)
        if layout.problem and layout.repair:
            log.warning("%s; it is set now", layout.problem)
            actions = [
                {"add": {"index": name, "alias": alias, "is_write_index": True}}
                for alias, name in layout.repair.items()
            ]
            self._cluster.ask("POST", "/_aliases", {"actions": actions}, deadline=patience)
            layout = self._reader.layout(patience)
        self._remove_unneeded(layout)
        return layout

    def _publish(self, layout: Layout, new: Mapping[str, NewIndex], releases: Mapping[str, Release]) -> None:
        served = {index: item.name for index, item in layout.served.items()}
        names = served | {index: item.name for index, item in new.items()}
        for index, item in new.items():
            expected = sum(release.counts.get(index, 0) for release in releases.values())
            meta = Meta(
                name=item.name,
                schema=self._schema,
                columns=tuple(columns(index)),
                indices=names,
                previous=tuple(sorted(served.values())),
                releases=releases,
            )
            item.complete(meta, expected)
        self._swap(served, {index: item.name for index, item in new.items()})

    def _swap(self, served: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Point the aliases at the new indices, only if they point where they did."""
        actions: list[dict[str, Any]] = []
        for index, name in new.items():
            alias = f"{self._cluster.options.prefix}{index}"
            if index in served:
                actions.append({"remove": {"index": served[index], "alias": alias, "must_exist": True}})
            actions.append({"remove": {"index": name, "alias": f"{name}{WRITING}", "must_exist": True}})
            # A second writer's first release is refused, as an alias has at most one index to write to.
            actions.append({"add": {"index": name, "alias": alias, "is_write_index": True}})
        patience = self._cluster.patience()
        try:
            self._cluster.ask(
                "POST", "/_aliases", {"actions": actions}, deadline=patience, let=(400, 404, 409, 500)
            )
        except Refusal as refusal:  # perhaps of a repetition, after an answer that was lost
            now = {index: item.name for index, item in self._reader.layout(patience).served.items()}
            if any(now.get(index) != name for index, name in new.items()):
                raise StorageUnavailable(
                    f"another process released meanwhile, nothing was changed: {refusal}"
                ) from refusal

    def _clean_up(self) -> None:
        """Remove what is older than the release before; if that fails, the next release does it."""
        with suppress(StorageUnavailable):
            self._remove_unneeded(self._reader.layout(self._cluster.deadline()))

    def _remove_unneeded(self, layout: Layout) -> None:
        """Delete indices that neither what is served nor a late reader of the release before needs."""
        meta = layout.meta
        needed = {item.name for item in layout.served.values()} | set(meta.previous if meta else ())
        for item in layout.physical:
            if item.name in needed:
                continue
            if item.writing:
                log.warning("removing %s, which another writer did not finish", item.name)
                delete_unfinished(self._cluster, item.name)
            else:
                self._cluster.ask(
                    "DELETE",
                    f"/{item.name}",
                    deadline=self._cluster.patience(),
                    params={"ignore_unavailable": "true"},
                )


class _Made:
    """The indices of the next release, in the making."""

    def __init__(
        self, cluster: Cluster, reader: Reader, layout: Layout, schema: str, source: str | None
    ) -> None:
        self._cluster = cluster
        self._reader = reader
        self._layout = layout
        self._schema = schema
        self._source = source
        self.indices: dict[str, NewIndex] = {}
        self.refused: list[tuple[str, str]] = []

    @property
    def taken(self) -> int:
        """Documents of the source that the server took."""
        return sum(item.added for item in self.indices.values())

    def add(self, index: str, document: Document) -> None:
        """Send one document of the source."""
        self._index(index).add(str(self._source), document)

    def send_all(self) -> None:
        """Make also the indices that got no document but change all the same, and wait for all."""
        releases = self._layout.meta.releases if self._layout.meta else {}
        before = releases.get(self._source or "")
        old = before.counts if before else {}
        outdated = self._layout.meta is None or self._layout.meta.schema != self._schema
        for index in INDICES:
            if index == FIRST or outdated or old.get(index):
                self._index(index)
        for item in self.indices.values():
            item.send_all()

    def counts(self) -> dict[str, int]:
        """Documents of the source in each index that has some."""
        counted = {index: item.count_added() for index, item in self.indices.items()}
        return {index: counted[index] for index in INDICES if counted.get(index)}

    def discard(self) -> None:
        """Leave nothing behind, as far as the server answers."""
        for item in self.indices.values():
            item.discard()

    def _index(self, index: str) -> NewIndex:
        if index not in self.indices:
            made = NewIndex(self._cluster, self._reader, self._layout, index, self._schema, self.refused)
            self.indices[index] = made
            made.begin(self._source)
        return self.indices[index]


def _tolerate(taken: int, refused: Sequence[tuple[str, str]]) -> None:
    """Raise `StorageUnavailable` when so much is refused that the index, not the documents, must be wrong."""
    if not refused:
        return
    if not taken or len(refused) > max(TOLERATED, TOLERATED_SHARE * (taken + len(refused))):
        source_id, reason = refused[0]
        raise StorageUnavailable(
            f"Elasticsearch refused {len(refused)} of {taken + len(refused)} records, "
            f"{source_id!r} first: {reason}; nothing was released"
        )


def _log_rejected(source_id: str, reason: str) -> None:
    log.warning("Elasticsearch refused %s: %s", source_id, reason)
