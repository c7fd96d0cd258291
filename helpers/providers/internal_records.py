"""One row of a table of own files as a record: pure, from what the reading found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import ValidationError

from helpers.errors import InvalidItem
from helpers.providers.internal_columns import COLUMNS, ENDS, RECORDS, Column, parse
from helpers.providers.internal_tables import shown
from helpers.records import INDEX_OF, End, Provenance, Record, type_name

KEY: Final = "internal"
SIGNS: Final = ("positive", "negative", "mixed")

Values = dict[str, Any]


def source_id(kind: str, bare_id: str) -> str:
    """The id over all sources of a row: `internal_morphology-<id>`."""
    return f"{KEY}_{kind}-{bare_id}"


def record_of(data: Mapping[str, Any], base: str) -> Record:
    """The record of a row. Raises `InvalidItem` naming file, line and every column at fault."""
    kind, problems = data["kind"], list(data["problems"])
    values, extra = _values(data, base, problems)
    _demand(kind, values, problems)
    own_id = source_id(kind, str(values.get("id")))
    page = f"{base}/records/{INDEX_OF[type_name(RECORDS[kind])]}/{own_id}"
    values["page_link"] = values.get("page_link") or page
    if kind == "connection":
        for end in ENDS:
            values[end] = _end(data, end, values, base, problems)
    for owner, prefix in _neuron_types(kind, values):
        _join_markers(owner, prefix, problems)
    if problems:
        raise _refusal(data, problems)
    if kind == "morphology":
        _complete_morphology(values, data["folder"])
    values["licence"] = values.get("licence") or data["folder"]["licence"]
    values["citations"] = values.get("citations") or data["folder"]["citations"]
    try:
        return RECORDS[kind](
            source_id=own_id, source=f"{KEY}_{kind}", provenance=Provenance(source=KEY), extra=extra, **values
        )
    except ValidationError as error:
        raise _refusal(data, _explained(kind, error)) from error


def _refusal(data: Mapping[str, Any], problems: Iterable[str]) -> InvalidItem:
    return InvalidItem(f"{data['table']} line {data['line']} {'; '.join(problems)}")


def _values(data: Mapping[str, Any], base: str, problems: list[str]) -> tuple[Values, Values]:
    """The record's fields that have a value, and the cells of unknown columns as they stand."""
    values: Values = {}
    extra: Values = {}
    for name, cell in data["row"].items():
        column = COLUMNS[data["kind"]].get(name)
        if column is None:
            extra[name] = cell
        elif column.form in ("file", "files"):
            links = [_link(finding, base) for finding in data["found"].get(name, ())]
            _put(values, column.path, _shaped(column, links))
        elif name not in ENDS:
            try:
                _put(values, column.path, parse(column, cell))
            except InvalidItem as error:
                problems.append(f"column {name}: {error}")
    local = next((finding for finding in data["found"].get("file", ()) if "path" in finding), None)
    return values, extra | ({"file": local} if local else {})


def _put(values: Values, path: tuple[str, ...], value: Any) -> None:
    if value is None:
        return
    for step in path[:-1]:
        values = values.setdefault(step, {})
    values[path[-1]] = value


def _link(finding: Mapping[str, Any], base: str) -> str:
    return str(finding["url"]) if "url" in finding else f"{base}/files/{KEY}/{quote(finding['path'])}"


def _shaped(column: Column, links: list[str]) -> Any:
    """Links in the shape of their field."""
    if column.form == "files":
        return [
            {"label": PurePosixPath(unquote(urlsplit(link).path)).name or link, "url": link} for link in links
        ]
    if not links:
        return None
    return {"url": links[0]} if column.path == ("metadata",) else links[0]


def _demand(kind: str, values: Values, problems: list[str]) -> None:
    """What a row must have; a column that has its problem already is not named twice."""
    for column, field in (("name", "name"), *((("file", "download_link"),) if kind == "morphology" else ())):
        if not values.get(field) and not any(text.startswith(f"column {column}:") for text in problems):
            problems.append(f"column {column}: is empty")


