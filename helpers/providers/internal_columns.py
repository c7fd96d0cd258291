"""The columns of the tables of own files, read off the records, and how a cell of each becomes a value.

Columns are the records' public field names. Measurements stand as columns of their own, the ends of a
connection as `presynaptic_...` and `postsynaptic_...`. Several values are separated by `;`, and `\\;` is a
semicolon within a value.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from helpers.errors import InvalidItem
from helpers.providers.internal_folder import FILE_TYPES, LINK_TYPES, checked_parts
from helpers.providers.internal_tables import DECODER, odd, shown
from helpers.records import (
    Connection,
    Electrophysiology,
    End,
    Link,
    Measurements,
    Model,
    Morphology,
    Paper,
    Property,
    Record,
)

Form = Literal[
    "text", "list", "number", "integer", "flag", "choice", "papers", "links", "properties", "json", "page",
    "date", "file", "files",
]  # fmt: skip

RECORDS: Final[Mapping[str, type[Record]]] = {
    "morphology": Morphology,
    "electrophysiology": Electrophysiology,
    "connection": Connection,
    "model": Model,
}
ENDS: Final = ("presynaptic", "postsynaptic")
OURS: Final = frozenset({"source_id", "type", "source", "provenance", "extra", *ENDS})  # no columns
MISSING: Final = frozenset({"", "-", "n/a", "#n/a", "null", "not reported", "not applicable"})
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_PMID: Final = re.compile(
    r"(?:pmid:?\s*|https?://pubmed\.ncbi\.nlm\.nih\.gov/)?([0-9]{1,9})/?", re.IGNORECASE
)
_DOI: Final = re.compile(r"(?:doi:?\s*|https?://(?:dx\.)?doi\.org/)?(10\.[0-9]{4,9}/\S+)", re.IGNORECASE)
_PROPERTY: Final = re.compile(
    r"(?P<name>[^:]+):\s*(?P<text>(?P<value>[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)?\s*(?P<rest>.*))", re.DOTALL
)
_UNIT: Final = re.compile(r"|[^\W\d_]\S*|[%°]\S*")  # none, or one word: `mV`, `%`
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: where its value goes and what a cell may hold."""

    name: str
    path: tuple[str, ...]  # of the record's field
    form: Form
    types: frozenset[str] = frozenset()  # file types that a cell of form `file` or `files` may name


def _bare(annotation: Any) -> tuple[Any, bool]:
    """The type within Optional, Annotated and tuple, and whether there may be several."""
    many = False
    while True:
        origin = get_origin(annotation)
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif origin in (Union, types.UnionType):
            annotation = next(item for item in get_args(annotation) if item is not type(None))
        elif origin is tuple:
            many, annotation = True, get_args(annotation)[0]
        else:
            return annotation, many


def _form(name: str, annotation: Any) -> Form:
    bare, many = _bare(annotation)
    if name in LINK_TYPES:
        return "files" if many else "file"
    if name.endswith("_date"):
        return "date"
    if get_origin(bare) is Literal:
        return "choice"
    forms: dict[Any, Form] = {
        str: "list" if many else "text",
        float: "number",
        int: "integer",
        bool: "flag",
        Paper: "papers",
        Link: "links",
        Property: "properties",
    }
    return forms.get(bare, "json")


def _fields(
    model: type[BaseModel], kind: str, prefix: str = "", path: tuple[str, ...] = ()
) -> Iterator[Column]:
    for name, info in model.model_fields.items():
        column = f"{prefix}{name}"
        if name in OURS:
            continue
        if _bare(info.annotation)[0] is Measurements:
            yield from _fields(Measurements, kind, prefix, (*path, name))
        elif name == "download_link":
            yield Column(f"{prefix}file", (*path, name), "file", FILE_TYPES[kind])
        elif name == "page_link":
            yield Column(column, (*path, name), "page")
        elif name == "cell_type" and kind == "morphology":
            yield Column(column, (*path, name), "list")  # any of the terms, as the filter of this name
        else:
            yield Column(
                column, (*path, name), _form(name, info.annotation), LINK_TYPES.get(name, frozenset())
            )


def _columns(kind: str) -> dict[str, Column]:
    found = {column.name: column for column in _fields(RECORDS[kind], kind)}
    for end in ENDS if kind == "connection" else ():
        found[end] = Column(end, (end,), "text")
        own = {column.name: column for column in _fields(End, "electrophysiology", f"{end}_", (end,))}
        del own[f"{end}_id"]  # the same as the column `presynaptic`: a row of the other table
        found.update(own)
    return found


COLUMNS: Final[Mapping[str, Mapping[str, Column]]] = {kind: _columns(kind) for kind in RECORDS}


def _names(kind: str) -> dict[str, str]:
    """Spelling (lower case, underscores) -> column: the columns themselves and their other names."""
    names = {name.lower(): name for name in COLUMNS[kind]}
    others = {"file": "download_link", "licence": "license", "metadata": "metadata_url"}
    if kind == "model":
        others["cell_types"] = "cell_type"
    names |= {other: column for column, other in others.items() if column in names}
    for column in COLUMNS[kind].values():
        names.setdefault("_".join(column.path).lower(), column.name)  # measurements_length_um
    return names | ({f"{end}_id": end for end in ENDS} if kind == "connection" else {})


