"""Shapes of answers: pages of records as raw JSON, problems as RFC 9457."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from flask import Response, g

from helpers.query import Document, Page, SearchQuery

JSON = "application/json"
PROBLEM = "application/problem+json"


def json_answer(value: Any, status: int = 200) -> Response:
    """Any value as JSON."""
    return Response(orjson.dumps(value), status=status, mimetype=JSON)


def page_answer(page: Page, query: SearchQuery, incomplete: Sequence[str]) -> Response:
    """The ancestor's page: records are stored as the JSON that is shown, so nothing is parsed."""
    head = {
        "total": page.total,
        "total_page": -(-page.total // query.hits),
        "page": query.page,
        "size": query.hits,
        **({"facets": _facets(page)} if query.facets else {}),
        **({"incomplete": list(incomplete)} if incomplete else {}),
    }
    items = b",".join(document.body for document in page.documents)
    return Response(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}", mimetype=JSON)


def all_answer(documents: Iterator[Document], incomplete: Sequence[str], counted: Page | None) -> Response:
    """Every match, streamed in constant memory; total and facets stand at the end."""
    tail = {
        **({"facets": _facets(counted)} if counted else {}),
        **({"incomplete": list(incomplete)} if incomplete else {}),
    }
    first = next(documents, None)  # an engine that cannot answer says so before the status is sent
    return Response(_streamed(first, documents, tail), mimetype=JSON)


def _streamed(
    first: Document | None, documents: Iterator[Document], tail: Mapping[str, Any]
) -> Iterator[bytes]:
    yield b'{"items":['
    total = 0
    if first is not None:
        total = 1
        yield first.body
    for piece, count in _joined(documents):
        total += count
        yield piece
    yield b"]," + orjson.dumps({"total": total, **tail})[1:]


def _joined(documents: Iterable[Document], batch: int = 200) -> Iterator[tuple[bytes, int]]:
    """Records in pieces of some hundred kilobytes: one write to the socket each."""
    waiting: list[bytes] = []
    for document in documents:
        waiting += (b",", document.body)
        if len(waiting) >= 2 * batch:
            yield b"".join(waiting), len(waiting) // 2
            waiting = []
    yield b"".join(waiting), len(waiting) // 2


def _facets(page: Page) -> dict[str, Any]:
    return {
        name: [{"value": value, "count": count} for value, count in counted]
        for name, counted in page.facets.items()
    }


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as RFC 9457 says; `request_id` finds it in the log."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id"),
    }
    return Response(orjson.dumps(body), status=status, mimetype=PROBLEM, headers=dict(headers or {}))
