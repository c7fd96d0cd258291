"""What the HTTP client accepts as an answer: bounded, whole, JSON, and in time."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import pytest

from helpers.errors import UpstreamChanged, UpstreamError, UpstreamUnavailable
from tests.fakes import announcing, loopback_client
from tests.file_server import Answer, FileServer, body, one_by_one


def unannounced(content: bytes) -> Answer:
    """An answer without a length, ended by closing."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(content)

    return send


def chunked(*pieces: bytes, ended: bool = True) -> Answer:
    """An answer in chunks, with or without the last one."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for piece in pieces:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if ended:
            request.wfile.write(b"0\r\n\r\n")
        request.close_connection = True

    return send


class TestSize:
    @pytest.mark.parametrize("size", [0, 1, 999, 1000])
    def test_up_to_the_limit_is_read(self, server: FileServer, size: int) -> None:
        assert len(loopback_client(max_bytes=1000).get_bytes(server.url("/x", b"x" * size))) == size

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(body(b"x" * 1001), id="announced"),
            pytest.param(unannounced(b"x" * 1001), id="unannounced"),
            pytest.param(chunked(b"x" * 600, b"x" * 600), id="in chunks"),
            pytest.param(body(gzip.compress(b"x" * 1001), Content_Encoding="gzip"), id="compressed"),
            pytest.param(announcing(b"x" * 1001, "wrong"), id="announced in words"),
        ],
    )
    def test_above_the_limit_is_refused(self, server: FileServer, answer: Answer) -> None:
        with pytest.raises(UpstreamChanged, match="1,000"):
            loopback_client(max_bytes=1000).get_bytes(server.url("/x", answer))
        assert len(server.asked) == 1, "asking again would not help"

    def test_a_limit_of_the_call_wins(self, server: FileServer) -> None:
        url = server.url("/x", b"x" * 50)
        with pytest.raises(UpstreamChanged):
            loopback_client(max_bytes=1000).get_bytes(url, max_bytes=49)
        assert len(loopback_client(max_bytes=10).get_bytes(url, max_bytes=50)) == 50

    def test_an_announced_excess_is_not_read(self, server: FileServer) -> None:
        with pytest.raises(UpstreamChanged, match="5,000,000,000 bytes"):
            loopback_client().get_bytes(server.url("/x", announcing(b"", "5000000000")))

    def test_an_absurd_announcement_is_an_error_of_the_source(self, server: FileServer) -> None:
        with pytest.raises(UpstreamError):
            loopback_client(retries=0).get_bytes(server.url("/x", announcing(b"x", "9" * 5000)))

    def test_a_compressed_bomb_is_refused(self, server: FileServer) -> None:
        bomb = gzip.compress(bytes(30_000_000))
        with pytest.raises(UpstreamChanged, match="allowed"):
            loopback_client(max_bytes=100_000).get_bytes(
                server.url("/x", body(bomb, Content_Encoding="gzip"))
            )

    def test_the_body_of_a_redirect_is_not_read(self, server: FileServer) -> None:
        sent: list[int] = []

        def send(request: BaseHTTPRequestHandler) -> None:
            request.send_response(302)
            request.send_header("Location", "/y")
            request.end_headers()
            with suppress(OSError):
                for _ in range(500):
                    request.wfile.write(bytes(100_000))
                    sent.append(100_000)

        server.url("/y", b"there")
        assert loopback_client(max_bytes=1000).get_bytes(server.url("/x", send)) == b"there"
        assert sum(sent) < 20_000_000, "more than what the kernel buffers was read"


class TestWhole:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(announcing(b'{"a": 1', "50"), id="shorter than announced"),
            pytest.param(chunked(b'{"a"', ended=False), id="without its last chunk"),
            pytest.param(body(b"no gzip at all", Content_Encoding="gzip"), id="no gzip though said so"),
        ],
    )
    def test_a_broken_answer_is_never_taken_for_a_whole_one(self, server: FileServer, answer: Answer) -> None:
        with pytest.raises(UpstreamUnavailable, match="attempts"):
            loopback_client(retries=1).get_bytes(server.url("/x", answer))

    def test_json_from_a_cut_gzip_stream_is_refused(self, server: FileServer) -> None:
        content = gzip.compress(b'{"a": "' + bytes(range(35, 90)) * 9 + b'"}')[:-30]
        with pytest.raises(UpstreamError):
            loopback_client().get_json(server.url("/x", body(content, Content_Encoding="gzip")))

    def test_a_broken_stream_says_so_to_its_reader(self, server: FileServer) -> None:
        url = server.url("/x", announcing(b"x" * 10, "500"))
        with (
            loopback_client().stream(url) as (length, pieces),
            pytest.raises(UpstreamUnavailable, match="broke off"),
        ):
            assert length == 500
            list(pieces)

    def test_a_stream_is_asked_for_again_before_its_first_byte(self, server: FileServer) -> None:
        url = server.url("/x", one_by_one(body(b"", 503), body(b"file")))
        with loopback_client().stream(url) as (length, pieces):
            assert (length, b"".join(pieces)) == (4, b"file")

    def test_a_stream_can_be_asked_for_once_only(self, server: FileServer) -> None:
        url = server.url("/x", one_by_one(body(b"", 503), body(b"file")))
        with pytest.raises(UpstreamUnavailable), loopback_client().stream(url, retries=0):
            pytest.fail("there is nothing to read")
        assert len(server.asked) == 1

    def test_an_answer_that_drips_ends_at_the_total_timeout(self, server: FileServer) -> None:
        free = threading.Event()

        def drip(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Length", "1000000")
            request.end_headers()
            end = time.monotonic() + 2.0
            with suppress(OSError):
                while not free.wait(0.02) and time.monotonic() < end:
                    request.wfile.write(b" ")

        client = loopback_client(total_timeout_s=0.2, retries=0, timeout_s=1.0)
        begun = time.monotonic()
        try:
            with pytest.raises(UpstreamUnavailable, match="took longer"):
                client.get_bytes(server.url("/x", drip))
        finally:
            free.set()
        assert time.monotonic() - begun < 1.5


class TestJSON:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"<html><h1>Service Interruption Notice</h1></html>", id="a page of HTML"),
            pytest.param(b"", id="nothing"),
            pytest.param(b"{", id="the beginning of an object"),
            pytest.param(b'{"a": 1}}', id="more than one value"),
            pytest.param(b'{"a": "\xff\xfe"}', id="invalid UTF-8"),
            pytest.param('{"a": "é"}'.encode("utf-16"), id="UTF-16"),
            pytest.param(b'{"a": NaN}', id="NaN"),
            pytest.param(b"[" * 100_000, id="very deep nesting"),
            pytest.param(bytes(range(256)), id="noise"),
        ],
    )
    def test_anything_else_is_a_changed_source(self, server: FileServer, content: bytes) -> None:
        with pytest.raises(UpstreamChanged, match="no JSON") as caught:
            loopback_client().get_json(server.url("/x", content))
        assert len(str(caught.value)) < 1000, "a page does not belong into a message"
        assert len(server.asked) == 1

    def test_every_json_value_is_given_as_it_is(self, server: FileServer) -> None:
        client = loopback_client()
        for text, value in (("null", None), ("[]", []), ('{"a": [1, 2.5, "神経"]}', {"a": [1, 2.5, "神経"]})):
            assert client.get_json(server.url("/x", text.encode())) == value

    def test_parameters_are_added_to_the_url(self, server: FileServer) -> None:
        server.url("/x?q=a+b&n=1", b"{}")
        assert loopback_client().get_json(server.base + "/x", {"q": "a b", "n": 1}) == {}
        assert server.asked == ["/x?q=a+b&n=1"]
