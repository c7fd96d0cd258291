"""What only the Elasticsearch engine promises: its indices, its writers, the embedded engine's answers."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import BadConfiguration, StorageUnavailable
from helpers.fields import FIELDS
from helpers.query import Document, FieldFilter, SearchQuery, Sort
from helpers.records import Measurements, Paper
from helpers.storage.elastic import ElasticOptions, ElasticStorage
from helpers.storage.elastic.layout import parse
from helpers.storage.elastic.question import search_body, split_words
from helpers.storage.elastic.schema import ANALYSIS, document_id, mapping, name_key
from helpers.storage.embedded import EmbeddedStorage
from helpers.storage.embedded.schema import tokenizer
from tests.contract.conftest import Server
from tests.records import documents, electrophysiology, model, morphology, release

EVERYTHING = SearchQuery(index="dataset")


def found(storage: Any, **query: Any) -> list[str]:
    page = storage.search(SearchQuery(**{"index": "dataset", **query}))
    return [document.source_id for document in page.documents]


def put(storage: Any, source: str, records: list[Any], number: int = 1) -> None:
    storage.replace(source, documents(records), release(source, number))


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"urls": ()}, "no address"),
            ({"urls": ("localhost:9200",)}, "like http://localhost:9200"),
            ({"urls": ("http://a:b@localhost:9200",)}, "by their own keys"),
            ({"prefix": "Upper"}, "prefix"),
            ({"prefix": "a*"}, "prefix"),
            ({"prefix": "_a"}, "prefix"),
            ({"user": "somebody"}, "a user and a password"),
            ({"user": "a", "password": "b", "api_key": "c"}, "not both"),
            ({"shards": 0}, "shards"),
        ],
        ids=lambda value: value if isinstance(value, str) else str(value),
    )
    def test_what_can_never_work_is_said_at_once(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(BadConfiguration, match=said):
            ElasticOptions(**{"urls": ("http://localhost:9200",), **options})

    def test_secrets_are_not_shown(self) -> None:
        options = ElasticOptions(urls=("https://h",), user="u", password="secret")
        assert "secret" not in repr(options)


class TestQuestion:
    def test_user_text_becomes_terms_only(self) -> None:
        body = search_body(SearchQuery(index="dataset", words='name:"x" OR * AND /re/ ~2'))
        assert "query_string" not in str(body)
        assert split_words('name:"x" OR * AND /re/ ~2') == [["name", "x", "or", "and", "re", "2"]]

    def test_a_page_beyond_32_bits_asks_for_the_total_only(self) -> None:
        body = search_body(SearchQuery(index="dataset", page=10**17, hits=10_000))
        assert (body["from"], body["size"]) == (0, 0)

    def test_filters_of_counted_fields_come_after_counting(self) -> None:
        filters = (FieldFilter("species", ("rat",)), FieldFilter("strain", ("Wistar",)))
        body = search_body(SearchQuery(index="dataset", filters=filters, facets=("species",)))
        assert "f_strain" in str(body["query"])
        assert "f_species" not in str(body["query"])
        assert "f_species" in str(body["post_filter"])


class TestSchema:
    def test_is_strict_and_names_every_column(self) -> None:
        made = mapping("dataset")
        assert made["dynamic"] == "strict"
        assert {"w_name", "w_terms", "w_body", "f_species", "s_species", "f_cell_type"} <= set(
            made["properties"]
        )

    def test_names_are_ordered_by_64_bytes(self) -> None:
        assert name_key("É" * 40) == name_key("é" * 99)
        assert name_key("z") < name_key("é") < name_key("神") < name_key("😀")

    def test_ids_are_never_too_long(self) -> None:
        assert document_id("a", "b") == "a:b"
        long = {document_id("a", "é" * 300 + tail) for tail in "xy"}
        assert len(long) == 2
        assert all(len(made.encode()) <= 512 for made in long)


class TestLayout:
    NAME = "p-dataset-00000003-0123abcd"

    def meta(self, name: str = NAME) -> dict[str, Any]:
        return {
            "name": name,
            "schema": "s",
            "columns": [],
            "indices": {"dataset": self.NAME},
            "previous": [],
            "releases": {},
        }

    def info(self, *aliases: str, meta: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "aliases": {alias: {} for alias in aliases},
            "settings": {"index": {"number_of_shards": "1"}},
            "mappings": {"_meta": meta} if meta else {},
        }

    def test_nothing_or_an_unfinished_first_release_is_no_problem(self) -> None:
        assert dict(parse("p-", {}).served) == {}
        layout = parse("p-", {self.NAME: self.info(f"{self.NAME}-writing", meta=self.meta())})
        assert dict(layout.served) == {}

    def test_a_served_one(self) -> None:
        layout = parse("p-", {self.NAME: self.info("p-dataset", meta=self.meta())})
        assert layout.served["dataset"].revision == 3

    def test_indices_of_other_hubs_do_not_count(self) -> None:
        answer = {"p-dataset-dataset-00000003-0123abcd": self.info("p-dataset-dataset")}
        assert parse("p-", answer).physical == ()

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({"p-dataset": {}}, "is an index"),
            ({"foreign": {"aliases": {"p-dataset": {}}}}, "did not make"),
        ],
        ids=["alias is an index", "foreign index"],
    )
    def test_what_is_not_ours_is_told(self, answer: dict[str, Any], said: str) -> None:
        layout = parse("p-", answer)
        assert not layout.repair
        with pytest.raises(StorageUnavailable, match=said):
            _ = layout.served

    def test_a_missing_alias_can_be_repaired(self) -> None:
        layout = parse("p-", {self.NAME: self.info(meta=self.meta())})
        assert dict(layout.repair) == {"p-dataset": self.NAME}
        with pytest.raises(StorageUnavailable, match="is missing"):
            _ = layout.served

    def test_a_clone_that_bears_another_name_is_not_complete(self) -> None:
        layout = parse("p-", {self.NAME: self.info(meta=self.meta("p-dataset-00000002-0123abcd"))})
        assert dict(layout.served) == {}


class TestIndices:
    def test_aliases_and_what_is_kept(self, server: Server) -> None:
        storage = server.storage()
        assert storage.check(writes=True)[0] in "89"
        for number in range(1, 5):
            put(storage, "neuromorpho", [morphology(number)], number)
        names = server.names("dataset")
        assert len(names) == 2  # the served one and the one before
        assert server.served() == names[-1]
        assert len(server.names("model")) == 1  # nothing changed there

    def test_are_strict_and_closed_for_writing(self, server: Server) -> None:
        put(server.storage(), "neuromorpho", [morphology(1)])
        made = server.client.indices.get(index=server.served())[server.served()]
        assert made["mappings"]["dynamic"] == "strict"
        assert made["settings"]["index"]["blocks"]["write"] == "true"

    def test_shards_and_replicas_are_as_configured(self, server: Server) -> None:
        put(server.storage(shards=2), "neuromorpho", [morphology(n, name="same") for n in range(40)])
        made = server.client.indices.get(index=server.served())[server.served()]["settings"]["index"]
        assert (made["number_of_shards"], made["number_of_replicas"]) == ("2", "0")
        storage = server.storage(shards=2)
        assert found(storage, words="same", hits=40) == sorted(f"neuromorpho-{n}" for n in range(40))
        assert storage.health().counts["dataset"] == 40

    def test_two_hubs_share_a_cluster(self, server: Server) -> None:
        one, other = server.storage(), server.storage(prefix=f"{server.prefix}dataset-")
        put(one, "neuromorpho", [morphology(1)])
        put(other, "neuromorpho", [morphology(2)])
        put(one, "neuromorpho", [morphology(3)], 2)
        assert (found(one), found(other)) == (["neuromorpho-3"], ["neuromorpho-2"])

    def test_a_changed_schema_is_rebuilt_from_what_is_stored(self, server: Server) -> None:
        put(server.storage(), "neuromorpho", [morphology(n, species="rat") for n in range(5)])
        put(server.storage(), "modeldb", [model(1)])
        outdated(server, without="f_species")
        storage = server.storage()
        assert storage.health().rebuilding
        assert len(found(storage)) == 5
        with pytest.raises(StorageUnavailable, match="is being rebuilt; f_species"):
            found(storage, filters=(FieldFilter("species", ("rat",)),))
        assert storage.rebuild_if_outdated()
        assert not storage.health().rebuilding
        assert len(found(storage, filters=(FieldFilter("species", ("rat",)),))) == 5
        assert set(storage.released()) == {"neuromorpho", "modeldb"}
        assert not storage.rebuild_if_outdated()

    def test_a_release_over_a_changed_schema_keeps_the_other_sources(self, server: Server) -> None:
        put(server.storage(), "neuromorpho", [morphology(n) for n in range(3)])
        put(server.storage(), "modeldb", [model(1)])
        outdated(server, without="f_species")
        storage = server.storage(shards=2)
        put(storage, "hippocampome", [electrophysiology(1)])
        assert storage.health().counts == {"dataset": 4, "model": 1}
        assert not storage.health().rebuilding


def outdated(server: Server, without: str) -> None:
    """As if another version of the program had made the served index."""
    for index in ("dataset", "model"):
        name = server.served(index)
        meta = server.client.indices.get_mapping(index=name)[name]["mappings"]["_meta"]
        columns = [column for column in meta["columns"] if column != without]
        server.client.indices.put_mapping(index=name, meta={**meta, "schema": "older", "columns": columns})


class TestWriters:
    def test_of_two_at_once_none_loses_a_release(self, server: Server) -> None:
        put(server.storage(), "neuromorpho", [morphology(1)])

        def slow() -> Iterator[tuple[str, Document]]:
            yield from documents([morphology(2)])
            put(server.storage(), "hippocampome", [electrophysiology(1)])

        with pytest.raises(StorageUnavailable):
            server.storage().replace("neuromorpho", slow(), release("neuromorpho", 2))
        assert found(server.storage()) == ["neuromorpho-1", "hippocampome-1"]
        assert set(server.storage().released()) == {"neuromorpho", "hippocampome"}
        assert len(server.names()) == 3

    def test_of_two_first_releases_one_wins(self, server: Server) -> None:
        def slow() -> Iterator[tuple[str, Document]]:
            yield from documents([morphology(2)])
            put(server.storage(), "hippocampome", [electrophysiology(1)])

        with pytest.raises(StorageUnavailable):
            server.storage().replace("neuromorpho", slow(), release("neuromorpho"))
        assert found(server.storage()) == ["hippocampome-1"]

    def test_threads_and_engines_at_once(self, server: Server) -> None:
        """Whatever happens to each, what is released in the end is exactly what was reported."""
        outcomes: dict[str, bool] = {}

        def write(source: str) -> None:
            try:
                put(server.storage(), source, [morphology(1, source_id=f"{source}-1")])
                outcomes[source] = True
            except StorageUnavailable:
                outcomes[source] = False

        threads = [threading.Thread(target=write, args=(f"source{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = {source for source, wrote in outcomes.items() if wrote}
        assert won
        assert set(server.storage().released()) == won
        assert set(found(server.storage())) == {f"{source}-1" for source in won}

    def test_what_a_killed_writer_left_is_removed(self, server: Server) -> None:
        storage = server.storage()
        put(storage, "neuromorpho", [morphology(1)])
        left = f"{server.prefix}dataset-00000002-deadbeef"
        server.client.indices.clone(index=server.served(), target=left, aliases={f"{left}-writing": {}})
        claimed = f"{server.prefix}dataset-00000002-deadbee2"
        server.client.indices.create(index=claimed)
        assert found(storage) == ["neuromorpho-1"]
        put(storage, "neuromorpho", [morphology(2)], 2)
        assert found(storage) == ["neuromorpho-2"]
        assert not {left, claimed} & set(server.names())

    def test_bulk_never_makes_an_index_of_its_own(self, server: Server) -> None:
        put(server.storage(), "neuromorpho", [morphology(1)])

        def vanishing() -> Iterator[tuple[str, Document]]:
            yield from documents([morphology(2)])
            making = [name for name in server.names("dataset") if name != server.served()]
            server.client.indices.delete(index=making)

        with pytest.raises(StorageUnavailable):
            server.storage().replace("neuromorpho", vanishing(), release("neuromorpho", 2))
        assert server.names("dataset") == [server.served()]
        assert found(server.storage()) == ["neuromorpho-1"]

    @pytest.mark.parametrize(("mine", "others"), [(60, 3), (3, 60), (5, 0)], ids=["copy", "clone", "alone"])
    def test_however_the_next_index_is_made(self, server: Server, mine: int, others: int) -> None:
        storage = server.storage()
        put(storage, "hippocampome", [electrophysiology(n) for n in range(others)])
        put(storage, "neuromorpho", [morphology(n) for n in range(mine)])
        put(storage, "neuromorpho", [morphology(n, species="new") for n in range(2)], 2)
        assert storage.health().counts["dataset"] == others + 2
        assert len(found(storage, filters=(FieldFilter("species", ("new",)),))) == 2
        assert len(list(storage.walk(EVERYTHING))) == others + 2


class TestNastyRecords:
    def test_one_id_in_two_sources(self, server: Server) -> None:
        storage = server.storage()
        put(storage, "internal", [morphology(1, name="one")])
        put(storage, "neuromorpho", [morphology(1, name="other")])
        assert len(found(storage)) == 2
        put(storage, "neuromorpho", [], 2)
        assert [document.parsed()["name"] for document in storage.walk(EVERYTHING)] == ["one"]

    def test_long_ids_and_values(self, server: Server) -> None:
        storage = server.storage()
        word = "x" * 40_000
        record = morphology(
            1,
            source_id="n-" + "é" * 1_900,
            name="İ" * 1_900,
            species="s" * 2_000,
            description=f"{word} findable",
            papers=(Paper(label="p", pmid="9" * 40_000),),
        )
        put(storage, "neuromorpho", [record])
        assert found(storage, words="findable") == [record.source_id]
        assert found(storage, filters=(FieldFilter("species", ("s" * 2_000,)),)) == [record.source_id]
        (again,) = storage.get("dataset", [record.source_id])
        assert again.body == record.model_dump_json().encode()

    def test_words_are_split_as_the_embedded_engine_does(self, server: Server) -> None:
        text = "O'Brien Kisvárday CA1:SP syn_12 5HT-3 µm été Straße ﬁn ⅷ ² नमस्ते 神経 ІЇ a‍b x.y 3.14 ΣΑΣ"
        server.client.indices.create(index=f"{server.prefix}words", settings={"analysis": ANALYSIS})
        answer = server.client.indices.analyze(index=f"{server.prefix}words", analyzer="words", text=text)
        assert [item["token"] for item in answer["tokens"]] == tokenizer().analyze(text)

    def test_a_capital_dotted_i_is_found(self, server: Server) -> None:
        storage = server.storage()
        put(storage, "neuromorpho", [morphology(1, name="İstanbul")])
        assert found(storage, words="İstanbul") == ["neuromorpho-1"]

    def test_more_values_than_one_answer_may_hold(self, server: Server) -> None:
        """Facets of two fields whose values are together more than the server's limit of buckets."""
        limit = {"search.max_buckets": 500}
        storage = server.storage()
        put(
            storage, "neuromorpho", [morphology(n, strain=f"s{n}", archive=f"a{n % 400}") for n in range(800)]
        )
        query = SearchQuery(
            index="dataset",
            hits=3,
            facets=("strain", "archive"),
            filters=(FieldFilter("archive", ("a1", "a2")),),
        )
        whole = storage.search(query)
        server.client.cluster.put_settings(persistent=limit)
        try:
            in_steps = storage.search(query)
        finally:
            server.client.cluster.put_settings(persistent=dict.fromkeys(limit))
        assert in_steps == whole
        assert len(whole.facets["archive"]) == 400


