"""One index of the next release: cloned or new, filled, counted, described and blocked against writing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from helpers.errors import StorageUnavailable
from helpers.query import Document
from helpers.storage.elastic.bulk import BulkSender, Item
from helpers.storage.elastic.cluster import Cluster, Deadline
from helpers.storage.elastic.errors import Refusal, whole
from helpers.storage.elastic.layout import WRITING, Layout, Meta, Physical, new_name
from helpers.storage.elastic.reader import Reader
from helpers.storage.elastic.schema import DocumentBuilder, document_id, mapping, settings

COPY_COST: Final = 3  # deleting from a clone is about so many times faster than copying, per document
DELETE_AT_ONCE: Final = 20_000  # so that each request ends soon
LONGEST_WAIT_S: Final = 20.0  # for a place on a node
EXISTS: Final = "resource_already_exists_exception"


class NewIndex:
    """One index in the making; nobody reads it before the aliases are swapped."""

    def __init__(
        self,
        cluster: Cluster,
        reader: Reader,
        layout: Layout,
        index: str,
        schema: str,
        refused: list[tuple[str, str]],
    ) -> None:
        self._cluster = cluster
        self._reader = reader
        self._served: Physical | None = layout.served.get(index)
        self._meta = layout.meta
        self._schema = schema
        self._refused = refused
        revision = max((item.revision for item in layout.physical), default=0) + 1
        self.name = new_name(cluster.options.prefix, index, revision)
        self._index = index
        self._builder = DocumentBuilder(index)
        self._sender = BulkSender(cluster, f"{self.name}{WRITING}", self._reject)
        self._replaced: str | None = None
        self._copied = 0

    @property
    def added(self) -> int:
        """Documents taken, without those copied from the index before."""
        return self._sender.taken - self._copied

    def begin(self, replaced: str | None) -> None:
        """Make the index, with all that is released except what belongs to the replaced source."""
        self._replaced = replaced
        if self._served is None:
            self._create()
        elif self._copying_is_cheaper(self._served):
            self._create()
            for source, document in self._reader.of_index(self._served, replaced):
                self.add(source, document)
                self._copied += 1
        else:
            self._clone(self._served)
            if replaced is not None:
                self._delete_of(replaced)

    def add(self, source: str, document: Document) -> None:
        """Send one document; an error about a body that is no record goes to the caller."""
        line = self._builder.build(source, document)
        self._sender.add(source, document.source_id, document_id(source, document.source_id), line)

    def send_all(self) -> None:
        """Wait until the server has all documents, and make them countable."""
        self._sender.finish()
        self._ask("POST", f"/{self.name}/_refresh")

    def count(self, source: str | None = None) -> int:
        """Documents of a source, or all."""
        body = {"query": {"term": {"from_source": source}}} if source else None
        answer = self._ask("POST", f"/{self.name}/_count", body)
        whole(answer)
        return int(answer["count"])

    def count_added(self) -> int:
        """Documents of the replaced source; of those with one id the last one counts."""
        found = self.count(self._replaced)
        if not self._sender.created - self._copied <= found <= self.added:
            raise StorageUnavailable(
                f"{self.name} holds {found} records of {self._replaced} after {self.added} were sent"
            )
        return found

    def complete(self, meta: Meta, expected: int) -> None:
        """Check the count, say what the index is, and forbid writing. What is served is durable."""
        found = self.count()
        if found != expected:
            raise StorageUnavailable(
                f"{self.name} holds {found} records instead of {expected}; nothing is released"
            )
        self._ask("PUT", f"/{self.name}/_mapping", {"_meta": meta.to_json()})
        self._ask("POST", f"/{self.name}/_flush", params={"wait_if_ongoing": "true"})
        self._ask("PUT", f"/{self.name}/_block/write")

    def discard(self) -> None:
        """Delete the index unless it has come to be served."""
        self._sender.abandon()
        with suppress(StorageUnavailable):
            delete_unfinished(self._cluster, self.name, self._cluster.deadline())

    def _copying_is_cheaper(self, served: Physical) -> bool:
        if served.meta is None or served.meta.schema != self._schema or self._meta is None:
            return True
        if served.shards != self._cluster.options.shards:
            return True
        counts = {source: made.counts.get(self._index, 0) for source, made in self._meta.releases.items()}
        replaced = counts.pop(self._replaced, 0) if self._replaced else 0
        return replaced > 0 and COPY_COST * sum(counts.values()) < replaced

    def _create(self) -> None:
        options = self._cluster.options
        self._made(
            "PUT",
            f"/{self.name}",
            {
                "settings": settings(options.shards, options.replicas),
                "mappings": mapping(self._index),
                "aliases": {f"{self.name}{WRITING}": {}},
            },
        )

    def _clone(self, served: Physical) -> None:
        if not served.blocked:
            self._ask("PUT", f"/{served.name}/_block/write")
        overridden = {
            "index.number_of_replicas": self._cluster.options.replicas,
            "index.blocks.write": None,
            "index.blocks.read_only_allow_delete": None,
        }
        aliases: dict[str, Any] = {f"{self.name}{WRITING}": {}}
        self._made("PUT", f"/{served.name}/_clone/{self.name}", {"settings": overridden, "aliases": aliases})

    def _made(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Make the index and wait until it can be written."""
        wait = f"{int(min(LONGEST_WAIT_S, self._cluster.options.write_timeout_s / 3) * 1000)}ms"
        try:
            self._ask(method, path, body, params={"timeout": wait}, let=(400,))
        except Refusal as refusal:  # our own earlier question may have arrived though its answer did not
            if refusal.kind != EXISTS:
                raise StorageUnavailable(str(refusal)) from refusal
        try:
            params = {"wait_for_status": "yellow", "timeout": wait}
            self._ask("GET", f"/_cluster/health/{self.name}", params=params, let=(408,))
        except Refusal as refusal:
            raise StorageUnavailable(
                f"Elasticsearch does not find a place for {self.name}; see GET /_cluster/allocation/explain"
            ) from refusal

    def _delete_of(self, source: str) -> None:
        """Delete a source's documents in steps, each of which may be repeated."""
        body = {"query": {"term": {"from_source": source}}, "max_docs": DELETE_AT_ONCE}
        params = {"refresh": "true", "conflicts": "proceed"}
        while True:
            done = self._ask("POST", f"/{self.name}{WRITING}/_delete_by_query", body, params=params)
            if done.get("timed_out") or done.get("failures"):
                raise StorageUnavailable(
                    f"Elasticsearch could not delete old records: {done.get('failures') or 'timed out'}"
                )
            if not done["total"]:
                return

    def _reject(self, item: Item, reason: str) -> None:
        """What is released already must not get lost; what is new may be refused."""
        if item.source != self._replaced:
            raise StorageUnavailable(
                f"Elasticsearch refused the released record {item.source_id!r}: {reason}"
            )
        self._refused.append((item.source_id, reason))

    def _ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self._cluster.ask(method, path, body, deadline=self._cluster.patience(), **more)


def delete_unfinished(cluster: Cluster, name: str, deadline: Deadline | None = None) -> None:
    """Delete an index in the making, whoever made it, only if it has not come to be served meanwhile.

    Taking its `-writing` alias away makes its writer's swap fail; a swap that came first makes this fail.
    """
    deadline = deadline or cluster.patience()
    claim = {"remove": {"index": name, "alias": f"{name}{WRITING}", "must_exist": True}}
    try:
        cluster.ask("POST", "/_aliases", {"actions": [claim]}, deadline=deadline, let=(400, 404, 409))
        cluster.ask("DELETE", f"/{name}", deadline=deadline, let=(404,))
    except Refusal:
        return  # it is gone, or it is served
