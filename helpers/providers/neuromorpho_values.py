"""Values as NeuroMorpho.Org writes them: numbers in strings, and many spellings of "missing"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from helpers.errors import InvalidItem

MISSING: Final = frozenset(
    {"", "not reported", "not applicable", "not available", "n/a", "none", "null", "nan"}
)
MAX_ID_DIGITS: Final = 15
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def neuron_id(item: Any) -> int | None:
    """The id of a neuron or of its morphometry, also where it is text."""
    key = item.get("neuron_id") if isinstance(item, dict) else None
    if isinstance(key, bool) or not isinstance(key, (int, str)):
        return None
    digits = str(key) if isinstance(key, str) or key < 10**MAX_ID_DIGITS else ""
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_ID_DIGITS else None


@lru_cache(maxsize=65_536)  # a few thousand values make up most of 300,000 records
def clean(said: str) -> str | None:
    """A text without blanks around it; None for every spelling of "missing"."""
    stripped = said.strip()
    return None if stripped.casefold() in MISSING else stripped


def present(value: Any) -> bool:
    """Whether a value says anything."""
    return value is not None and not (isinstance(value, str) and clean(value) is None)


def text(neuron: Mapping[str, Any], key: str) -> str | None:
    """One text, or None. Raises `InvalidItem` for a list."""
    value = neuron.get(key)
    if type(value) is str:
        return clean(value)
    if isinstance(value, (list, dict)):
        raise InvalidItem(f"{key} is {str(value)[:80]}, one text is expected")
    return None if value is None else clean(str(value))


def texts(neuron: Mapping[str, Any], key: str) -> list[str]:
    """The present items of a list; version 7 has a plain string instead of a list of one."""
    value = neuron.get(key)
    found: dict[str, None] = {}
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, (list, dict)):
            raise InvalidItem(f"{key} is {str(value)[:80]}, a list of texts is expected")
        cleaned = None if item is None else clean(str(item))
        if cleaned is not None:
            found[cleaned] = None
    return list(found)


def as_float(value: Any) -> float | None:
    """A number, also in a string; None for what is missing. Raises `ValueError` for anything else."""
    if type(value) is float or value is None:
        return value
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    return float(value)


@lru_cache(maxsize=65_536)
def _parsed(said: str) -> float | None:
    """A number in a string; Python's own reading would take `1_000` and `infinity` too."""
    cleaned = clean(said)
    if cleaned is not None and not _NUMBER.fullmatch(cleaned):
        raise ValueError(f"{cleaned[:80]!r} is no number")
    return None if cleaned is None else float(cleaned)
