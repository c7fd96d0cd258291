"""Sends documents by `_bulk` in chunks of bytes, reading the fate of each one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import orjson

from helpers.errors import StorageUnavailable
from helpers.storage.elastic.cluster import BUSY, LINES_TYPE, Cluster, Deadline
from helpers.storage.elastic.errors import Refusal, deepest, explain

CHUNK_BYTES: Final = 5_000_000
CHUNK_ITEMS: Final = 5_000

Rejected = Callable[[str, str], None]  # told the source_id and the server's reason


class Item(NamedTuple):
    """One document on its way."""

    source_id: str
    lines: bytes  # action and document
    source: str


class BulkSender:
    """Fills one index. While one chunk is under way the next one is collected.

    An item refused as busy is sent again alone, with a growing pause, and a request that is too much in
    smaller parts; one that the server cannot take
    (400) goes to `rejected`; any other refusal ends the release with `StorageUnavailable`.
    """

    def __init__(self, cluster: Cluster, target: str, rejected: Callable[[Item, str], None]) -> None:
        self._cluster = cluster
        self._path = f"/{target}/_bulk"
        self._rejected = rejected
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bulk")
        self._sending: Future[None] | None = None
        self._deadline = cluster.patience()  # of the chunk that is under way
        self._chunk: list[Item] = []
        self._bytes = 0
        self.created = 0  # ids that were new
        self.taken = 0  # documents taken, an id given twice counted twice

    def add(self, source: str, source_id: str, document_id: str, document: bytes) -> None:
        """Send one document, soon. Raises what went wrong with those before."""
        lines = orjson.dumps({"index": {"_id": document_id}}) + b"\n" + document
        self._chunk.append(Item(source_id, lines, source))
        self._bytes += len(lines)
        if self._bytes >= CHUNK_BYTES or len(self._chunk) >= CHUNK_ITEMS:
            self._hand_over()

    def finish(self) -> None:
        """Wait until all documents have been taken or rejected."""
        self._hand_over()
        self._wait()
        self._pool.shutdown()

    def abandon(self) -> None:
        """Send nothing more, and do not wait for a busy server."""
        self._chunk = []
        self._deadline.end()
        self._pool.shutdown(cancel_futures=True)

    def _hand_over(self) -> None:
        self._wait()
        if self._chunk:
            chunk, self._chunk, self._bytes = self._chunk, [], 0
            self._sending = self._pool.submit(self._send, chunk)

    def _wait(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    def _send(self, chunk: Sequence[Item]) -> None:
        deadline, attempt = self._cluster.patience(), 0
        self._deadline = deadline
        pending = list(chunk)
        while pending:
            try:
                answer = self._ask(pending, deadline)
            except Refusal as refusal:  # the request as a whole: too long, or more than the server can hold
                attempt += 1
                if refusal.status == 413 and len(pending) == 1:
                    self._rejected(pending[0], str(refusal))
                    return
                if refusal.status == 429 and not deadline.pause(attempt):
                    raise StorageUnavailable(str(refusal)) from refusal
                if len(pending) > 1:
                    middle = len(pending) // 2
                    self._send(pending[:middle])
                    self._send(pending[middle:])
                    return
                continue
            busy, reason = self._sorted_out(pending, answer)
            attempt = attempt + 1 if len(busy) == len(pending) else 1
            pending = busy
            if pending and not deadline.pause(attempt):
                raise StorageUnavailable(f"Elasticsearch took no more documents: {reason}")

    def _ask(self, items: Sequence[Item], deadline: Deadline) -> dict[str, Any]:
        answer: dict[str, Any] = self._cluster.ask(
            "POST",
            self._path,
            b"\n".join(item.lines for item in items),
            deadline=deadline,
            params={"require_alias": "true", "filter_path": "items.*.status,items.*.error,items.*.result"},
            headers=LINES_TYPE,
            let=(413, 429),
        )
        return answer

    def _sorted_out(self, sent: Sequence[Item], answer: dict[str, Any]) -> tuple[list[Item], str]:
        """(what to send again, why), from the fate of each item, which come in the order sent."""
        fates = [next(iter(item.values())) for item in answer.get("items", ())]
        if len(fates) != len(sent):
            raise StorageUnavailable(f"Elasticsearch answered {len(fates)} of {len(sent)} documents")
        busy, reason = [], ""
        for item, fate in zip(sent, fates, strict=True):
            status = int(fate["status"])
            if status < 300:
                self.taken += 1
                self.created += fate.get("result") == "created"
                continue
            kind, said = deepest(fate.get("error") or {})
            said = explain(kind, said)
            if status == 400:
                self._rejected(item, f"{kind}: {said}")
            elif status in BUSY and kind != "cluster_block_exception":
                busy.append(item)
                reason = said
            else:
                raise StorageUnavailable(f"Elasticsearch refused {item.source_id} ({status}): {said}")
        return busy, reason
