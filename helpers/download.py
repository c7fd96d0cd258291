"""Fetching the files of records: whole, checked, bounded, and never an exception for what a source did."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from helpers.errors import (
    Busy,
    HubError,
    UnsafeAddress,
    UpstreamChanged,
    UpstreamRefused,
    UpstreamUnavailable,
)
from helpers.filenames import split
from helpers.http import HTTPClient
from helpers.spool import PIECE_BYTES, Spool

OWN: Final = "internal"  # the source whose files are on our disk
LOCAL_PREFIX: Final = "/files/internal/"
ZIPPED: Final = frozenset({"modeldb"})  # sources whose files are zips under an address without a name
RETRIES: Final = 3  # at most, whatever the number of the source: somebody is waiting
RETRY_AFTER_S: Final = 10
GONE: Final = frozenset({404, 410})
REASON_LETTERS: Final = 1_000

_WEB_PAGE: Final = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html)\b", re.I | re.S
)
_JSON: Final = re.compile(rb'\s*\{\s*"')

Status = Literal["ok", "failed", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A publication to cite; two with the same key are one."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One record's file, or, without a URL, the reason why there is none."""

    record_id: str
    name: str = ""
    source: str = ""  # as shown
    provider: str = ""  # the source's key, as in the record's provenance
    url: str | None = None
    standard_url: str | None = None  # asked when the source no longer has the file at `url`
    reason: str | None = None
    licence: str | None = None
    citations: tuple[str, ...] = ()  # what the source requires
    papers: tuple[Paper, ...] = ()


def wanted_of(record: Mapping[str, Any]) -> Wanted:
    """What a download takes from a record's JSON."""
    url = record.get("download_link")
    return Wanted(
        record_id=record["source_id"],
        name=record["name"],
        source=record["source"],
        provider=record["provenance"]["source"],
        url=url,
        standard_url=record.get("standard_link"),
        reason=None if url else "the record has no file",
        licence=record.get("licence"),
        citations=tuple(record.get("citations") or ()),
        papers=tuple(map(_paper, record.get("papers") or ())),
    )


