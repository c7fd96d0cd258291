"""A small file server on the loopback whose answers a test decides, faults included."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

Answer = Callable[[BaseHTTPRequestHandler], None]


def body(content: bytes, status: int = 200, **headers: str) -> Answer:
    """An ordinary answer."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(content))} | given).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return send


def cut(content: bytes, announced: int) -> Answer:
    """An answer that breaks off."""
    return body(content, Content_Length=str(announced))


def one_by_one(*answers: Answer) -> Answer:
    """Another answer each time, the last one for ever."""
    waiting = list(answers)

    def send(request: BaseHTTPRequestHandler) -> None:
        (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)

    return send


def once_set(event: threading.Event, answer: Answer) -> Answer:
    """An answer that waits."""

    def send(request: BaseHTTPRequestHandler) -> None:
        event.wait(10)
        answer(request)

    return send


def endless(started: threading.Event) -> Answer:
    """An answer that goes on until its reader goes away."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        started.set()
        while True:
            request.wfile.write(b"x" * 65536)

    return send


def temporary_files(folder: Path) -> list[str]:
    """Files below a folder that this process has open, those without a name too, and those that lie there."""
    opened = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile by a thread of the server
            opened.append(str(link.readlink()))
    return [path for path in (*opened, *map(str, folder.rglob("*"))) if path.startswith(str(folder))]


class FileServer:
    """Answers by path; 404 where nothing is set. `asked` holds the paths in the order of asking."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []

    def url(self, path: str, answer: Answer | bytes | None = None) -> str:
        """The URL of a path, which from now on answers so."""
        if answer is not None:
            self.answers[unquote(path)] = body(answer) if isinstance(answer, bytes) else answer
        return self.base + path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients go away on purpose here."""


@contextmanager
def running() -> Iterator[FileServer]:
    """A server that is ready, and ended afterwards."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            served.asked.append(path)
            served.answers.get(path, body(b"not here", 404))(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        served = FileServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()