def _end(data: Mapping[str, Any], end: str, values: Values, base: str, problems: list[str]) -> Values | None:
    """One end of a connection: the row of `electrophysiology` that it names, else its own columns."""
    own: Values = values.get(end) or {}
    try:
        named = parse(COLUMNS["connection"][end], data["row"].get(end, ""))
    except InvalidItem as error:
        problems.append(f"column {end}: {error}")
        return None
    if named is None and own.get("name"):
        bare_id = f"{values.get('id')}-{end}"
        whole = {"source_id": source_id("connection", bare_id), "id": bare_id, "source": f"{KEY}_connection"}
        return whole | own | {"page_link": own.get("page_link") or values["page_link"]}
    if named is None:
        problems.append(f"column {end}: must be an id of the table electrophysiology, or give {end}_name")
    elif own:
        problems.append(f"column {end}: names the row {shown(named)}; leave the columns {end}_... empty")
    elif data.get(end) is None:
        problems.append(f"column {end}: the table electrophysiology has no row {shown(named)}")
    else:
        return _carried(data[end], end, base, problems)
    return None


def _carried(row: Mapping[str, Any], end: str, base: str, problems: list[str]) -> Values | None:
    """The end that a row of `electrophysiology` is, whole."""
    try:
        record = record_of(row, base)
    except InvalidItem as error:
        problems.append(f"column {end}: the row that it names has errors: {error}")
        return None
    return {name: getattr(record, name) for name in End.model_fields}


def _neuron_types(kind: str, values: Values) -> Iterator[tuple[Values, str]]:
    """The parts of a row that describe a neuron type by columns, and the prefix of these."""
    if kind == "electrophysiology":
        yield values, ""
    for end in ENDS if kind == "connection" else ():
        if isinstance(values[end], dict) and isinstance(values[end].get("markers", []), list):
            yield values[end], f"{end}_"


def _join_markers(values: Values, prefix: str, problems: list[str]) -> None:
    """Say the same in `markers` and in the three lists, whichever was given."""
    given = values.get("markers") or []
    if not isinstance(given, list) or not all(isinstance(marker, dict) for marker in given):
        return  # of another shape, which the record refuses by name
    signs = {str(marker.get("name")): str(marker.get("expression")) for marker in given}
    markers = list(given)
    for sign in SIGNS:
        for name in values.get(f"{sign}_markers", ()):
            if signs.setdefault(name, sign) != sign:
                problems.append(
                    f"column {prefix}{sign}_markers: {shown(name)} is {signs[name]} elsewhere in the row"
                )
            elif not any(marker.get("name") == name for marker in markers):
                markers.append({"name": name, "expression": sign})
    values["markers"] = markers
    for sign in SIGNS:
        values[f"{sign}_markers"] = [name for name, expression in signs.items() if expression == sign]


def _complete_morphology(values: Values, folder: Mapping[str, Any]) -> None:
    terms = [*dict.fromkeys((*values.get("cell_type", ()), *values.get("cell_types", ())))]
    path = [values["region"]] if values.get("region") else []
    values["cell_types"], values["cell_type"] = terms, terms[0] if terms else None
    values.setdefault("brain_region", [*path, *values.get("secondary_region", ())])
    values.setdefault("original_link", values["download_link"])
    values.setdefault("archive", folder["title"])


def _explained(kind: str, error: ValidationError) -> Iterator[str]:
    """What the record refuses, by column."""
    for item in error.errors(include_url=False, include_context=False):
        at = [column for column in COLUMNS[kind].values() if item["loc"][: len(column.path)] == column.path]
        name = max(at, key=lambda column: len(column.path)).name if at else ".".join(map(str, item["loc"]))
        yield f"column {name}: {item['msg']}, got {shown(item['input'])}"
