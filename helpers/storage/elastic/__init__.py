"""The engine for those who outgrow one machine: Elasticsearch 8 or 9, any number of stateless processes.

docs/decisions/0006-elasticsearch-engine.md says how a release is made and read, and where it differs
from the embedded engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from helpers.query import Document, Page, Release, SearchQuery
from helpers.records import INDICES
from helpers.storage.base import Health, Storage
from helpers.storage.elastic.bulk import Rejected
from helpers.storage.elastic.cluster import Cluster
from helpers.storage.elastic.options import ElasticOptions
from helpers.storage.elastic.reader import Reader
from helpers.storage.elastic.schema import schema_version
from helpers.storage.elastic.writer import Writer

__all__ = ["ElasticOptions", "ElasticStorage", "Rejected"]


class ElasticStorage(Storage):
    """Released records in one cluster below one prefix. Constructing it connects to nothing."""

    def __init__(self, options: ElasticOptions) -> None:
        self._cluster = Cluster(options)
        self._reader = Reader(self._cluster)
        self._writer = Writer(self._cluster, self._reader)
        self._schema = schema_version(options.shards)

    def check(self, *, writes: bool = False) -> str:
        """The server's version, when it and our rights there will do.

        Raises `BadConfiguration` for what waiting will not cure, with what to do, and
        `StorageUnavailable` for a server that does not answer yet.
        """
        deadline = self._cluster.deadline()
        if writes:
            self._cluster.check_writer(deadline)
        return self._cluster.version(deadline)

    def search(self, query: SearchQuery) -> Page:
        """See `Storage.search`."""
        return self._reader.search(query)

    def get(self, index: str, source_ids: Sequence[str]) -> list[Document]:
        """See `Storage.get`."""
        return self._reader.get(index, source_ids)

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        """See `Storage.walk`."""
        return self._reader.walk(query)

    def suggest(self, index: str, field: str, prefix: str, limit: int = 10) -> list[str]:
        """See `Storage.suggest`."""
        return self._reader.suggest(index, field, prefix, limit)

    def replace(
        self,
        source: str,
        documents: Iterable[tuple[str, Document]],
        release: Release,
        rejected: Rejected | None = None,
    ) -> Release:
        """See `Storage.replace`. A document that the server cannot take is left out of the release.

        `rejected` is told its source_id and the server's reason, after the release; by default they are
        logged. When the server takes none of the documents, or refuses more than one in a hundred (and
        more than ten), nothing is released and `StorageUnavailable` is raised.
        """
        return self._writer.replace(source, documents, release, rejected)

    def released(self) -> Mapping[str, Release]:
        """See `Storage.released`."""
        meta = self._reader.layout(self._cluster.deadline()).meta
        return meta.releases if meta else {}

    def health(self) -> Health:
        """See `Storage.health`."""
        deadline = self._cluster.deadline()
        layout = self._reader.layout(deadline)
        meta = layout.meta
        counts = dict.fromkeys(INDICES, 0)
        for index in layout.served:
            counts[index] = self._reader.search(SearchQuery(index=index, hits=0)).total
        return Health(
            engine="elasticsearch",
            version=self._cluster.version(deadline),
            counts=counts,
            rebuilding=bool(meta and meta.schema != self._schema),
        )

    def rebuild_if_outdated(self) -> bool:
        """See `Storage.rebuild_if_outdated`."""
        return self._writer.rebuild_if_outdated()
