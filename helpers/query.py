"""What is asked of a storage and what it answers: values that no engine's dialect reaches into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """A record passes when the field holds any of the values."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """Order by one field, missing values last; ties by `source_id`, ascending."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One question to one index. `page` counts from 0."""

    index: str
    words: str = ""  # alternatives separated by `|`; within one, every word is required
    data_type: str | None = None
    filters: tuple[FieldFilter, ...] = ()  # all of them hold
    ids: tuple[str, ...] | None = None  # only these source_ids
    sort: Sort | None = None  # None: relevance when there are words, else name
    page: int = 0
    hits: int = 20
    facets: tuple[str, ...] = ()  # fields to count, each as if its own filter were off

    @property
    def offset(self) -> int:
        """How many hits come before the page."""
        return self.page * self.hits


@dataclass(frozen=True, slots=True)
class Document:
    """A released record as stored: its id and its JSON, which is what the API shows."""

    source_id: str
    body: bytes

    def parsed(self) -> dict[str, Any]:
        """The record's JSON as Python values."""
        value: dict[str, Any] = orjson.loads(self.body)
        return value


Facets = Mapping[str, tuple[tuple[str, int], ...]]  # field -> (value, count), most frequent first


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits with the exact total over all pages."""

    total: int
    documents: tuple[Document, ...]
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """What an index holds of one source, and since when. It stands beside the records."""

    source: str
    number: int
    released_at: str  # ISO 8601, UTC
    fetched_at: str  # ISO 8601, UTC: when the refresh that made it began
    upstream: str | None = None  # the source's own release, where it names one
    digest: str | None = None  # of all its records, in whatever order: alike means unchanged
    counts: Mapping[str, int] = field(default_factory=dict)  # index -> records

    @property
    def total(self) -> int:
        """Records over all indices."""
        return sum(self.counts.values())
