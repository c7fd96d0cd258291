"""From the field table to a Tantivy schema, and from a record's JSON to a Tantivy document.

Tantivy sorts by one column only and slowly by strings, so an order by name or id is kept as a chain of
u64 columns, each packing the next characters (docs/decisions/0003-exact-order.md).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import orjson
import tantivy

from helpers.fields import FIELDS, FieldSpec, values
from helpers.query import Document

ENGINE_VERSION: Final = version("tantivy")
WORDS: Final = ("name", "terms", "body")
BOOSTS: Final = {"name": 8.0, "terms": 3.0, "body": 1.0}
LAYOUT: Final = 2  # raise when the code below writes other columns for the same field table

ID_KEYS: Final = ("id_key_0", "id_key_1", "id_key_2")
NAME_KEYS: Final = tuple(f"name_key_{place}" for place in range(8))
_NAME_KEYS: Final = struct.Struct(f">{len(NAME_KEYS)}Q")
_ID_CHARACTERS: Final = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"  # in ASCII order
_ID_DIGIT: Final = {character: place + 1 for place, character in enumerate(_ID_CHARACTERS)}
_ID_WIDTH: Final = 10  # 66 ** 10 < 2 ** 64
_MARKUP: Final = re.compile(r"<[^<>]{0,2000}>")


def column(name: str) -> str:
    """The Tantivy field of a public field name."""
    return "f_" + name.replace(".", "__")


def tokenizer() -> tantivy.TextAnalyzer:
    """Words as runs of letters and digits, in lower case and without accents."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    return builder.filter(tantivy.Filter.lowercase()).filter(tantivy.Filter.ascii_fold()).build()


def schema_version() -> str:
    """A digest of all that decides what an index on disk holds."""
    specs = [
        (index, spec.name, spec.paths, spec.kind, spec.many, spec.filter, spec.sort, spec.words)
        for index, table in FIELDS.items()
        for spec in table.values()
    ]
    return hashlib.sha256(repr((LAYOUT, ENGINE_VERSION, specs)).encode()).hexdigest()[:16]


def stored_as_keyword(spec: FieldSpec) -> bool:
    """Whether a field has an exact column of its own; the name has its keys instead."""
    return spec.kind == "keyword" and (spec.filter or spec.sort) and spec.name != "name"


def stored_as_number(spec: FieldSpec) -> bool:
    """Whether a field has a column of numbers; dates are numbers made of their digits."""
    return spec.kind in ("number", "date") and (spec.filter or spec.sort)


def as_number(value: Any) -> float:
    """A number or ISO 8601 date as a number that sorts the same: 2026-11-20T10:00 is 20261120100000."""
    if isinstance(value, str):
        return float("".join(filter(str.isdigit, value))[:14].ljust(14, "0"))
    return float(value)


def searchable(field: str, text: str) -> str:
    """A text as it is indexed for words: without markup in prose, where the sources write HTML; a name or
    term keeps everything, as it must be found by itself.
    """
    return _MARKUP.sub(" ", text) if field == "w_body" and "<" in text else text


def build_schema(index: str) -> tantivy.Schema:
    """The schema of an index, from the field table."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("source_id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("from_source", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field("body", stored=True, indexed=False)
    for key in (*ID_KEYS, *NAME_KEYS):
        builder.add_unsigned_field(key, fast=True, indexed=True)
    for words in WORDS:
        builder.add_text_field(f"w_{words}", tokenizer_name="words", index_option="position")
    for spec in FIELDS[index].values():
        if stored_as_keyword(spec):
            builder.add_text_field(column(spec.name), tokenizer_name="raw", index_option="basic", fast=True)
        elif stored_as_number(spec):
            builder.add_float_field(column(spec.name), fast=True, indexed=True)
    return builder.build()


def id_keys(source_id: str) -> list[int]:
    """Numbers that sort as the ids do: ASCII order over the first 30 characters."""
    padded = [_ID_DIGIT.get(character, 0) for character in source_id[: _ID_WIDTH * len(ID_KEYS)]]
    padded += [0] * (_ID_WIDTH * len(ID_KEYS) - len(padded))
    keys = []
    for start in range(0, len(padded), _ID_WIDTH):
        number = 0
        for digit in padded[start : start + _ID_WIDTH]:
            number = number * 66 + digit
        keys.append(number)
    return keys


def sort_name(name: str) -> str:
    """The form of a name that decides its place: case does not count."""
    return name.casefold()


def name_keys(name: str) -> list[int]:
    """Numbers that sort as the folded names do: code points over the first 64 bytes."""
    folded = sort_name(name).encode()[: _NAME_KEYS.size].ljust(_NAME_KEYS.size, b"\0")
    return list(_NAME_KEYS.unpack(folded))


class DocumentBuilder:
    """Makes Tantivy documents of one index; the field table is compiled once per record type."""

    def __init__(self, index: str) -> None:
        types = frozenset().union(*(spec.types for spec in FIELDS[index].values()))
        self._plans = {name: _Plan([s for s in FIELDS[index].values() if name in s.types]) for name in types}

    def build(self, source: str, document: Document) -> tantivy.Document:
        """One document with all its columns. Raises `ValueError` or `KeyError` when the body is no record."""
        record: dict[str, Any] = orjson.loads(document.body)
        out = tantivy.Document()
        out.add_text("source_id", document.source_id)
        out.add_text("from_source", source)
        out.add_bytes("body", document.body)
        for name, key in zip(ID_KEYS, id_keys(document.source_id), strict=True):
            out.add_unsigned(name, key)
        for name, key in zip(NAME_KEYS, name_keys(record["name"]), strict=True):
            out.add_unsigned(name, key)
        self._plans[record["type"]].fill(out, record)
        return out


class _Plan:
    """What to add for the records of one type: this runs for every value of every record."""

    def __init__(self, specs: Sequence[FieldSpec]) -> None:
        self._texts = [
            (
                path,
                f"w_{spec.words}" if spec.words else None,
                column(spec.name) if stored_as_keyword(spec) else None,
            )
            for spec in specs
            if not stored_as_number(spec)
            for path in spec.paths
        ]
        numbers = [(spec, path) for spec in specs if stored_as_number(spec) for path in spec.paths]
        self._numbers: dict[tuple[str, ...], list[tuple[str, str]]] = {}  # parent -> (key, column)
        for spec, path in numbers:
            self._numbers.setdefault(path[:-1], []).append((path[-1], column(spec.name)))

    def fill(self, out: tantivy.Document, record: dict[str, Any]) -> None:
        for path, words, keyword in self._texts:
            value = record.get(path[0])
            if not value:
                continue
            if len(path) > 1:
                value = list(values(value, path[1:]))
            items: list[Any] = list(dict.fromkeys(value)) if type(value) is list else [value]
            for item in items:
                if words is not None:
                    out.add_text(words, searchable(words, item))
                if keyword is not None:
                    out.add_text(keyword, item)
        for parents, columns in self._numbers.items():
            for parent in values(record, parents):
                for key, name in columns:
                    number = parent.get(key)
                    if number is not None:
                        out.add_float(name, number if type(number) is float else as_number(number))
