"""The names that may stand in arguments: filters, sort keys and types of some indices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from helpers.fields import FIELDS, FieldSpec
from helpers.records import INDICES, TYPES


class Vocabulary:
    """What some indices know together; which index knows which name, descriptions have to say."""

    def __init__(self, indices: Sequence[str] = tuple(INDICES)) -> None:
        self.indices = tuple(indices)

    @cached_property
    def filters(self) -> tuple[str, ...]:
        """The names of filters, which are those of facets too."""
        return tuple(dict.fromkeys(spec.name for spec in self._specs() if spec.filter))

    @cached_property
    def sorts(self) -> tuple[str, ...]:
        """Ascending and descending orders."""
        names = dict.fromkeys(spec.name for spec in self._specs() if spec.sort)
        return tuple(text for name in names for text in (name, f"-{name}"))

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of records."""
        return tuple(name for index in self.indices for name in TYPES[index])

    @cached_property
    def facets_pattern(self) -> str:
        """What `facets` may be as a text: true, false, or names separated by commas."""
        name = f"({'|'.join(map(re.escape, self.filters))})?"
        return f"^(true|false|{name}(,{name})*)$"

    def described(self, name: str) -> str:
        """What a filter is, and which types of which indices have it."""
        of = {index: FIELDS[index][name] for index in self.indices if name in FIELDS[index]}
        where = "; ".join(f"{index}: {', '.join(_types(index, spec))}" for index, spec in of.items())
        said = " or ".join(dict.fromkeys(spec.description for spec in of.values()))
        return f"{said} ({where})"

    def _specs(self) -> list[FieldSpec]:
        return [spec for index in self.indices for spec in FIELDS[index].values()]


def _types(index: str, spec: FieldSpec) -> list[str]:
    return [name for name in TYPES[index] if name in spec.types]
