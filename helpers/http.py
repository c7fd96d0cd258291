"""The one HTTP client: polite to sources, careful with what they answer.

One `HTTPClient` per source. It keeps the source's rate and concurrency, sends a User-Agent with a contact,
retries 429, 502, 503, 504 and broken connections with back-off and jitter (honouring `Retry-After`), follows
redirects only to allowed hosts, bounds what it reads, and never connects to an address that is not allowed.
"""

from __future__ import annotations

import email.utils
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import orjson
import requests
import urllib3.exceptions
import urllib3.util

from helpers.errors import UnsafeAddress, UpstreamChanged, UpstreamRefused, UpstreamUnavailable
from helpers.net import GuardedAdapter

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRIED: Final = frozenset({429, 502, 503, 504})
MAX_LENGTH_DIGITS: Final = 18
_NEVER_IN_URLS: Final = re.compile(r"[\\\x00-\x20\x7f]")
_PAGE: Final = re.compile(r"\.jsp[a-z]?(;|/|$)", re.IGNORECASE)  # forbidden to programs by NeuroMorpho.Org
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS: Final = 5
MAX_WAIT_S: Final = 60.0
NOTED_PAUSE_S: Final = 10.0  # shorter ones are no news
CHUNK_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """How one source may be asked."""

    rate: float = 5.0  # requests per second, 0 = no limit
    concurrency: int = 2  # requests under way at once
    timeout_s: float = 30.0  # for connecting, and between two pieces of an answer
    total_timeout_s: float = 600.0  # for one whole answer
    retries: int = 4
    backoff_s: float = 1.0  # first pause, doubled each time
    max_bytes: int = 64 * 1024 * 1024  # of one answer that is read whole
    legacy_tls: bool = False
    allow_private: bool = False
    hosts: frozenset[str] = field(default_factory=frozenset)  # that may be asked or redirected to


@dataclass(frozen=True, slots=True)
class _Asked:
    url: str
    params: Mapping[str, Any] | None = None
    accept: str = "*/*"


class _Pace:
    """Hands out starting times so that no second sees more than `rate` requests."""

    def __init__(self, rate: float) -> None:
        self._gap = 1.0 / rate if rate else 0.0
        self._next = 0.0
        self._held = 0.0  # nobody starts before
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> None:
        """Return when it is the caller's turn, or at once when `stop` is set."""
        while not stop.is_set():
            with self._lock:
                start = max(time.monotonic(), self._next, self._held)
                self._next = start + self._gap
            pause = start - time.monotonic()
            if pause > 0:
                stop.wait(pause)
            if self._held <= start:  # else a pause was asked for meanwhile: take another turn behind it
                return

    def hold(self, pause_s: float) -> None:
        """Let nobody ask before a pause is over: the source has asked for it."""
        with self._lock:
            self._held = max(self._held, time.monotonic() + pause_s)


