"""Requests and replies as the example sites see them: values, without sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json;charset=UTF-8"
HTML: Final = "text/html; charset=UTF-8"
TEXT: Final = "text/plain; charset=UTF-8"
BINARY: Final = "application/octet-stream"

Item = dict[str, Any]  # a record, as JSON


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; `path` is below the site's base URL and still percent-encoded."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    target: str  # path with its query, as sent
    body: bytes
    headers: Mapping[str, str]

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    body: bytes
    status: int = 200
    kind: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False  # announce the whole body, send half of it and hang up


class RefusalError(Exception):
    """A request that a site answers with an error; carries the reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def as_json(value: object, status: int = 200, kind: str = JSON, indent: int | None = None) -> Reply:
    """A value as JSON; characters beyond ASCII stay as they are."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return Reply(text.encode("utf-8", "surrogatepass"), status, kind)


def html(text: str, status: int = 200) -> Reply:
    """A web page."""
    return Reply(text.encode(), status, HTML)


def plain(text: str, status: int = 200) -> Reply:
    """A plain text."""
    return Reply(text.encode(), status, TEXT)
