"""gunicorn's threaded worker, with an answer of ours where a request line is too long."""

from __future__ import annotations

import socket
from typing import Any

import orjson
from gunicorn.http.errors import LimitRequestLine
from gunicorn.workers.gthread import ThreadWorker

from routes.answers import PROBLEM
from routes.arguments import too_long


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Answers 414, naming POST, where gunicorn answers 400."""

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """See gunicorn's `Worker.handle_error`."""
        if not isinstance(exc, LimitRequestLine):
            super().handle_error(req, client, addr, exc)
            return
        body = orjson.dumps(
            {"type": "about:blank", "title": "Request URI Too Long", "status": 414, "detail": too_long()}
        )
        head = (
            "HTTP/1.1 414 Request URI Too Long\r\nConnection: close\r\n"
            f"Content-Type: {PROBLEM}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.log.info("414 from %s", addr)
        try:
            client.sendall(head.encode() + body)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(1.0)
            while client.recv(65536):  # else the kernel resets the line and the answer with it
                pass
        except OSError:
            self.log.debug("the client was gone before its 414")
