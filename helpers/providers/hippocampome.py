"""Hippocampome.org: the neuron types of the rodent hippocampus and their known connections.

Search: http://hippocampome.org/php/Help_Search_Engine.php; what it finds is read from `neuron_page.php`.
There is no other API. Seen in November 2026:

- The search finds the types that are the source of a known connection, and the known pairs.
- An unknown id answers 200 with an empty page: that is no record.
- Pages say that they are iso-8859-1; browsers take that for windows-1252. Some are UTF-8 all the same.
- Connections on the pages that are only potential stand in `extra`, they are no records.
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from helpers.ahead import ahead
from helpers.errors import InvalidItem, UpstreamError, UpstreamUnavailable
from helpers.http import HTTPClient
from helpers.providers.base import About, Provider, Raw, Report, Unfetched
from helpers.providers.hippocampome_page import UNKNOWN, NeuronPage, no_record, parse_page, transmitter_of
from helpers.providers.hippocampome_search import (
    SUBREGIONS,
    Found,
    connection_query,
    criteria,
    neuron_query,
    read_answer,
)
from helpers.records import Connection, Electrophysiology, End, Provenance

MAX_PAGE_BYTES: Final = 8 * 1024 * 1024  # pages have about 100 kB
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
MAX_FAILURES: Final = 5  # pages in a row that cannot be had: then the source is down, not a page

ENTORHINAL: Final = frozenset({"EC", "MEC", "LEC"})
ID_BLOCKS: Final = {
    "1": "DG",
    "2": "CA3",
    "3": "CA2",
    "4": "CA1",
    "5": "SUB",
    "6": "EC",
}  # 4078 is a CA1 type
LAYER_ORDER: Final = {
    f"{region}:{layer}": place
    for place, (region, layer) in enumerate((r, name) for r, names in SUBREGIONS.items() for name in names)
}

STATUSES: Final = ("known", "potential")  # of a connection, as the pages list its target
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]+)", re.IGNORECASE)


class Hippocampome(Provider):
    """Neuron types, as `Electrophysiology`, and connections of Hippocampome.org."""

    about = About(
        key="hippocampome",
        title="Hippocampome.org",
        url="http://hippocampome.org",
        api_docs="http://hippocampome.org/php/Help_Search_Engine.php",
        licence="Hippocampome.org terms of use: use in publications with the required citations "
        "(http://hippocampome.org/php/Help_Terms_of_Use.php)",
        citations=(
            "Hippocampome.org (RRID:SCR_009023)",
            "Wheeler et al. 2015, eLife 4:e09960, doi:10.7554/eLife.09960",
        ),
        indices=frozenset({"dataset"}),
        hosts=frozenset({"hippocampome.org", "www.hippocampome.org"}),
    )

    def __init__(
        self,
        client: HTTPClient,
        base_url: str,
        morphologies: Sequence[str] = (),
        layers: Mapping[str, str] | None = None,
        markers: Sequence[str] = (),
    ) -> None:
        """Select types as `criteria` says; nothing given selects all. Raises `BadConfiguration`."""
        self.client = client
        self._http = client
        self._base = base_url.rstrip("/")
        self._criteria = criteria(morphologies, layers or {}, markers)

    def fetch(self, report: Report) -> Iterator[Raw | Unfetched]:
        """Yield the page of every type found, then every pair with both pages. See `Provider.fetch`."""
        answers = [*self._search(neuron_query(self._criteria), pairs=False)]
        answers += self._search(connection_query(self._criteria), pairs=True)
        report(len(answers))
        yield from (answer for answer in answers if isinstance(answer, Unfetched))
        found = [answer for answer in answers if isinstance(answer, Found)]
        types = {entry.id: entry for entry in found if entry.destination_id is None}
        pairs = [entry for entry in found if entry.destination_id is not None]
        pages: dict[str, _Page] = {}
        for key, page in self._pages(dict.fromkeys((*types, *_ends(pairs)))):
            pages[key] = page
            if key in types:
                yield self._neuron(types[key], page)
        yield from (self._connection(pair, pages) for pair in pairs)

    def _search(self, query: str, pairs: bool) -> list[Found | Unfetched]:
        url = f"{self._base}/php/search_engine_json.php"
        content = self._http.get_bytes(
            url, {"query_str": query}, accept="application/json", max_bytes=MAX_ANSWER_BYTES
        )
        return read_answer(content, pairs)

    def _pages(self, ids: Iterable[str]) -> Iterator[tuple[str, _Page]]:
        """(id, page), each asked for once. Raises `UpstreamUnavailable` when the pages are down."""
        wanted = list(ids)
        failed, had = 0, False
        for key, page in zip(
            wanted, ahead(self._page, wanted, self._http.politeness.concurrency), strict=True
        ):
            failed = failed + 1 if page.failed else 0
            if failed >= MAX_FAILURES:
                raise UpstreamUnavailable(f"{failed} neuron pages in a row failed, the last: {page.reason}")
            had = had or not page.failed
            yield key, page
        if wanted and not had:
            raise UpstreamUnavailable(
                f"none of {len(wanted)} neuron pages could be had, the last: {page.reason}"
            )

    def _page(self, key: str) -> _Page:
        url = page_url(self._base, key)
        try:
            html = decoded(self._http.get_bytes(url, accept="text/html", max_bytes=MAX_PAGE_BYTES))
            reason = no_record(html)
        except (UpstreamError, InvalidItem) as error:
            return _Page(reason=str(error), failed=True)
        if reason is not None:
            return _Page(reason=f"{url} is {reason}", failed=reason != UNKNOWN)
        return _Page(content=zlib.compress(html.encode("utf-8")))

    def _neuron(self, entry: Found, page: _Page) -> Raw | Unfetched:
        if page.content is None:
            return Unfetched(entry.key, page.reason)
        return Raw(entry.key, {"kind": "neuron", **page.of(entry.id, entry.name)}, self._base)

    def _connection(self, entry: Found, pages: Mapping[str, _Page]) -> Raw | Unfetched:
        destination_id = str(entry.destination_id)
        source, destination = pages[entry.id], pages[destination_id]
        for page in (source, destination):
            if page.content is None:
                return Unfetched(entry.key, page.reason)
        data = {
            "kind": "connection",
            "source": source.of(entry.id, entry.name),
            "destination": destination.of(destination_id, entry.destination_name),
        }
        return Raw(entry.key, data, self._base)

    @staticmethod
    def normalise(raw: Raw) -> Electrophysiology | Connection:
        """One type, or one pair of types, as a record. See `Provider.normalise`."""
        kind = raw.data.get("kind") if isinstance(raw.data, dict) else None
        if kind == "neuron":
            return _electrophysiology(raw)
        if kind == "connection":
            return _connection(raw)
        raise InvalidItem(f"kind is {str(kind)[:80]!r}, neuron or connection is expected")


@dataclass(frozen=True, slots=True)
class _Page:
    """A neuron page as it was had: compressed text, or why there is none."""

    content: bytes | None = None
    reason: str = ""
    failed: bool = False  # as an outage does; not when the site says that there is no such type

    def of(self, key: str, name: str | None) -> dict[str, Any]:
        return {"id": key, "name": name, "html": zlib.decompress(self.content or b"").decode("utf-8")}


def _ends(pairs: Iterable[Found]) -> Iterator[str]:
    for pair in pairs:
        yield pair.id
        yield str(pair.destination_id)


def page_url(base: str, key: str) -> str:
    """The page of a neuron type."""
    return f"{base}/php/neuron_page.php?id={key}"


def decoded(content: bytes) -> str:
    """A page as text: UTF-8 where it is that, else by the encoding that it declares, as browsers do."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        match = _CHARSET.search(content[:4096])
        declared = match[1].decode("ascii").lower() if match else ""
    if declared in ("", "iso-8859-1", "latin1", "us-ascii", "ascii"):
        declared = "windows-1252"
    try:
        return content.decode(declared, "replace")
    except LookupError:
        return content.decode("windows-1252", "replace")


