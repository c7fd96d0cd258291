"""From the arguments of a request to one `SearchQuery`: untrusted values in, typed and bounded ones out.

Names and shapes are the ancestor's (docs/api.md). What is missing, null or empty restricts nothing; what is
unknown or of a wrong shape is refused by name, with what is allowed. Words of `query` are never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from helpers.errors import InvalidArguments, NotFound
from helpers.facets import offered
from helpers.fields import FIELDS
from helpers.query import FieldFilter, SearchQuery, Sort
from helpers.records import INDICES, TYPES

DEFAULT_HITS: Final = 20
MAX_HITS: Final = 10_000
MAX_IDS: Final = 10_000
MAX_TEXT: Final = 1_000  # characters of `query`, and of one filter value
MAX_VALUES: Final = 10_000  # of one filter
MAX_NESTING: Final = 3  # of filters; one more than any has
ARGUMENTS: Final = ("data_type", "query", "filters", "ids", "sort", "facets")
PAGING: Final = ("page", "hits")

Arguments = Mapping[str, Any]


def index_name(index: str) -> str:
    """An index that exists. Raises `NotFound`."""
    if index not in INDICES:
        raise NotFound(f"there is no index {index!r}; there are {_listing(INDICES)}")
    return index


def record_type(index: str, data_type: object) -> str | None:
    """A type of an index, or None for no restriction. Raises `InvalidArguments`."""
    if data_type is None or data_type == "":
        return None
    if not isinstance(data_type, str) or data_type not in TYPES[index]:
        raise InvalidArguments(_unknown(f"type of {index}", data_type, TYPES[index]))
    return data_type


def parse_search_args(
    index: str, arguments: Arguments, page: object = None, hits: object = None, *, paged: bool = True
) -> SearchQuery:
    """The question that a request asks. Raises `InvalidArguments`, `NotFound` for the index.

    `page` and `hits` come from the path; without them, from the arguments; without those, 0 and 20.
    With `paged=False` (for everything at once) neither is an argument.
    """
    index_name(index)
    allowed = (*ARGUMENTS, *PAGING) if paged else ARGUMENTS
    for name in arguments:
        if name not in allowed:
            raise InvalidArguments(_unknown("parameter", name, allowed))
    data_type = record_type(index, arguments.get("data_type"))
    return SearchQuery(
        index=index,
        words=_words(arguments.get("query")),
        data_type=data_type,
        filters=_filters(index, arguments.get("filters")),
        ids=parse_ids(arguments.get("ids")) or None,
        sort=_sort(index, arguments.get("sort")),
        page=_whole("page", _once("page", page, arguments), 0, None, default=0),
        hits=_whole("hits", _once("hits", hits, arguments), 1, MAX_HITS, default=DEFAULT_HITS),
        facets=_facets(index, data_type, arguments.get("facets")),
    )


def arguments_of_query_string(index: str, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The same arguments from a query string: a filter by its name, repeated for several values."""
    arguments: dict[str, Any] = {}
    filters: dict[str, list[str]] = {}
    known = (*ARGUMENTS, *PAGING)
    filterable = _filterable(index_name(index))
    for name, value in pairs:
        if name in filterable:
            filters.setdefault(name, []).append(value)
        elif name in ("facets", "ids"):
            arguments.setdefault(name, []).extend(value.split(","))
        elif name not in known or name == "filters":
            shown = tuple(other for other in known if other != "filters")
            raise InvalidArguments(_unknown("parameter", name, (*shown, *filterable)))
        elif name in arguments:
            raise InvalidArguments(f"{name} is given twice: {arguments[name]!r} and {value!r}")
        else:
            arguments[name] = value
    if filters:
        arguments["filters"] = filters
    return arguments


def parse_ids(value: object) -> tuple[str, ...]:
    """Ids as a list or as text separated by commas, each once. Raises `InvalidArguments`."""
    if isinstance(value, str):
        value = value.split(",")
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(item, (str, int)) and not isinstance(item, bool) for item in value
    ):
        raise InvalidArguments(f"ids is {_shown(value)}, a list or a text separated by commas is allowed")
    ids = tuple(dict.fromkeys(text for item in value if (text := str(item).strip())))
    if len(ids) > MAX_IDS:
        raise InvalidArguments(f"{len(ids)} ids, at most {MAX_IDS} are allowed")
    return ids


