"""Exact order over Tantivy, which sorts by one column and breaks ties as its segments happen to lie.

A window of hits is ordered by a chain of columns. Ties wholly inside the window are sorted in memory by
the rest of the chain; a group of ties that crosses the window's edge is asked for again, ordered by the
rest of the chain. So any page costs a few top-k searches, however deep it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import tantivy
from tantivy import FieldType, Occur, Order, Query

from helpers.storage.embedded.schema import ID_KEYS, NAME_KEYS

TIES_IN_MEMORY: Final = 2_000  # equal scores beyond this many keep the engine's own order in a release

Value = int | float | None
Address = Any  # tantivy.DocAddress


class By(NamedTuple):
    """One step of an order; missing values come last either way."""

    column: str
    descending: bool = False


BY_ID: Final = tuple(map(By, ID_KEYS))


def by_name(descending: bool) -> tuple[By, ...]:
    """Names, then ids upwards."""
    return (*(By(key, descending) for key in NAME_KEYS), *BY_ID)


class Ordering:
    """Ordered windows over the matches of a query in one searcher."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self._searcher = searcher
        self._schema = schema

    def count(self, query: Query) -> int:
        """How many documents match."""
        found: Any = self._searcher.search(query, limit=1)
        return int(found.count)

    def by_keys(self, query: Query, keys: Sequence[By], offset: int, limit: int) -> list[Address]:
        """Hits `offset` to `offset + limit` in the order of the keys."""
        if limit <= 0:
            return []
        lead = min(offset, 1)
        found = self._searcher.search(
            query,
            limit=limit + lead + 1,
            offset=offset - lead,
            order_by_field=keys[0].column,
            order=Order.Desc if keys[0].descending else Order.Asc,
            count=False,
        ).hits
        window = found[lead : lead + limit]
        before = found[0][0] if lead and found else _NOTHING
        after = found[lead + limit][0] if len(found) > lead + limit else _NOTHING
        ordered: list[Address] = []
        for start, group in _runs(window):
            value = group[0][0]
            if len(group) == 1 and value not in (before, after):
                ordered.append(group[0][1])
            elif (start == 0 and value == before) or (start + len(group) == len(window) and value == after):
                ties = self._restricted(query, keys[0].column, value)
                skipped = offset - self._rank(query, keys[0], value) if value == before else 0
                ordered += self._tied(ties, keys[1:], skipped, len(group))
            else:
                ordered += self._sorted(group, keys[1:])
        return ordered

    def by_relevance(self, query: Query, offset: int, limit: int) -> list[Address]:
        """Hits by score; equal scores by id where there are at most `TIES_IN_MEMORY` of them."""
        found = self._searcher.search(query, limit=offset + limit + 1, count=False).hits
        end = offset + limit
        if len(found) > end and found[end][0] == found[end - 1][0]:
            found = self._searcher.search(query, limit=end + TIES_IN_MEMORY + 1, count=False).hits
        ordered: list[Address] = []
        for start, group in _runs(found):
            stop = start + len(group)
            if stop <= offset or start >= end:
                continue
            if 1 < len(group) <= TIES_IN_MEMORY:
                addresses = self._sorted(group, BY_ID)
            else:
                addresses = [address for _, address in group]
            ordered += addresses[max(0, offset - start) : end - start]
        return ordered

    def _tied(self, query: Query, keys: Sequence[By], offset: int, limit: int) -> list[Address]:
        if keys:
            return self.by_keys(query, keys, offset, limit)
        found = self._searcher.search(query, limit=max(1, self._searcher.num_docs), count=False).hits
        return self._by_stored_id([address for _, address in found])[offset : offset + limit]

    def _sorted(self, group: Sequence[tuple[Value, Address]], keys: Sequence[By]) -> list[Address]:
        addresses = [address for _, address in group]
        if not keys:
            return self._by_stored_id(addresses)
        columns = []
        for key in keys:  # names and ids are never missing
            numbers: list[Any] = self._searcher.fast_field_values(key.column, addresses)
            columns.append([-number for number in numbers] if key.descending else numbers)
        ranks = list(zip(*columns, strict=True))
        ordered: list[Address] = []
        for _, places in groupby(sorted(range(len(addresses)), key=ranks.__getitem__), key=ranks.__getitem__):
            same = [addresses[place] for place in places]
            ordered += self._by_stored_id(same) if len(same) > 1 else same
        return ordered

    def _by_stored_id(self, addresses: Sequence[Address]) -> list[Address]:
        return sorted(addresses, key=lambda address: str(self._searcher.doc(address).get_first("source_id")))

    def _rank(self, query: Query, key: By, value: Value) -> int:
        """How many hits come before the first one with this value."""
        if value is None:
            before = Query.exists_query(key.column)
        elif key.descending:
            before = self._range(key.column, value, None)
        else:
            before = self._range(key.column, None, value)
        both = Query.boolean_query([(Occur.Must, query), (Occur.Must, before)])
        return self.count(both)

    def _restricted(self, query: Query, key: str, value: Value) -> Query:
        if value is None:
            return Query.boolean_query([(Occur.Must, query), (Occur.MustNot, Query.exists_query(key))])
        same = Query.term_query(self._schema, key, value)
        return Query.boolean_query([(Occur.Must, query), (Occur.Must, same)])

    def _range(self, key: str, lower: Value, upper: Value) -> Query:
        kind = FieldType.Unsigned if isinstance(lower if upper is None else upper, int) else FieldType.Float
        return Query.range_query(
            self._schema,
            key,
            kind,
            lower_bound=lower,
            upper_bound=upper,
            include_lower=lower is None,
            include_upper=upper is None,
        )


_NOTHING: Final = object()


def _runs(hits: Sequence[tuple[Value, Address]]) -> Iterator[tuple[int, list[tuple[Value, Address]]]]:
    """(place of the first, hits) of each run of equal keys."""
    start = 0
    for _, run in groupby(hits, key=lambda hit: hit[0]):
        group = list(run)
        yield start, group
        start += len(group)
