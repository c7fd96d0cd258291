"""The only place that knows which status an error has."""

from __future__ import annotations

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from helpers.errors import (
    BadConfiguration,
    Busy,
    HubError,
    InvalidArguments,
    InvalidItem,
    LeaseHeld,
    NotFound,
    RefreshHeld,
    StorageUnavailable,
    UnsafeAddress,
    UpstreamChanged,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from routes.answers import problem

log = logging.getLogger(__name__)

STATUS: dict[type[HubError], int] = {
    InvalidArguments: 400,
    NotFound: 404,
    LeaseHeld: 409,
    RefreshHeld: 409,
    InvalidItem: 500,
    BadConfiguration: 500,
    UpstreamError: 502,
    UpstreamChanged: 502,
    UpstreamRefused: 502,
    UnsafeAddress: 502,
    UpstreamUnavailable: 502,
    StorageUnavailable: 503,
    Busy: 503,
}


def register_errors(app: Flask) -> None:
    """Answer every failure as problem+json."""
    app.register_error_handler(HubError, _deliberate)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _deliberate(error: HubError) -> Response:
    status = STATUS.get(type(error), 500)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Busy) else {}
    if isinstance(error, StorageUnavailable):
        headers["Retry-After"] = "5"
        log.error("%s %s: %s", request.method, request.path, error)
    return problem(status, HTTP_STATUS_CODES[status], str(error), headers)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if error.response is not None or 300 <= status < 400:  # a redirect is no failure
        return error.get_response()  # type: ignore[return-value]
    headers = {name: value for name, value in error.get_headers() if name not in ("Content-Type",)}
    detail = error.description or ""
    if status == 404:
        detail = f"there is nothing at {request.path}; see /apidocs"
    if status == 405:
        detail = f"{request.method} is not allowed for {request.path}; allowed: {headers.get('Allow', '')}"
    if status == 413:
        detail = f"the body is over {request.max_content_length} bytes"
    return problem(status, error.name, detail, headers)


def _unexpected(error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    return problem(500, "Internal Server Error", "Ammon failed; the log has the reason under this request_id")
