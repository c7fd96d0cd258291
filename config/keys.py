"""Every key of the settings, derived from their classes: its path, its environment name, what it allows.

The name in the environment is `AMMON_` and the dotted key in upper case with `_` for `.`; `OTHER_NAMES`
holds the exceptions, which other tools rely on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from config.settings import Settings
from config.values import Rule

Kind = Literal["switch", "whole", "number", "list", "text"]

PREFIX: Final = "AMMON_"
OTHER_NAMES: Final[
    Mapping[str, tuple[str, ...]]
] = {  # the first is shown, the next are read when it is not set
    "elasticsearch.url": ("ELASTICSEARCH_URL", "ELASTIC_SEARCH_URL"),
}
SWITCHES: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


@dataclass(frozen=True)
class Key:
    """One key of the settings."""

    path: tuple[str, ...]
    info: FieldInfo

    @property
    def name(self) -> str:
        """The dotted key: `neuromorpho.rate`."""
        return ".".join(self.path)

    @property
    def variables(self) -> tuple[str, ...]:
        """Its names in the environment, the one to show first."""
        return OTHER_NAMES.get(self.name) or (PREFIX + "_".join(self.path).upper(),)

    @property
    def meaning(self) -> str:
        """What the key is for."""
        return self.info.description or ""

    @property
    def rule(self) -> Rule:
        """What is allowed."""
        return next(mark for mark in self.info.metadata if isinstance(mark, Rule))

    @cached_property
    def kind(self) -> Kind:
        """What a text of the environment is read as."""
        return _kind(self.info.annotation)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        annotated: Any = Annotated[(self.info.annotation, *self.info.metadata)]
        return TypeAdapter(annotated)

    def check(self, value: object, root: Path) -> None:
        """Do nothing for a value that is allowed. Raises pydantic's `ValidationError`."""
        self._adapter.validate_python(value, context={"root": root})

    def parse(self, text: str) -> object:
        """The value that a text of the environment stands for; a text that is none stays what it is."""
        if self.kind == "switch":
            return SWITCHES.get(text.lower(), text)
        if self.kind == "list":
            return tuple(item for item in map(str.strip, text.split(",")) if item)
        if self.kind == "whole":
            return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text
        if self.kind == "number":
            return (
                float(text)
                if re.fullmatch(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})", text)
                else text
            )
        return text


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) in (Union, UnionType):
        return _kind(next(item for item in get_args(annotation) if item is not type(None)))
    if get_origin(annotation) is tuple:
        return "list"
    kinds: dict[Any, Kind] = {bool: "switch", int: "whole", float: "number"}
    return kinds.get(annotation, "text")


def is_group(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a field holds further keys."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def walk(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key of a class and of the groups in it, in the order of its fields."""
    for name, info in model.model_fields.items():
        if is_group(info.annotation):
            yield from walk(info.annotation, (*path, name))
        else:
            yield Key((*path, name), info)


KEYS: Final[Mapping[str, Key]] = {key.name: key for key in walk(Settings)}
