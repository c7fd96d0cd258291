"""One neuron page of Hippocampome.org (`/php/neuron_page.php?id=`), parsed by its headings.

Seen in November 2026. Values belong to the latest heading (`hippocampome_cells.py`). Sections for figure,
notes, Izhikevich models, supplemental PMIDs and NeuroMorpho mappings are there only when they hold something;
the others always are, with "None known" in them, so that a missing one means that the pages have changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from helpers.errors import InvalidItem
from helpers.providers.hippocampome_cells import (
    PREFIX,
    Cell,
    Sheet,
    absolute,
    clean,
    nickname_of,
    read_sheet,
    text_of,
    title_of,
)
from helpers.providers.hippocampome_extras import extras
from helpers.providers.hippocampome_papers import (
    MODELDB,
    listed_articles,
    modeldb_link,
    read_article,
    unique,
)
from helpers.records import Link, Marker, Paper, Property

Expression = Literal["positive", "negative", "mixed"]
Transmitter = Literal["excitatory", "inhibitory"]

CACHED_PAGES: Final = 256  # more than there are types: each page stands in many connections
UNKNOWN: Final = "an empty neuron page: Hippocampome.org does not know the id"
MAX_MARKER: Final = 2_000  # characters
NOTHING: Final = frozenset(
    {
        "",
        "none",
        "none known",
        "currently annotating",
        "no parameter associated with this neuron",
        "no image is associated with this neuron",
    }
)
EXPRESSIONS: Final[dict[str, Expression]] = {
    "positive": "positive",
    "negative": "negative",
    "mixed expression": "mixed",
}
NEEDED: Final = (  # without one of these the page is none that we can read
    ("", "name"),
    ("morphology", "soma"),
    ("morphology", "axons"),
    ("morphology", "dendrites"),
    *(("molecular markers", heading) for heading in EXPRESSIONS),
    ("electrophysiological properties", ""),
)
SIGNS: Final[dict[str, Transmitter]] = {
    "e": "excitatory",
    "+": "excitatory",
    "i": "inhibitory",
    "-": "inhibitory",
    "glutamatergic": "excitatory",
    "gabaergic": "inhibitory",
}

_NUMBER: Final = r"[-\u2212+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE: Final = rf"\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]"
_VALUE: Final = re.compile(
    rf"(?P<bound>[<>≤≥]=?)?\s*(?:{_RANGE}|(?P<value>{_NUMBER}))(?:\s*±\s*(?P<sd>{_NUMBER}))?"
    r"\s*(?P<unit>[^\d\s()\[\];,±][^\s()\[\];,±]*)?\s*(?:\((?P<n>\d{1,9})\))?\s*(?:;\s*(?P<rest>.*))?"
)
_SOURCES: Final = re.compile(rf"(?P<sources>\d{{1,9}})\s+sources?\s*(?:\(\d+\))?\s*:?\s*(?:{_RANGE})?")
_LAYER: Final = re.compile(r"[A-Za-z0-9]+:[A-Za-z0-9/-]+")
_SIGN: Final = re.compile(r"\(([ei+-])\)")
_ID_IN_LINK: Final = re.compile(r"[?&]id_neuron=(\d+)")


@dataclass(frozen=True, slots=True)
class NeuronPage:
    """What one page says of its neuron type. Shared by all readers: `extra` is to be copied."""

    name: str
    nickname: str | None
    synonyms: tuple[str, ...]
    neurotransmitter: Transmitter | None
    supertype: str | None  # "ID:Family:Type:Subregion"
    name_derivation: str | None
    soma: tuple[str, ...]  # "DG:SG", in the page's order
    axons: tuple[str, ...]
    dendrites: tuple[str, ...]
    markers: tuple[Marker, ...]
    properties: tuple[Property, ...]
    firing_patterns: tuple[str, ...]
    papers: tuple[Paper, ...]
    models: tuple[Link, ...]
    icon: str | None
    ids: frozenset[str]  # of the type, as the page's own links have it
    extra: dict[str, Any] = field(default_factory=dict)


def no_record(html: str) -> str | None:
    """Why an answer is no neuron page, None when it is one; the shell for an unknown id is none."""
    nickname = nickname_of(html)
    if PREFIX not in html:
        return f"no neuron page but {title_of(html) or clean(html[:200])[:80]!r}"
    if nickname or _first(read_sheet(html), "name") is not None:
        return None
    return UNKNOWN if nickname == "" else "a page without title and name"


@lru_cache(maxsize=CACHED_PAGES)
def parse_page(html: str, page_url: str) -> NeuronPage:
    """What a neuron page says. Links are made absolute on `page_url`. Raises `InvalidItem`."""
    sheet = read_sheet(html)
    _check_shape(html, sheet)
    name = _first(sheet, "name")
    if name is None:
        raise InvalidItem("the page has no Name, a name is required")
    supertype = _first(sheet, "supertype (id:family:type:subregion)")
    articles = unique(_articles(sheet))
    return NeuronPage(
        name=name,
        nickname=sheet.nickname,
        synonyms=_texts(cell for cell in sheet.under("", "synonym(s)")),
        neurotransmitter=transmitter_of(name) or _supertype_transmitter(supertype),
        supertype=supertype,
        name_derivation=_first(sheet, "name derivation"),
        soma=_layers(sheet, "soma"),
        axons=_layers(sheet, "axons"),
        dendrites=_layers(sheet, "dendrites"),
        markers=tuple(_markers(sheet)),
        properties=tuple(_properties(sheet)),
        firing_patterns=_texts(sheet.under("firing pattern", "parameters")),
        papers=tuple(article.paper for article in articles),
        models=_models(sheet, page_url),
        icon=_icon(sheet, page_url),
        ids=frozenset(_own_ids(sheet)),
        extra=extras(sheet, articles, page_url),
    )


def transmitter_of(formal_name: str | None) -> Transmitter | None:
    """Excitatory or inhibitory by the "(e)" or "(i)" of a formal name."""
    match = _SIGN.search(formal_name or "")
    return SIGNS[match[1]] if match else None


def number(text: str | None) -> float | None:
    """A number of a page, None where there is none."""
    value = float(text.replace("\u2212", "-")) if text else math.nan
    return value if math.isfinite(value) else None


def read_property(name: str, text: str, words: str) -> Property:
    """One property from `-75±2 mV (16); 5 sources (100): [-84 , -74]`; `words` is the whole line.

    A range or a bound such as `>72` is no single value: it stands in minimum and maximum, unless the range
    over all sources does. What cannot be read stays in the words alone.
    """
    match = _VALUE.fullmatch(text)
    if match is None:
        return Property(name=name, text=words)
    sources = _SOURCES.fullmatch(match["rest"] or "")
    value, low, high = number(match["value"]), number(match[2]), number(match[3])
    if match["bound"]:
        low, high = (value, None) if match["bound"][0] in ">≥" else (None, value)
        value = None
    if sources and sources[2]:
        low, high = number(sources[2]), number(sources[3])
    return Property(
        name=name,
        unit=match["unit"],
        value=value,
        sd=number(match["sd"]),
        n=int(match["n"]) if match["n"] else None,
        n_sources=int(sources["sources"]) if sources else None,
        minimum=low,
        maximum=high,
        text=words,
    )


def split_evidence(text: str) -> tuple[str, str | None]:
    """A marker's name and what stands in the brackets after it: `CR (confirmed by inference)`."""
    evidence: list[str] = []
    name = text
    if len(text) > MAX_MARKER:  # no marker; a record refuses it
        return text, None
    while name.endswith(")") and (start := _opening(name)) > 0 and name[start - 1] == " ":
        evidence.insert(0, name[start + 1 : -1].strip())
        name = name[:start].rstrip()
    return name, "; ".join(filter(None, evidence)) or None


