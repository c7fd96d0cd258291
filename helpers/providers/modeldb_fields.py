"""Reading the fields of a ModelDB object: strict about types, careful with personal addresses. All pure.

A field is a plain value (`name`, `ver_date`) or `{"value": ..., "attr_id": ...}`; a list field's value is a
list of `{"object_id", "object_name"}`. Every field may be absent or null, which is the same. A value of
another type raises `InvalidItem` that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from helpers.errors import InvalidItem
from helpers.records import Paper

MAX_TEXT: Final = 200_000  # characters, as in `helpers/records.py`: nothing longer is searched through
MAX_NAME: Final = 2_000
MAX_DEPTH: Final = 20  # of nested values

REMOVED: Final = "[…]"  # stands in running text where an address stood

_LOCAL = r"(?<![\w.+%-])[\w.+%-]{1,200}"
_LABEL = r"[\w-]{1,63}"
_NAMED = r"[a-z][\w-]{0,62}"  # "at 0.5" is no address
_AT = r"(?:\s{0,3}[\[({<]\s?(?:at|@)\s?[\])}>]\s{0,3})"
_DOT = r"(?:\.|\s{0,3}[\[({<]\s?dot\s?[\])}>]\s{0,3}|\s{1,3}dot\s{1,3})"
_TLD = r"[a-z]{2,24}(?![\w-])"
_NO_NAMES = r"(?!(?:available|hosted|found|located|online|published|stored|see|look)\b)"
_NO_FILES = r"(?![\w.+%-]{1,200}\.(?:html?|txt|md|pdf|hoc|mod|py|m|c|ode|zip)\s)"
_SURE_TLD = r"(?:edu|com|org|net|gov|eu|fr|de|uk|ch|nl|es|se|dk|fi|il|jp|cn|kr|ca|au|br|pl|hu|pt)(?![\w-])"
_ADDRESSES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # me@place.org; git@host: is an account of everybody
        rf"(?:mailto:)?(?!git@){_LOCAL}@(?:{_LABEL}\.){{1,8}}{_TLD}",
        # [me at place.org], (me at place dot org)
        rf"[\[({{<]\s?{_NO_NAMES}[\w.+%-]{{1,200}}\s{{1,3}}at\s{{1,3}}(?:{_NAMED}{_DOT}){{1,8}}{_TLD}\s?[\])}}>]",
        # me [at] place.org, me (at) place (dot) org
        rf"{_LOCAL}{_AT}(?:{_LABEL}{_DOT}){{1,8}}{_TLD}",
        # me at place dot org, but not "look at the dot on"
        rf"{_LOCAL}\s{{1,3}}at\s{{1,3}}(?:{_NAMED}{_DOT}){{0,7}}{_NAMED}\s{{1,3}}dot\s{{1,3}}{_SURE_TLD}",
        # first.last at place.org: without the dot it could be any word
        rf"(?<![\w.+%-]){_NO_FILES}[\w+%-]{{1,100}}\.[\w.+%-]{{1,100}}\s{{1,3}}at\s{{1,3}}(?:{_NAMED}\.){{1,8}}{_TLD}",
    )
)
_BRACKETED: Final = re.compile(r"\s*(?:[\[<][^\]>]*[\]>]?|\(\s*\))")
_ADDRESS_KEY: Final = re.compile(r"e.?mail", re.IGNORECASE)
_WEB_LINK: Final = re.compile(r"\s*\(web link to [^()]*\)\s*$", re.IGNORECASE)
_DOI: Final = re.compile(r"10\.\d{4,9}/\S+")
_WRAPPING: Final = frozenset({"value", "attr_id"})

SIMULATORS: Final = {  # spelling without the web link, in lower case -> the one name
    "neuron": "NEURON",
    "genesis": "GENESIS",
    "brian": "Brian",
    "brian 2": "Brian",
    "brian2": "Brian",
    "xpp": "XPPAUT",
    "xppaut": "XPPAUT",
    "xpp-aut": "XPPAUT",
    "matlab": "MATLAB",
    "python": "Python",
    "nest": "NEST",
    "pascal": "Pascal/Delphi",
    "pascal/delphi": "Pascal/Delphi",
    "scilab": "Scilab",
    "moose": "MOOSE/PyMOOSE",
    "pymoose": "MOOSE/PyMOOSE",
    "moose/pymoose": "MOOSE/PyMOOSE",
    "c or c++ program": "C or C++ program",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry of a list field."""

    name: str
    id: int | None = None


def unwrapped(value: Any) -> Any:
    """The value itself where it stands in `{"value": ..., "attr_id": ...}`."""
    if isinstance(value, dict) and "value" in value and value.keys() <= _WRAPPING:
        return value["value"]
    return value


