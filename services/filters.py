"""The filters and types that a front end offers, with all values that the released records have."""

from __future__ import annotations

from typing import Any

from injector import inject, singleton

from helpers.facets import GROUP_ORDER, Offered, offered
from helpers.query import SearchQuery
from helpers.search_args import index_name, record_type
from helpers.storage.base import Storage


@singleton
class FilterService:
    """Shapes are the ancestor's: a front end draws its drop-downs from them."""

    @inject
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def types(self, index: str) -> dict[str, Any]:
        """The record types that the index holds: `{label, values}`."""
        query = SearchQuery(index=index_name(index), facets=("type",), hits=1)
        counted = self._storage.search(query).facets["type"]
        return {"label": "type", "values": sorted(value for value, _ in counted)}

    def filters(self, index: str, data_type: str | None) -> dict[str, Any]:
        """Each filter with every value, sorted; those of a connection's ends nested below them."""
        wanted = record_type(index_name(index), data_type)
        listed = offered(index, wanted)
        names = tuple(item.name for item in listed)
        counted = self._storage.search(
            SearchQuery(index=index, data_type=wanted, facets=names, hits=1)
        ).facets
        answer: dict[str, Any] = {}
        for item in listed:
            values = sorted(
                (value for value, _ in counted[item.name]), key=lambda text: (text.casefold(), text)
            )
            group, _, key = item.name.rpartition(".")
            place = _group(answer, group)["items"] if group else answer
            place[key] = _filter(item, key, values)
        return answer


def _group(answer: dict[str, Any], group: str) -> dict[str, Any]:
    found: dict[str, Any] = answer.setdefault(
        group, {"label": group, "order": GROUP_ORDER[group], "items": {}}
    )
    return found


def _filter(item: Offered, key: str, values: list[str]) -> dict[str, Any]:
    return {
        "key": key,
        "label": item.label,
        "type": "multiple",
        "order": item.order,
        "depends_on": list(item.depends_on),
        "values": values,
    }
