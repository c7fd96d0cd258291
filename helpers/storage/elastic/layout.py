"""What stands in the cluster, read from one answer: which index is served, which one is in the making.

    <prefix>dataset                      alias of the served index
    <prefix>dataset-00000007-1f00c3a9    one release's index; never written once it is served
    <prefix>dataset-00000007-1f00c3a9-writing    its second alias, only while it is being made

What is released of each source stands in the mapping's `_meta` of the dataset index, so that it changes
with the alias. Everything here is pure: no request is made.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from helpers.errors import StorageUnavailable
from helpers.query import Release
from helpers.records import INDICES

FIRST: Final = next(iter(INDICES))  # the index whose `_meta` says what is released
WRITING: Final = "-writing"
FILTER_PATH: Final = (
    "*.aliases,*.mappings._meta,*.settings.index.number_of_shards,*.settings.index.blocks.write"
)
_NAME: Final = re.compile(rf"({'|'.join(INDICES)})-(\d{{8}})-[0-9a-f]{{8}}")


@dataclass(frozen=True, slots=True)
class Meta:
    """What an index says of itself, complete before it is served."""

    name: str  # of the index: a clone that is not finished still bears the name of what it was cloned from
    schema: str
    columns: tuple[str, ...]
    indices: Mapping[str, str] = field(default_factory=dict)  # all indices of this release
    previous: tuple[str, ...] = ()  # indices of the release before, kept for late readers
    releases: Mapping[str, Release] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is kept in the mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Meta:
        """Raises `KeyError`, `TypeError` or `AttributeError` when it is not ours."""
        return cls(
            name=str(raw["name"]),
            schema=str(raw["schema"]),
            columns=tuple(raw["columns"]),
            indices=dict(raw["indices"]),
            previous=tuple(raw["previous"]),
            releases={source: Release(**release) for source, release in raw["releases"].items()},
        )


@dataclass(frozen=True, slots=True)
class Physical:
    """One index of ours."""

    name: str
    index: str  # dataset or model
    revision: int
    shards: int
    served: bool  # the public alias points at it
    writing: bool  # a writer has it in the making, or was killed
    blocked: bool  # against writing
    meta: Meta | None  # None until it is complete

    @property
    def complete(self) -> bool:
        """Whether it was served, or was about to be."""
        return self.meta is not None and not self.writing


@dataclass(frozen=True, slots=True)
class Layout:
    """All indices of ours, and what is wrong with them."""

    physical: tuple[Physical, ...] = ()
    problem: str | None = None
    repair: Mapping[str, str] = field(default_factory=dict)  # alias -> index that it should point at

    @property
    def served(self) -> Mapping[str, Physical]:
        """dataset and model; empty before the first release. Raises `StorageUnavailable` with the problem."""
        if self.problem:
            raise StorageUnavailable(self.problem)
        return {item.index: item for item in self.physical if item.served}

    @property
    def meta(self) -> Meta | None:
        """What is released; None before the first release."""
        first = self.served.get(FIRST)
        return first.meta if first else None

    def named(self, name: str) -> Physical | None:
        """The index of this name."""
        return next((item for item in self.physical if item.name == name), None)


def new_name(prefix: str, index: str, revision: int) -> str:
    """A name that no other writer chooses."""
    return f"{prefix}{index}-{revision:08d}-{secrets.token_hex(4)}"


def patterns(prefix: str) -> str:
    """What to ask for: the aliases' names, whatever bears them, and all indices of ours."""
    return ",".join(f"{prefix}{index},{prefix}{index}-*" for index in INDICES)


def parse(prefix: str, answer: Mapping[str, Any]) -> Layout:
    """The layout from `GET <patterns>`, an index's name -> its aliases, settings and mappings."""
    physical = tuple(
        item for name, info in sorted(answer.items()) if (item := _physical(prefix, name, info or {}))
    )
    problem = _foreign(prefix, answer) or _several(prefix, physical)
    if problem:
        return Layout(physical, problem)
    return _judged(prefix, physical)


def _physical(prefix: str, name: str, info: Mapping[str, Any]) -> Physical | None:
    match = _NAME.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if match is None:
        return None
    aliases = info.get("aliases", {})
    index_settings = info.get("settings", {}).get("index", {})
    return Physical(
        name=name,
        index=match[1],
        revision=int(match[2]),
        shards=int(index_settings.get("number_of_shards", 0)),
        served=f"{prefix}{match[1]}" in aliases,
        writing=f"{name}{WRITING}" in aliases,
        blocked=str(index_settings.get("blocks", {}).get("write", "")).lower() == "true",
        meta=_meta(name, info.get("mappings", {}).get("_meta")),
    )


def _meta(name: str, raw: Any) -> Meta | None:
    try:
        meta = Meta.from_json(raw)
    except (KeyError, TypeError, AttributeError):
        return None
    return meta if meta.name == name else None


def _foreign(prefix: str, answer: Mapping[str, Any]) -> str | None:
    """What is wrong with indices that are not ours."""
    for index in INDICES:
        alias = f"{prefix}{index}"
        if alias in answer:
            return (
                f"`{alias}` is an index in Elasticsearch, but Ammon needs the name for its alias: "
                "delete or rename that index, or set another prefix"
            )
        for name, info in answer.items():
            ours = _physical(prefix, name, {})
            if alias in (info or {}).get("aliases", {}) and (ours is None or ours.index != index):
                return f"the alias `{alias}` points at `{name}`, which Ammon did not make: remove it there"
    return None


def _several(prefix: str, physical: tuple[Physical, ...]) -> str | None:
    for index in INDICES:
        served = [item.name for item in physical if item.index == index and item.served]
        if len(served) > 1:
            return f"the alias `{prefix}{index}` points at several indices: {', '.join(served)}; leave it one"
    return None


def _judged(prefix: str, physical: tuple[Physical, ...]) -> Layout:
    """Whether the aliases point at one release, and which they should point at if not."""
    served = {item.index: item.name for item in physical if item.served}
    first = [item for item in physical if item.index == FIRST and item.complete]
    if not served and not any(item.complete for item in physical):
        return Layout(physical)  # nothing was ever released
    current = next((item for item in first if item.served), None) or max(
        first, key=lambda item: item.revision, default=None
    )
    names = {item.name for item in physical}
    if current is None or current.meta is None or not set(current.meta.indices.values()) <= names:
        missing = current.meta.indices if current and current.meta else {}
        return Layout(
            physical,
            f"an index of what is released is missing in Elasticsearch (expected {dict(missing)}): "
            f"restore it from a snapshot, or delete all of {patterns(prefix)} and refresh",
        )
    if served == dict(current.meta.indices):
        return Layout(physical)
    lost = sorted(set(current.meta.indices) - set(served))
    if any(served[index] != current.meta.indices[index] for index in served):
        return Layout(physical, f"the aliases point at indices of different releases: {served}")
    return Layout(
        physical,
        f"the alias {' and '.join(f'`{prefix}{index}`' for index in lost)} is missing in Elasticsearch; "
        "the next refresh sets it again",
        {f"{prefix}{index}": current.meta.indices[index] for index in lost},
    )