def _words(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidArguments(f"query is {_shown(value)}, a text is allowed")
    if len(value) > MAX_TEXT:
        raise InvalidArguments(f"query has {len(value)} characters, at most {MAX_TEXT} are allowed")
    return value


def _filters(index: str, value: object) -> tuple[FieldFilter, ...]:
    if value is None or value in ("", [], {}):
        return ()
    if not isinstance(value, Mapping):
        raise InvalidArguments(
            f'filters is {_shown(value)}, an object such as {{"species": ["rat"]}} is allowed'
        )
    filterable = _filterable(index)
    parsed: dict[str, tuple[str, ...]] = {}
    for name, wanted in _flat(value):
        if wanted in (None, "", []) and any(known.startswith(f"{name}.") for known in filterable):
            continue  # `{"presynaptic": null}`: a group without restrictions
        if name not in filterable:
            raise InvalidArguments(_unknown("filter", name, filterable))
        parsed[name] = tuple(dict.fromkeys((*parsed.get(name, ()), *_values(name, wanted))))
    return tuple(FieldFilter(name, values) for name, values in parsed.items() if values)


def _flat(filters: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """(dotted name, value): `{"presynaptic": {"layers": [..]}}` is `presynaptic.layers`."""
    for name, value in filters.items():
        if isinstance(value, Mapping) and value and prefix.count(".") < MAX_NESTING:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", None if value == {} else value


def _values(name: str, value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) or value is None else value
    if not isinstance(items, list) or not all(isinstance(item, str | None) for item in items):
        raise InvalidArguments(f"the filter {name} is {_shown(value)}, a text or a list of texts is allowed")
    if len(items) > MAX_VALUES:
        raise InvalidArguments(f"the filter {name} has {len(items)} values, at most {MAX_VALUES} are allowed")
    values = tuple(dict.fromkeys(item for item in items if item))
    long = next((item for item in values if len(item) > MAX_TEXT), None)
    if long is not None:
        raise InvalidArguments(
            f"a value of the filter {name} has {len(long)} characters, at most {MAX_TEXT} are allowed"
        )
    return values


def _sort(index: str, value: object) -> Sort | None:
    if value is None or value == "":
        return None
    sortable = [spec.name for spec in FIELDS[index].values() if spec.sort]
    name = value.removeprefix("-") if isinstance(value, str) else value
    if not isinstance(value, str) or name not in sortable:
        raise InvalidArguments(_unknown("sort field", name, sortable))
    return Sort(field=str(name), descending=value.startswith("-"))


def _facets(index: str, data_type: str | None, value: object) -> tuple[str, ...]:
    """Names of fields to count; `true` means those that `/filters` offers."""
    if isinstance(value, list) and len(value) == 1 and value[0] in ("true", "false"):
        value = value[0] == "true"
    if value is True or value == "true":
        return tuple(item.name for item in offered(index, data_type))
    if value is None or value is False or value in ("", "false"):
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidArguments(f"facets is {_shown(value)}, true, false or a list of filters is allowed")
    filterable = _filterable(index)
    for name in filter(None, names):
        if name not in filterable:
            raise InvalidArguments(_unknown("facet", name, filterable))
    return tuple(dict.fromkeys(filter(None, names)))


def _whole(name: str, value: object, least: int, most: int | None, *, default: int) -> int:
    if value is None or value == "":
        return default
    span = f"a whole number from {least} to {most}" if most else f"a whole number of at least {least}"
    text = str(value)
    digits = text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= 18
    if isinstance(value, bool) or not digits:
        raise InvalidArguments(f"{name} is {_shown(value)}, {span} is allowed")
    number = int(text)
    if number < least or (most is not None and number > most):
        raise InvalidArguments(f"{name} is {number}, {span} is allowed")
    return number


@cache
def _filterable(index: str) -> tuple[str, ...]:
    return tuple(spec.name for spec in FIELDS[index].values() if spec.filter)


def _unknown(what: str, value: object, allowed: Sequence[str]) -> str:
    close = get_close_matches(str(value)[:100], allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {_shown(value)}{hint}; there are {_listing(allowed)}"


def _listing(names: Iterable[str]) -> str:
    return ", ".join(names)


def _once(name: str, in_path: object, arguments: Arguments) -> object:
    """A value that may stand in the path or among the arguments, but not differently in both."""
    if in_path is None:
        return arguments.get(name)
    given = arguments.get(name)
    if given is not None and str(given) != str(in_path):
        raise InvalidArguments(f"{name} is given twice: {_shown(in_path)} in the path and {_shown(given)}")
    return in_path


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} nested too deep"
    return text if len(text) <= 100 else text[:100] + "…"
