"""The tables of a folder of own files: CSV or JSON text as rows, each with the line where it begins.

A line that cannot be read costs its own row. Where nothing says where the next row begins (a quote that is
never closed, broken JSON), the rest of the table is given up, and the error names the line.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from helpers.errors import InvalidItem

DELIMITERS: Final = (",", ";", "\t")
REQUIRED: Final = ("id", "name")
NESTED: Final = ("presynaptic", "postsynaptic", "measurements", "metadata")  # objects that JSON rows may hold
MAX_LINE_BYTES: Final = 1_000_000
MAX_JSON_BYTES: Final = 256 * 1024 * 1024
MAX_DEPTH: Final = 16
MAX_DIGITS: Final = 18
_BOM: Final = b"\xef\xbb\xbf"
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_WHITE: Final = re.compile(r"\s*")

Names = Mapping[str, str]  # spelling of a column, lower case with underscores -> the column


@dataclass(frozen=True, slots=True)
class Row:
    """One row as written: its cells by column, without the empty ones, and what is wrong with its form."""

    table: str  # file name
    line: int  # where it begins, the first line of the file is 1
    cells: dict[str, Any]
    problems: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.table} line {self.line}"


def read_table(path: Path, names: Names) -> Iterator[Row]:
    """Yield the rows of a `.csv` or `.json` table. Raises `InvalidItem` where the rest cannot be read."""
    try:
        with path.open("rb") as handle:
            yield from (_json_rows if path.suffix == ".json" else _csv_rows)(handle, path.name, names)
    except OSError as error:
        raise InvalidItem(f"{path.name} cannot be read: {error.strerror}") from error


def column_name(written: str, names: Names) -> str:
    """The column that a header means (`Secondary region`); an unknown one stays as written."""
    written = written.strip()
    return names.get(re.sub(r"[\s.]+", "_", written.lower()), written)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _float(digits: str) -> float | str:
    return value if math.isfinite(value := float(digits)) else digits


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


# Numbers that no 64 bits hold stay text: an id may look like one, and a number column refuses them.
DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_no_number)


class _BadLineError(Exception):
    """A line that is no text."""


class _Lines:
    """The lines of a UTF-8 file, one at a time and bounded; goes on after a line that is no text."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.number = 0  # of the line given last
        self.quotes_closed = True  # within that line, so that the next one begins a row

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._handle.readline(MAX_LINE_BYTES + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            raw = raw.removeprefix(_BOM)
        quotes = raw.count(b'"')
        too_long = len(raw) > MAX_LINE_BYTES
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = self._handle.readline(MAX_LINE_BYTES + 1)
            quotes += raw.count(b'"')
        self.quotes_closed = quotes % 2 == 0
        if too_long:
            raise _BadLineError(f"is longer than {MAX_LINE_BYTES:,} bytes")
        return _decoded(raw)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise _BadLineError(
            f"is not UTF-8 (byte 0x{byte:02X} at {error.start + 1}); save it as CSV UTF-8"
        ) from error


def _csv_rows(handle: BinaryIO, table: str, names: Names) -> Iterator[Row]:
    lines = _Lines(handle)
    header, delimiter = _header(lines, table, names)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _BadLineError) as error:
            if lines.number != first or not lines.quotes_closed:
                raise InvalidItem(
                    f"{table} line {first}: cannot be read ({error}); perhaps a quote is not closed. "
                    "Nothing after this line was read"
                ) from error
            yield Row(table, first, {}, (f"cannot be read: {error}",))
            continue
        if any(cell.strip() for cell in cells):
            yield _csv_row(table, first, header, cells)


def _header(lines: _Lines, table: str, names: Names) -> tuple[list[str], str]:
    """The columns and the delimiter: the one that finds the column `id`, else the most columns."""
    try:
        text = next((line for line in lines if line.strip(" \t\r\n,;")), None)
        if text is None:
            raise InvalidItem(f"{table} is empty: its first line must name the columns")
        split = {mark: next(csv.reader([text], delimiter=mark, strict=True)) for mark in DELIMITERS}
    except (csv.Error, _BadLineError) as error:
        raise InvalidItem(f"{table} line {lines.number}: the column names cannot be read: {error}") from error
    columns = {mark: [column_name(cell, names) for cell in cells] for mark, cells in split.items()}
    delimiter = max(DELIMITERS, key=lambda mark: ("id" in columns[mark], len(columns[mark])))
    header = columns[delimiter]
    _check_header(header, f"{table} line {lines.number}")
    return header, delimiter


