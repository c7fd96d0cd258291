"""From a `SearchQuery` to the body of one search request: hits, exact total and facets together.

User text never reaches a query language: it is split into words here, and each word is a `term`.
Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import tantivy

from helpers.fields import FIELDS
from helpers.query import Facets, FieldFilter, SearchQuery
from helpers.storage.elastic.schema import sort_column
from helpers.storage.embedded.schema import BOOSTS, WORDS, column, stored_as_number, tokenizer

FACET_SIZE: Final = 65_000  # values counted in the search itself; more are counted by pages beside it
LAST_HIT: Final = 2**31 - 1  # Elasticsearch counts hits of a page in 32 bits
_OWN: Final = "values"

Clause = dict[str, Any]

_tokenizer: list[tantivy.TextAnalyzer] = []


def split_words(text: str) -> list[list[str]]:
    """The alternatives of a text, each as its words; what has neither letter nor digit is no word."""
    if not _tokenizer:
        _tokenizer.append(tokenizer())
    alternatives = (_tokenizer[0].analyze(part) for part in text.split("|"))
    # Lucene folds a capital dotted I to one letter, Tantivy leaves the dot beside it.
    return [
        list(dict.fromkeys(word.replace("i\u0307", "i") for word in words)) for words in alternatives if words
    ]


def search_body(query: SearchQuery) -> dict[str, Any]:
    """The request for one page. Beyond what Elasticsearch can count, a page is empty but has its total."""
    counted = {item.field for item in query.filters}.intersection(query.facets)
    later = [item for item in query.filters if item.field in counted]
    body: dict[str, Any] = {
        "query": _matching(query, [item for item in query.filters if item.field not in counted]),
        "sort": order(query),
        "track_total_hits": True,
        **_window(query),
    }
    if later:
        body["post_filter"] = {"bool": {"filter": [_filter(item) for item in later]}}
    if query.facets:
        body["aggs"] = {name: _facet(name, later) for name in query.facets}
    return body


def matches_body(query: SearchQuery) -> dict[str, Any]:
    """The request for all matches, without page and facets."""
    return {"query": _matching(query, query.filters), "sort": order(query)}


def ids_body(source_ids: Sequence[str]) -> dict[str, Any]:
    """The request for documents by id, in no order. Two sources may have the same id."""
    return {
        "query": {"bool": {"filter": [{"terms": {"source_id": list(source_ids)}}]}},
        "sort": ["_doc"],
        "size": 2 * len(source_ids),
        "track_total_hits": False,
    }


def facet_pages_body(query: SearchQuery, name: str, after: Any) -> dict[str, Any]:
    """The request for the next values of one facet, for fields with more values than one answer may have."""
    pages: Clause = {"size": 10_000, "sources": [{"value": {"terms": {"field": column(name)}}}]}
    if after is not None:
        pages["after"] = after
    others = [item for item in query.filters if item.field != name]
    return {"query": _matching(query, others), "size": 0, "aggs": {_OWN: {"composite": pages}}}


def facets(query: SearchQuery, answer: dict[str, Any]) -> Facets | None:
    """The counts of an answer, most frequent first; None when it does not hold all values."""
    counted = {}
    for name in query.facets:
        found = answer["aggregations"][name]
        found = found.get(_OWN, found)
        if found["sum_other_doc_count"] or found["doc_count_error_upper_bound"]:
            return None
        counted[name] = ranked((str(item["key"]), int(item["doc_count"])) for item in found["buckets"])
    return counted


def facet_page(answer: dict[str, Any]) -> tuple[list[tuple[str, int]], Any]:
    """(value, count) of one page of a facet, and where the next one begins."""
    found = answer["aggregations"][_OWN]
    pairs = [(str(item["key"]["value"]), int(item["doc_count"])) for item in found["buckets"]]
    return pairs, found.get("after_key")


def ranked(pairs: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Most frequent first, then by value."""
    return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def asked_columns(query: SearchQuery) -> set[str]:
    """The columns that an index must have for this query to be answered rightly."""
    names = [item.field for item in query.filters] + list(query.facets)
    used = {column(name) for name in names}
    if query.data_type is not None:
        used.add(column("type"))
    if query.sort is not None and query.sort.field != "name":
        used.add(_sort_field(query.index, query.sort.field))
    return used


def order(query: SearchQuery) -> list[Clause]:
    """The sort keys, which no two documents of a source share."""
    by_id = {"source_id": {"order": "asc"}}
    if query.sort is None and split_words(query.words):
        return [{"_score": {"order": "desc"}}, by_id]
    name = query.sort.field if query.sort else "name"
    direction = "desc" if query.sort and query.sort.descending else "asc"
    return [{_sort_field(query.index, name): {"order": direction, "missing": "_last"}}, by_id]


def _sort_field(index: str, name: str) -> str:
    if name == "name":
        return "name_sort"
    return column(name) if stored_as_number(FIELDS[index][name]) else sort_column(name)


def _window(query: SearchQuery) -> dict[str, int]:
    if query.offset + query.hits > LAST_HIT:
        return {"from": 0, "size": 0}
    return {"from": query.offset, "size": query.hits}


def _matching(query: SearchQuery, filters: Iterable[FieldFilter]) -> Clause:
    restrictions = [_filter(item) for item in filters]
    if query.data_type is not None:
        restrictions.append({"term": {column("type"): query.data_type}})
    if query.ids is not None:
        restrictions.append({"terms": {"source_id": list(query.ids)}})
    parts: dict[str, Any] = {}
    if restrictions:
        parts["filter"] = restrictions
    alternatives = [_all_words(words) for words in split_words(query.words)]
    if alternatives:
        parts["must"] = {"bool": {"should": alternatives, "minimum_should_match": 1}}
    return {"bool": parts} if parts else {"match_all": {}}


def _filter(item: FieldFilter) -> Clause:
    return {"terms": {column(item.field): list(item.values)}}


def _all_words(words: Iterable[str]) -> Clause:
    return {"bool": {"must": [_one_word(word) for word in words]}}


def _one_word(word: str) -> Clause:
    return {
        "dis_max": {
            "queries": [{"term": {f"w_{words}": {"value": word, "boost": BOOSTS[words]}}} for words in WORDS]
        }
    }


def _facet(name: str, later: Sequence[FieldFilter]) -> Clause:
    """Counts under all filters but the field's own."""
    terms = {"terms": {"field": column(name), "size": FACET_SIZE}}
    others = [_filter(item) for item in later if item.field != name]
    if not others:
        return terms
    return {"filter": {"bool": {"filter": others}}, "aggs": {_OWN: terms}}
