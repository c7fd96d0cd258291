"""The ways in which an upstream can misbehave, by name: `slow:2`, `http500`, `page_error:3`, ..."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from helpers.example_upstream.messages import JSON, Reply, as_json, html, plain

EVIL_URL: Final = "http://169.254.169.254/latest/meta-data/"
NOT_UTF8: Final = b"\xff\xfe\xe9"
STRING_STARTS: Final = (b'":"', b'": "', b"#", b">")  # behind one of these, damage stays within a text

_PLAIN = (
    "none down hang http500 http503 html200 empty200 error_in_200 truncate garbage bad_encoding "
    "redirect_http redirect_evil duplicate_page huge zip_traversal zip_bomb"
)
_WITH_NUMBER = "slow flaky ratelimit page_error shrink"
MODES: Final = frozenset([*_PLAIN.split(), *_WITH_NUMBER.split(), "missing_field"])


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave with its argument."""

    mode: str = "none"
    number: float = (
        0.0  # slow: seconds; flaky: probability; ratelimit: per second; page_error: place; shrink: %
    )
    name: str = ""  # missing_field: which


def parse_fault(text: str) -> Fault:
    """The fault that a text such as `slow:0.5` names. Raises `ValueError` for any other text."""
    mode, _, argument = text.partition(":")
    if mode in _PLAIN.split() and not argument:
        return Fault(mode)
    if mode in _WITH_NUMBER.split():
        return Fault(mode, number=float(argument))
    if mode == "missing_field" and argument:
        return Fault(mode, name=argument)
    raise ValueError(f"{text!r} is no fault; allowed are {', '.join(sorted(MODES))}, some with `:ARGUMENT`")


INSTEAD: Final[dict[str, Callable[[], Reply]]] = {  # faults that answer everything alike
    "http500": lambda: plain("Internal Server Error", 500),
    "http503": lambda: plain("Service Unavailable", 503),
    "html200": lambda: html("<html><body><h1>Service Interruption Notice</h1></body></html>"),
    "empty200": lambda: Reply(b"", kind=JSON),
    "error_in_200": lambda: as_json(
        {"status": 500, "error": "Internal Server Error", "message": "Please notify the operator"}
    ),
}


def spoiled(fault: Fault, reply: Reply) -> Reply:
    """The reply as it arrives under a fault that damages answers on their way."""
    if fault.mode == "truncate":
        return replace(reply, cut=True)
    if fault.mode == "garbage":
        noise = random.Random(len(reply.body)).randbytes(2048)  # noqa: S311 - repeatable noise, no secret
        return replace(reply, body=noise)
    if fault.mode == "bad_encoding":
        mark = next((mark for mark in STRING_STARTS if mark in reply.body), b"")
        place = reply.body.find(mark) + len(mark)
        return replace(reply, body=reply.body[:place] + NOT_UTF8 + reply.body[place:])
    return reply