def _check_header(header: list[str], place: str) -> None:
    for name in REQUIRED:
        if name not in header:
            raise InvalidItem(
                f"{place}: no column {name!r}; columns are separated by comma, semicolon or tab, "
                f"seen: {', '.join(header)[:200]!r}"
            )
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InvalidItem(f"{place}: the column {twice!r} stands there twice, perhaps in two spellings")
    odd = next((name for name in header if _NOT_TEXT.search(name)), None)
    if odd is not None:
        raise InvalidItem(f"{place}: the column name {odd!r} holds a control character")


def _csv_row(table: str, line: int, header: list[str], cells: list[str]) -> Row:
    found: dict[str, Any] = {}
    problems = []
    for number, cell in enumerate(map(str.strip, cells), start=1):
        name = header[number - 1] if number <= len(header) else ""
        if cell and not name:
            problems.append(f"column {number}: a value, {shown(cell)}, in a column without a name")
        elif cell:
            found[name] = cell
    return _checked(Row(table, line, found, tuple(problems)))


def _checked(row: Row) -> Row:
    """The row without the cells that hold what no record may hold, and a problem for each of them."""
    wrong = {name: why for name, cell in row.cells.items() if (why := odd([name, cell]))}
    problems = (f"column {name if name.isprintable() else ascii(name)}: {why}" for name, why in wrong.items())
    kept = {name: cell for name, cell in row.cells.items() if name not in wrong}
    return Row(row.table, row.line, kept, (*row.problems, *problems)) if wrong else row


def odd(value: Any, depth: int = 0) -> str | None:
    """What is wrong with a JSON value as part of a record: a control character, too deep a nesting."""
    if isinstance(value, str):
        found = _NOT_TEXT.search(value)
        return f"holds a character that no text may hold (U+{ord(found.group()):04X})" if found else None
    if depth > MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} levels deep"
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        return next((why for item in value if (why := odd(item, depth + 1))), None)
    return None


def _json_rows(handle: BinaryIO, table: str, names: Names) -> Iterator[Row]:
    text = _json_text(handle, table)
    at, line = _white(text, 0), 1
    line += text.count("\n", 0, at)
    if text[at : at + 1] != "[":
        raise InvalidItem(f"{table} line {line}: must be a list of objects, [{{...}}, ...]")
    at, mark = at + 1, "["
    while True:
        start = _white(text, at)
        line += text.count("\n", at, start)
        if text[start : start + 1] == "]" and mark == "[":
            return  # an empty list
        try:
            value, at = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InvalidItem(
                f"{table} line {where}: no valid JSON: {what}. Nothing after it was read"
            ) from error
        yield _json_row(table, line, value, names)
        end = _white(text, at)
        line += text.count("\n", start, end)
        mark, at = text[end : end + 1], end + 1
        if mark == "]":
            return
        if mark != ",":
            raise InvalidItem(f"{table} line {line}: no valid JSON: a comma or ] is missing")


def _json_text(handle: BinaryIO, table: str) -> str:
    raw = handle.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise InvalidItem(f"{table} is larger than {MAX_JSON_BYTES:,} bytes; a CSV table may be")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidItem(
            f"{table} line {line}: is not UTF-8 (byte 0x{raw[error.start]:02X}), nothing of it was read"
        ) from error


def _white(text: str, at: int) -> int:
    found = _WHITE.match(text, at)
    return found.end() if found else at


def _json_row(table: str, line: int, value: object, names: Names) -> Row:
    if not isinstance(value, dict):
        return Row(table, line, {}, (f"must be an object {{...}}, got {shown(value)}",))
    found: dict[str, Any] = {}
    problems = []
    for written, cell in _flat(value):
        name = column_name(written, names)
        if name in found:
            problems.append(f"column {name}: stands there twice, perhaps in two spellings")
        elif cell not in (None, "", [], {}):
            found[name] = cell.strip() if isinstance(cell, str) else cell
    return _checked(
        Row(table, line, {name: cell for name, cell in found.items() if cell != ""}, tuple(problems))
    )


def _flat(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and cells, with the objects that records hold taken apart: `presynaptic.name`."""
    for name, cell in value.items():
        if name in NESTED and isinstance(cell, dict):
            yield from ((f"{name}.{inner}", item) for inner, item in cell.items())
        else:
            yield name, cell


def shown(value: object) -> str:
    """A value as it stands in a message, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
