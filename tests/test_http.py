"""The HTTP client is polite: it retries what may pass, waits when asked to, and keeps its limits."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest

from helpers.errors import UpstreamError, UpstreamRefused, UpstreamUnavailable
from helpers.example_upstream import ExampleUpstream
from tests.fakes import AGENT, SOON_S, announcing, loopback_client, until, without_waiting
from tests.file_server import Answer, FileServer, body, once_set, one_by_one


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """Close the line without an answer."""
    request.close_connection = True


OK = body(b'{"ok": true}')


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(body(b"", 429), id="429"),
        pytest.param(body(b"", 502), id="502"),
        pytest.param(body(b"", 503), id="503"),
        pytest.param(body(b"", 504), id="504"),
        pytest.param(hang_up, id="a broken connection"),
        pytest.param(announcing(b'{"o', "100"), id="a truncated body"),
    ],
)
class TestWhatMayPass:
    def test_is_tried_again(self, server: FileServer, failure: Answer) -> None:
        url = server.url("/x", one_by_one(failure, failure, OK))
        assert loopback_client(retries=2).get_json(url) == {"ok": True}
        assert len(server.asked) == 3

    def test_is_given_up_after_all_retries(self, server: FileServer, failure: Answer) -> None:
        url = server.url("/x", failure)
        with pytest.raises(UpstreamUnavailable, match="after 3 attempts"):
            loopback_client(retries=2).get_bytes(url)
        assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 414])
def test_a_4xx_is_not_tried_again_and_names_its_status(server: FileServer, status: int) -> None:
    url = server.url("/x", body(b"no", status))
    with pytest.raises(UpstreamRefused, match=str(status)) as caught:
        loopback_client().get_bytes(url)
    assert (caught.value.status, len(server.asked)) == (status, 1)


@pytest.mark.parametrize("status", [500, 501, 505])
def test_a_500_is_not_tried_again(server: FileServer, status: int) -> None:
    url = server.url("/x", body(b"no", status))
    with pytest.raises(UpstreamUnavailable, match=str(status)):
        loopback_client().get_bytes(url)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [204, 206, 304])
def test_a_success_without_the_whole_answer_is_none(server: FileServer, status: int) -> None:
    with pytest.raises(UpstreamError, match=str(status)):
        loopback_client().get_bytes(server.url("/x", body(b"", status)))


def test_a_silent_server_times_out_and_is_asked_again(server: FileServer) -> None:
    free = threading.Event()
    url = server.url("/x", one_by_one(once_set(free, OK), OK))
    try:
        assert loopback_client(timeout_s=0.2).get_json(url) == {"ok": True}
    finally:
        free.set()
    assert len(server.asked) >= 2


def test_pauses_double_with_jitter(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = loopback_client(retries=4, backoff_s=1.0)
    waits = without_waiting(client, monkeypatch)
    with pytest.raises(UpstreamUnavailable):
        client.get_bytes(server.url("/x", body(b"", 503)))
    assert len(waits) == 4
    for place, pause in enumerate(waits):
        assert 0.5 * 2**place <= pause <= 1.5 * 2**place


def test_a_pause_is_never_longer_than_a_minute(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = loopback_client(retries=3, backoff_s=50.0)
    waits = without_waiting(client, monkeypatch)
    with pytest.raises(UpstreamUnavailable):
        client.get_bytes(server.url("/x", body(b"", 503)))
    assert max(waits) <= 60


class TestRetryAfter:
    def test_in_seconds_is_honoured(self, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
        client = loopback_client()
        waits = without_waiting(client, monkeypatch)
        client.get_bytes(server.url("/x", one_by_one(body(b"", 429, Retry_After="7"), OK)))
        assert waits[0] == 7

    def test_as_a_date_is_honoured(self, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
        client = loopback_client()
        waits = without_waiting(client, monkeypatch)
        date = email.utils.formatdate(time.time() + 30, usegmt=True)
        client.get_bytes(server.url("/x", one_by_one(body(b"", 503, Retry_After=date), OK)))
        assert 28 < waits[0] <= 30

    @pytest.mark.parametrize(
        "value",
        [
            "soon",
            "-5",
            "1.5",
            "Fri, 99 Foo 2026",
            "Mon, 1 Jan 2020 00:00:00 +99999999999999999",
            "Mon, 1 Jan 2001 00:00:00 GMT",
        ],
    )
    def test_that_says_nothing_useful_leaves_our_own_pause(
        self, server: FileServer, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = loopback_client(backoff_s=1.0)
        waits = without_waiting(client, monkeypatch)
        client.get_bytes(server.url("/x", one_by_one(body(b"", 429, Retry_After=value), OK)))
        assert all(wait <= 1.5 for wait in waits)

    @pytest.mark.parametrize("value", ["61", "86400", "9" * 400])
    def test_that_is_too_long_gives_up_at_once(self, server: FileServer, value: str) -> None:
        client = loopback_client()
        with pytest.raises(UpstreamUnavailable, match="asks to wait"):
            client.get_bytes(server.url("/x", body(b"", 429, Retry_After=value)))
        assert len(server.asked) == 1

    def test_holds_all_threads_also_those_that_wait_for_their_turn_already(self, server: FileServer) -> None:
        arrived: list[float] = []

        def note(request: BaseHTTPRequestHandler) -> None:
            arrived.append(time.monotonic())
            OK(request)

        def too_many(request: BaseHTTPRequestHandler) -> None:
            asked.set()
            time.sleep(0.05)  # so that the other one waits for its turn, 0.2 s after this one's
            body(b"", 429, Retry_After="1")(request)

        asked = threading.Event()
        first = server.url("/x", one_by_one(too_many, OK))
        second = server.url("/y", note)
        client = loopback_client(rate=5, retries=1, concurrency=3)
        started = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            made = [pool.submit(client.get_bytes, first)]
            assert asked.wait(SOON_S)
            made.append(pool.submit(client.get_bytes, second))
            time.sleep(0.15)  # by now the first one has its answer, and waits
            made.append(pool.submit(client.get_bytes, second))
            for one in made:
                one.result(SOON_S)
        assert len(arrived) == 2 and arrived[0] - started >= 0.95


class TestLimits:
    def test_requests_are_spaced_by_the_rate(self, server: FileServer) -> None:
        arrivals: list[float] = []

        def note(request: BaseHTTPRequestHandler) -> None:
            arrivals.append(time.monotonic())
            OK(request)

        url = server.url("/x", note)
        client = loopback_client(rate=50, concurrency=4)
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(client.get_bytes, [url] * 8))
        assert len(arrivals) == 8
        assert arrivals[-1] - started >= 7 * 0.02

    def test_the_spacing_is_one_over_the_rate(
        self, server: FileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = loopback_client(rate=0.1)
        waits = without_waiting(client, monkeypatch)
        url = server.url("/x", OK)
        for _ in range(3):
            client.get_bytes(url)
        assert waits == pytest.approx([10, 10], abs=0.5)

    def test_redirects_and_retries_keep_the_rate_too(
        self, server: FileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.url("/x", body(b"", 302, Location="/y"))
        server.url("/y", one_by_one(body(b"", 503), OK))
        client = loopback_client(rate=0.1, backoff_s=0.0)
        waits = without_waiting(client, monkeypatch)
        client.get_bytes(server.base + "/x")
        assert sum(wait > 5 for wait in waits) == 3  # all of the four requests but the first

    def test_no_more_requests_are_under_way_than_allowed(self) -> None:
        with ExampleUpstream() as upstream:
            upstream.fault("neuromorpho", "slow:0.03")
            client = loopback_client(concurrency=3)
            with ThreadPoolExecutor(12) as pool:
                list(pool.map(client.get_json, [upstream.base("neuromorpho") + "/api/neuron"] * 12))
            assert upstream.most_at_once("neuromorpho") == 3

    def test_a_stream_counts_until_it_is_left(self, server: FileServer) -> None:
        url = server.url("/x", OK)
        client = loopback_client(concurrency=1)
        with ThreadPoolExecutor(1) as pool:
            with client.stream(url) as (length, pieces):
                other = pool.submit(client.get_bytes, url)
                time.sleep(0.05)
                assert (length, not other.done()) == (12, True)
                assert b"".join(pieces) == b'{"ok": true}'
            assert other.result(SOON_S) == b'{"ok": true}'


def test_every_request_says_who_asks(server: FileServer) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.headers.get("User-Agent"), request.headers.get("Authorization")))
        body(b"", 302, Location="/x" if request.path == "/y" else "/z")(request)

    server.url("/y", note)
    server.url("/x", note)
    server.url("/z", OK)
    loopback_client().get_json(server.base + "/y")
    assert seen == [(AGENT, None)] * 2


class TestStop:
    """`stop` ends every wait at once, whatever is waited for."""

    @staticmethod
    def stopped(client_waits: Callable[[], object], client_stop: Callable[[], None]) -> float:
        """Seconds from `stop` to the error."""
        ended: Future[object] = Future()

        def work() -> None:
            try:
                ended.set_result(client_waits())
            except UpstreamError as error:
                ended.set_exception(error)

        threading.Thread(target=work, daemon=True).start()  # nobody waits for it should it never end
        time.sleep(0.1)
        assert not ended.done()
        begun = time.monotonic()
        client_stop()
        with pytest.raises(UpstreamUnavailable, match="stopping"):
            ended.result(2.0)
        return time.monotonic() - begun

    def test_a_pause_before_the_next_attempt(self, server: FileServer) -> None:
        client, url = loopback_client(backoff_s=30), server.url("/x", body(b"", 503))
        assert self.stopped(lambda: client.get_bytes(url), client.stop) < 1
        assert len(server.asked) == 1

    def test_a_turn_that_the_rate_has_not_given_yet(self, server: FileServer) -> None:
        client, url = loopback_client(rate=0.01), server.url("/x", OK)
        client.get_bytes(url)
        assert self.stopped(lambda: client.get_bytes(url), client.stop) < 1
        assert len(server.asked) == 1, "nobody may be asked any more"

    def test_an_answer_that_does_not_come(self, server: FileServer) -> None:
        free = threading.Event()
        client, url = loopback_client(timeout_s=30), server.url("/x", once_set(free, OK))
        try:
            assert self.stopped(lambda: client.get_bytes(url), client.stop) < 1
        finally:
            free.set()

    def test_an_answer_that_comes_byte_by_byte(self, server: FileServer) -> None:
        free = threading.Event()

        def drip(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            while not free.wait(0.02):
                request.wfile.write(b" ")

        client, url = loopback_client(), server.url("/x", drip)
        try:
            assert self.stopped(lambda: client.get_bytes(url), client.stop) < 1
        finally:
            free.set()

    def test_nothing_is_asked_afterwards(self, server: FileServer) -> None:
        client = loopback_client()
        client.stop()
        with pytest.raises(UpstreamUnavailable, match="stopping"):
            client.get_bytes(server.url("/x", OK))
        assert server.asked == []


def test_until_says_when_something_does_not_happen() -> None:
    with pytest.raises(AssertionError, match="in time"):
        until(lambda: False, timeout_s=0.02)
