"""What routes read of a request: a JSON body or a query string, checked for shape and encoding."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from flask import request
from werkzeug.exceptions import RequestURITooLarge, UnsupportedMediaType

from helpers.errors import InvalidArguments
from helpers.search_args import arguments_of_query_string

MAX_REQUEST_LINE = 8_190  # bytes; gunicorn's own upper bound


def search_arguments(index: str) -> dict[str, Any]:
    """The arguments of a search: the query string, and for POST the JSON object in the body over it."""
    arguments = arguments_of_query_string(index, query_pairs())
    if request.method == "POST":
        arguments.update(json_object())
    return arguments


def query_pairs() -> list[tuple[str, str]]:
    """The query string's names and values. Raises `InvalidArguments` where it is no UTF-8."""
    raw = request.query_string
    if len(raw) > MAX_REQUEST_LINE:
        raise RequestURITooLarge(too_long())
    try:
        return parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidArguments(f"the query string is not UTF-8: {error}") from error
    except ValueError as error:  # more fields than Python's parser takes
        raise InvalidArguments(f"the query string cannot be read: {error}") from error


def json_object() -> dict[str, Any]:
    """The JSON object of the body; a missing body and `null` are an empty one."""
    body = request.get_data()
    if not body.strip():
        return {}
    if not request.is_json:
        raise UnsupportedMediaType(
            f"the body is {request.mimetype or 'of no type'}, application/json is allowed"
        )
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise InvalidArguments(f"the body is no JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArguments(f"the body is {str(value)[:80]!r}, a JSON object is allowed")
    return value


def too_long() -> str:
    """What to do instead of a long GET."""
    return f"the request line is over {MAX_REQUEST_LINE} bytes; send the same arguments as JSON by POST"
