"""The lab's own files: a folder of tables (CSV or JSON) with the files that their rows name.

docs/internal-files.md describes the folder for those who fill it. Nothing here asks a network: a URL in a
row is checked by its text alone, and must lie on a host that the folder's `folder.toml` declares.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from helpers.errors import InvalidItem, UpstreamUnavailable
from helpers.providers.base import About, Provider, Raw, Report, Unfetched
from helpers.providers.internal_columns import COLUMNS, ENDS, NAMES, Column, parse
from helpers.providers.internal_folder import (
    KINDS,
    TABLES,
    FolderFile,
    declared_hosts,
    find,
    local_file,
    read_folder_file,
)
from helpers.providers.internal_records import KEY, record_of, source_id
from helpers.providers.internal_tables import Row, read_table, shown
from helpers.records import Record

__all__ = ["Internal", "declared_hosts", "local_file"]

log = logging.getLogger(__name__)

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")

Tables = Mapping[str, tuple[Path, ...]]  # kind of record -> its tables


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAbout(About):
    """As `About`, for rows whose ids are the ids over all sources already."""

    def source_id(self, bare_id: str) -> str:
        """The id as it is: `internal_morphology-1`, since two tables may use the same own id."""
        return bare_id


class Internal(Provider):
    """The source `internal`."""

    about: ClassVar[About] = OwnAbout(
        key=KEY,
        title="Own files",
        url="",
        api_docs="",
        licence=None,
        citations=(),
    )

    def __init__(self, folder: Path, public_url: str) -> None:
        self._folder = folder
        self._public_url = public_url.rstrip("/")

    def fetch(self, report: Report) -> Iterator[Raw | Unfetched]:
        """Yield every row of every table, with what its files are.

        Files are read once, for their size and checksum. Kept in memory: the ids, and the rows of
        `electrophysiology` that connections name.
        """
        tables = self._tables()
        reading = _Reading(
            self._folder, read_folder_file(self._folder), _named_by_ends(tables), self._public_url
        )
        report(sum(1 for kind, paths in tables.items() for path in paths for _ in _readable(path, kind)))
        for kind, paths in tables.items():
            for path in paths:
                yield from reading.table(path, kind)

    @staticmethod
    def normalise(raw: Raw) -> Record:
        """One row as one record. Raises `InvalidItem` naming file, line and column."""
        return record_of(raw.data, raw.base)

    def _tables(self) -> Tables:
        try:
            if not self._folder.is_dir():
                raise UpstreamUnavailable(f"the folder {self._folder} does not exist")
            names = {path.name for path in self._folder.iterdir()}
        except OSError as error:
            raise UpstreamUnavailable(
                f"the folder {self._folder} cannot be read: {error.strerror}"
            ) from error
        if not names & set(TABLES):
            raise UpstreamUnavailable(f"the folder {self._folder} has none of the tables {', '.join(TABLES)}")
        return {
            kind: tuple(self._folder / name for name in TABLES if name in names and Path(name).stem == kind)
            for kind in KINDS
        }


def _readable(path: Path, kind: str) -> Iterator[Row]:
    """The rows of a table up to where it cannot be read; its error is said when the rows are yielded."""
    try:
        yield from read_table(path, NAMES[kind])
    except InvalidItem:
        return


def _named_by_ends(tables: Tables) -> frozenset[str]:
    """The ids of `electrophysiology` that connections name."""
    rows = (row for path in tables["connection"] for row in _readable(path, "connection"))
    return frozenset(str(row.cells[end]).strip() for row in rows for end in ENDS if end in row.cells)


class _Reading:
    """One pass over the tables: what rows need to know of the folder and of each other."""

    def __init__(self, folder: Path, own: FolderFile, wanted: frozenset[str], base: str) -> None:
        self._folder = folder
        self._own = own
        self._wanted = wanted
        self._base = base
        self._kept: dict[str, dict[str, Any]] = {}  # rows of electrophysiology that connections name
        self._seen: dict[tuple[str, str], str] = {}  # kind and id -> where it stands

    def table(self, path: Path, kind: str) -> Iterator[Raw | Unfetched]:
        """Yield a table's rows; its own error, where it cannot be read to its end, comes last."""
        unknown: set[str] = set()
        try:
            for row in read_table(path, NAMES[kind]):
                unknown |= row.cells.keys() - COLUMNS[kind].keys()
                yield self._item(row, kind)
        except InvalidItem as error:
            yield Unfetched(path.name, str(error))
        for name in sorted(unknown):
            near = difflib.get_close_matches(name.lower(), NAMES[kind], 1, cutoff=0.8)
            if near:
                meant = NAMES[kind][near[0]]
                log.warning(
                    "internal: %s: the column %r is kept under extra; was %r meant?", path.name, name, meant
                )

    def _item(self, row: Row, kind: str) -> Raw | Unfetched:
        try:
            own_id = self._identified(row, kind)
        except InvalidItem as error:
            return Unfetched(row.place, f"{row.place} {error}")
        data = self._data(row, kind)
        if kind == "electrophysiology" and own_id in self._wanted:
            self._kept[own_id] = data
        return Raw(source_id(kind, own_id), data, self._base)

    def _identified(self, row: Row, kind: str) -> str:
        """The row's own id. Raises `InvalidItem` when it has none that can be used."""
        if row.problems and "id" not in row.cells:
            raise InvalidItem("; ".join(row.problems))
        try:
            own_id = parse(COLUMNS[kind]["id"], row.cells.get("id", ""))
        except InvalidItem as error:
            raise InvalidItem(f"column id: {error}") from error
        if not own_id:
            raise InvalidItem("column id: is empty")
        if not _ID.fullmatch(own_id):
            raise InvalidItem(
                f"column id: {shown(own_id)} is no id; allowed are 1-200 letters, digits and the signs . _ -"
            )
        first = self._seen.setdefault((kind, own_id), row.place)
        if first != row.place:
            raise InvalidItem(f"column id: {shown(own_id)} stands in {first} already")
        return str(own_id)

    def _data(self, row: Row, kind: str) -> dict[str, Any]:
        """The row as plain JSON, with what the files are that it names."""
        found, problems = self._files(row, kind)
        data: dict[str, Any] = {
            "kind": kind,
            "table": row.table,
            "line": row.line,
            "row": row.cells,
            "found": found,
            "problems": [*row.problems, *problems],
            "folder": self._own.model_dump(mode="json", include={"title", "licence", "citations"}),
        }
        for end in ENDS if kind == "connection" else ():
            data[end] = self._kept.get(str(row.cells.get(end, "")).strip())
        return data

    def _files(self, row: Row, kind: str) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
        """By column: the files of a row, and what is wrong with them."""
        found: dict[str, list[dict[str, Any]]] = {}
        problems = []
        for name, column in COLUMNS[kind].items():
            if column.form in ("file", "files") and name in row.cells:
                try:
                    found[name] = self._found(column, row.cells[name])
                except InvalidItem as error:
                    problems.append(f"column {name}: {error}")
        return found, problems

    def _found(self, column: Column, cell: Any) -> list[dict[str, Any]]:
        value = parse(column, cell)
        names = value if isinstance(value, list) else [value] if value else []
        return [find(self._folder, name, column.types, self._own.hosts) for name in names]