def _opening(text: str) -> int:
    """Where the bracket opens that the last character closes, -1 when none does."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += (text[place] == ")") - (text[place] == "(")
        if depth == 0:
            return place
    return -1


def _check_shape(html: str, sheet: Sheet) -> None:
    missing = [": ".join(filter(None, heading)) for heading in NEEDED if heading not in sheet.headings]
    if missing:
        raise InvalidItem(f"the page has changed: it has no heading {', '.join(missing)}")
    if html.lower().rfind("</html") < html.rfind(PREFIX):  # earlier ends belong to included menus
        raise InvalidItem("the page breaks off before its end")


def _known(cells: Iterable[Cell]) -> Iterator[Cell]:
    return (cell for cell in cells if cell.text.casefold() not in NOTHING)


def _texts(cells: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell.text for cell in _known(cells)))


def _first(sheet: Sheet, heading: str) -> str | None:
    return next((cell.text for cell in sheet.under("", heading) if cell.text), None)


def _supertype_transmitter(supertype: str | None) -> Transmitter | None:
    words = re.findall(r"[a-z]+", (supertype or "").casefold())
    return next((SIGNS[word] for word in words if word in SIGNS and len(word) > 1), None)


def _layers(sheet: Sheet, part: str) -> tuple[str, ...]:
    layers = _texts(sheet.under("morphology", part))
    for layer in layers:
        if not _LAYER.fullmatch(layer):
            raise InvalidItem(f"{part} is in {layer[:80]!r}, a layer such as DG:SG is expected")
    return layers


def _markers(sheet: Sheet) -> Iterator[Marker]:
    seen = set()
    for heading, expression in EXPRESSIONS.items():
        for cell in _known(sheet.under("molecular markers", heading)):
            name, evidence = split_evidence(cell.text)
            marker = Marker(name=name, expression=expression, evidence=evidence)
            if marker not in seen:
                seen.add(marker)
                yield marker


def _properties(sheet: Sheet) -> Iterator[Property]:
    for cell in _known(sheet.under("electrophysiological properties")):
        label = next((text_of(node) for node in cell.element.iter("strong", "b")), "")
        name, colon, text = cell.text.partition(": ")
        if label.endswith(":") and cell.text.startswith(label):
            name, text = label[:-1], cell.text[len(label) :]
        if name.casefold() == "key":
            continue
        yield read_property(name.strip() if colon else cell.text, text.strip(), cell.text)


def _articles(sheet: Sheet) -> Iterator[Any]:
    for cell in sheet.under("list of articles", ""):
        yield from listed_articles(cell)
    for cell in sheet.under("representative figure"):
        if (article := read_article(cell.element)) is not None:
            yield article


def _models(sheet: Sheet, page_url: str) -> tuple[Link, ...]:
    links: dict[str, Link] = {}
    for cell in _known(sheet.under("modeldb model", "model accession number")):
        targets = [absolute(page_url, node.get("href")) for node in cell.find("a")]
        url = next((modeldb_link(target) for target in targets if target), None)
        if url is None and cell.text.isascii() and cell.text.isdecimal():
            url = f"{MODELDB}/{cell.text}"
        if url is not None:
            links.setdefault(url, Link(label=f"ModelDB {cell.text}".strip(), url=url))
    return tuple(links.values())


def _icon(sheet: Sheet, page_url: str) -> str | None:
    figures = (absolute(page_url, src) for section, src in sheet.images if section == "representative figure")
    return next(filter(None, figures), None)


def _own_ids(sheet: Sheet) -> Iterator[str]:
    for cell in (*sheet.under("morphology"), *sheet.under("molecular markers")):
        for node in cell.find("a"):
            if match := _ID_IN_LINK.search(node.get("href") or ""):
                yield match[1]
