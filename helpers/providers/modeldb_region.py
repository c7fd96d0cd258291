"""Whether a ModelDB model is one of a region, and why. Pure; the words are data.

Looked at, most reliable evidence first: `region`, `neurons` (then `other_neurons`), `name`, `notes`. The
first of them that holds a word of the region decides, and what it says stands on the record. Only whole words
count ("parahippocampal" is another region). Most models have neither region nor neurons, so that name and
notes decide; notes may only mention a region, which the decision shows.

A region key without a row in `REGIONS` is looked for as it is written, case ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from helpers.providers import modeldb_fields as fields

CONTEXT: Final = 40  # characters of the notes shown on each side of the word
NO_REGION: Final = "every model: no region is configured"


@dataclass(frozen=True, slots=True)
class Region:
    """The words that stand for a region. Patterns are regular expressions, matched as whole words."""

    name: str  # as records show it
    words: tuple[str, ...]  # case ignored
    codes: tuple[str, ...] = ()  # case as written
    parts: tuple[tuple[str, str], ...] = ()  # (secondary region, pattern), case as written


# "Ca2+" and "Ca4" are ions and variables, so CA2 and CA4 count in capitals only, and never before a plus
# sign; "Ca1.2" is a channel. "Dentate" alone may be the cerebellar nucleus.
_ION = r"\s?\(?\+"
_FIELD = rf"[Cc][Aa][13][a-c]?(?!\.\d)|CA[ -][13][a-c]?|CA[ -]?[24][a-c]?(?!{_ION})"
_DENTATE = r"(?i:dentate[\s-](?:gyr(?:us|i)|granule|hil(?:us|ar)|basket|mossy|network|area))"

REGIONS: Final[Mapping[str, Region]] = {
    "hippocampus": Region(
        name="hippocampus",
        words=(
            r"hippocamp(?:us|al|i|o)",
            _DENTATE,
            r"fascia dentata",
            r"gyrus dentatus",
            r"ammon['’]?s horn",
            r"cornu ammonis",
            r"subicul(?:um|a|ar)",
            r"schaffer collaterals?",
        ),
        codes=(_FIELD, r"(?:MOPP|HIPP|HICAP) (?:cells?|neurons?|interneurons?)"),
        parts=(
            ("DG", rf"{_DENTATE}|DG|(?:MOPP|HIPP|HICAP) (?:cells?|neurons?|interneurons?)"),
            ("CA3", r"[Cc][Aa]3[a-c]?(?!\.\d)|CA[ -]3[a-c]?"),
            ("CA2", rf"CA[ -]?2(?!{_ION})"),
            ("CA1", r"[Cc][Aa]1[a-c]?(?!\.\d)|CA[ -]1[a-c]?"),
            ("SUB", r"(?i:subicul(?:um|a|ar))"),
            ("EC", r"(?i:entorhinal)"),
        ),
    ),
    "neocortex": Region(name="neocortex", words=(r"neocort(?:ex|ices|ical)",)),
    "cerebellum": Region(name="cerebellum", words=(r"cerebell(?:um|ar)",)),
    "thalamus": Region(name="thalamus", words=(r"thalam(?:us|ic)",)),
}


def region_of(region_key: str) -> Region | None:
    """The region that a key names; None for the empty key, which means every model."""
    key = " ".join(region_key.split())
    if not key:
        return None
    return REGIONS.get(key.casefold()) or Region(name=key, words=(re.escape(key).replace(r"\ ", r"\s+"),))


def decide(region_key: str, model: Mapping[str, Any]) -> str | None:
    """Why a model counts as one of the region ("neurons: Hippocampus CA1 ..."); None when it does not.

    Raises `InvalidItem` when a field that is needed to tell is of a wrong type or far too long.
    """
    region = region_of(region_key)
    if region is None:
        return NO_REGION
    word = _pattern(region)
    for field, value in _evidence(model):
        found = word.search(value)
        if found:
            return f"{field}: {_excerpt(value, found) if field == 'notes' else value}"
    return None


def secondary_regions(region_key: str, model: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of the region that neurons and region name, else the model's name; in the table's order."""
    region = region_of(region_key)
    if region is None:
        return ()
    listed = fields.names(model, "neurons", "other_neurons", "region")
    return _parts(region, listed) or _parts(region, (fields.text(model, "name") or "",))


def _parts(region: Region, texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        part for part, pattern in region.parts if any(re.search(_whole(pattern), text) for text in texts)
    )


def _evidence(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("region", "neurons", "other_neurons"):
        for name in fields.names(model, field):
            yield field, name
    for field in ("name", "notes"):
        value = fields.text(model, field)
        if value:
            yield field, value


def _pattern(region: Region) -> re.Pattern[str]:
    """One pattern for all words; `re` keeps compiled ones."""
    words = "|".join(region.words)
    return re.compile("|".join([f"(?i:{_whole(words)})", *map(_whole, region.codes)]))


def _whole(pattern: str) -> str:
    """Not within a longer word; an underscore ends one."""
    return rf"(?<![^\W_])(?:{pattern})(?![^\W_])"


def _excerpt(value: str, found: re.Match[str]) -> str:
    """The match and the whole words around it."""
    before, after = value[: found.start()], value[found.end() :]
    if len(before) > CONTEXT:
        before = "… " + before[-CONTEXT:].partition(" ")[2]
    if len(after) > CONTEXT:
        after = after[:CONTEXT].rpartition(" ")[0] + " …"
    return " ".join(f"{before}{found.group()}{after}".split())