class HTTPClient:
    """All requests to one source. Threads may share it; `stop` ends every wait at once."""

    def __init__(self, agent: str, politeness: Politeness) -> None:
        self.politeness = politeness
        self._pace = _Pace(politeness.rate)
        self._slots = threading.BoundedSemaphore(politeness.concurrency)
        self._stop = threading.Event()
        self._session = requests.Session()
        self._session.trust_env = False  # proxies and netrc of the environment are not ours to send to
        self._session.headers["User-Agent"] = agent
        self._adapter = GuardedAdapter(
            allow_private=politeness.allow_private,
            legacy_tls=politeness.legacy_tls,
            connections=max(politeness.concurrency, 10),
        )
        self._session.mount("http://", self._adapter)
        self._session.mount("https://", self._adapter)

    def stop(self) -> None:
        """End waits and refuse further requests: the process is going down."""
        self._stop.set()
        self._adapter.hang_up()

    def get_json(self, url: str, params: Mapping[str, Any] | None = None) -> Any:
        """The parsed JSON of an answer. Raises `UpstreamError`."""
        return self._json(url, self._read(_Asked(url, params=params, accept="application/json")))

    def get_bytes(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        accept: str = "*/*",
        max_bytes: int | None = None,
    ) -> bytes:
        """The whole body of an answer, at most `max_bytes` of it. Raises `UpstreamError`."""
        return self._read(_Asked(url, params=params, accept=accept), max_bytes)

    @contextmanager
    def stream(self, url: str, *, retries: int | None = None) -> Iterator[tuple[int | None, Iterator[bytes]]]:
        """(announced length, pieces) of a file. Raises `UpstreamError`, also while pieces are read."""
        attempts = self.politeness.retries if retries is None else retries
        with self._slots:
            response = self._retrying(lambda: self._answered(_Asked(url)), url, attempts)
            try:
                yield _announced(response), self._pieces(response, url)
            finally:
                response.close()

    def _read(self, asked: _Asked, max_bytes: int | None = None) -> bytes:
        limit = max_bytes or self.politeness.max_bytes

        def once() -> bytes:
            with self._slots, self._answered(asked) as response:
                return self._whole(response, asked.url, limit)

        return self._retrying(once, asked.url, self.politeness.retries)

    def _retrying(self, attempt: Callable[[], T], url: str, retries: int) -> T:
        """Run an attempt until it succeeds, fails for good, or has failed `retries` times more."""
        for tried in range(retries + 1):
            if self._stop.is_set():
                raise UpstreamUnavailable(f"{url} was not asked: the process is stopping")
            try:
                return attempt()
            except _Passing as failure:
                if tried == retries:
                    raise UpstreamUnavailable(f"{failure}, after {tried + 1} attempts") from failure.__cause__
                pause = self._pause(failure, tried)
                log.log(
                    logging.INFO if pause > NOTED_PAUSE_S else logging.DEBUG,
                    "%s; again in %.1f s",
                    failure,
                    pause,
                )
                self._pace.hold(pause)
                self._stop.wait(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pause(self, failure: _Passing, tried: int) -> float:
        if failure.retry_after_s is not None:
            if failure.retry_after_s > MAX_WAIT_S:
                raise UpstreamUnavailable(f"{failure}, and asks to wait {failure.retry_after_s:.0f} s")
            return failure.retry_after_s
        pause: float = self.politeness.backoff_s * 2.0**tried
        return min(MAX_WAIT_S, pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret

    def _answered(self, asked: _Asked) -> requests.Response:
        """The answer of one attempt, redirects followed one by one, body not yet read."""
        url, params = asked.url, asked.params
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            self._pace.wait(self._stop)
            if self._stop.is_set():
                raise UpstreamUnavailable(f"{url} was not asked: the process is stopping")
            with _network_errors(url):
                request = self._session.prepare_request(
                    requests.Request("GET", url, {"Accept": asked.accept}, params=params)
                )
                # The session itself would look where a redirect leads, and read its body.
                timeout = self.politeness.timeout_s
                response = self._adapter.send(request, stream=True, timeout=timeout, verify=True)
            if response.status_code not in REDIRECTS:
                self._check_status(response, url)
                return response
            response.close()
            url, params = _target(url, response.headers.get("Location", "")), None
        raise UpstreamChanged(f"{asked.url}: more than {MAX_REDIRECTS} redirects")

    def _check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
            connected = (urllib3.util.parse_url(url).host or "").lower().strip("[]")
        except (ValueError, urllib3.exceptions.LocationParseError) as error:
            raise UnsafeAddress(f"{url!r} is no URL: {error}") from error
        if _NEVER_IN_URLS.search(url) or "@" in parts.netloc or host != connected:
            raise UnsafeAddress(f"{url!r} is no plain URL: two programs may read two hosts in it")
        if parts.scheme not in ("http", "https"):
            raise UnsafeAddress(f"{url} is not http or https")
        if _PAGE.search(unquote(parts.path)):  # the terms of NeuroMorpho.Org forbid it to scripts
            raise UnsafeAddress(f"{url} is a .jsp page, which programs may not ask for")
        if host not in self.politeness.hosts:
            raise UnsafeAddress(f"{url}: the host is none of {', '.join(sorted(self.politeness.hosts))}")

    @staticmethod
    def _check_status(response: requests.Response, url: str) -> None:
        status = response.status_code
        if status == 200:
            return
        response.close()
        if status in RETRIED:
            raise _Passing(f"{url} answered {status}", _retry_after(response))
        if status >= 500:
            raise UpstreamUnavailable(f"{url} answered {status}")
        raise UpstreamRefused(f"{url} answered {status}", status)

    def _whole(self, response: requests.Response, url: str, limit: int) -> bytes:
        announced = _announced(response)
        if announced is not None and announced > limit:
            raise UpstreamChanged(f"{url} answers {announced:,} bytes, more than the {limit:,} allowed")
        content = bytearray()
        for piece in self._pieces(response, url):
            content += piece
            if len(content) > limit:
                raise UpstreamChanged(f"{url} answers more than the {limit:,} bytes allowed")
        return bytes(content)

    def _pieces(self, response: requests.Response, url: str) -> Iterator[bytes]:
        end = time.monotonic() + self.politeness.total_timeout_s
        with _network_errors(url):
            while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
                if self._stop.is_set():
                    raise UpstreamUnavailable(f"{url} was broken off: the process is stopping")
                if time.monotonic() > end:
                    raise _Passing(f"{url} took longer than {self.politeness.total_timeout_s:.0f} s")
                yield piece

    def _json(self, url: str, content: bytes) -> Any:
        try:
            return orjson.loads(content)
        except ValueError as error:
            start = content[:80].decode("utf-8", "replace")
            raise UpstreamChanged(f"{url} answered no JSON but {start!r}: {error}") from error


class _Passing(UpstreamUnavailable):
    """A failure that may be gone at the next attempt."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    """Name what broke on the network as an `UpstreamError`; a refused address stays what it is."""
    try:
        yield
    except UnsafeAddress:
        raise
    except requests.exceptions.Timeout as error:
        raise _Passing(f"{url} did not answer in time") from error
    except requests.exceptions.SSLError as error:
        raise UpstreamUnavailable(f"{url}: TLS failed: {error}") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError) as error:
        raise UnsafeAddress(f"{url!r} is no URL: {error}") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _Passing(f"{url} broke off: {_innermost(error)}") from error


def _innermost(error: BaseException) -> str:
    """The shortest true reason: urllib3 wraps errors into long texts."""
    if isinstance(error, urllib3.exceptions.NewConnectionError) and error.__cause__ is not None:
        error = error.__cause__
    inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
    return _innermost(inner) if isinstance(inner, BaseException) else str(error) or type(error).__name__


def _target(url: str, location: str) -> str:
    """Where a redirect leads. Raises `UnsafeAddress` where it must not be followed."""
    try:
        target = urljoin(url, location)
        downgrade = urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
    except ValueError as error:
        raise UnsafeAddress(f"{url} redirects to {location[:200]!r}, which is no URL: {error}") from error
    if downgrade:
        raise UnsafeAddress(f"{url} redirects to {target}: from https to plain http")
    return target


def _announced(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal() or "Content-Encoding" in response.headers:
        return None
    if len(length) > MAX_LENGTH_DIGITS:
        raise UpstreamChanged(f"{response.url} announces a length of {len(length)} digits")
    return int(length)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that `Retry-After` asks to wait, given as seconds or as a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value[:MAX_LENGTH_DIGITS])
    try:
        at = email.utils.parsedate_to_datetime(value)
        return max(0.0, at.timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return None