NAMES: Final[Mapping[str, Mapping[str, str]]] = {kind: _names(kind) for kind in RECORDS}


def parse(column: Column, cell: Any) -> Any:
    """The value of a cell, None where it is missing. Raises `InvalidItem` saying what is allowed."""
    if isinstance(cell, str) and cell.strip().lower() in MISSING:
        return None
    return _PARSERS[column.form](cell)


def split(cell: Any) -> list[Any]:
    """The values of a cell that may hold several; JSON gives them as a list."""
    if isinstance(cell, str):
        cell = [item.replace("\\;", ";").strip() for item in re.split(r"(?<!\\);", cell)]
    items = cell if isinstance(cell, list) else [cell]
    return [item for item in items if item is not None and str(item).lower() not in MISSING]


def text(cell: Any) -> str:
    """One text; JSON numbers are taken as their text, since ids and strains may look like numbers."""
    if isinstance(cell, list) and len(cell) == 1:
        cell = cell[0]
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
        raise InvalidItem(f"must be one text, got {shown(cell)}")
    return str(cell).strip()


def _choice(cell: Any) -> str:
    return text(cell).lower()


def _list(cell: Any) -> list[str]:
    return list(dict.fromkeys(text(item) for item in split(cell)))


def _number(cell: Any) -> float:
    if isinstance(cell, bool) or not _NUMBER.fullmatch(str(cell)):
        raise InvalidItem(f"must be a number such as 12.5, got {shown(cell)}")
    return float(cell)


def _integer(cell: Any) -> int:
    if isinstance(cell, bool) or not _INTEGER.fullmatch(str(cell)):
        raise InvalidItem(f"must be a whole number, got {shown(cell)}")
    return int(cell)


def _flag(cell: Any) -> bool:
    found = _FLAGS.get(str(cell).lower())
    if found is None:
        raise InvalidItem(f"must be yes or no, got {shown(cell)}")
    return found


def _date(cell: Any) -> str:
    try:
        return date.fromisoformat(text(cell)).isoformat()
    except ValueError as error:
        raise InvalidItem(f"must be a date such as 2026-11-20, got {shown(cell)}") from error


def _page(cell: Any) -> str:
    url = text(cell)
    checked_parts(url)
    return url


def _papers(cell: Any) -> list[Any]:
    return [item if isinstance(item, dict) else _paper(text(item)) for item in split(cell)]


def _paper(item: str) -> dict[str, str]:
    if found := _PMID.fullmatch(item):
        pmid = found.group(1)
        return {"label": f"PMID:{pmid}", "pmid": pmid, "url": f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"}
    if found := _DOI.fullmatch(item):
        doi = found.group(1)
        return {"label": f"doi:{doi}", "doi": doi, "url": f"https://doi.org/{doi}"}
    if re.match(r"https?://", item):
        return {"label": item, "url": _page(item)}
    if " " not in item:
        raise InvalidItem(f"must be a PMID, a DOI, a URL or a citation in words, got {shown(item)}")
    return {"label": item}


def _links(cell: Any) -> list[Any]:
    return [item if isinstance(item, dict) else _labelled(text(item)) for item in split(cell)]


def _labelled(item: str) -> dict[str, str]:
    """`Label https://...` or the URL alone."""
    *label, url = item.split()
    return {"label": " ".join(label) or url, "url": _page(url)}


def _properties(cell: Any) -> list[Any]:
    return [item if isinstance(item, dict) else _property(text(item)) for item in split(cell)]


def _property(item: str) -> dict[str, Any]:
    """`Vrest: -68.2 mV` is a value with its unit; other words after the colon are kept as they stand."""
    found = _PROPERTY.fullmatch(item)
    if not found or not found["text"]:
        raise InvalidItem(f"must be 'name: value unit', got {shown(item)}")
    known = {"name": found["name"].strip(), "text": found["text"].strip()}
    unit = found["rest"].strip()
    if found["value"] is None or not _NUMBER.fullmatch(found["value"]) or not _UNIT.fullmatch(unit):
        return known
    return known | {"value": float(found["value"]), "unit": unit or None}


def _json(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    try:
        value = DECODER.decode(cell)
    except (ValueError, RecursionError) as error:
        raise InvalidItem(f"must be JSON: {error}") from error
    if why := odd(value):
        raise InvalidItem(why)
    return value


_PARSERS: Final[Mapping[Form, Callable[[Any], Any]]] = {
    "text": text,
    "list": _list,
    "number": _number,
    "integer": _integer,
    "flag": _flag,
    "choice": _choice,
    "papers": _papers,
    "links": _links,
    "properties": _properties,
    "json": _json,
    "page": _page,
    "date": _date,
    "file": text,
    "files": _list,
}
