"""Several clients in one thread: `python -m benchmarks.load` with an order as JSON on standard input.

Each keeps one connection and asks its next question as soon as it has an answer. In: `port`, `clients`,
`seconds`, `requests`. Out: `answers`, `seconds`, `cpu_s` (what this process took), `p50_ms`, `p95_ms`.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import orjson

from benchmarks.measures import times
from benchmarks.wire import Answer


class _Client:
    """One connection with a question under way."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.line = socket.create_connection(("127.0.0.1", port), 60.0)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._answer = Answer()
        self._asked = 0.0

    def ask(self) -> None:
        self._answer.clear()
        self._asked = time.perf_counter()
        self.line.sendall(next(self._requests))

    def take(self) -> float | None:
        """Milliseconds that an answer took, once it is whole."""
        if not self._answer.receive(self.line):
            return None
        return (time.perf_counter() - self._asked) * 1e3


def load(port: int, clients: int, seconds: float, requests: list[str]) -> dict[str, Any]:
    """Ask for so long. Raises `BadAnswer` at the first answer that is not 200."""
    endless = cycle([text.encode("latin-1") for text in requests])
    lines = [_Client(port, endless) for _ in range(clients)]
    took: list[float] = []
    with selectors.DefaultSelector() as ready:
        for client in lines:
            ready.register(client.line, selectors.EVENT_READ, client)
        begun, cpu = time.perf_counter(), time.process_time()
        for client in lines:
            client.ask()
        while time.perf_counter() - begun < seconds:
            for key, _ in ready.select(1.0):
                one = key.data.take()
                if one is not None:
                    took.append(one)
                    key.data.ask()
        ended, cpu_s = time.perf_counter(), time.process_time() - cpu
    for client in lines:
        client.line.close()
    seen = times(took)
    return {
        "answers": len(took),
        "seconds": ended - begun,
        "cpu_s": cpu_s,
        "p50_ms": seen.p50,
        "p95_ms": seen.p95,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(load(**orjson.loads(sys.stdin.buffer.read()))))
