"""The example upstream as an HTTP server on this machine."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from helpers.example_upstream.faults import parse_fault
from helpers.example_upstream.hippocampome import Hippocampome
from helpers.example_upstream.messages import Ask, Item, Reply, html
from helpers.example_upstream.modeldb import ModelDB
from helpers.example_upstream.neuromorpho import NeuroMorpho
from helpers.example_upstream.site import Site

DATA: Final = Path(__file__).resolve().parents[2] / "data" / "example"
HUGE_BYTES: Final = 50_000_000
BOMB_BYTES: Final = 512 << 20


class Asked(NamedTuple):
    """One request as it came in, for tests of politeness."""

    source: str  # key of the site
    method: str
    path: str  # below the site's base URL, with its query, as sent
    headers: dict[str, str]


class ExampleUpstream:
    """The three example sites behind one port; a context manager that starts and stops them.

    `neurons` are served instead of the fixture's, as they are. `huge_bytes` and `bomb_bytes` are the sizes
    of the faults `huge` and `zip_bomb`. A name of a file in `withheld` answers 404.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        neurons: Sequence[Item] | None = None,
        data: Path = DATA,
        huge_bytes: int = HUGE_BYTES,
        bomb_bytes: int = BOMB_BYTES,
    ) -> None:
        self.requests: list[Asked] = []
        self.withheld: set[str] = set()
        self._address = (host, port)
        self._sites: dict[str, Site] = {
            "neuromorpho": NeuroMorpho(data, neurons, self.withheld, huge_bytes),
            "hippocampome": Hippocampome(data, huge_bytes),
            "modeldb": ModelDB(data, huge_bytes, bomb_bytes),
        }
        self._server: _Server | None = None

    def __enter__(self) -> ExampleUpstream:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address of the server, without a slash at the end; known once it is started."""
        if self._server is None:
            raise RuntimeError("the example upstream is not started")
        return f"http://{self._address[0]}:{self._server.server_port}"

    def base(self, source: str) -> str:
        """Base URL of one site: what stands for `https://neuromorpho.org` and so on."""
        return f"{self.url}/{self._sites[source].key}"

    def fault(self, source: str, mode: str) -> None:
        """Make one site misbehave until `none`. Raises `ValueError` for an unknown mode."""
        self._sites[source].fault = parse_fault(mode)

    def most_at_once(self, source: str) -> int:
        """The largest number of requests that one site had under way at the same time."""
        return self._sites[source].most_at_once

    def start(self) -> None:
        """Listen, and answer in threads of its own."""
        self._server = _Server(self._address, self._sites, self.requests)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and hang up, also on answers that are under way."""
        if self._server is not None:
            for site in self._sites.values():
                site.stopped.set()
            self._server.stop()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sites: dict[str, Site], log: list[Asked]) -> None:
        self._sites = sites
        self._log = log
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave early are usual; anything else is a fault of the example and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client was faster
                    continue

    def answer(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Reply | None:
        """The reply to one request; None cuts the line."""
        site, below = self._locate(target)
        if site is None:
            return html("<html><body><h1>404 Not Found</h1></body></html>", 404)
        self._log.append(Asked(site.key, method, below, headers))
        path, _, query = below.partition("?")
        names = parse_qs(query, keep_blank_values=True)
        return site.answer(Ask(method, path, names, below, body, headers))

    def _locate(self, target: str) -> tuple[Site | None, str]:
        """The site and the target below its base URL; links of its pages have no prefix, as there."""
        first, slash, rest = target[1:].partition("/")
        if first in self._sites:
            return self._sites[first], slash + rest
        path = target.partition("?")[0]
        return next((site for site in self._sites.values() if site.find(path)[0]), None), target


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "example", ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the requests stand in `ExampleUpstream.requests`."""

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() else b""
        reply = self.server.answer(self.command, self.path, body, dict(self.headers.items()))
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        self.close_connection = self.close_connection or reply.cut
