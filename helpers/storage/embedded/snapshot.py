"""One released state of the embedded indices, opened for reading; it never changes while it is held."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import tantivy
from tantivy import Occur, Query

from helpers.errors import StorageUnavailable
from helpers.fields import FIELDS
from helpers.kept import Kept
from helpers.query import Document, Facets, Page, SearchQuery
from helpers.storage.embedded.manifest import Manifest
from helpers.storage.embedded.ordering import BY_ID, Address, By, Ordering, by_name
from helpers.storage.embedded.schema import BOOSTS, WORDS, column, stored_as_number, tokenizer

log = logging.getLogger(__name__)

WALK_CHUNK: Final = 20_000
FACET_SIZE: Final = 65_000  # Tantivy refuses more; above it counts would be cut, so we raise
KEPT_FACETS: Final = 512  # answers per release and process
KEPT_WINDOWS: Final = 2_000
KEPT_HITS: Final = 100  # longer pages are not kept
WARM_FILE: Final = "facets.json"


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn what Tantivy raises, its panics included, into `StorageUnavailable`."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise StorageUnavailable(f"the search engine failed: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's panics are no Exception in Python
            raise
        raise StorageUnavailable(f"the search engine failed: {error}") from error


def open_index(folder: Path) -> tantivy.Index:
    """A Tantivy index with our tokenizer, which Tantivy does not keep on disk."""
    index = tantivy.Index.open(str(folder))
    index.register_tokenizer("words", tokenizer())
    return index


class IndexSnapshot:
    """One index of a snapshot."""

    def __init__(self, name: str, folder: Path, columns: Sequence[str]) -> None:
        self._name = name
        self._columns = frozenset(columns)
        self._tokenizer = tokenizer()
        with engine_errors():
            index = open_index(folder)
            self._schema = index.schema
            self._searcher = index.searcher()
        self._ordering = Ordering(self._searcher, self._schema)
        self._facets: Kept[SearchQuery, Facets] = Kept(KEPT_FACETS)
        self._windows: Kept[SearchQuery, tuple[int, list[Address]]] = Kept(KEPT_WINDOWS)
        self._warm(folder / WARM_FILE)

    @property
    def count(self) -> int:
        """Released records."""
        count: int = self._searcher.num_docs
        return count

    def search(self, query: SearchQuery) -> Page:
        """See `Storage.search`."""
        with engine_errors():
            window = replace(query, facets=())
            if query.hits <= KEPT_HITS:
                total, addresses = self._windows.get(window, lambda: self._window(window))
            else:
                total, addresses = self._window(window)
            documents = tuple(map(self._document, addresses))
            return Page(total=total, documents=documents, facets=self.facets(query))

    def _window(self, query: SearchQuery) -> tuple[int, list[Address]]:
        """(total, where the hits of the page are)."""
        translated = self._translate(query)
        total = self._ordering.count(translated)
        limit = min(query.hits, total - query.offset)
        return total, self._ordered(query, translated, query.offset, limit) if limit > 0 else []

    def get(self, source_ids: Sequence[str]) -> list[Document]:
        """See `Storage.get`."""
        if not source_ids:
            return []
        wanted = list(dict.fromkeys(source_ids))
        with engine_errors():
            query = Query.term_set_query(self._schema, "source_id", wanted)
            found = self._searcher.search(query, limit=len(wanted), count=False).hits
            documents = {document.source_id: document for document in (self._document(a) for _, a in found)}
        return [documents[source_id] for source_id in wanted if source_id in documents]

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        """See `Storage.walk`."""
        with engine_errors():
            translated = self._translate(query)
            total = self._ordering.count(translated)
        for offset in range(0, total, WALK_CHUNK):
            with engine_errors():
                addresses = self._ordered(query, translated, offset, min(WALK_CHUNK, total - offset))
            for address in addresses:
                with engine_errors():
                    document = self._document(address)
                yield document

    def of_source(self, source: str | None = None) -> Iterator[tuple[str, Document]]:
        """(source, document) of everything, or of one source, in the engine's own order."""
        with engine_errors():
            query = Query.term_query(self._schema, "from_source", source) if source else Query.all_query()
            found = self._searcher.search(query, limit=max(1, self.count), count=False).hits
        for _, address in found:
            with engine_errors():
                stored = self._searcher.doc(address)
                found_in = str(stored.get_first("from_source"))
            yield found_in, _as_document(stored)

    def facets(self, query: SearchQuery) -> Facets:
        """Counts of every value of each field in `query.facets`, kept as long as the snapshot."""
        if not query.facets:
            return {}
        key = _without_page(query)
        return self._facets.get(key, lambda: self._count(key))

    def _count(self, query: SearchQuery) -> Facets:
        filtered = {item.field for item in query.filters}
        free = [name for name in query.facets if name not in filtered]
        counted: dict[str, tuple[tuple[str, int], ...]] = {}
        if free:
            counted.update(self._aggregate(self._translate(query), free))
        for name in filtered.intersection(query.facets):
            others = tuple(item for item in query.filters if item.field != name)
            counted.update(self._aggregate(self._translate(replace(query, filters=others)), [name]))
        return {name: counted[name] for name in query.facets}

    def _aggregate(self, query: Query, names: Iterable[str]) -> dict[str, tuple[tuple[str, int], ...]]:
        wanted = {
            name: {"terms": {"field": self._column(name), "size": FACET_SIZE, "segment_size": FACET_SIZE}}
            for name in names
        }
        with engine_errors():
            answer: dict[str, Any] = self._searcher.aggregate(query, wanted)
        counted = {}
        for name in wanted:
            if answer[name].get("sum_other_doc_count"):
                raise StorageUnavailable(f"{name} has more than {FACET_SIZE} values, they cannot be counted")
            pairs = [(str(b["key"]), int(b["doc_count"])) for b in answer[name]["buckets"] if b["doc_count"]]
            counted[name] = tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
        return counted

    def _ordered(self, query: SearchQuery, translated: Query, offset: int, limit: int) -> list[Address]:
        if query.sort is None and self._words(query.words):
            return self._ordering.by_relevance(translated, offset, limit)
        name = query.sort.field if query.sort else "name"
        descending = bool(query.sort and query.sort.descending)
        if name == "name":
            return self._ordering.by_keys(translated, by_name(descending), offset, limit)
        if stored_as_number(FIELDS[self._name][name]):
            keys = (By(self._column(name), descending), *BY_ID)
            return self._ordering.by_keys(translated, keys, offset, limit)
        return self._by_value(translated, name, offset, limit, descending)

    def _by_value(
        self, translated: Query, name: str, offset: int, limit: int, descending: bool
    ) -> list[Address]:
        """Order by a field of few values: its values in order, within each one the ids."""
        counted = sorted(
            self._aggregate(translated, [name])[name],
            key=lambda pair: (pair[0].casefold(), pair[0]),
            reverse=descending,
        )
        key = self._column(name)
        groups = [_both(translated, Query.term_query(self._schema, key, value)) for value, _ in counted]
        groups.append(
            Query.boolean_query([(Occur.Must, translated), (Occur.MustNot, Query.exists_query(key))])
        )
        ordered: list[Address] = []
        for group, size in zip(groups, [*(count for _, count in counted), self.count], strict=True):
            missing = limit - len(ordered)
            if missing and offset < size:
                ordered += self._ordering.by_keys(group, BY_ID, offset, min(missing, size - offset))
            offset = max(0, offset - size)
        return ordered

    def _translate(self, query: SearchQuery) -> Query:
        restrictions: list[Query] = []
        if query.data_type is not None:
            restrictions.append(Query.term_query(self._schema, self._column("type"), query.data_type))
        for item in query.filters:
            restrictions.append(
                Query.term_set_query(self._schema, self._column(item.field), list(item.values))
            )
        if query.ids is not None:
            restrictions.append(Query.term_set_query(self._schema, "source_id", list(query.ids)))
        alternatives = self._words(query.words)
        parts = [(Occur.Must, Query.const_score_query(item, 0.0)) for item in restrictions]
        if alternatives:
            parts.append((Occur.Must, _any([self._all_words(words) for words in alternatives])))
        if not parts:
            return Query.all_query()
        return Query.boolean_query(parts)

    def _words(self, text: str) -> list[list[str]]:
        """The alternatives of a text, each as its words; what has neither letter nor digit is no word."""
        alternatives = (self._tokenizer.analyze(part) for part in text.split("|"))
        return [list(dict.fromkeys(words)) for words in alternatives if words]

    def _all_words(self, words: Iterable[str]) -> Query:
        return Query.boolean_query([(Occur.Must, self._one_word(word)) for word in words])

    def _one_word(self, word: str) -> Query:
        return Query.disjunction_max_query(
            [
                Query.boost_query(Query.term_query(self._schema, f"w_{words}", word), BOOSTS[words])
                for words in WORDS
            ]
        )

    def _column(self, name: str) -> str:
        key = column(name)
        if key not in self._columns:
            raise StorageUnavailable(
                f"the index is being rebuilt; `{name}` can be asked for when that is done"
            )
        return key

    def _document(self, address: Address) -> Document:
        return _as_document(self._searcher.doc(address))

    def _warm(self, path: Path) -> None:
        """Take over what was counted at release; without it the first who asks waits a little."""
        try:
            for data_type, names, facets in orjson.loads(path.read_bytes()):
                query = SearchQuery(index=self._name, data_type=data_type, facets=tuple(names))
                counted = {name: tuple((value, count) for value, count in facets[name]) for name in names}
                self._facets.put(_without_page(query), counted)
        except FileNotFoundError:  # not counted yet: this is the writer's own look
            return
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            log.warning("%s cannot be read: %s", path, error)


class Snapshot:
    """All indices of one manifest."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.indices = {
            name: IndexSnapshot(name, root / folder, manifest.columns[name])
            for name, folder in manifest.folders.items()
        }


def _without_page(query: SearchQuery) -> SearchQuery:
    """What the facets of a query depend on."""
    return replace(query, page=0, hits=1, sort=None)


def _as_document(stored: tantivy.Document) -> Document:
    body: Any = stored.get_first("body")
    return Document(source_id=str(stored.get_first("source_id")), body=bytes(body))


def _both(one: Query, other: Query) -> Query:
    return Query.boolean_query([(Occur.Must, one), (Occur.Must, other)])


def _any(queries: list[Query]) -> Query:
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Should, query) for query in queries])
