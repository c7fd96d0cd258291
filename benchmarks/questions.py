"""What the search benchmarks ask: for each kind many different questions, made from the records themselves.

A question is asked over HTTP as a front end asks, and of the engine as our services ask it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from benchmarks.measures import Unmeasurable
from benchmarks.wire import request
from helpers.facets import offered
from helpers.query import SearchQuery
from helpers.search_args import parse_search_args
from helpers.storage.base import Storage

INDEX: Final = "dataset"
SIX: Final = ("species", "brain_region", "cell_type", "archive", "strain", "experiment_condition")
SAMPLE: Final = 400  # records that the questions are made from
VARIANTS: Final = 60  # of one kind, at most
DEEP: Final = (0.3, 0.5, 0.7)  # how far down the deep pages lie

ONE_WORD: Final = "one word"
THREE_WORDS: Final = "three words"
TWO_FILTERS: Final = "two filters"
FILTERS_AND_FACETS: Final = "two filters, six facets"
SIX_FACETS: Final = "six facets over everything"
BY_NAME: Final = "everything by name, page 1"
DEEP_PAGE: Final = "deep page by name"
RECORD: Final = "record by id"
FILTERS: Final = "filters of morphology"
_WORD: Final = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, ready to be asked in both ways."""

    kind: str
    http: bytes
    query: SearchQuery | None = None
    source_id: str | None = None

    def on_page(self, page: int) -> Question:
        """The same search on another page."""
        if self.query is None:
            raise ValueError(f"{self.kind} has no pages")
        old, new = (f"/search/{INDEX}/{number} ".encode() for number in (self.query.page, page))
        return replace(self, http=self.http.replace(old, new, 1), query=replace(self.query, page=page))

    def ask(self, storage: Storage) -> int:
        """Ask the engine directly; how many records it found."""
        if self.query is not None:
            return storage.search(self.query).total
        storage.released()
        return len(storage.get(INDEX, [self.source_id or ""]))


def questions(storage: Storage, seed: int = 1) -> dict[str, list[Question]]:
    """Kind -> its questions, in a random order that is always the same for the same records."""
    chance = random.Random(seed)
    total = storage.search(SearchQuery(index=INDEX)).total
    sample = list(_sample(storage, total, chance))
    made = [
        *(_search(ONE_WORD, {"query": word}) for word in _single_words(sample)),
        *(_search(THREE_WORDS, {"query": " ".join(words)}) for words in _triples(sample, chance)),
        *(_search(TWO_FILTERS, {"filters": filters}) for filters in _pairs(sample)),
        *(
            _search(FILTERS_AND_FACETS, {"filters": filters, "facets": list(SIX)})
            for filters in _pairs(sample)
        ),
        _search(SIX_FACETS, {"facets": list(SIX)}),
        _search(BY_NAME, {}),
        *(_search(DEEP_PAGE, {}, page=int(total * part) // 20 + step) for part in DEEP for step in range(20)),
        *(_record(record["source_id"]) for record in sample),
        _filters(),
    ]
    kinds: dict[str, list[Question]] = {}
    for question in made:
        kinds.setdefault(question.kind, []).append(question)
    for kind, some in kinds.items():
        chance.shuffle(some)
        kinds[kind] = some[:VARIANTS]
    missing = {ONE_WORD, THREE_WORDS, TWO_FILTERS, RECORD} - kinds.keys()
    if missing:
        raise Unmeasurable(f"{total} records are too few to make questions of: {', '.join(sorted(missing))}")
    return kinds


def _sample(storage: Storage, total: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Records from all over the index, a few pages of twenty."""
    for _ in range(SAMPLE // 20):
        page = chance.randrange(max(1, total // 20))
        for document in storage.search(SearchQuery(index=INDEX, page=page)).documents:
            yield document.parsed()


def _search(kind: str, arguments: dict[str, Any], page: int = 0) -> Question:
    return Question(
        kind,
        request("POST", f"/search/{INDEX}/{page}", arguments),
        query=parse_search_args(INDEX, arguments, page=page),
    )


def _record(source_id: str) -> Question:
    return Question(RECORD, request("GET", f"/records/{INDEX}/{source_id}"), source_id=source_id)


def _filters() -> Question:
    names = tuple(item.name for item in offered(INDEX, "morphology"))
    query = SearchQuery(index=INDEX, data_type="morphology", facets=names, hits=1)
    return Question(FILTERS, request("GET", f"/filters/{INDEX}/morphology"), query=query)


def _words_of(record: dict[str, Any]) -> list[str]:
    texts = [record["species"] or "", record["archive"] or "", *record["brain_region"], *record["cell_types"]]
    return list(dict.fromkeys(word.casefold() for text in texts for word in _WORD.findall(text)))


def _single_words(sample: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(word for record in sample for word in _words_of(record)))


def _triples(sample: Sequence[dict[str, Any]], chance: random.Random) -> list[tuple[str, ...]]:
    """Three whole words that stand in one record together."""
    rich = [words for record in sample if len(words := _words_of(record)) >= 3]
    return list(dict.fromkeys(tuple(sorted(chance.sample(words, 3))) for words in rich))


def _pairs(sample: Sequence[dict[str, Any]]) -> list[dict[str, list[str]]]:
    """Filters on species and cell type that some record passes."""
    pairs = dict.fromkeys(
        (record["species"], record["cell_types"][0])
        for record in sample
        if record["species"] and record["cell_types"]
    )
    return [{"species": [species], "cell_type": [cell]} for species, cell in pairs]
