"""What can be asked for: parameters of paths and query strings, and the JSON bodies of POST."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from helpers.search_args import DEFAULT_HITS, MAX_HITS, MAX_TEXT, MAX_VALUES
from routes.specification import examples
from routes.specification.schemas import Json, reference
from routes.specification.vocabulary import Vocabulary

MAX_PAGE: Final = 10**18 - 1  # eighteen digits are read
HITS_TEXT: Final = rf"0{{0,9}}([1-9][0-9]{{0,{len(str(MAX_HITS)) - 2}}}|{MAX_HITS})"  # 1 to a power of ten
QUERY: Final = ("query", "data_type", "ids", "sort")
PAGING: Final = ("page", "hits")


def parameter(name: str) -> Json:
    """A pointer to a parameter of the components."""
    return {"$ref": f"#/components/parameters/{name}"}


def search_parameters(known: Vocabulary, *more: str) -> list[Json]:
    """The query parameters of a search: the common ones, `more`, and one for each filter."""
    return [
        *(parameter(name) for name in (*QUERY, *more)),
        *(parameter(f"filter.{name}") for name in known.filters),
    ]


def parameters(known: Vocabulary) -> Json:
    """Every parameter by its name among the components."""
    return {
        "index": _in_path("index", "The index to ask.", _one_of(known.indices), known.indices[0]),
        "path.page": _in_path("page", "The page, counted from 0.", _page(), 1),
        "path.hits": _in_path("hits", "Records on a page.", _hits(), 10),
        "source_id": _in_path(
            "source_id", "Id over all sources.", {"type": "string"}, examples.RECORD_IDS[known.indices[0]]
        ),
        "path.data_type": _in_path(
            "data_type", "A type of record that the index has.", _one_of(known.types), known.types[0]
        ),
        "key": _in_path("key", "Key of a source, as in `/sources`.", {"type": "string"}, "internal"),
        "name": _in_path(
            "name",
            "Path of the file within the lab's folder; its slashes are sent as they are.",
            {"type": "string"},
            examples.OWN_FILE,
        ),
        "ids.download": _list_in_query(
            "ids",
            "Ids of records (`source_id`) of either index, separated by commas.",
            {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"[^\s,]"}},
            required=True,
            example=[examples.MORPHOLOGY_ID, examples.MODEL_ID],
        ),
        **_in_query_of_search(known),
        **{f"filter.{name}": _filter(name, known) for name in known.filters},
    }


def _in_query_of_search(known: Vocabulary) -> Json:
    return {
        "query": _in_query("query", _WORDS, {"type": "string", "maxLength": MAX_TEXT}),
        "data_type": _in_query("data_type", _TYPE, _one_of(known.types, "")),
        "ids": _list_in_query(
            "ids", "Only records with these ids (`source_id`), separated by commas.", _TEXTS
        ),
        "sort": _in_query("sort", _SORT, _one_of(known.sorts, "")),
        "facets": _in_query("facets", _FACETS, {"type": "string", "pattern": known.facets_pattern}),
        "page": _in_query("page", "The page, counted from 0.", {**_page(), "default": 0}),
        "hits": _in_query("hits", "Records on a page.", {**_hits(), "default": DEFAULT_HITS}),
    }


_WORDS: Final = (
    "Words that a record must have, in any order and field. `|` separates alternatives: `basket | granule`. "
    "No words are refused; what is no syntax is looked for as it stands."
)
_TYPE: Final = (
    "Only records of this type: `morphology`, `electrophysiology`, `connection`; of models, `single`."
)
_SORT: Final = (
    "Order by a field, with `-` before it descending; records without a value come last, ties are in the "
    "order of `source_id`. Without it: by relevance where there are words, else by name."
)
_FACETS: Final = (
    "Count values: `true` for the filters that `/filters` offers, or names of filters separated by commas. "
    "Each is counted as if its own filter were off."
)
_TEXTS: Final[Json] = {"type": "array", "items": {"type": "string"}}
_NOTHING: Final[list[Json]] = [  # what clients send for no restriction, beside an empty object
    {"type": "array", "maxItems": 0, "items": {}},
    {"type": "string", "enum": ["", None], "nullable": True},
]
_INTEGER: Final[Json] = {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1}  # as orjson reads them
_VALUES: Final[Json] = {"type": "array", "items": {"type": "string", "maxLength": MAX_TEXT}}


def schemas(known: Vocabulary) -> Json:
    """The bodies of POST by their names among the components."""
    of = _body(known)
    select = {name: of[name] for name in (*QUERY, "filters")}
    page = {**select, "facets": of["facets"]}
    return {
        "SearchArguments": _search(page | {name: of[name] for name in PAGING}),
        "SearchPageArguments": _search(page | {"hits": of["hits"]}),
        "SearchPageHitsArguments": _search(page),
        "SelectArguments": _search(select),
        "DownloadArguments": {
            **_object("The records whose files to download.", {"ids": _some_ids()}),
            "required": ["ids"],
        },
        "Filters": _filters(known),
        "FilterValue": {
            "description": "One value or several, any of which is enough. Null and empty restrict nothing.",
            "anyOf": [
                {"type": "string", "nullable": True, "maxLength": MAX_TEXT},
                {
                    "type": "array",
                    "maxItems": MAX_VALUES,
                    "items": {"type": "string", "nullable": True, "maxLength": MAX_TEXT},
                },
                {"type": "object", "maxProperties": 0},
            ],
        },
    }


def _search(properties: Json) -> Json:
    said = "What to look for. Whatever is missing, null or empty restricts nothing."
    return {**_object(said, properties), "nullable": True}


def body(name: str, shown: Mapping[str, Json], *, required: bool = False) -> Json:
    """A request body of a schema, with examples: summary -> value."""
    named = {
        re.sub(r"\W+", "_", summary): {"summary": summary, "value": value} for summary, value in shown.items()
    }
    return {
        "required": required,
        "content": {"application/json": {"schema": reference(name), "examples": named}},
    }


def _body(known: Vocabulary) -> Json:
    """The properties of a search by POST, which takes every form that the ancestor's clients send."""
    return {
        "query": {"type": "string", "nullable": True, "maxLength": MAX_TEXT, "description": _WORDS},
        "data_type": _nullable(_one_of(known.types, ""), _TYPE),
        "filters": {
            "description": "Filters by name: any of a filter's values, and all of the filters.",
            "anyOf": [reference("Filters"), *_NOTHING],
        },
        "ids": {
            "description": "Only records with these ids (`source_id`): a list, or a text with commas.",
            "anyOf": [_id_list(), {"type": "string", "nullable": True}],
        },
        "sort": _nullable(_one_of(known.sorts, ""), _SORT),
        "facets": {
            "description": _FACETS,
            "anyOf": [
                {"type": "boolean", "nullable": True},
                {"type": "array", "items": _one_of(known.filters, "")},
                {"type": "string", "pattern": known.facets_pattern},
            ],
        },
        "page": _number_or_text("The page, counted from 0, where the path has none.", _page(), "[0-9]{1,18}"),
        "hits": _number_or_text("Records on a page, where the path does not say.", _hits(), HITS_TEXT),
    }