def _read(item: Mapping[str, Any], base: str) -> NeuronPage:
    """The parsed page of a raw neuron type. Raises `InvalidItem` also when it is another type's."""
    key, html = item.get("id"), item.get("html")
    if not isinstance(html, str) or not isinstance(key, str):
        raise InvalidItem("id and html of a neuron type must be texts")
    if reason := no_record(html):
        raise InvalidItem(f"type {key} has {reason}")
    try:
        page = parse_page(html, page_url(base, key))
    except InvalidItem as error:
        raise InvalidItem(f"type {key}: {error}") from error
    if page.ids and key not in page.ids:
        raise InvalidItem(f"the page of type {key} is that of {', '.join(sorted(page.ids))}")
    return page


def _subregion(key: str, name: str) -> str | None:
    """DG, CA3, CA2, CA1, SUB or EC: of the formal name's first word, else of the id."""
    word = name.split(maxsplit=1)[0].upper()
    if word in ENTORHINAL:
        return "EC"
    return next((region for region in SUBREGIONS if word.startswith(region)), ID_BLOCKS.get(key[:1]))


def _in_order(*lists: Sequence[str]) -> tuple[str, ...]:
    """Layers once each, from dentate gyrus to entorhinal cortex; unknown ones last."""
    layers = dict.fromkeys(layer for layers in lists for layer in layers)
    return tuple(sorted(layers, key=lambda layer: LAYER_ORDER.get(layer, len(LAYER_ORDER))))


