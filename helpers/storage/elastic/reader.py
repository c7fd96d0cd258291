"""Answers questions from the served indices, and checks that each answer is whole and ours."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from helpers.errors import StorageUnavailable
from helpers.query import Document, Page, SearchQuery
from helpers.storage.elastic import question
from helpers.storage.elastic.cluster import Cluster, Deadline
from helpers.storage.elastic.errors import Refusal, whole
from helpers.storage.elastic.layout import FILTER_PATH, Layout, Physical, parse, patterns
from helpers.storage.elastic.schema import schema_version

WALK_CHUNK: Final = 1_000  # documents in memory at once
IDS_AT_ONCE: Final = 1_000
KEEP_ALIVE: Final = "5m"  # of a walk between two parts; one that took longer is opened anew
TOO_MANY: Final = "too_many_buckets_exception"
REOPENED: Final = 3

Answer = dict[str, Any]


class Reader:
    """Reads through the aliases of one prefix. Threads share it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._prefix = cluster.options.prefix
        self._schema = schema_version(cluster.options.shards)
        self._known: Mapping[str, Physical] = {}  # indices seen to be of a whole layout, by name

    def layout(self, deadline: Deadline) -> Layout:
        """What stands in the cluster now."""
        path = f"/{patterns(self._prefix)}"
        params = {
            "expand_wildcards": "all",
            "ignore_unavailable": "true",
            "allow_no_indices": "true",
            "filter_path": FILTER_PATH,
        }
        return parse(self._prefix, self._cluster.ask("GET", path, deadline=deadline, params=params))

    def search(self, query: SearchQuery) -> Page:
        """See `Storage.search`."""
        deadline = self._cluster.deadline()
        try:
            answer = self._answer(query, question.search_body(query), deadline)
        except Refusal as refusal:
            if refusal.kind != TOO_MANY:
                raise StorageUnavailable(str(refusal)) from refusal
            return self._search_in_steps(query, deadline)
        if answer is None:
            return Page(total=0, documents=(), facets=dict.fromkeys(query.facets, ()))
        counted = question.facets(query, answer)
        if counted is None:
            return self._search_in_steps(query, deadline)
        hits = answer["hits"]
        return Page(
            total=int(hits["total"]["value"]), documents=tuple(map(_document, hits["hits"])), facets=counted
        )

    def get(self, index: str, source_ids: Sequence[str]) -> list[Document]:
        """See `Storage.get`."""
        wanted = list(dict.fromkeys(source_ids))
        found: dict[str, Document] = {}
        if len(wanted) <= IDS_AT_ONCE:
            if wanted:
                answer = self._answer(
                    SearchQuery(index=index), question.ids_body(wanted), self._cluster.deadline()
                )
                found = _by_id(answer)
        else:
            with self._held(SearchQuery(index=index), self._cluster.deadline()) as held:
                for start in range(0, len(wanted) if held else 0, IDS_AT_ONCE):
                    body = question.ids_body(wanted[start : start + IDS_AT_ONCE])
                    found |= _by_id(held.ask(body, self._cluster.deadline()) if held else None)
        return [found[source_id] for source_id in wanted if source_id in found]

    def walk(self, query: SearchQuery) -> Iterator[Document]:
        """See `Storage.walk`. The first part is asked for at once, so that an outage shows at the call."""
        parts = self._parts(query, question.matches_body(query))
        first = next(parts, [])
        return _joined(first, parts)

    def of_index(self, physical: Physical, without: str | None) -> Iterator[tuple[str, Document]]:
        """(source, document) of everything in one index, except one source's."""
        others: dict[str, Any] = {"match_all": {}}
        if without is not None:
            others = {"bool": {"must_not": [{"term": {"from_source": without}}]}}
        query = SearchQuery(index=physical.index)
        for hits in self._hit_parts(query, {"query": others, "sort": ["_shard_doc"]}, physical.name):
            for hit in hits:
                yield str(hit["_source"]["from_source"]), _document(hit)

    def suggest(self, index: str, field: str, prefix: str, limit: int) -> list[str]:
        """See `Storage.suggest`."""
        counted = self.search(SearchQuery(index=index, hits=0, facets=(field,))).facets[field]
        folded = prefix.casefold()
        return [value for value, _ in counted if value.casefold().startswith(folded)][:limit]

    def _answer(self, query: SearchQuery, body: Answer, deadline: Deadline) -> Answer | None:
        """A whole answer from the served index; None before the first release. Lets `TOO_MANY` through."""
        path = f"/{self._prefix}{query.index}/_search"
        for last in (False, True):
            try:
                answer = self._ask(path, query, body, deadline)
            except Refusal as refusal:
                if refusal.status != 404:
                    raise
                if query.index not in self._checked(deadline):
                    return None
                if last:  # the first release came between the two questions, but not twice
                    raise StorageUnavailable(str(refusal)) from refusal
            else:
                self._verify(query, answer, deadline)
                return answer
        return None

    def _ask(self, path: str, query: SearchQuery, body: Answer, deadline: Deadline) -> Answer:
        params = {"allow_partial_search_results": "false"}
        if "pit" not in body:
            params["preference"] = _preference(query)
            params["search_type"] = "dfs_query_then_fetch"  # equal documents score equally in any shard
        timed = {**body, "timeout": f"{max(1, int(deadline.left_s * 1000))}ms"}
        answer: Answer = self._cluster.ask(
            "POST", path, timed, deadline=deadline, params=params, let=(400, 404)
        )
        whole(answer)
        return answer

    def _verify(self, query: SearchQuery, answer: Answer, deadline: Deadline) -> str:
        """The name of the index that answered, which must be one of ours and have what was asked for."""
        names = {str(hit["_index"]) for hit in answer["hits"]["hits"]}
        if len(names) != 1 or not names <= self._known.keys():
            served = self._checked(deadline)  # once per release, and for answers without hits
            if not names and query.index in served:
                names = {served[query.index].name}
        if len(names) != 1 or not names <= self._known.keys():
            raise StorageUnavailable(
                f"`{self._prefix}{query.index}` answered from indices unknown to Ammon: {sorted(names)}"
            )
        physical = self._known[names.pop()]
        if answer["_shards"]["total"] != physical.shards:
            raise StorageUnavailable(f"`{self._prefix}{query.index}` points at more than {physical.name}")
        meta = physical.meta
        if meta is not None and meta.schema != self._schema:
            missing = question.asked_columns(query).difference(meta.columns)
            if missing:
                raise StorageUnavailable(
                    f"the index is being rebuilt; {', '.join(sorted(missing))} can be asked for after that"
                )
        return physical.name

    def _checked(self, deadline: Deadline) -> Mapping[str, Physical]:
        """The served indices. Raises `StorageUnavailable` when aliases or indices are not as they must be."""
        layout = self.layout(deadline)
        served = layout.served
        self._known = {item.name: item for item in layout.physical if item.complete}
        return served

    def _search_in_steps(self, query: SearchQuery, deadline: Deadline) -> Page:
        """A page whose facets have more values than one answer may hold, from one release all the same."""
        with self._held(query, deadline) as held:
            if held is None:
                return Page(total=0, documents=(), facets=dict.fromkeys(query.facets, ()))
            body = question.search_body(query)
            body.pop("aggs", None)
            hits = held.ask(body, deadline)["hits"]
            counted: dict[str, tuple[tuple[str, int], ...]] = {}
            for name in query.facets:
                counted[name] = question.ranked(self._all_values(held, query, name, deadline))
            documents = tuple(map(_document, hits["hits"]))
            return Page(total=int(hits["total"]["value"]), documents=documents, facets=counted)

    @staticmethod
    def _all_values(
        held: _Held, query: SearchQuery, name: str, deadline: Deadline
    ) -> Iterator[tuple[str, int]]:
        after: Any = None
        while True:
            pairs, after = question.facet_page(
                held.ask(question.facet_pages_body(query, name, after), deadline)
            )
            yield from pairs
            if after is None:
                return

    @contextmanager
    def _held(
        self, query: SearchQuery, deadline: Deadline, name: str | None = None
    ) -> Generator[_Held | None, None, None]:
        """One release held open, as a point in time; None before the first one."""
        held = _Held(self, query, name)
        if not held.open(deadline):
            yield None
            return
        try:
            yield held
        finally:
            held.close()

    def _parts(self, query: SearchQuery, body: Answer) -> Generator[list[Document], None, None]:
        for hits in self._hit_parts(query, body):
            yield [_document(hit) for hit in hits]

    def _hit_parts(
        self, query: SearchQuery, body: Answer, name: str | None = None
    ) -> Generator[list[Answer], None, None]:
        """All matches in parts, in order, from one release."""
        deadline = self._cluster.deadline()
        body = {**body, "size": WALK_CHUNK, "track_total_hits": False}
        with self._held(query, deadline, name) as held:
            while held is not None:
                hits = held.ask(body, deadline)["hits"]["hits"]
                if hits:
                    yield hits
                if len(hits) < WALK_CHUNK:
                    return
                body["search_after"] = hits[-1]["sort"]
                deadline = Deadline(self._cluster.options.walk_timeout_s, patient=True)


