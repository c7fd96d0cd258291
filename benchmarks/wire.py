"""A client as cheap as Python allows: requests made before the clock runs, answers not looked into.

`http.client` takes about 0.2 ms for each request, as much as some answers take to make. Understands answers
with `Content-Length` only.
"""

from __future__ import annotations

import re
import socket
from typing import Final

import orjson

from benchmarks.measures import Unmeasurable

BUFFER_BYTES: Final = 4 * 1024 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK: Final = b"HTTP/1.1 200 "


class BadAnswer(Unmeasurable):
    """An answer that is not 200, or not of a known length."""


def request(method: str, target: str, body: object = None) -> bytes:
    """The bytes of a request, with a JSON body for anything but None."""
    content = b"" if body is None else orjson.dumps(body)
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
    if content:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


class Answer:
    """One answer in the making, out of pieces as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._head = 0
        self._whole = 0

    def receive(self, line: socket.socket) -> bool:
        """Take what is there; whether the answer is whole. Raises `BadAnswer`, `OSError`."""
        came = line.recv_into(self._view[self._filled :])
        if not came:
            raise BadAnswer(f"the connection was closed after {self._filled} bytes")
        self._filled += came
        if not self._whole:
            self._read_head()
        return 0 < self._whole <= self._filled

    def _read_head(self) -> None:
        end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        if not self._buffer.startswith(_OK) or length is None:
            raise BadAnswer(bytes(self._buffer[: min(self._filled, 600)]).decode(errors="replace"))
        self._head = end + 4
        self._whole = self._head + int(length[1])
        if self._whole > BUFFER_BYTES:
            raise BadAnswer(f"an answer of {self._whole} bytes is larger than the client's buffer")

    def body(self) -> bytes:
        """The content of a whole answer."""
        return bytes(self._buffer[self._head : self._whole])

    def clear(self) -> None:
        """Be ready for the next one."""
        self._filled = self._head = self._whole = 0


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int, timeout_s: float = 60.0) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = Answer()

    def ask(self, question: bytes) -> None:
        """Send a request and take its whole answer. Raises `BadAnswer`, `OSError`."""
        self._answer.clear()
        self._line.sendall(question)
        while not self._answer.receive(self._line):
            pass

    def json(self, question: bytes) -> object:
        """The parsed answer to a request."""
        self.ask(question)
        value: object = orjson.loads(self._answer.body())
        return value

    def close(self) -> None:
        """Close the connection."""
        self._line.close()
