"""The contract of the storage (helpers/storage/base.py), on every engine."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.query import Document, FieldFilter, SearchQuery, Sort
from helpers.records import Measurements, Paper
from helpers.storage.base import Storage
from tests.records import connection, documents, electrophysiology, end, model, morphology, release


def put(storage: Storage, source: str, records: list[Any], number: int = 1) -> None:
    storage.replace(source, documents(records), release(source, number))


def ids(page_documents: Any) -> list[str]:
    return [document.source_id for document in page_documents]


def search(storage: Storage, index: str = "dataset", **query: Any) -> list[str]:
    return ids(storage.search(SearchQuery(index=index, **query)).documents)


SPECIES = ["rat", "mouse", None, "human", "rat"]


@pytest.fixture
def neurons(storage: Storage) -> Storage:
    """57 neurons whose fields repeat in different rhythms."""
    records = [
        morphology(
            number,
            name=f"Cell {number % 11}",
            species=SPECIES[number % 5],
            secondary_region=("CA1",) if number % 2 else ("CA3", "CA1"),
            cell_types=("pyramidal", "principal cell") if number % 3 else ("basket", "interneuron"),
            upload_date=f"20{10 + number % 7}-01-02",
            measurements=Measurements(length_um=(number % 4) or None),
        )
        for number in range(57)
    ]
    put(storage, "neuromorpho", records)
    return storage


class TestEmpty:
    def test_search_has_no_hits(self, storage: Storage) -> None:
        page = storage.search(SearchQuery(index="dataset", facets=("species",)))
        assert (page.total, page.documents, dict(page.facets)) == (0, (), {"species": ()})

    def test_nothing_is_released(self, storage: Storage) -> None:
        assert dict(storage.released()) == {}
        assert storage.health().counts == {"dataset": 0, "model": 0}

    def test_walk_get_and_suggest_are_empty(self, storage: Storage) -> None:
        assert list(storage.walk(SearchQuery(index="model"))) == []
        assert storage.get("model", ["model_db-1"]) == []
        assert storage.suggest("dataset", "species", "r") == []


class TestReplace:
    def test_counts_what_went_where(self, storage: Storage) -> None:
        made = storage.replace(
            "internal", documents([morphology(1), model(2), model(3)]), release("internal")
        )
        assert made.counts == {"dataset": 1, "model": 2}
        assert storage.released()["internal"] == made
        assert storage.health().counts == {"dataset": 1, "model": 2}

    def test_leaves_other_sources_alone(self, storage: Storage) -> None:
        put(storage, "neuromorpho", [morphology(1), morphology(2)])
        put(storage, "hippocampome", [electrophysiology(1000)])
        put(storage, "neuromorpho", [morphology(3)], number=2)
        assert search(storage) == ["neuromorpho-3", "hippocampome-1000"]
        assert {key: made.number for key, made in storage.released().items()} == {
            "neuromorpho": 2,
            "hippocampome": 1,
        }

    def test_with_nothing_removes_the_source(self, storage: Storage) -> None:
        put(storage, "modeldb", [model(1)])
        put(storage, "modeldb", [], number=2)
        assert search(storage, "model") == []
        assert storage.released()["modeldb"].total == 0

    def test_an_error_in_the_middle_changes_nothing(self, storage: Storage) -> None:
        put(storage, "neuromorpho", [morphology(1)])

        def broken() -> Iterator[tuple[str, Document]]:
            yield from documents([morphology(2), morphology(3)])
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError, match="the source broke"):
            storage.replace("neuromorpho", broken(), release("neuromorpho", 2))
        assert search(storage) == ["neuromorpho-1"]
        put(storage, "neuromorpho", [morphology(4)], number=2)
        assert search(storage) == ["neuromorpho-4"]

    def test_a_body_that_is_no_record_changes_nothing(self, storage: Storage) -> None:
        put(storage, "neuromorpho", [morphology(1)])
        with pytest.raises(Exception, match=r".+"):
            storage.replace("neuromorpho", [("dataset", Document("x", b"{}"))], release("neuromorpho", 2))
        assert search(storage) == ["neuromorpho-1"]

    def test_readers_see_old_or_new_never_a_mixture(self, storage: Storage) -> None:
        sizes = (40, 60)
        put(storage, "neuromorpho", [morphology(n, species="0") for n in range(sizes[0])])
        seen: set[tuple[int, tuple[tuple[str, int], ...]]] = set()
        ended = threading.Event()

        def read() -> None:
            while not ended.is_set():
                page = storage.search(SearchQuery(index="dataset", facets=("species",)))
                seen.add((page.total, page.facets["species"]))

        reader = threading.Thread(target=read)
        reader.start()
        for round_, size in enumerate(itertools.islice(itertools.cycle((sizes[1], sizes[0])), 8)):
            species = "1" if size == sizes[1] else "0"
            put(storage, "neuromorpho", [morphology(n, species=species) for n in range(size)], round_ + 2)
        ended.set()
        reader.join()
        assert seen <= {(40, (("0", 40),)), (60, (("1", 60),))}
        assert seen


class TestSearch:
    def test_total_is_exact_on_every_page(self, neurons: Storage) -> None:
        pages = [neurons.search(SearchQuery(index="dataset", page=page, hits=10)) for page in range(7)]
        assert [page.total for page in pages] == [57] * 7
        assert [len(page.documents) for page in pages] == [10, 10, 10, 10, 10, 7, 0]

    @pytest.mark.parametrize("page", [6, 10**9, 10**17], ids=["next", "far", "beyond 64 bits"])
    def test_past_the_end_is_empty(self, neurons: Storage, page: int) -> None:
        answer = neurons.search(SearchQuery(index="dataset", page=page, hits=10_000))
        assert (answer.total, answer.documents) == (57, ())

    def test_pages_join_without_gap_or_repetition(self, neurons: Storage) -> None:
        joined = [x for page in range(9) for x in search(neurons, page=page, hits=7)]
        assert joined == search(neurons, hits=100)
        assert len(set(joined)) == 57

    def test_a_document_is_the_record_as_given(self, storage: Storage) -> None:
        record = morphology(1, description="µm, 神経 and <b>markup</b>")
        put(storage, "neuromorpho", [record])
        (found,) = storage.search(SearchQuery(index="dataset")).documents
        assert found.body == record.model_dump_json().encode()

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("CA1", ["a", "b"]),
            ("ca1 pyramidal", ["a"]),
            ("pyramidal CA1", ["a"]),
            ("basket | granule", ["b", "c"]),
            ("basket CA3 | granule", ["c"]),
            ("CA1 |", ["a", "b"]),
            ("O'Brien", ["b"]),
            ("obrien", []),
            ("syn_12", ["c"]),
            ("12", ["c"]),
            ("Kisvarday", ["a"]),
            ("CA1:SP", ["b"]),
            ("SP:CA1", ["b"]),
            ('"', ["a", "b", "c"]),
            ("* ? ~ ( [ {", ["a", "b", "c"]),
            ("nowhere", []),
            ("CA1 nowhere", []),
            ("neuromorpho-2", ["b"]),
            ("NMO_00003", ["c"]),
            ("16946239", ["a"]),
        ],
    )
    def test_words(self, storage: Storage, words: str, expected: list[str]) -> None:
        put(
            storage,
            "neuromorpho",
            [
                morphology(
                    1,
                    name="a",
                    secondary_region=("CA1",),
                    cell_types=("pyramidal",),
                    archive="Kisvárday",
                    papers=(Paper(label="PMID 16946239", pmid="16946239"),),
                ),
                morphology(2, name="b", layers=("CA1:SP",), cell_types=("basket",), description="by O'Brien"),
                morphology(
                    3, name="c", cell_types=("granule",), description="like syn_12", accession="NMO_00003"
                ),
            ],
        )
        found = storage.search(SearchQuery(index="dataset", words=words, sort=Sort("name")))
        assert [document.parsed()["name"] for document in found.documents] == expected

    def test_name_weighs_more_than_terms_and_those_more_than_text(self, storage: Storage) -> None:
        put(
            storage,
            "neuromorpho",
            [
                morphology(1, name="first", description="a basket of things"),
                morphology(2, name="second", cell_types=("basket",)),
                morphology(3, name="basket"),
            ],
        )
        assert search(storage, words="basket") == ["neuromorpho-3", "neuromorpho-2", "neuromorpho-1"]

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("bold", ["neuromorpho-1"]),
            ("script", ["neuromorpho-1"]),
            ("href", []),
            ("here", ["neuromorpho-2"]),
        ],
        ids=["a name's text", "a name's markup", "markup in prose", "prose"],
    )
    def test_markup_is_no_word_in_prose_but_is_in_a_name(
        self, storage: Storage, words: str, expected: list[str]
    ) -> None:
        linked = 'older files are <a href="x">here</a>'
        put(
            storage,
            "neuromorpho",
            [morphology(1, name="<b>bold</b><script>"), morphology(2, description=linked)],
        )
        assert search(storage, words=words) == expected

    def test_equal_relevance_is_ordered_by_id(self, storage: Storage) -> None:
        numbers = [9, 10, 1, 30, 200, 2]
        put(storage, "neuromorpho", [morphology(n, name="same", species="rat") for n in numbers])
        expected = sorted(f"neuromorpho-{n}" for n in numbers)
        assert search(storage, words="rat") == expected
        assert [search(storage, words="rat", page=page, hits=1)[0] for page in range(6)] == expected


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "total"),
        [
            ((FieldFilter("species", ("rat",)),), 23),
            ((FieldFilter("species", ("rat", "mouse")),), 35),
            ((FieldFilter("species", ("rat",)), FieldFilter("secondary_region", ("CA3",))), 12),
            ((FieldFilter("secondary_region", ("CA1",)),), 57),
            ((FieldFilter("cell_type", ("principal cell",)),), 38),
            ((FieldFilter("species", ("Rat",)),), 0),
        ],
        ids=["one", "either", "both fields", "multi-valued", "every term", "exact"],
    )
    def test_total(self, neurons: Storage, filters: tuple[FieldFilter, ...], total: int) -> None:
        assert neurons.search(SearchQuery(index="dataset", filters=filters)).total == total

    def test_type_and_ids(self, storage: Storage) -> None:
        put(storage, "hippocampome", [electrophysiology(1), electrophysiology(2), connection(end(1), end(2))])
        assert search(storage, data_type="connection") == ["hippocampome-1-2"]
        assert search(storage, ids=("hippocampome-2", "x", "hippocampome-1")) == [
            "hippocampome-1",
            "hippocampome-2",
        ]

    def test_both_ends_of_connections(self, storage: Storage) -> None:
        one, other = end(1, layers=("CA1:SP",)), end(2, layers=("CA3:SO",))
        put(storage, "hippocampome", [connection(one, other), connection(other, one)])
        assert search(storage, filters=(FieldFilter("presynaptic.layers", ("CA1:SP",)),)) == [
            "hippocampome-1-2"
        ]
        assert search(storage, filters=(FieldFilter("postsynaptic.layers", ("CA1:SP",)),)) == [
            "hippocampome-2-1"
        ]

    def test_ten_thousand_ids(self, neurons: Storage) -> None:
        wanted = tuple(f"neuromorpho-{number}" for number in range(10_000))
        assert neurons.search(SearchQuery(index="dataset", ids=wanted)).total == 57
        assert len(neurons.get("dataset", wanted)) == 57


class TestFacets:
    def test_are_complete_with_counts(self, storage: Storage) -> None:
        put(storage, "neuromorpho", [morphology(n, strain=f"strain {n % 300:03d}") for n in range(900)])
        counted = storage.search(SearchQuery(index="dataset", facets=("strain",))).facets["strain"]
        assert counted == tuple((f"strain {n:03d}", 3) for n in range(300))

    def test_count_each_value_of_a_record_once(self, neurons: Storage) -> None:
        page = neurons.search(SearchQuery(index="dataset", facets=("secondary_region", "cell_type")))
        assert page.facets["secondary_region"] == (("CA1", 57), ("CA3", 29))
        assert page.facets["cell_type"] == (
            ("principal cell", 38),
            ("pyramidal", 38),
            ("basket", 19),
            ("interneuron", 19),
        )

    def test_as_if_the_own_filter_were_off(self, neurons: Storage) -> None:
        filters = (FieldFilter("species", ("rat",)), FieldFilter("secondary_region", ("CA3",)))
        query = SearchQuery(
            index="dataset", filters=filters, facets=("species", "secondary_region", "cell_type")
        )
        page = neurons.search(query)
        assert page.total == 12
        assert page.facets["species"] == (("rat", 12), ("mouse", 6), ("human", 5))
        assert page.facets["secondary_region"] == (("CA1", 23), ("CA3", 12))
        assert sum(count for _, count in page.facets["cell_type"]) == 24

    def test_follow_the_release(self, storage: Storage) -> None:
        query = SearchQuery(index="dataset", facets=("species",))
        put(storage, "neuromorpho", [morphology(1, species="rat")])
        assert storage.search(query).facets["species"] == (("rat", 1),)
        put(
            storage, "neuromorpho", [morphology(1, species="mouse"), morphology(2, species="mouse")], number=2
        )
        assert storage.search(query).facets["species"] == (("mouse", 2),)

    def test_suggest_ignores_case(self, neurons: Storage) -> None:
        assert neurons.suggest("dataset", "cell_type", "P") == ["principal cell", "pyramidal"]
        assert neurons.suggest("dataset", "cell_type", "p", limit=1) == ["principal cell"]


class TestOrder:
    """Every order is exact on every page, whatever ties there are."""

    @pytest.mark.parametrize("hits", [1, 3, 10, 56, 57, 100])
    @pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
    @pytest.mark.parametrize("field", ["name", "species", "measurements.length_um", "upload_date"])
    def test_is_exact(self, neurons: Storage, field: str, descending: bool, hits: int) -> None:
        everything = [document.parsed() for document in neurons.walk(SearchQuery(index="dataset"))]
        expected = sorted(everything, key=lambda record: str(record["source_id"]))
        default: Any = 0 if field.startswith("measurements") else ""
        expected.sort(key=lambda record: sort_value(record, field) or default, reverse=descending)
        expected.sort(key=lambda record: sort_value(record, field) is None)
        pages = range(-(-57 // hits))
        sort = Sort(field, descending)
        found = [x for page in pages for x in search(neurons, sort=sort, page=page, hits=hits)]
        assert found == [record["source_id"] for record in expected]

    def test_names_by_code_point_without_case(self, storage: Storage) -> None:
        names = [
            "b",
            "A",
            "a2",
            "a10",
            "神経",
            "Émile",
            "z",
            "a" * 40 + "2",
            "a" * 40 + "1",
            "a" * 70 + "1",
            "a" * 70 + "2",
            "B",
        ]
        put(storage, "neuromorpho", [morphology(n, name=name) for n, name in enumerate(names)])
        found = storage.search(SearchQuery(index="dataset", hits=100)).documents
        shown = [document.parsed()["name"] for document in found]
        assert shown == [
            "A",
            "a10",
            "a2",
            "a" * 40 + "1",
            "a" * 40 + "2",
            "a" * 70 + "2",  # alike in 64 bytes: by id
            "a" * 70 + "1",
            "b",
            "B",
            "z",
            "Émile",
            "神経",
        ]

    def test_long_ids_that_begin_alike(self, storage: Storage) -> None:
        made = [
            morphology(n, source_id=f"internal_electrophysiology-{'x' * 30}-{n}", name="s") for n in range(30)
        ]
        put(storage, "internal", made)
        expected = sorted(record.source_id for record in made)
        assert [search(storage, page=page, hits=1)[0] for page in range(30)] == expected


def sort_value(record: Any, field: str) -> Any:
    for part in field.split("."):
        record = record[part]
    return record.casefold() if isinstance(record, str) else record


class TestWalk:
    @pytest.mark.parametrize("stored", [0, 1, 19, 20, 21, 250])
    def test_yields_every_record_once(self, storage: Storage, stored: int) -> None:
        put(storage, "neuromorpho", [morphology(number) for number in range(stored)])
        assert ids(storage.walk(SearchQuery(index="dataset"))) == [f"neuromorpho-{n}" for n in range(stored)]

    def test_holds_its_query(self, neurons: Storage) -> None:
        query = SearchQuery(index="dataset", words="basket", filters=(FieldFilter("species", ("rat",)),))
        walked = ids(neurons.walk(query))
        assert walked == search(neurons, words="basket", filters=query.filters, hits=100)
        assert 0 < len(walked) < 57

    def test_stays_in_its_release_while_others_are_published(self, storage: Storage) -> None:
        put(storage, "neuromorpho", [morphology(n, species="old") for n in range(50)])
        walk = storage.walk(SearchQuery(index="dataset"))
        begun = [next(walk) for _ in range(5)]
        for number in (2, 3, 4):
            put(storage, "neuromorpho", [morphology(n, species="new") for n in range(10)], number)
        rest = list(walk)
        assert {document.parsed()["species"] for document in (*begun, *rest)} == {"old"}
        assert len(begun) + len(rest) == 50


class TestGet:
    def test_in_the_order_asked_each_once(self, neurons: Storage) -> None:
        wanted = ["neuromorpho-5", "nobody-1", "neuromorpho-3", "neuromorpho-5"]
        assert ids(neurons.get("dataset", wanted)) == ["neuromorpho-5", "neuromorpho-3"]
        assert neurons.get("dataset", []) == []
        assert neurons.get("model", wanted) == []
