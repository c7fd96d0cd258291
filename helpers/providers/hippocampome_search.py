"""The search engine of Hippocampome.org: its query language and its answers.

Language: http://hippocampome.org/php/Help_Search_Engine.php. Seen in November 2026:

- A query is split at blanks and brackets only, so a name with a blank or bracket cannot be asked for.
- AND, OR and NOT are found anywhere in a word: a marker such as MOR is taken for an operator.
- Answers are objects keyed "1", "2", ... with ids as strings, `[]` when nothing is found.
- Text may be printed before the JSON; "Invalid count" in it says that a condition was left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from helpers.errors import BadConfiguration, UpstreamChanged
from helpers.providers.base import Unfetched

log = logging.getLogger(__name__)

MORPHOLOGIES: Final = ("Axons", "Dendrites", "Soma")
SUBREGIONS: Final[Mapping[str, tuple[str, ...]]] = {  # one place of a code for each layer, in this order
    "DG": ("SMo", "SMi", "SG", "H"),
    "CA3": ("SLM", "SR", "SL", "SP", "SO"),
    "CA2": ("SLM", "SR", "SP", "SO"),
    "CA1": ("SLM", "SR", "SP", "SO"),
    "SUB": ("SM", "SP", "PL"),
    "EC": ("I", "II", "III", "IV", "V", "VI"),
}
EVERYTHING: Final = "Morphology:(Axons:DG:????)"  # a code of question marks holds for every type
EXPRESSED: Final = ("D+", "I+", "D+-")  # positive by evidence, positive by inference, mixed

_MARKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+\-./]*")
_OPERATOR: Final = re.compile("and|or|not|include|exclude", re.IGNORECASE)
_ID: Final = re.compile(r"[0-9]{1,9}")
_JSON: Final = re.compile(rb'\{\s*(?:"|\})|\[\s*(?:\]|\{)')


@dataclass(frozen=True, slots=True)
class Found:
    """One neuron type, or one pair of types, that a query has found. Names are formal names."""

    id: str
    name: str | None
    destination_id: str | None = None
    destination_name: str | None = None

    @property
    def key(self) -> str:
        """The bare id of the record that this becomes."""
        return self.id if self.destination_id is None else f"{self.id}-{self.destination_id}"


def criteria(morphologies: Sequence[str], layers: Mapping[str, str], markers: Sequence[str]) -> str:
    """What a neuron type must meet, in the site's language.

    `layers` gives a code for each subregion: `1` present, `0` absent, `?` either. A type is selected
    when any of `morphologies` (all three when none is named) meets any of the codes that restrict
    anything, and when any of `markers` is expressed in it, positively or mixed. What is empty restricts
    nothing. Raises `BadConfiguration` for values that the site cannot be asked for.
    """
    parts = [_checked_morphology(part) for part in morphologies] or list(MORPHOLOGIES)
    codes = {subregion: _checked_code(subregion, code) for subregion, code in layers.items()}
    names = [_checked_marker(marker) for marker in markers]
    places = [
        f"{part}:{region}:{code}" for part in parts for region, code in codes.items() if code.strip("?")
    ]
    expressed = [f"{mode}:{name}" for name in names for mode in EXPRESSED]
    wanted = []
    if places:
        wanted.append(f"Morphology:({' OR '.join(places)})")
    if expressed:
        wanted.append(f"Markers:({' OR '.join(expressed)})")
    return " AND ".join(wanted) or EVERYTHING


def neuron_query(wanted: str) -> str:
    """The query for all neuron types that meet some criteria."""
    return f"Neuron:({wanted})"


def connection_query(wanted: str) -> str:
    """The query for all pairs of types that both meet some criteria. The comma needs the blank."""
    return f"Connection:(Presynaptic:({wanted}), Postsynaptic:({wanted}))"


def read_answer(content: bytes, pairs: bool) -> list[Found | Unfetched]:
    """The types, or the pairs of types, of an answer; what names none, or repeats one, as `Unfetched`.

    Raises `UpstreamChanged` when the answer as a whole is none of the search engine.
    """
    entries = _entries(content)
    read: list[Found | Unfetched] = []
    seen: set[str] = set()
    for place, entry in entries:
        found = _found(place, entry, pairs)
        if isinstance(found, Found) and found.key in seen:
            found = Unfetched(found.key, f"listed twice: entry {place} of the search repeats it")
        elif isinstance(found, Found):
            seen.add(found.key)
        read.append(found)
    if entries and not seen:
        raise UpstreamChanged(
            f"the search names no neuron type but answers {content[:120].decode('utf-8', 'replace')!r}"
        )
    return read


def _checked_morphology(part: str) -> str:
    if part not in MORPHOLOGIES:
        raise BadConfiguration(f"hippocampome morphologies: {part!r} is none of {', '.join(MORPHOLOGIES)}")
    return part


def _checked_code(subregion: str, code: str) -> str:
    if subregion not in SUBREGIONS:
        raise BadConfiguration(f"hippocampome layers: {subregion!r} is none of {', '.join(SUBREGIONS)}")
    names = SUBREGIONS[subregion]
    if not isinstance(code, str) or not re.fullmatch(rf"[0-9?]{{{len(names)}}}", code):
        raise BadConfiguration(
            f"hippocampome layers: {subregion} is {code!r}, but must have 0 (absent), 1 (present) "
            f"or ? (either) for each of its {len(names)} layers {' '.join(names)}"
        )
    return code


def _checked_marker(marker: str) -> str:
    if not isinstance(marker, str) or not _MARKER.fullmatch(marker):
        raise BadConfiguration(
            f"hippocampome markers: {marker!r} cannot be asked for: the site splits queries at blanks and "
            "brackets; allowed are letters, digits and + - . /"
        )
    if operator := _OPERATOR.search(marker):
        raise BadConfiguration(
            f"hippocampome markers: {marker!r} cannot be asked for: the site takes the "
            f"{operator[0]!r} in it for an operator"
        )
    return marker


def _entries(content: bytes) -> list[tuple[str, Any]]:
    """(place, entry) of an answer, in its order."""
    start = _JSON.search(content)
    printed = (
        content[: start.start() if start else len(content)].decode("utf-8", "replace").strip("\ufeff \r\n\t")
    )
    if start is None:
        raise UpstreamChanged(f"the search answers no JSON but {printed[:120]!r}")
    if "invalid count" in printed.lower():
        raise UpstreamChanged(f"the search left out a condition: it says {printed[:200]!r}")
    if re.sub(r"<[^<>]*>", "", printed).strip():
        log.warning("Hippocampome.org printed %r before its answer", printed[:200])
    try:
        body = orjson.loads(content[start.start() :])
    except ValueError as error:
        raise UpstreamChanged(f"the search answers broken JSON: {error}") from error
    if isinstance(body, dict):
        return list(body.items())
    return [(str(place), entry) for place, entry in enumerate(body, 1)]


def _found(place: str, entry: Any, pairs: bool) -> Found | Unfetched:
    label = f"{'connection' if pairs else 'neuron'} entry {place[:40]}"
    if not isinstance(entry, dict):
        return Unfetched(label, f"{label} of the search is {str(entry)[:80]!r}, an object is expected")
    source = _type_id(entry.get("source_id"))
    if source is None:
        return Unfetched(label, f"{label} of the search has no usable source_id: {str(entry)[:200]}")
    if not pairs:
        return Found(source, _name(entry.get("source_name")))
    destination = _type_id(entry.get("destination_id"))
    if destination is None:
        reason = f"{label} of the search has no usable destination_id: {str(entry)[:200]}"
        return Unfetched(f"{source}-?", reason)
    names = _name(entry.get("source_name")), _name(entry.get("destination_name"))
    return Found(source, names[0], destination, names[1])


def _type_id(value: Any) -> str | None:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _ID.fullmatch(text) else None


def _name(value: Any) -> str | None:
    return (" ".join(value.split()) or None) if isinstance(value, str) else None
