"""What Elasticsearch's refusals say, in one sentence for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from elastic_transport import TransportError
from elasticsearch import ApiError

from helpers.errors import StorageUnavailable

MAX_REASON: Final = 500
_HINTS: Final = {
    "index_closed_exception": "open it again: POST <index>/_open",
    "circuit_breaking_exception": "the server has too little memory for what is asked of it",
    "es_rejected_execution_exception": "the server is overloaded",
    "master_not_discovered_exception": "the cluster has no master node",
}
_FLOOD: Final = "read-only-allow-delete"


class Refusal(Exception):
    """A status that the asker said it can deal with; it never leaves this package."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def cause(body: Any) -> tuple[str, str]:
    """(type, reason) of an error body, down to the first root cause."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str):
        return "", error
    if not isinstance(error, Mapping):
        return "", str(body)[:MAX_REASON]
    return deepest(error)


def deepest(error: Mapping[str, Any]) -> tuple[str, str]:
    """(type, reason) of an error: of its root cause where one is named."""
    roots = error.get("root_cause") or []
    first = next((root for root in roots if isinstance(root, Mapping)), error)
    kind, reason = str(first.get("type", "")), str(first.get("reason", ""))
    inner = error.get("caused_by")
    if isinstance(inner, Mapping) and inner.get("reason") and str(inner["reason"]) not in reason:
        if not roots:
            kind = str(inner.get("type", kind))
        reason = f"{reason}: {inner['reason']}"
    return kind, reason[:MAX_REASON]


def explain(kind: str, reason: str) -> str:
    """The server's words, and what to do where that is known."""
    hint = _HINTS.get(kind)
    if _FLOOD in reason or "flood-stage" in reason:
        hint = "its disk is nearly full; free space, and the server lifts the block by itself"
    return f"{reason} ({hint})" if hint else reason


def of_api(error: ApiError) -> tuple[str, str]:
    """(type, sentence) of an answer with an error status."""
    kind, reason = cause(error.body)
    return kind, f"Elasticsearch answered {error.meta.status}: {explain(kind, reason or kind)}"


def of_transport(error: TransportError) -> str:
    """A sentence for a connection that gave no answer."""
    return f"Elasticsearch does not answer: {str(error)[:MAX_REASON]}"


def whole(answer: Mapping[str, Any]) -> None:
    """Raise `StorageUnavailable` for an answer with status 200 that is not from all of the index."""
    if answer.get("timed_out"):
        raise StorageUnavailable("Elasticsearch did not finish in time")
    shards = answer.get("_shards", {})
    if shards.get("failed") or shards.get("successful") != shards.get("total"):
        failures = shards.get("failures") or [{}]
        _, reason = deepest(failures[0].get("reason") or {})
        raise StorageUnavailable(
            f"{shards.get('failed')} of {shards.get('total')} parts of the index do not answer: {reason}"
        )