def _paper(paper: Mapping[str, Any]) -> Paper:
    doi, pmid, url = paper.get("doi"), paper.get("pmid"), paper.get("url")
    parts = (paper["label"], doi and f"doi:{doi}", pmid and f"PMID {pmid}", url)
    key = (doi and f"doi:{doi.casefold()}") or (pmid and f"pmid:{pmid}") or f"{paper['label']} {url or ''}"
    return Paper(key=key, text=" · ".join(filter(None, parts)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one record's file. Whoever gets it closes it."""

    wanted: Wanted
    status: Status
    url: str | None = None  # what was asked last
    content: Spool | None = None  # there exactly when the status is "ok"
    reason: str = ""

    @property
    def file_name(self) -> str:
        """The name that the source gives the file, not yet made safe."""
        if self.wanted.provider in ZIPPED:
            return f"{self.wanted.record_id}.zip"
        path = urlsplit(self.url or "").path
        return unquote(path.rpartition("/")[2]) or self.wanted.record_id

    def close(self) -> None:
        """Give the content's memory and disk back."""
        if self.content is not None:
            self.content.close()


class FileFetcher:
    """Fetches the files of all sources. Threads may share it.

    `clients` is by key of source; which hosts may be asked is each client's politeness. `local` finds a
    file of the internal source by its relative path, for links below `local_prefix`. A file of more than
    `max_bytes` fails.
    """

    def __init__(
        self,
        clients: Mapping[str, HTTPClient],
        local: Callable[[str], Path] | None,
        *,
        local_prefix: str = LOCAL_PREFIX,
        max_bytes: int,
        folder: Path | None = None,  # of temporary files; None: the system's
    ) -> None:
        self._clients = dict(clients)
        self._local = local
        self._local_prefix = local_prefix
        self._max_bytes = max_bytes
        self._folder = folder
        self._slots = {
            key: threading.BoundedSemaphore(client.politeness.concurrency) for key, client in clients.items()
        }

    def fetch(self, wanted: Wanted, stop: threading.Event) -> Outcome:
        """The file or the reason why there is none. Setting `stop` ends it at the next piece."""
        if wanted.url is None:
            return Outcome(wanted=wanted, status="missing", reason=wanted.reason or "the record has no file")
        outcome, gone = self._try(wanted, wanted.url, stop)
        if gone is None or wanted.standard_url in (None, wanted.url):
            return outcome
        why = f"the original {wanted.url} answered {gone}"
        standard, _ = self._try(wanted, wanted.standard_url or "", stop)
        then = "; this is the standard SWC" if standard.status == "ok" else f", and {standard.reason}"
        return replace(standard, reason=(why + then)[:REASON_LETTERS])

    def _try(self, wanted: Wanted, url: str, stop: threading.Event) -> tuple[Outcome, int | None]:
        """The outcome of one URL and, when the source has no such file, the status that said so."""
        try:
            content = self._content(wanted, url, stop)
            return Outcome(wanted=wanted, status="ok", url=url, content=content), None
        except (HubError, OSError, ValueError) as error:  # ValueError: a URL that cannot be taken apart
            gone = error.status if isinstance(error, UpstreamRefused) and error.status in GONE else None
            reason = _reason(error)[:REASON_LETTERS]
            return Outcome(wanted=wanted, status="failed", url=url, reason=reason), gone

    def _content(self, wanted: Wanted, url: str, stop: threading.Event) -> Spool:
        parts = urlsplit(url)
        if _is_jsp(parts.path):
            raise UnsafeAddress(
                f"{url} is a .jsp page, which the terms of NeuroMorpho.Org forbid programs to ask"
            )
        if wanted.provider == OWN and self._is_local(parts):
            return self._local_content(parts.path, stop)
        client = self._clients.get(wanted.provider)
        if client is None:
            raise UnsafeAddress(f"{url} was not asked: the source {wanted.provider!r} is off")
        with self._turn(wanted.provider, url, stop):
            return self._remote_content(client, url, wanted.provider in ZIPPED, stop)

    def _is_local(self, parts: SplitResult) -> bool:
        client = self._clients.get(OWN)
        elsewhere = client is not None and (parts.hostname or "").lower() in client.politeness.hosts
        return parts.path.startswith(self._local_prefix) and not elsewhere

    def _local_content(self, path: str, stop: threading.Event) -> Spool:
        relative = unquote(path[len(self._local_prefix) :])
        if self._local is None:
            raise FileNotFoundError(0, "there is no folder of own files")
        if relative.startswith("/") or ".." in PurePosixPath(relative).parts:
            raise UnsafeAddress(f"{path} leads out of the folder of own files")
        found = self._local(relative)
        if not found.is_file():  # opening a pipe or a device would wait or never end
            raise FileNotFoundError(0, "the file does not exist")
        with found.open("rb") as file:
            return self._spooled(iter(lambda: file.read(PIECE_BYTES), b""), path, stop)

    @contextmanager
    def _turn(self, source: str, url: str, stop: threading.Event) -> Iterator[None]:
        """Wait for one of the source's slots; the client's own wait could not be ended by `stop`."""
        slots = self._slots[source]
        while not slots.acquire(timeout=0.1):
            _heed(stop, url)
        try:
            _heed(stop, url)
            yield
        finally:
            slots.release()

    def _remote_content(self, client: HTTPClient, url: str, zipped: bool, stop: threading.Event) -> Spool:
        retries = min(RETRIES, client.politeness.retries)
        for tried in range(retries + 1):
            answered = False
            try:
                with client.stream(url, retries=retries) as (announced, pieces):
                    answered = True
                    if announced is not None:
                        self._check_size(announced, url)
                    return self._checked(self._spooled(pieces, url, stop), url, zipped)
            except UpstreamUnavailable:
                # The client retries until there is an answer; one that breaks off is ours to retry.
                if not answered or tried == retries or stop.wait(client.politeness.backoff_s * 2**tried):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _spooled(self, pieces: Iterator[bytes], url: str, stop: threading.Event) -> Spool:
        spool = Spool(self._folder)
        with ExitStack() as failed:
            failed.callback(spool.close)
            for piece in pieces:
                _heed(stop, url)
                self._check_size(spool.size + len(piece), url)
                spool.write(piece)
            failed.pop_all()
        return spool

    def _check_size(self, size: int, url: str) -> None:
        if size > self._max_bytes:
            raise UpstreamChanged(f"{url} is larger than the {self._max_bytes:,} bytes allowed")

    @staticmethod
    def _checked(spool: Spool, url: str, zipped: bool) -> Spool:
        complaint = _complaint(next(spool.pieces(), b""), urlsplit(url).path, zipped)
        if complaint:
            spool.close()
            raise UpstreamChanged(f"{url} answered {complaint}")
        return spool


def _heed(stop: threading.Event, url: str) -> None:
    if stop.is_set():
        raise UpstreamUnavailable(f"{url} was not fetched: the download was closed")


def _complaint(start: bytes, path: str, zipped: bool) -> str | None:
    """Why an answer of status 200 cannot be the file, judged by its beginning; None if it may be."""
    extension = split(path.rpartition("/")[2])[1].lower()
    if not start:
        return "200 with an empty file"
    if extension not in (".html", ".htm", ".xhtml") and _WEB_PAGE.match(start):
        return "a web page instead of the file"
    if extension not in (".json", ".ipynb", ".geojson") and _JSON.match(start):
        return f"a message instead of the file: {start[:200].decode(errors='replace')}"
    if (zipped or extension == ".zip") and not start.startswith(b"PK"):
        return "something that is no zip file"
    return None


def _is_jsp(path: str) -> bool:
    """Whether a path names a JSP page, also with a session id (`x.jsp;jsessionid=1`) or escaped letters."""
    return any(part.partition(";")[0].lower().endswith(".jsp") for part in unquote(path).split("/"))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):  # its text would show paths of this machine
        return error.strerror or type(error).__name__
    return str(error)


class DownloadGate:
    """Lets at most `most` downloads run at once, so that searches go on."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places = threading.BoundedSemaphore(most)

    def enter(self) -> None:
        """Take a place. Raises `Busy` when there is none; then there is nothing to leave."""
        if not self._places.acquire(blocking=False):
            raise Busy(
                f"{self._most} downloads are under way, the most at once; try again in {RETRY_AFTER_S} s",
                RETRY_AFTER_S,
            )

    def leave(self) -> None:
        """Give the place back; once for each `enter`."""
        self._places.release()
