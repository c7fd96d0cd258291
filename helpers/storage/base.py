"""The contract of the storage: what services may ask of any engine.

It speaks `SearchQuery`, `Document` and `Release`, never an engine's own query language. Every engine
passes `tests/contract`. A method that cannot answer raises `StorageUnavailable`: never an empty result
that is really an outage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from helpers.query import Document, Page, Release, SearchQuery


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the engine answers, and what a data manager wants to know of it."""

    engine: str
    version: str
    counts: Mapping[str, int]  # index -> released records
    rebuilding: bool = False  # served from an index of an older schema until the new one is built


class Storage(ABC):
    """Released records of all sources in the indices `dataset` and `model`."""

    @abstractmethod
    def search(self, query: SearchQuery) -> Page:
        """One page in the query's order, with the exact total; past the end it is empty."""

    @abstractmethod
    def get(self, index: str, source_ids: Sequence[str]) -> list[Document]:
        """The documents that exist, in the order asked for, each once; any number of ids."""

    @abstractmethod
    def walk(self, query: SearchQuery) -> Iterator[Document]:
        """Every match once, in the query's order, from the one release that was there at the start.

        Page, hits and facets of the query do not count. Memory does not grow with the matches.
        """

    @abstractmethod
    def suggest(self, index: str, field: str, prefix: str, limit: int = 10) -> list[str]:
        """Values of a filter field that begin with `prefix`, case ignored, most frequent first."""

    @abstractmethod
    def replace(self, source: str, documents: Iterable[tuple[str, Document]], release: Release) -> Release:
        """Swap in all of a source's documents at once and return the release with its counts.

        `documents` yields (index, document) and is consumed once. Readers see the old set or the new
        one, in both indices, never a mixture, also after a kill at any moment. On any error the old
        set stays in place.
        """

    @abstractmethod
    def released(self) -> Mapping[str, Release]:
        """source -> what is released of it; sources never released are absent."""

    @abstractmethod
    def health(self) -> Health:
        """Raise `StorageUnavailable` when searches cannot be answered."""

    @abstractmethod
    def rebuild_if_outdated(self) -> bool:
        """Rebuild an index of another schema version from the stored records; whether that was needed."""