class _Held:
    """A point in time over one index. One that was lost (too slow a reader, a server that was restarted)
    is opened anew on the same index, which never changes: so nothing is missed or repeated."""

    def __init__(self, reader: Reader, query: SearchQuery, name: str | None) -> None:
        self._reader = reader
        self._cluster = reader._cluster
        self._query = query
        self._alias = f"{reader._prefix}{query.index}"
        self._name = name  # of the index, known from the first answer
        self._given = name is not None
        self._id = ""

    def open(self, deadline: Deadline) -> bool:
        """Whether there is something to read; None of ours is there before the first release."""
        path = f"/{self._name or self._alias}/_pit"
        params = {"keep_alive": KEEP_ALIVE, "preference": _preference(self._query)}
        for last in (False, True):
            try:
                opened = self._cluster.ask("POST", path, deadline=deadline, params=params, let=(404,))
            except Refusal as refusal:
                if self._name is not None:
                    raise StorageUnavailable(
                        f"the release that was being read is gone ({self._name}): begin again"
                    ) from refusal
                if self._query.index not in self._reader._checked(deadline):
                    return False
                if last:
                    raise StorageUnavailable(str(refusal)) from refusal
            else:
                self._id = str(opened["id"])
                return True
        return False

    def ask(self, body: Answer, deadline: Deadline) -> Answer:
        """The answer to a search within this point in time."""
        for _ in range(REOPENED):
            pit = {"id": self._id, "keep_alive": KEEP_ALIVE}
            try:
                answer = self._reader._ask("/_search", self._query, {**body, "pit": pit}, deadline)
            except Refusal as refusal:
                if refusal.status != 404:
                    raise StorageUnavailable(str(refusal)) from refusal
                self.open(deadline)
            else:
                self._id = str(answer.get("pit_id", self._id))
                if not self._given:
                    found = self._reader._verify(self._query, answer, deadline)
                    if answer["hits"]["hits"]:
                        self._name = found
                        self._given = True
                return answer
        raise StorageUnavailable("Elasticsearch loses what is being read again and again")

    def close(self) -> None:
        """Free what the server holds; it would do so by itself after `KEEP_ALIVE`."""
        with suppress(StorageUnavailable, Refusal):
            deadline = Deadline(self._cluster.options.timeout_s)
            self._cluster.ask("DELETE", "/_pit", {"id": self._id}, deadline=deadline, let=(404,))


def _document(hit: Mapping[str, Any]) -> Document:
    source = hit["_source"]
    return Document(source_id=source["source_id"], body=source["body"].encode())


def _by_id(answer: Answer | None) -> dict[str, Document]:
    hits = answer["hits"]["hits"] if answer else ()
    return {document.source_id: document for document in map(_document, hits)}


def _joined(first: list[Document], parts: Iterator[list[Document]]) -> Iterator[Document]:
    yield from first
    for part in parts:
        yield from part


def _preference(query: SearchQuery) -> str:
    """The same words are answered by the same copy of a shard: scores of copies may differ a little."""
    return f"ammon{zlib.crc32(query.words.encode(errors='replace')):x}"
