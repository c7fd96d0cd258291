"""Searching, reading and listing released records."""

from __future__ import annotations

from collections.abc import Iterator

from injector import inject, singleton

from helpers.errors import NotFound
from helpers.query import Document, Page, Release, SearchQuery
from helpers.search_args import index_name
from helpers.storage.base import Storage


@singleton
class SearchService:
    """Answers from the released indices alone."""

    @inject
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def search(self, query: SearchQuery) -> Page:
        """One page of hits with the exact total."""
        return self._storage.search(query)

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        """Every match once, in the query's order, from one release."""
        return self._storage.walk(query)

    def record(self, index: str, source_id: str) -> tuple[Document, Release | None]:
        """One record and the release that it stands in. Raises `NotFound` naming the id."""
        found = self._storage.get(index_name(index), [source_id])
        if not found:
            raise NotFound(f"there is no record {source_id!r} in {index}")
        source = found[0].parsed()["provenance"]["source"]
        return found[0], self._storage.released().get(source)