def _id_list(**bounds: Any) -> Json:
    return {"type": "array", "items": {"anyOf": [{"type": "string", **bounds}, _INTEGER]}}


def _some_ids() -> Json:
    return {
        "description": "Ids of records (`source_id`) of either index: a list, or a text with commas.",
        "anyOf": [
            {**_id_list(pattern=r"\S"), "minItems": 1},
            {"type": "string", "pattern": r"[^\s,]"},
        ],
    }


def _filters(known: Vocabulary) -> Json:
    """Filters by name; those of a connection's ends also nested: `{"presynaptic": {"layers": [..]}}`."""
    value = reference("FilterValue")
    groups: dict[str, Json] = {}
    for name in known.filters:
        group, _, own = name.rpartition(".")
        if group:
            groups.setdefault(group, {})[own] = value
    return _object(
        "Filters by name; which of them an index has is said with the query parameters.",
        {
            **dict.fromkeys(known.filters, value),
            **{
                group: {
                    "description": f"filters of the {group} end, or nothing",
                    "anyOf": [_object(f"Filters of the {group} end.", nested), *_NOTHING],
                }
                for group, nested in groups.items()
            },
        },
    )


def _number_or_text(description: str, number: Json, text: str) -> Json:
    """A whole number, also as text: old front ends send what stands in an input field."""
    digits = {"type": "string", "pattern": f"^({text})?$"}
    return {"description": description, "anyOf": [{**number, "nullable": True}, digits]}


def _object(description: str, properties: Json) -> Json:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
    }


def _nullable(schema: Json, description: str) -> Json:
    return {**schema, "description": description, "nullable": True, "enum": [*schema["enum"], None]}


def _one_of(values: tuple[str, ...], *more: str) -> Json:
    return {"type": "string", "enum": [*values, *more]}


def _page() -> Json:
    return {"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_PAGE}


def _hits() -> Json:
    return {"type": "integer", "minimum": 1, "maximum": MAX_HITS}


def _in_path(name: str, description: str, schema: Json, example: object) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def _in_query(name: str, description: str, schema: Json, **more: Any) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _list_in_query(name: str, description: str, schema: Json, **more: Any) -> Json:
    return _in_query(name, description, schema, style="form", explode=False, **more)


def _filter(name: str, known: Vocabulary) -> Json:
    """The query parameter of a filter: repeated for several values, of which a record has any."""
    values = examples.filter_values(name)
    found = f" For example {'&'.join(f'`{name}={value}`' for value in values)}." if values else ""
    return _in_query(
        name,
        f"Filter: {known.described(name)}. Repeat it for several values, any of which is enough.{found}",
        _VALUES,
        style="form",
        explode=True,
    )
