"""Around every request: its id, its line in the log, CORS, and headers that browsers want."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestURITooLarge

from routes.arguments import MAX_REQUEST_LINE, too_long

log = logging.getLogger("ammon.requests")

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other sites may call the API."""

    origins: Sequence[str]
    methods: Sequence[str]
    headers: Sequence[str]

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin may read answers."""
        return "*" in self.origins or origin in self.origins


def register_hooks(app: Flask, cors: Cors) -> None:
    """Add what every request passes through."""

    @app.before_request
    def begin() -> None:
        g.begun = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex[:16]
        if len(request.environ.get("RAW_URI") or request.full_path) > MAX_REQUEST_LINE:
            raise RequestURITooLarge(too_long())

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id", "-")
        response.headers["X-Content-Type-Options"] = "nosniff"
        _allow(response, cors)
        took_ms = (time.perf_counter() - g.get("begun", time.perf_counter())) * 1000
        log.info("%s %s %d %.1f ms %s", request.method, _path(), response.status_code, took_ms, g.request_id)
        return response


def _path() -> str:
    """The path as logged: control characters of a client must not write lines of their own."""
    return request.path.encode("unicode_escape").decode()


def _allow(response: Response, cors: Cors) -> None:
    if "*" not in cors.origins:
        response.vary.add("Origin")  # also without one: a cache must not answer others with it
    origin = request.headers.get("Origin")
    if not origin or not cors.allows(origin):
        return
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in cors.origins else origin
    response.headers["Access-Control-Expose-Headers"] = "Content-Disposition, Retry-After, X-Request-ID"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = ", ".join(cors.methods)
        response.headers["Access-Control-Allow-Headers"] = ", ".join(cors.headers)
        response.headers["Access-Control-Max-Age"] = "86400"
