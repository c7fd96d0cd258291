"""From the field table to strict mappings, and from a record's JSON to what Elasticsearch indexes.

The columns are those of the embedded engine (`f_species`, `w_name`), so that both give the same answers;
docs/decisions/0006-elasticsearch-engine.md says where they differ and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import orjson

from helpers.fields import FIELDS, FieldSpec, values
from helpers.query import Document
from helpers.storage.embedded.schema import (
    NAME_KEYS,
    WORDS,
    as_number,
    column,
    searchable,
    sort_name,
    stored_as_keyword,
    stored_as_number,
)

LAYOUT: Final = 2  # raise when the code below writes other columns for the same field table
NAME_BYTES: Final = 8 * len(NAME_KEYS)  # names that agree in so many bytes are ordered by id, as embedded
TERM_CHARACTERS: Final = 10_922  # UTF-16 units whose UTF-8 never passes Lucene's 32,766 bytes of a term
MAX_ID_BYTES: Final = 512  # of `_id`, by Elasticsearch

ANALYSIS: Final[dict[str, Any]] = {
    # Tantivy's "simple" tokenizer: runs of what Unicode calls alphabetic or a number.
    "tokenizer": {"runs": {"type": "pattern", "pattern": r"[^\p{IsAlphabetic}\p{N}]+"}},
    "filter": {"sane": {"type": "length", "max": TERM_CHARACTERS}},
    "analyzer": {
        "words": {
            "type": "custom",
            "tokenizer": "runs",
            "filter": ["sane", "lowercase", "asciifolding"],
        }
    },
}


def sort_column(name: str) -> str:
    """The column that orders a keyword field as the embedded engine does: case counts last."""
    return "s_" + name.replace(".", "__")


def mapping(index: str) -> dict[str, Any]:
    """The strict mapping of an index, without what is released in it."""
    exact = {"type": "keyword", "ignore_above": TERM_CHARACTERS}
    properties: dict[str, Any] = {
        "source_id": exact,
        "from_source": exact,
        "name_sort": {"type": "keyword", "index": False},
        "body": {"type": "object", "enabled": False},  # kept as given, never looked into
        **{f"w_{words}": {"type": "text", "analyzer": "words"} for words in WORDS},
    }
    for spec in FIELDS[index].values():
        if stored_as_keyword(spec):
            properties[column(spec.name)] = exact
            if spec.sort:
                properties[sort_column(spec.name)] = {"type": "keyword", "index": False}
        elif stored_as_number(spec):
            properties[column(spec.name)] = {"type": "double", "index": False}
    return {
        "dynamic": "strict",
        "_source": {"includes": ["source_id", "from_source", "body"]},
        "properties": properties,
    }


def settings(shards: int, replicas: int) -> dict[str, Any]:
    """The settings of a new index. It is written once and then only read."""
    return {
        "index.number_of_shards": shards,
        "index.number_of_replicas": replicas,
        "index.refresh_interval": "-1",  # refreshed once, before it is served
        "index.max_result_window": 2**31 - 1,  # any page answers; the deepest costs a sort of all matches
        "index.max_terms_count": 10_000_000,  # ids of one question
        "analysis": ANALYSIS,
    }


def columns(index: str) -> list[str]:
    """What an index of this program's schema can be asked for."""
    return sorted(mapping(index)["properties"])


def schema_version(shards: int) -> str:
    """A digest of all that decides what an index holds."""
    specs = [
        (index, spec.name, spec.paths, spec.kind, spec.many, spec.filter, spec.sort, spec.words)
        for index, table in FIELDS.items()
        for spec in table.values()
    ]
    mappings = [mapping(index) for index in FIELDS]
    return hashlib.sha256(repr((LAYOUT, shards, specs, mappings, ANALYSIS)).encode()).hexdigest()[:16]


def name_key(name: str) -> str:
    """What a name is ordered by: the first bytes of its folded form, each as one character."""
    return sort_name(name).encode()[:NAME_BYTES].rstrip(b"\0").decode("latin-1")


def sort_key(value: str) -> str:
    """What a value is ordered by: its folded form, then itself."""
    return f"{value.casefold()}\0{value}"[:TERM_CHARACTERS]


def document_id(source: str, source_id: str) -> str:
    """The `_id`: two sources may use the same source_id, and Elasticsearch bounds its length."""
    text = f"{source}:{source_id}"
    encoded = text.encode()
    return text if len(encoded) <= MAX_ID_BYTES else hashlib.sha256(encoded).hexdigest()


class DocumentBuilder:
    """Makes what Elasticsearch indexes of one index's records; compiled once per record type."""

    def __init__(self, index: str) -> None:
        types = frozenset().union(*(spec.types for spec in FIELDS[index].values()))
        self._plans = {name: _Plan([s for s in FIELDS[index].values() if name in s.types]) for name in types}

    def build(self, source: str, document: Document) -> bytes:
        """One document as JSON. Raises `ValueError`, `TypeError` or `KeyError` when it is no record."""
        record: dict[str, Any] = orjson.loads(document.body)
        out: dict[str, Any] = {
            "source_id": document.source_id,
            "from_source": source,
            "name_sort": name_key(record["name"]),
            "body": document.body.decode(),
        }
        self._plans[record["type"]].fill(out, record)
        return orjson.dumps(out)


class _Plan:
    """What to index of the records of one type: this runs for every value of every record."""

    def __init__(self, specs: Sequence[FieldSpec]) -> None:
        texts = [spec for spec in specs if not stored_as_number(spec)]
        self._texts = [
            (
                path,
                f"w_{spec.words}" if spec.words else None,
                column(spec.name) if stored_as_keyword(spec) else None,
                sort_column(spec.name) if stored_as_keyword(spec) and spec.sort else None,
            )
            for spec in texts
            for path in spec.paths
        ]
        self._numbers: dict[tuple[str, ...], list[tuple[str, str]]] = {}  # parent -> (key, column)
        for spec in specs:
            if stored_as_number(spec):
                for path in spec.paths:
                    self._numbers.setdefault(path[:-1], []).append((path[-1], column(spec.name)))

    def fill(self, out: dict[str, Any], record: dict[str, Any]) -> None:
        for path, words, keyword, order in self._texts:
            value = record.get(path[0])
            if not value:
                continue
            if len(path) > 1:
                value = list(values(value, path[1:]))
            items: list[Any] = list(dict.fromkeys(value)) if type(value) is list else [value]
            for item in items:
                if type(item) is not str:
                    raise TypeError(f"{'.'.join(path)} must be a text, it is {item!r}")
            if words is not None:
                out.setdefault(words, []).extend(searchable(words, item) for item in items)
            if keyword is not None:
                out.setdefault(keyword, []).extend(items)
            if order is not None and items:
                out.setdefault(order, sort_key(items[0]))
        for parents, numbers in self._numbers.items():
            for parent in values(record, parents):
                for key, name in numbers:
                    number = parent.get(key)
                    if number is not None:
                        out.setdefault(name, as_number(number))
