"""Downloads: the files of records as one streamed zip that says what it holds and what is missing."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from injector import inject, singleton

from helpers.as_finished import as_finished
from helpers.download import DownloadGate, FileFetcher, Outcome, Wanted, wanted_of
from helpers.errors import InvalidArguments, NotFound
from helpers.filenames import UniqueNames
from helpers.query import SearchQuery
from helpers.records import INDICES
from helpers.storage.base import Storage
from helpers.zip_report import CITATIONS, MANIFEST, ZipReport
from helpers.zips import ZipWriter

FETCHERS: Final = 8  # files of one download that are fetched at once
IDS_AT_ONCE: Final = 500  # looked up together
NAMED_IDS: Final = 5  # in an error


@dataclass(frozen=True, slots=True)
class Download:
    """A zip to send. `chunks` holds a place of the gate until it ends or is closed."""

    filename: str
    chunks: Iterator[bytes]


@singleton
class DownloadService:
    """Makes zips of files, so many at once as the gate lets in."""

    @inject
    def __init__(self, storage: Storage, fetcher: FileFetcher, gate: DownloadGate) -> None:
        self._storage = storage
        self._fetcher = fetcher
        self._gate = gate

    def by_ids(self, ids: Sequence[str], first_index: str) -> Download:
        """The files of these records, looked for in `first_index`, then in the other indices.

        Unknown ids stand in the manifest. Raises `NotFound` when all are unknown, `InvalidArguments` when
        there are none, `Busy` and `StorageUnavailable`.
        """
        if not ids:
            raise InvalidArguments("ids must name at least one record")
        once = tuple(dict.fromkeys(ids))
        some = ", ".join(repr(one[:100]) for one in once[:NAMED_IDS])
        more = f" and {len(once) - NAMED_IDS} more" if len(once) > NAMED_IDS else ""
        what = once[0] if len(once) == 1 else first_index
        return self._begin(
            lambda: self._of_ids(once, first_index), f"no record has the id {some}{more}", _filename(what)
        )

    def by_query(self, query: SearchQuery) -> Download:
        """The files of every match. Raises `NotFound` when there is none, `Busy`, `StorageUnavailable`."""
        name = _filename(query.index, query.data_type)
        return self._begin(lambda: self._of_query(query), f"no record of {query.index} matches", name)

    def _begin(
        self, select: Callable[[], Generator[Wanted, None, None]], nothing: str, filename: str
    ) -> Download:
        """Enter the gate and find the first record, so that what fails at once is not yet a broken zip."""
        with ExitStack() as held:
            self._gate.enter()
            held.callback(self._gate.leave)
            wanted = select()
            held.callback(wanted.close)
            before, first = _first_known(wanted)
            if first is None:
                raise NotFound(nothing)
            pieces = _zip_pieces(chain(before, (first,), wanted), self._fetcher)
            return Download(filename, _Held(pieces, held.pop_all()))

    def _of_query(self, query: SearchQuery) -> Generator[Wanted, None, None]:
        for document in self._storage.walk(query):
            yield wanted_of(document.parsed())

    def _of_ids(self, ids: Sequence[str], first_index: str) -> Generator[Wanted, None, None]:
        """One for each id; in parts, as memory must not grow with the number of ids."""
        indices = tuple(dict.fromkeys((first_index, *INDICES)))
        for start in range(0, len(ids), IDS_AT_ONCE):
            part = ids[start : start + IDS_AT_ONCE]
            found: dict[str, Wanted] = {}
            for index in indices:
                rest = [one for one in part if one not in found]
                for document in self._storage.get(index, rest) if rest else ():
                    found[document.source_id] = wanted_of(document.parsed())
            for one in part:
                yield found.get(one) or Wanted(record_id=one, reason=f"no record has the id {one!r}")


def _first_known(wanted: Iterable[Wanted]) -> tuple[list[Wanted], Wanted | None]:
    """The unknown ones before the first record that exists, and that record."""
    before: list[Wanted] = []
    for one in wanted:
        if one.provider:
            return before, one
        before.append(one)
    return before, None


def _filename(*parts: str | None) -> str:
    """An ASCII name with the UTC time, so that a second download does not take the place of the first."""
    what = "-".join(filter(None, (re.sub(r"[^A-Za-z0-9_-]+", "_", part or "")[:60] for part in parts)))
    return f"ammon-{what}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.zip"


def _zip_pieces(wanted: Iterable[Wanted], fetcher: FileFetcher) -> Iterator[bytes]:
    """The bytes of the zip. An error of the storage breaks it off before its end, so that it is not valid."""
    stop = threading.Event()
    names = UniqueNames((MANIFEST, CITATIONS))
    with closing(ZipWriter()) as archive, closing(ZipReport()) as report:
        fetched = as_finished(
            partial(fetcher.fetch, stop=stop),
            _with_files(wanted, report),
            threads=FETCHERS,
            stop=stop,
            discard=Outcome.close,
        )
        with closing(fetched) as outcomes:
            for outcome in outcomes:
                with closing(outcome):
                    yield from _member(outcome, archive, report, names)
        for name, content in report.files():
            yield from archive.member(name, content)
        yield from archive.end()


def _with_files(wanted: Iterable[Wanted], report: ZipReport) -> Iterator[Wanted]:
    """Those that have something to fetch; the others are noted at once."""
    for one in wanted:
        if one.url is None:
            report.add(Outcome(wanted=one, status="missing", reason=one.reason or ""))
        else:
            yield one


def _member(outcome: Outcome, archive: ZipWriter, report: ZipReport, names: UniqueNames) -> Iterator[bytes]:
    if outcome.content is None:
        report.add(outcome)
        return
    name = names.take(outcome.file_name, outcome.wanted.record_id)
    report.add(outcome, name)
    yield from archive.member(name, outcome.content)


class _Held(Iterator[bytes]):
    """An iterator that gives back what it holds exactly once: at its end, an error, `close`, or collection.

    A generator alone would not do: one that was never started runs none of its `finally` blocks.
    """

    def __init__(self, pieces: Iterator[bytes], held: ExitStack) -> None:
        self._pieces = pieces
        self._held = held
        if close := getattr(pieces, "close", None):
            held.callback(close)  # runs first

    def __next__(self) -> bytes:
        over = True
        try:
            piece = next(self._pieces)
            over = False
        finally:
            if over:
                self.close()
        return piece

    def close(self) -> None:
        """End everything; more than once does no harm."""
        self._held.close()

    def __del__(self) -> None:
        self.close()
