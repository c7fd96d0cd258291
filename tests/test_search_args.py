"""From the arguments of a request to one question: what restricts, what does not, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.errors import InvalidArguments, NotFound
from helpers.facets import offered
from helpers.query import FieldFilter, SearchQuery, Sort
from helpers.search_args import (
    arguments_of_query_string,
    index_name,
    parse_ids,
    parse_search_args,
    record_type,
)

NOTHING = SearchQuery(index="dataset")


def parse(page: object = None, hits: object = None, **arguments: Any) -> SearchQuery:
    return parse_search_args("dataset", arguments, page, hits)


def filters(given: Any) -> dict[str, tuple[str, ...]]:
    """The parsed filters by name."""
    return {item.field: item.values for item in parse(filters=given).filters}


@pytest.mark.parametrize("index", ["dataset", "model"])
def test_an_index_that_exists(index: str) -> None:
    assert index_name(index) == index


@pytest.mark.parametrize("index", ["", "Dataset", "datasets", "internal", "../model", "x" * 10_000])
def test_another_index_is_not_found_and_told_what_there_is(index: str) -> None:
    with pytest.raises(NotFound, match="dataset, model"):
        parse_search_args(index, {})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"data_type": None, "query": None, "filters": None, "ids": None, "sort": None, "facets": None},
        {"data_type": "", "query": "", "filters": {}, "ids": "", "sort": "", "facets": ""},
        {"filters": [], "ids": [], "facets": []},
        {"filters": ""},
        {"filters": {"species": None, "cell_type": "", "layers": [], "presynaptic": {}}},
        {"filters": {"species": ["", None], "presynaptic.layers": [None]}},
        {"filters": {"presynaptic": {"layers": None, "secondary_region": []}}},
        {"ids": " , ,, "},
        {"ids": ["", " "]},
        {"facets": False},
        {"facets": "false"},
        {"page": None, "hits": ""},
    ],
    ids=str,
)
def test_what_is_missing_null_or_empty_restricts_nothing(arguments: dict[str, Any]) -> None:
    assert parse_search_args("dataset", arguments) == NOTHING


class TestType:
    @pytest.mark.parametrize("name", ["morphology", "electrophysiology", "connection"])
    def test_of_the_index(self, name: str) -> None:
        assert parse(data_type=name).data_type == name

    @pytest.mark.parametrize(
        "wanted", ["single", "Morphology", "morphologies", "all", 1, True, ["morphology"], {}]
    )
    def test_of_another_one_is_refused_with_what_there_is(self, wanted: Any) -> None:
        with pytest.raises(InvalidArguments, match="there are morphology, electrophysiology, connection"):
            record_type("dataset", wanted)

    def test_with_a_slip_gets_a_suggestion(self) -> None:
        with pytest.raises(InvalidArguments, match="did you mean 'morphology'"):
            parse(data_type="morfology")


class TestQuery:
    @pytest.mark.parametrize(
        "words",
        [
            "CA1 pyramidal",
            "a | b",
            'title:"x" AND (y OR -z)^3~ *?\\/[1 TO 2]{}!&&',
            "神経 µ é",
            "%00 \u0000 \x1b",
            " ",
            "|",
            "'; DROP TABLE",
            "x" * 1000,
        ],
        ids=lambda words: ascii(words[:30]),
    )
    def test_is_taken_as_it_is(self, words: str) -> None:
        assert parse(query=words).words == words

    def test_of_more_than_a_thousand_characters_is_refused(self) -> None:
        with pytest.raises(InvalidArguments, match="1001 characters, at most 1000"):
            parse(query="x" * 1001)

    @pytest.mark.parametrize("words", [1, 1.5, True, ["CA1"], {"CA1": 1}, []])
    def test_that_is_no_text_is_refused(self, words: Any) -> None:
        with pytest.raises(InvalidArguments, match="query is"):
            parse(query=words)


class TestFilters:
    @pytest.mark.parametrize(
        ("given", "parsed"),
        [
            ({"species": "rat"}, {"species": ("rat",)}),
            ({"species": ["rat"]}, {"species": ("rat",)}),
            ({"species": ["rat", "mouse"]}, {"species": ("rat", "mouse")}),
            ({"species": ["rat", "rat", "", None]}, {"species": ("rat",)}),
            ({"species": "rat, mouse"}, {"species": ("rat, mouse",)}),
            ({"species": " rat"}, {"species": (" rat",)}),
            ({"species": "rat", "cell_type": []}, {"species": ("rat",)}),
            ({"presynaptic.layers": ["CA1:SP"]}, {"presynaptic.layers": ("CA1:SP",)}),
            ({"presynaptic": {"layers": "CA1:SP"}}, {"presynaptic.layers": ("CA1:SP",)}),
            (
                {"presynaptic": {"layers": "a", "secondary_region": "b"}, "postsynaptic": {"layers": ["c"]}},
                {
                    "presynaptic.layers": ("a",),
                    "presynaptic.secondary_region": ("b",),
                    "postsynaptic.layers": ("c",),
                },
            ),
            ({"source": "Neuromorpho", "type": "morphology"}, None),
        ],
        ids=str,
    )
    def test_are_lists_of_values_by_field(self, given: Any, parsed: Any) -> None:
        expected = {name: (value,) for name, value in given.items()} if parsed is None else parsed
        assert filters(given) == expected

    def test_become_field_filters(self) -> None:
        assert parse(filters={"species": "rat"}).filters == (FieldFilter("species", ("rat",)),)

    @pytest.mark.parametrize("given", ["rat", "{}", " ", 1, 0, 1.5, True, False, ["species"], [{}], [[]]])
    def test_that_are_no_object_are_refused(self, given: Any) -> None:
        with pytest.raises(
            InvalidArguments, match=r'filters is .*an object such as \{"species": \["rat"\]\}'
        ):
            parse(filters=given)

    @pytest.mark.parametrize(
        ("given", "name", "suggested"),
        [
            ({"specis": ["rat"]}, "specis", "species"),
            ({"specis": None}, "specis", "species"),
            ({"Species": "rat"}, "Species", "species"),
            ({"presynaptic": {"layer": "x"}}, "presynaptic.layer", "presynaptic.layers"),
            ({"presynaptic": "x"}, "presynaptic", ""),
            ({"presynaptic": {"layers": {"x": "y"}}}, "presynaptic.layers.x", "presynaptic.layers"),
            ({"name": "x"}, "name", ""),
            ({"": "x"}, "", ""),
            ({"channels": "x"}, "channels", ""),
            ({"species": {"rat": 1}}, "species.rat", ""),
        ],
        ids=str,
    )
    def test_with_an_unknown_name_are_refused_with_a_suggestion(
        self, given: Any, name: str, suggested: str
    ) -> None:
        with pytest.raises(InvalidArguments, match=f"unknown filter {name!r}") as caught:
            filters(given)
        assert f"did you mean {suggested!r}" in str(caught.value) or not suggested
        assert "cell_type" in str(caught.value), "what there is stands in the message"

    def test_with_an_unknown_name_and_an_empty_object_are_refused_too(self) -> None:
        with pytest.raises(InvalidArguments, match="unknown filter 'specis'"):
            filters({"specis": {}})

    @pytest.mark.parametrize(
        "value", [1, 0, 1.5, True, False, [1], ["rat", 2], [["rat"]], [{"x": 1}], [True]]
    )
    def test_with_values_that_are_no_texts_are_refused(self, value: Any) -> None:
        with pytest.raises(InvalidArguments, match="the filter species is"):
            filters({"species": value})

    def test_with_long_values_are_refused(self) -> None:
        assert filters({"species": "x" * 1000}) == {"species": ("x" * 1000,)}
        with pytest.raises(InvalidArguments, match="1001 characters, at most 1000"):
            filters({"species": ["rat", "x" * 1001]})

    def test_with_many_values_are_refused(self) -> None:
        many = [str(number) for number in range(10_001)]
        assert len(filters({"species": many[:-1]})["species"]) == 10_000
        with pytest.raises(InvalidArguments, match="10001 values, at most 10000"):
            filters({"species": many})

    @pytest.mark.parametrize("order", [1, -1])
    def test_given_twice_for_one_field_both_count_or_are_refused(self, order: int) -> None:
        """Dotted and nested at once: silently dropping one of them would answer another question."""
        given = [("presynaptic.layers", ["a"]), ("presynaptic", {"layers": ["b"]})][::order]
        try:
            parsed = filters(dict(given))
        except InvalidArguments as error:
            assert "presynaptic.layers" in str(error)
        else:
            assert sorted(parsed["presynaptic.layers"]) == ["a", "b"]

    @pytest.mark.parametrize("depth", [10, 500, 900, 1020])
    @pytest.mark.parametrize("kind", ["objects", "lists"])
    def test_nested_as_deep_as_json_may_be_are_refused(self, kind: str, depth: int) -> None:
        deep: Any = "x"
        for _ in range(depth):
            deep = {"species": deep} if kind == "objects" else [deep]
        with pytest.raises(InvalidArguments) as caught:
            filters({"species": deep})
        assert len(str(caught.value)) < 5000

    def test_are_those_of_the_index(self) -> None:
        query = parse_search_args("model", {"filters": {"channels": "I A"}})
        assert query.filters == (FieldFilter("channels", ("I A",)),)
        with pytest.raises(InvalidArguments, match="unknown filter 'strain'"):
            parse_search_args("model", {"filters": {"strain": "x"}})


class TestPaging:
    @pytest.mark.parametrize(
        ("value", "page"),
        [(0, 0), (1, 1), ("0", 0), ("1", 1), ("007", 7), (None, 0), ("", 0), ("-0", 0), (10**9, 10**9)],
    )
    def test_pages_count_from_zero(self, value: Any, page: int) -> None:
        assert parse(page=value).page == parse_search_args("dataset", {"page": value}).page == page

    @pytest.mark.parametrize(
        "value",
        [
            *(-1, "-1", "x", "1e9", " 1", "1 ", "+1", "１", "٣", "²", "0x10", "1.0", 1.0, 1.5, True, False),
            *([], [1], {}, "1_0", "NaN", float("inf"), 10**30, "9" * 5000, "--1", "null", "\u0000"),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_anything_else_is_no_page(self, value: Any) -> None:
        with pytest.raises(InvalidArguments, match=r"page is .*a whole number of at least 0"):
            parse(page=value)
        with pytest.raises(InvalidArguments, match="page is"):
            parse_search_args("dataset", {"page": value})

    @pytest.mark.parametrize(
        ("value", "hits"), [(1, 1), ("10000", 10_000), (10_000, 10_000), (None, 20), ("", 20)]
    )
    def test_hits_are_bounded(self, value: Any, hits: int) -> None:
        assert parse(hits=value).hits == hits

    @pytest.mark.parametrize("value", [0, "0", -1, 10_001, "10001", "1e9", "x", "１", True, 1.0, 10**30])
    def test_other_hits_are_refused_with_what_is_allowed(self, value: Any) -> None:
        with pytest.raises(InvalidArguments, match=r"hits is .*a whole number from 1 to 10000"):
            parse(hits=value)

    def test_come_from_the_path_or_from_the_arguments(self) -> None:
        in_path = parse_search_args("dataset", {"page": "1"}, page="1", hits="2")
        as_arguments = parse_search_args("dataset", {"page": 1, "hits": 2})
        assert in_path == as_arguments
        assert (in_path.page, in_path.hits, in_path.offset) == (1, 2, 2)

    @pytest.mark.parametrize("name", ["page", "hits"])
    def test_said_differently_in_both_are_refused(self, name: str) -> None:
        with pytest.raises(InvalidArguments, match=f"{name} is given twice: '1' in the path and 5"):
            parse_search_args("dataset", {name: 5}, page="1", hits="1")

    @pytest.mark.parametrize("name", ["page", "hits"])
    def test_has_no_place_where_everything_is_asked_for(self, name: str) -> None:
        with pytest.raises(InvalidArguments, match=f"unknown parameter '{name}'"):
            parse_search_args("dataset", {name: 1}, paged=False)


class TestIds:
    @pytest.mark.parametrize(
        ("given", "ids"),
        [
            (None, ()),
            ("", ()),
            ([], ()),
            ("neuromorpho-1", ("neuromorpho-1",)),
            ("neuromorpho-1,model_db-2", ("neuromorpho-1", "model_db-2")),
            (" b , a ,, b ", ("b", "a")),
            (["b", "a", "b"], ("b", "a")),
            (["a,b"], ("a,b",)),
            ([1, 2, "1"], ("1", "2")),
            (("a", "b"), ("a", "b")),
            ("神,é", ("神", "é")),
        ],
        ids=str,
    )
    def test_as_a_list_or_comma_text(self, given: Any, ids: tuple[str, ...]) -> None:
        assert parse_ids(given) == ids
        assert parse(ids=given).ids == (ids or None)

    @pytest.mark.parametrize(
        "given", [1, 1.5, True, {}, {"a": 1}, [None], [["a"]], [1.5], [{}], [True]], ids=str
    )
    def test_of_another_shape_are_refused(self, given: Any) -> None:
        with pytest.raises(InvalidArguments, match=r"ids is .*a list or a text separated by commas"):
            parse(ids=given)

    @pytest.mark.parametrize("form", ["list", "text"])
    def test_are_at_most_ten_thousand(self, form: str) -> None:
        many = [f"neuromorpho-{number}" for number in range(10_001)]
        assert len(parse_ids(many[:-1] if form == "list" else ",".join(many[:-1]))) == 10_000
        with pytest.raises(InvalidArguments, match="10001 ids, at most 10000"):
            parse_ids(many if form == "list" else ",".join(many))

    def test_said_twice_count_once(self) -> None:
        assert len(parse_ids(["a", "b"] * 10_000)) == 2


class TestSort:
    @pytest.mark.parametrize(
        ("given", "sort"),
        [
            ("name", Sort("name")),
            ("-name", Sort("name", descending=True)),
            ("-upload_date", Sort("upload_date", descending=True)),
            ("measurements.length_um", Sort("measurements.length_um")),
        ],
        ids=str,
    )
    def test_by_a_field_up_or_down(self, given: str, sort: Sort) -> None:
        assert parse(sort=given).sort == sort

    @pytest.mark.parametrize(
        "given",
        ["-", "--name", "+name", "nam", "cell_type", "name,species", "x" * 5000, 1, True, ["name"], {}, []],
    )
    def test_by_anything_else_is_refused_with_what_there_is(self, given: Any) -> None:
        with pytest.raises(InvalidArguments, match=r"unknown sort field.*upload_date") as caught:
            parse(sort=given)
        assert len(str(caught.value)) < 3000

    def test_with_a_slip_gets_a_suggestion(self) -> None:
        with pytest.raises(InvalidArguments, match="did you mean 'upload_date'"):
            parse(sort="-uploaddate")


class TestFacets:
    @pytest.mark.parametrize("given", [True, "true", ["true"]], ids=str)
    def test_true_means_those_that_filters_offers(self, given: Any) -> None:
        for data_type in (None, "morphology", "connection"):
            names = tuple(item.name for item in offered("dataset", data_type))
            assert parse(facets=given, data_type=data_type).facets == names

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ("species", ("species",)),
            ("species,strain", ("species", "strain")),
            (["species", "strain", "species", ""], ("species", "strain")),
            (["presynaptic.layers"], ("presynaptic.layers",)),
            (["false"], ()),
        ],
        ids=str,
    )
    def test_by_name(self, given: Any, names: tuple[str, ...]) -> None:
        assert parse(facets=given).facets == names

    @pytest.mark.parametrize("given", [1, 1.5, {}, {"species": 1}, [1], [None], [["species"]]], ids=str)
    def test_of_another_shape_are_refused(self, given: Any) -> None:
        with pytest.raises(InvalidArguments, match=r"facets is .*true, false or a list"):
            parse(facets=given)

    @pytest.mark.parametrize("given", ["specis", ["species", "specis"], "species,specis"], ids=str)
    def test_with_an_unknown_name_are_refused(self, given: Any) -> None:
        with pytest.raises(InvalidArguments, match="unknown facet 'specis'; did you mean 'species'"):
            parse(facets=given)


@pytest.mark.parametrize("name", ["querry", "filter", "size", "Query", "", "page ", "species", "x" * 10_000])
def test_an_unknown_parameter_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(
        InvalidArguments, match=r"unknown parameter.*there are data_type, query, filters"
    ) as caught:
        parse_search_args("dataset", {name: "x"})
    assert len(str(caught.value)) < 1000


class TestQueryString:
    @pytest.mark.parametrize(
        ("pairs", "arguments"),
        [
            ([], {}),
            ([("query", "CA1"), ("page", "2")], {"query": "CA1", "page": "2"}),
            ([("species", "rat")], {"filters": {"species": ["rat"]}}),
            ([("species", "rat"), ("species", "mouse")], {"filters": {"species": ["rat", "mouse"]}}),
            ([("presynaptic.layers", "")], {"filters": {"presynaptic.layers": [""]}}),
            (
                [("facets", "species,strain"), ("facets", "layers")],
                {"facets": ["species", "strain", "layers"]},
            ),
            ([("ids", "a,b"), ("ids", "c")], {"ids": ["a", "b", "c"]}),
        ],
        ids=str,
    )
    def test_gives_the_same_arguments_as_a_body(
        self, pairs: list[tuple[str, str]], arguments: dict[str, Any]
    ) -> None:
        assert arguments_of_query_string("dataset", pairs) == arguments
        parse_search_args("dataset", arguments)

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            ([("specis", "rat")], "unknown parameter 'specis'; did you mean 'species'"),
            ([("filters", "{}")], "unknown parameter 'filters'"),
            ([("query", "a"), ("query", "b")], "query is given twice: 'a' and 'b'"),
            ([("page", "1"), ("page", "1")], "page is given twice"),
            ([("", "")], "unknown parameter ''"),
        ],
        ids=str,
    )
    def test_with_other_names_is_refused(self, pairs: list[tuple[str, str]], message: str) -> None:
        with pytest.raises(InvalidArguments, match=message):
            arguments_of_query_string("dataset", pairs)

    def test_of_another_index_is_not_found(self) -> None:
        with pytest.raises(NotFound):
            arguments_of_query_string("other", [])