TEXT = """rat mouse human pyramidal basket granule interneuron CA1 CA3 hippocampus neocortex dentate axon
    dendrite theta gamma spike calcium sodium potassium network synaptic plasticity slice culture confocal
    biocytin stained control adult juvenile layer principal projection"""
COMMON_WORDS = tuple(TEXT.split())


def mixed_records(count: int) -> list[Any]:
    """Records whose texts share words of very different frequency, always the same ones."""
    dice = random.Random(4)  # noqa: S311 - not for secrets
    weights = range(len(COMMON_WORDS), 0, -1)

    def some(most: int) -> str:
        return " ".join(dice.choices(COMMON_WORDS, weights=weights, k=dice.randint(1, most)))

    return [
        morphology(
            number,
            name=f"{some(3)} {number % 37}",
            species=dice.choice(["rat", "mouse", "human", "Rat", None]),
            cell_types=tuple(dict.fromkeys(dice.choices(COMMON_WORDS, k=3))),
            description=some(60) if number % 3 else None,
            upload_date=f"20{dice.randint(10, 26)}-0{dice.randint(1, 9)}-11",
            measurements=Measurements(length_um=dice.choice([None, 1.5, -2.0, 1e300, number])),
        )
        for number in range(count)
    ]


class TestSameAnswers:
    """The same records in both engines: the same hits, totals, facets and orders."""

    @pytest.fixture
    def both(self, server: Server, tmp_path: Path) -> tuple[EmbeddedStorage, ElasticStorage]:
        engines = (EmbeddedStorage(tmp_path), server.storage())
        for engine in engines:
            put(engine, "neuromorpho", mixed_records(700))
        return engines

    def test_over_all_words(self, both: tuple[EmbeddedStorage, ElasticStorage]) -> None:
        """Ranking may differ a little: of the top 10 of each of these texts at least 8 are the same."""
        texts = [*COMMON_WORDS, *map(" ".join, itertools.pairwise(COMMON_WORDS)), "rat | CA3 theta"]
        assert len(texts) >= 30
        facets = tuple(name for name, spec in FIELDS["dataset"].items() if spec.filter)
        for text in texts:
            query = SearchQuery(index="dataset", words=text, hits=10, facets=facets)
            one, other = (engine.search(query) for engine in both)
            assert (one.total, one.facets) == (other.total, other.facets), text
            common = {d.source_id for d in one.documents} & {d.source_id for d in other.documents}
            assert len(common) >= 0.8 * len(one.documents), text

    @pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
    def test_every_sort(self, both: tuple[EmbeddedStorage, ElasticStorage], descending: bool) -> None:
        for name, spec in FIELDS["dataset"].items():
            if spec.sort:
                query = SearchQuery(index="dataset", sort=Sort(name, descending), hits=120, page=2)
                one, other = (engine.search(query) for engine in both)
                assert one == other, name


class TestAtScale:
    def test_pages_past_ten_thousand_and_many_ids(self, server: Server) -> None:
        storage = server.storage()
        put(storage, "neuromorpho", [morphology(n, name="n") for n in range(12_000)])
        expected = sorted(f"neuromorpho-{n}" for n in range(12_000))
        assert found(storage, page=1_150, hits=10) == expected[11_500:11_510]
        assert [d.source_id for d in storage.walk(EVERYTHING)] == expected
        wanted = expected[::-5]
        assert [d.source_id for d in storage.get("dataset", wanted)] == wanted

    def test_points_in_time_are_closed(self, server: Server) -> None:
        storage = server.storage()
        put(storage, "neuromorpho", [morphology(n) for n in range(1_500)])
        before = open_contexts(server)
        walk = storage.walk(EVERYTHING)
        next(walk)
        assert open_contexts(server) == before + 1
        del walk
        never_begun = storage.walk(EVERYTHING)
        del never_begun
        assert open_contexts(server) == before


def open_contexts(server: Server) -> int:
    stats = server.client.indices.stats(index=f"{server.prefix}dataset", metric="search")
    return int(stats["_all"]["total"]["search"]["open_contexts"])
