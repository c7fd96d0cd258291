"""The plainest file server: `python -m benchmarks.file_server BYTES` answers every path with the same file.

A thread for each connection; the content goes from memory to the socket without passing through Python.
Says `files on http://127.0.0.1:PORT` when it is ready.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

LINE = b"%d 3 12.345 -67.890 1.250 0.500 %d\n"  # a row of an SWC file


def content(size: int) -> bytes:
    """Rows of an SWC file, so many bytes of them."""
    head = b"# made for a benchmark\n"
    rows = b"".join(LINE % (row, row - 1) for row in range(1, size // 30 + 2))
    return (head + rows)[:size].ljust(size, b"\n")


def _serve(line: socket.socket, file: int, size: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n".encode()
    waiting = b""
    with line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while came := line.recv(65_536):
                waiting += came
                while b"\r\n\r\n" in waiting:
                    waiting = waiting.partition(b"\r\n\r\n")[2]
                    line.sendall(head, socket.MSG_MORE)
                    sent = 0
                    while sent < size:
                        sent += os.sendfile(line.fileno(), file, sent, size - sent)
        except ConnectionError:
            return  # whoever asked has gone


def main(size: int) -> None:
    """Serve until ended."""
    file = os.memfd_create("content")
    os.write(file, content(size))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(f"files on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            line, _ = listener.accept()
            threading.Thread(target=_serve, args=(line, file, size), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