def text(item: Mapping[str, Any], key: str) -> str | None:
    """A text with its line breaks as LF, addresses and outer blanks removed; None when there is none."""
    value = _value(item, key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidItem(f"{key} is {_shown(value)}, a text is expected")
    return _checked(value, key).replace("\r\n", "\n").replace("\r", "\n").strip() or None


def number(item: Mapping[str, Any], key: str) -> int | None:
    """A whole number; None when there is none."""
    value = _value(item, key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidItem(f"{key} is {_shown(value)}, a whole number is expected")


def moment(item: Mapping[str, Any], key: str) -> str | None:
    """A date or time in ISO 8601, as the source wrote it; None when there is none."""
    value = text(item, key)
    if value is None:
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidItem(f"{key} is {_shown(value)}, a date in ISO 8601 is expected") from error
    return value


def references(item: Mapping[str, Any], key: str) -> list[Reference]:
    """The entries of a list field, in order, none twice; a free text (`other_neurons`) is one entry."""
    value = _value(item, key)
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(_reference(entry, key) for entry in entries if entry != ""))


def _reference(entry: Any, key: str) -> Reference:
    own_id: Any = None
    if isinstance(entry, dict):
        entry, own_id = entry.get("object_name"), entry.get("object_id")
    if not isinstance(entry, str) or not entry.strip():
        raise InvalidItem(f"{key} holds {_shown(entry)}, a name is expected")
    if len(entry) > MAX_NAME:
        raise InvalidItem(f"{key} holds a name of {len(entry):,} characters, {MAX_NAME:,} are allowed")
    if isinstance(own_id, str) and own_id.isascii() and own_id.isdecimal():
        own_id = int(own_id)
    if own_id is not None and (not isinstance(own_id, int) or isinstance(own_id, bool)):
        raise InvalidItem(f"{key} holds the object_id {_shown(own_id)}, a whole number is expected")
    return Reference(" ".join(without_addresses(entry).split()), own_id)


def names(item: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    """The names in one or several list fields, in order, none twice."""
    return tuple(dict.fromkeys(entry.name for key in keys for entry in references(item, key)))


def people(item: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    """Names of people; "Migliore, Michele [Michele.Migliore at Yale.edu]" loses its bracket."""
    bare = (_BRACKETED.sub("", name.replace(REMOVED, "")).strip(" ,;") for name in names(item, *keys))
    return tuple(dict.fromkeys(filter(None, bare)))


def without_addresses(value: str) -> str:
    """A text with `[…]` in place of every e-mail address, also of spelt ones ("me at place dot edu")."""
    for pattern in _ADDRESSES:
        value = pattern.sub(REMOVED, value)
    return value


def plain(value: Any, key: str, depth: int = 0) -> Any:
    """Any value of an object, unwrapped at every level, without addresses. It stays JSON."""
    if depth > MAX_DEPTH:
        raise InvalidItem(f"{key} is nested deeper than {MAX_DEPTH} levels")
    value = unwrapped(value)
    if isinstance(value, str):
        return _checked(value, key)
    if isinstance(value, list):
        return [plain(entry, key, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {
            str(name): plain(entry, key, depth + 1)
            for name, entry in value.items()
            if not _ADDRESS_KEY.search(str(name))
        }
    return value


def leftovers(item: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """What an object says beyond its known fields, by the source's names; addresses are not kept."""
    skipped = frozenset(known)
    found = {
        key: plain(value, key)
        for key, value in item.items()
        if key not in skipped and not _ADDRESS_KEY.search(key)
    }
    return {key: value for key, value in found.items() if value is not None}


def is_web_link(simulator: str) -> bool:
    """Whether "NEURON (web link to model)" says that the code lies elsewhere."""
    return _WEB_LINK.search(simulator) is not None


def simulator_name(simulator: str) -> str:
    """The one name for all spellings of a simulator; an unknown one keeps its own."""
    bare = " ".join(_WEB_LINK.sub("", simulator).split())
    return SIMULATORS.get(bare.casefold(), bare) or simulator


def cited(label: str, paper: Mapping[str, Any] | None) -> Paper:
    """A paper from its short name ("Migliore M (1999)") and its object, where there is one."""
    if paper is None:
        return Paper(label=label)
    source = " ".join(filter(None, (text(paper, "journal"), _words(paper, "volume"))))
    title = (text(paper, "title") or "").rstrip(". ")
    doi, pmid, url = _doi(paper), _pmid(paper), text(paper, "url")
    if doi:
        url = f"https://doi.org/{quote(doi, safe='/:;()._-')}"
    elif pmid:
        url = f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"
    elif url and not url.startswith(("http://", "https://")):
        url = None
    return Paper(
        label=". ".join(filter(None, (label.rstrip(". "), title, source))), url=url, pmid=pmid, doi=doi
    )


def _doi(paper: Mapping[str, Any]) -> str | None:
    """The bare DOI, also out of an address or "doi:..."; None for what is none."""
    found = _DOI.search(_words(paper, "doi") or "")
    return found.group().rstrip(".,;") if found else None


def _pmid(paper: Mapping[str, Any]) -> str | None:
    value = _words(paper, "pubmed_id") or ""
    return value if value.isascii() and value.isdecimal() and int(value) else None


def _words(item: Mapping[str, Any], key: str) -> str | None:
    """A text that may come as a number."""
    value = _value(item, key)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(item, key)


def _value(item: Mapping[str, Any], key: str) -> Any:
    """A field's value; other keys beside `value` (the source keeps some) do not matter here."""
    value = item.get(key)
    if not isinstance(value, dict):
        return value
    if "value" not in value:
        raise InvalidItem(f"{key} is {_shown(value)}, a `value` is expected in it")
    return value["value"]


def _checked(value: str, key: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidItem(f"{key} is a text of {len(value):,} characters, {MAX_TEXT:,} are allowed")
    return without_addresses(value)


def _shown(value: Any) -> str:
    return repr(value)[:80] if not isinstance(value, str) else repr(value[:80])
