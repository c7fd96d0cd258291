"""What search does with each field, derived from the marks in `helpers/records.py`.

One table per index, by public name (`species`, `presynaptic.layers`): filters, facets, sort keys, full
text, the engines' schemas and the API's documentation are all read from it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from helpers.records import INDICES, Indexed, Words, type_name

Kind = Literal["keyword", "number", "date"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of an index as search sees it."""

    name: str  # public name, dots for nesting
    paths: tuple[tuple[str, ...], ...]  # where its values stand in a record's JSON; lists are looked into
    kind: Kind
    many: bool  # holds several values
    filter: bool
    sort: bool
    words: Words | None
    types: frozenset[str]  # record types that have it
    description: str


def values(document: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Every value at a path of a record's JSON, looking into lists; nulls are left out."""
    if document is None:
        return
    if isinstance(document, list):
        for item in document:
            yield from values(item, path)
    elif not path:
        yield document
    else:
        yield from values(document.get(path[0]), path[1:])


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The bare type within Optional, Annotated and tuple, and whether there may be several."""
    many = False
    while True:
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(item for item in get_args(annotation) if item is not type(None))
        elif get_origin(annotation) is tuple:
            many, annotation = True, get_args(annotation)[0]
        else:
            return annotation, many


def _marks(annotation: Any, metadata: list[Any]) -> Iterator[Indexed]:
    yield from (mark for mark in metadata if isinstance(mark, Indexed))
    yield from (mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Indexed))


def _specs(
    model: type[BaseModel], owner: str, prefix: tuple[str, ...] = (), many: bool = False
) -> Iterator[FieldSpec]:
    for key, info in model.model_fields.items():
        bare, several = _unwrap(info.annotation)
        path = (*prefix, key)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield from _specs(bare, owner, path, many or several)
            continue
        mark = next(_marks(info.annotation, list(info.metadata)), None)
        if mark is None:
            continue
        yield FieldSpec(
            name=mark.name or ".".join(path),
            paths=(path,),
            kind="date" if mark.date else "number" if bare in (int, float) else "keyword",
            many=many or several,
            filter=mark.filter,
            sort=mark.sort,
            words=mark.words,
            types=frozenset({owner}),
            description=info.description or key.replace("_", " "),
        )


def _table(index: str) -> dict[str, FieldSpec]:
    table: dict[str, FieldSpec] = {}
    for record_class in INDICES[index]:
        for spec in _specs(record_class, type_name(record_class)):
            known = table.get(spec.name)
            table[spec.name] = spec if known is None else _merged(known, spec)
    return table


def _merged(one: FieldSpec, other: FieldSpec) -> FieldSpec:
    """One public field of two record types, which may keep it in different places."""
    return replace(
        one,
        types=one.types | other.types,
        paths=tuple(dict.fromkeys(one.paths + other.paths)),
        many=one.many or other.many,
        sort=one.sort and other.sort,
    )


FIELDS: Mapping[str, Mapping[str, FieldSpec]] = {index: _table(index) for index in INDICES}
