"""What stands last in a zip of files: which file is whose, what is missing and why, and what to cite."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from helpers.download import Outcome, Wanted
from helpers.spool import Spool

MANIFEST: Final = "manifest.csv"
CITATIONS: Final = "CITATIONS.txt"
COLUMNS: Final = ("id", "name", "source", "url", "file", "size", "sha256", "status", "reason")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet may run what begins so

_HEAD: Final = """\
What to cite when you use the files of this zip.
Which file is of which record stands in manifest.csv.
"""


class ZipReport:
    """Notes every record of a download, in constant memory but for the hashes of papers."""

    def __init__(self, folder: Path | None = None) -> None:
        self._spools = ExitStack()
        self._manifest = self._spool(folder)
        self._papers = self._spool(folder)
        self._citations = self._spool(folder)
        self._rows = csv.writer(_Lines(self._manifest))
        self._rows.writerow(COLUMNS)
        self._sources: dict[str, dict[str, None]] = {}  # source -> lines, in the order of their coming
        self._cited: set[int] = set()

    def add(self, outcome: Outcome, file: str = "") -> None:
        """Note a record with the name of its file in the zip, or with the reason why there is none."""
        wanted, content = outcome.wanted, outcome.content
        size, digest = (str(content.size), content.sha256) if content else ("", "")
        about = (wanted.record_id, wanted.name, wanted.source, outcome.url or "")
        self._rows.writerow(map(as_cell, (*about, file, size, digest, outcome.status, outcome.reason)))
        if content:
            self._cite(wanted)

    def files(self) -> Iterator[tuple[str, Spool]]:
        """(name, content) of the report's files, once everything is noted."""
        yield MANIFEST, self._manifest
        for text in self._cited_text():
            self._citations.write(text)
        yield CITATIONS, self._citations

    def close(self) -> None:
        """Give memory and disk back."""
        self._spools.close()

    def _spool(self, folder: Path | None) -> Spool:
        spool = Spool(folder)
        self._spools.callback(spool.close)
        return spool

    def _cite(self, wanted: Wanted) -> None:
        lines = self._sources.setdefault(wanted.source, {})
        if wanted.licence:
            lines[f"Licence: {_one_line(wanted.licence)}"] = None
        lines.update((f"Cite: {_one_line(citation)}", None) for citation in wanted.citations)
        for paper in wanted.papers:
            if hash(paper.key) not in self._cited:
                self._cited.add(hash(paper.key))
                self._papers.write(_encoded(f"- {_one_line(paper.text)}\n"))

    def _cited_text(self) -> Iterator[bytes]:
        yield _encoded(_HEAD)
        for source, lines in self._sources.items():
            yield _encoded("".join(_section(_one_line(source), lines)))
        yield _encoded("".join(_section("Papers of the records", ())))
        yield from self._papers.pieces() if self._papers.size else (b"None is named.\n",)


class _Lines:
    """What `csv.writer` writes to: a spool of UTF-8."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, line: str) -> None:
        self._spool.write(_encoded(line))


def as_cell(value: str) -> str:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if value.startswith(FORMULA) else value


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n{title}\n{'-' * len(title)}\n"
    yield from (f"{line}\n" for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")  # names of files may hold bytes that are no UTF-8