def _said(item: Mapping[str, Any], base: str, page: NeuronPage) -> dict[str, Any]:
    """The fields that a record of a type and an end of a connection have in common.

    `region` is "hippocampus" for DG, CA3, CA2, CA1 and SUB, "entorhinal cortex" for EC; the subregion
    stands in `secondary_region`, spelled as in the layers, because front ends compare the two.
    """
    key = item["id"]
    subregion = _subregion(key, page.name)
    by_sign = {
        f"{sign}_markers": tuple(dict.fromkeys(m.name for m in page.markers if m.expression == sign))
        for sign in ("positive", "negative", "mixed")
    }
    return {
        "source_id": Hippocampome.about.source_id(key),
        "id": key,
        "name": page.name,
        "nickname": page.nickname,
        "synonyms": page.synonyms,
        "source": "Hippocampome",
        "region": None if subregion is None else "entorhinal cortex" if subregion == "EC" else "hippocampus",
        "secondary_region": () if subregion is None else (subregion,),
        "layers": _in_order(page.soma, page.axons, page.dendrites),
        "soma_layers": page.soma,
        "axon_layers": page.axons,
        "dendrite_layers": page.dendrites,
        "neurotransmitter": page.neurotransmitter or transmitter_of(item.get("name")),
        "supertype": page.supertype,
        "markers": page.markers,
        "properties": page.properties,
        "firing_patterns": page.firing_patterns,
        "models": page.models,
        "papers": page.papers,
        "icon": page.icon,
        "page_link": page_url(base, key),
        **by_sign,
    }


def _electrophysiology(raw: Raw) -> Electrophysiology:
    item = raw.data
    page = _read(item, raw.base)
    supertype = (page.supertype or "").split(":")  # ID:Family:Type:Subregion
    return Electrophysiology(
        **_said(item, raw.base, page),
        description=page.name_derivation,
        cell_type=supertype[2].strip() or None if len(supertype) == 4 else None,
        licence=Hippocampome.about.licence,
        citations=Hippocampome.about.citations,
        provenance=Provenance(source=Hippocampome.about.key, url=page_url(raw.base, item["id"])),
        extra=copy.deepcopy(page.extra),
    )


def _connection(raw: Raw) -> Connection:
    source, destination = raw.data.get("source") or {}, raw.data.get("destination") or {}
    before, after = _read(source, raw.base), _read(destination, raw.base)
    presynaptic, postsynaptic = (
        End(**_said(source, raw.base, before)),
        End(**_said(destination, raw.base, after)),
    )
    key = f"{presynaptic.id}-{postsynaptic.id}"
    status = _status(before, postsynaptic.id)
    return Connection(
        source_id=Hippocampome.about.source_id(key),
        id=key,
        name=f"{presynaptic.nickname or presynaptic.name} to {postsynaptic.nickname or postsynaptic.name}",
        source="Hippocampome",
        region=presynaptic.region,
        secondary_region=tuple(
            dict.fromkeys((*presynaptic.secondary_region, *postsynaptic.secondary_region))
        ),
        layers=_in_order(presynaptic.layers, postsynaptic.layers),
        page_link=presynaptic.page_link,
        licence=Hippocampome.about.licence,
        citations=Hippocampome.about.citations,
        provenance=Provenance(source=Hippocampome.about.key, url=presynaptic.page_link),
        presynaptic=presynaptic,
        postsynaptic=postsynaptic,
        extra={"connection_status": status} if status else {},
    )


def _status(before: NeuronPage, target: str) -> str | None:
    """What the presynaptic type's page says of a connection to a type."""
    listed = (status for status in STATUSES if target in _ids(before.extra.get(f"{status}_targets", ())))
    return next(listed, None)


def _ids(neighbours: Iterable[Mapping[str, str]]) -> set[str]:
    return {neighbour["id"] for neighbour in neighbours}
