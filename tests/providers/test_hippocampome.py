"""The Hippocampome.org provider: queries, answers, fetching and records."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from helpers.errors import BadConfiguration, InvalidItem, UpstreamChanged, UpstreamError, UpstreamUnavailable
from helpers.http import HTTPClient, Politeness
from helpers.providers.base import Raw, Unfetched
from helpers.providers.hippocampome import Hippocampome, decoded
from helpers.providers.hippocampome_search import (
    EVERYTHING,
    Found,
    connection_query,
    criteria,
    neuron_query,
    read_answer,
)
from helpers.records import Connection, Electrophysiology

DATA = Path(__file__).parent.parent / "data" / "hippocampome"
BASE = "http://h.example"
PAGES = {key: next(DATA.glob(f"{key}_*")).read_bytes() for key in ("1900", "4901")}
LAYERS = {"DG": "????", "CA3": "?????", "CA2": "????", "CA1": "????", "SUB": "???", "EC": "??????"}
TYPES = {"1": {"source_id": "1900", "source_name": "DG (e)2201p Sprinkler"}}
PAIR = {"source_id": "1900", "source_name": "A", "destination_id": "4901", "destination_name": "B"}


def provider(**chosen: Any) -> Hippocampome:
    politeness = Politeness(rate=0, backoff_s=0.001, retries=1, hosts=frozenset({"h.example"}))
    return Hippocampome(HTTPClient("test (test@h.example)", politeness), BASE, **chosen)


def raw_neuron(key: str = "1900", name: str | None = None) -> Raw:
    return Raw(key, {"kind": "neuron", "id": key, "name": name, "html": decoded(PAGES[key])}, BASE)


def raw_pair() -> Raw:
    ends = {"source": raw_neuron("1900").data, "destination": raw_neuron("4901").data}
    return Raw("1900-4901", {"kind": "connection", **ends}, BASE)


class Site:
    """The site: its two answers and its pages, where a page may be bytes or a status."""

    def __init__(self, types: object, pairs: object, pages: dict[str, bytes | int]) -> None:
        self.answers, self.pages = {"Neuron": types, "Connection": pairs}, pages
        self.asked: list[str] = []

    def __call__(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        address = urlsplit(str(request.url))
        asked = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == "/php/search_engine_json.php":
            answer = self.answers[asked["query_str"].partition(":")[0]]
            return 200, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        assert address.path == "/php/neuron_page.php"
        self.asked.append(asked["id"])
        page = self.pages[asked["id"]]
        return (page, {}, b"") if isinstance(page, int) else (200, {}, page)


@pytest.fixture
def fetch() -> Callable[..., list[Raw | Unfetched]]:
    def run(site: Site, expected: list[int] | None = None) -> list[Raw | Unfetched]:
        with responses.RequestsMock() as mock:
            mock.add_callback(responses.GET, f"{BASE}/php/search_engine_json.php", site)
            mock.add_callback(responses.GET, f"{BASE}/php/neuron_page.php", site)
            mock.assert_all_requests_are_fired = False
            return list(provider().fetch((expected if expected is not None else []).append))

    return run


# --- queries


QUERIES = {
    "nothing chosen": ({}, EVERYTHING),
    "nothing that restricts": ({"morphologies": ["Axons", "Soma"], "layers": LAYERS}, EVERYTHING),
    "one layer": (
        {"morphologies": ["Soma"], "layers": LAYERS | {"CA1": "??1?"}},
        "Morphology:(Soma:CA1:??1?)",
    ),
    "any part": (
        {"layers": {"DG": "1???"}},
        "Morphology:(Axons:DG:1??? OR Dendrites:DG:1??? OR Soma:DG:1???)",
    ),
    "markers": ({"markers": ["PV"]}, "Markers:(D+:PV OR I+:PV OR D+-:PV)"),
    "both": (
        {"morphologies": ["Axons"], "layers": {"SUB": "1?0"}, "markers": ["5HT-3"]},
        "Morphology:(Axons:SUB:1?0) AND Markers:(D+:5HT-3 OR I+:5HT-3 OR D+-:5HT-3)",
    ),
}


@pytest.mark.parametrize(("chosen", "expected"), QUERIES.values(), ids=QUERIES.keys())
def test_the_configuration_becomes_a_query(chosen: dict[str, Any], expected: str) -> None:
    none: dict[str, Any] = {"morphologies": [], "layers": {}, "markers": []}
    assert criteria(**none | chosen) == expected


def test_the_clauses_of_a_connection_query_stand_apart() -> None:
    assert neuron_query("X") == "Neuron:(X)"
    assert connection_query("X") == "Connection:(Presynaptic:(X), Postsynaptic:(X))"


WRONG = {
    "part": ({"morphologies": ["Axon"]}, "'Axon' is none of Axons, Dendrites, Soma"),
    "subregion": ({"layers": {"CA4": "????"}}, "'CA4' is none of DG"),
    "length of a code": ({"layers": {"CA1": "???"}}, "CA1 is '\\?\\?\\?'.* 4 layers SLM SR SP SO"),
    "sign of a code": ({"layers": {"CA1": "??x?"}}, "CA1 is"),
    "code that is no text": ({"layers": {"CA1": 1111}}, "CA1 is 1111"),
    "marker with a blank": ({"markers": ["Sub P Rec"]}, "'Sub P Rec' cannot be asked for"),
    "marker with a bracket": ({"markers": ["A(1)"]}, "'A\\(1\\)' cannot"),
    "marker that is an operator": ({"markers": ["PV", "MOR"]}, "'MOR'.* 'OR' in it for an operator"),
    "empty marker": ({"markers": [""]}, "'' cannot"),
}


@pytest.mark.parametrize(("chosen", "reason"), WRONG.values(), ids=WRONG.keys())
def test_what_the_site_cannot_be_asked_for_stops_the_start(chosen: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadConfiguration, match=reason):
        provider(**chosen)


# --- answers


def answer(entries: object, printed: bytes = b"") -> bytes:
    return printed + json.dumps(entries).encode()


READABLE = {
    "types": (answer(TYPES), [Found("1900", "DG (e)2201p Sprinkler")]),
    "nothing found": (b"[]", []),
    "empty object": (b"{}", []),
    "list": (answer([{"source_id": 7}]), [Found("7", None)]),
    "after an exclude": (answer(TYPES, b"<pre></pre>"), [Found("1900", "DG (e)2201p Sprinkler")]),
    "after a byte order mark": (answer([{"source_id": "7"}], b"\xef\xbb\xbf\r\n"), [Found("7", None)]),
    "after a notice": (answer([{"source_id": "7"}], b"Notice: x[3] in /a.php\n"), [Found("7", None)]),
}


@pytest.mark.parametrize(("content", "expected"), READABLE.values(), ids=READABLE.keys())
def test_answers_are_read(content: bytes, expected: list[Found]) -> None:
    assert read_answer(content, pairs=False) == expected


UNREADABLE = {
    "empty": (b"", "no JSON but ''"),
    "blank": (b" \n", "no JSON but ''"),
    "html": (b"<html><style>p {color: red}</style></html>", "no JSON but '<html>"),
    "left-out condition": (
        answer(TYPES, b"<br>Invalid count of CA1:100 for condition axons<br>"),
        "left out a condition.*CA1:100",
    ),
    "cut": (answer(TYPES)[:-3], "broken JSON"),
    "bad bytes": (answer(TYPES).replace(b"1900", b"\xff\xfe"), "broken JSON"),
    "error": (answer({"status": 500, "error": "Internal"}), "names no neuron type.*Internal"),
    "all renamed": (answer({"1": {"id": "7"}}), "names no neuron type"),
    "noise": (bytes(range(128, 200)), "no JSON"),
}


@pytest.mark.parametrize(("content", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_other_answers_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(UpstreamChanged, match=reason):
        read_answer(content, pairs=False)


BAD_ENTRIES = {
    "no id": ({"source_name": "X"}, False, "neuron entry 2", "no usable source_id"),
    "null": (None, False, "neuron entry 2", "an object is expected"),
    "id that is no number": ({"source_id": "../x"}, False, "neuron entry 2", "no usable source_id"),
    "true": ({"source_id": True}, False, "neuron entry 2", "no usable source_id"),
    "no destination": ({"source_id": "1900"}, True, "1900-?", "no usable destination_id"),
    "twice": (PAIR, True, "1900-4901", "listed twice"),
}


@pytest.mark.parametrize(("entry", "pairs", "key", "reason"), BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_a_bad_entry_is_named_and_the_others_stay(entry: object, pairs: bool, key: str, reason: str) -> None:
    good, bad = read_answer(answer({"1": PAIR, "2": entry}), pairs)
    assert isinstance(good, Found)
    assert isinstance(bad, Unfetched)
    assert bad.id == key
    assert reason in bad.reason


# --- fetching


def test_every_page_is_asked_for_once(fetch: Callable[..., Any]) -> None:
    back = {"source_id": "4901", "destination_id": "1900"}
    site = Site(TYPES, {"1": PAIR, "2": back}, dict(PAGES))
    expected: list[int] = []
    items = fetch(site, expected)
    assert [item.id for item in items] == ["1900", "1900-4901", "4901-1900"]
    assert sorted(site.asked) == ["1900", "4901"]
    assert expected == [3]
    assert all(isinstance(item, Raw) and item.base == BASE for item in items)
    assert items[0].data["html"] == decoded(PAGES["1900"])
    assert items[1].data["destination"]["name"] == "B"
    json.dumps([item.data for item in items])


def test_nothing_found_is_nothing(fetch: Callable[..., Any]) -> None:
    assert fetch(Site([], [], {})) == []


BROKEN_PAGES: dict[str, tuple[bytes | int, str]] = {
    "refused": (404, "answered 404"),
    "down": (503, "answered 503"),
    "unknown id": ((DATA / "shell.html").read_bytes(), "does not know the id"),
    "maintenance": (b"<html><title>Back soon</title></html>", "no neuron page but 'Back soon'"),
    "empty": (b"", "no neuron page"),
    "noise": (bytes(range(256)) * 4, "no neuron page"),
    "huge": (PAGES["4901"] + b"x" * 9_000_000, "allowed"),
}


@pytest.mark.parametrize(("page", "reason"), BROKEN_PAGES.values(), ids=BROKEN_PAGES.keys())
def test_a_page_that_fails_takes_only_its_own(
    fetch: Callable[..., Any], page: bytes | int, reason: str
) -> None:
    types = TYPES | {"2": {"source_id": "4901"}}
    kept, lost, pair = fetch(Site(types, {"1": PAIR}, PAGES | {"4901": page}))
    assert isinstance(kept, Raw)
    assert kept.id == "1900"
    assert [lost.id, pair.id] == ["4901", "1900-4901"]
    for item in (lost, pair):
        assert isinstance(item, Unfetched)
        assert reason in item.reason


def many(*pages: bytes | int) -> Site:
    types = {str(n): {"source_id": str(n)} for n in range(1, len(pages) + 1)}
    return Site(types, [], {str(n): page for n, page in enumerate(pages, 1)})


def test_five_failures_in_a_row_end_the_fetch(fetch: Callable[..., Any]) -> None:
    page = PAGES["1900"]
    assert len(fetch(many(page, *[500] * 4, page, *[500] * 4, page))) == 11
    with pytest.raises(
        UpstreamUnavailable, match=r"5 neuron pages in a row failed, the last: .*answered 500"
    ):
        fetch(many(page, *[500] * 5, page))


def test_no_page_at_all_is_an_outage(fetch: Callable[..., Any]) -> None:
    with pytest.raises(UpstreamUnavailable, match="none of 2 neuron pages"):
        fetch(many(500, 404))


def test_unknown_ids_are_no_outage(fetch: Callable[..., Any]) -> None:
    shell = (DATA / "shell.html").read_bytes()
    assert [type(item) for item in fetch(many(*[shell] * 6, PAGES["1900"]))] == [*[Unfetched] * 6, Raw]


SEARCHES = {"empty": b"", "html": b"<html></html>", "error": b'{"status": 500, "error": "no"}'}


@pytest.mark.parametrize(
    ("types", "pairs"),
    [(content, []) for content in SEARCHES.values()] + [(TYPES, content) for content in SEARCHES.values()],
    ids=[f"{query}: {name}" for query, name in itertools.product(("types", "pairs"), SEARCHES)],
)
def test_a_search_that_fails_ends_the_fetch(fetch: Callable[..., Any], types: object, pairs: object) -> None:
    with pytest.raises(UpstreamError):
        fetch(Site(types, pairs, dict(PAGES)))


# --- records


def test_a_neuron_type_becomes_electrophysiology() -> None:
    record = Hippocampome.normalise(raw_neuron())
    assert isinstance(record, Electrophysiology)
    assert (record.source_id, record.id, record.type) == ("hippocampome-1900", "1900", "electrophysiology")
    assert record.name == "DG (e)2201p-CA3_001 Sprinkler µ*"
    assert record.nickname == "DG Sprinkler α"
    assert (record.source, record.species, record.download_link) == ("Hippocampome", None, None)
    assert (record.region, record.secondary_region) == ("hippocampus", ("DG",))
    assert record.layers == ("DG:SMo", "DG:SMi", "DG:SG", "DG:H", "CA3:SL")
    assert record.axon_layers == ("DG:H", "CA3:SL")
    assert record.positive_markers == ("CB", "CR", "NG")
    assert record.negative_markers == ("PV", "Sub P Rec", "5HT-3")
    assert record.mixed_markers == ("GABAa \\delta", "Gaba-a-alpha")
    assert record.cell_type == "Sprinkler"
    assert record.page_link == "http://h.example/php/neuron_page.php?id=1900"
    assert (record.provenance.source, record.provenance.url) == ("hippocampome", record.page_link)
    assert record.citations[0] == "Hippocampome.org (RRID:SCR_009023)"
    assert record.extra["notes"] == "Only after rain."
    assert record.licence


def test_a_pair_becomes_a_connection_with_both_ends_whole() -> None:
    record = Hippocampome.normalise(raw_pair())
    assert isinstance(record, Connection)
    assert (record.source_id, record.id) == ("hippocampome-1900-4901", "1900-4901")
    assert record.name == "DG Sprinkler α to CA1 Umbrella"
    assert record.page_link == record.presynaptic.page_link
    assert record.secondary_region == ("DG", "CA1")
    assert record.presynaptic.source_id == "hippocampome-1900"
    assert record.presynaptic.icon == "http://h.example/php/attachment/morph/Doe-1998.jpeg"
    assert record.presynaptic.papers[0].pmid == "9900001"
    assert record.postsynaptic.neurotransmitter == "inhibitory"
    assert record.postsynaptic.layers == ("CA1:SLM", "CA1:SR", "CA1:SP", "CA1:SO")
    assert record.extra == {"connection_status": "known"}
    type_record = Hippocampome.normalise(raw_neuron()).model_dump()
    for field, value in record.presynaptic.model_dump().items():
        assert type_record[field] == value, field


REGIONS = {
    "CA3c": ("CA3c (e)1 X", "1900", "hippocampus", ("CA3",)),
    "Sub": ("Sub (i)133 X", "1900", "hippocampus", ("SUB",)),
    "MEC": ("MEC (e)1 X", "1900", "entorhinal cortex", ("EC",)),
    "by id": ("Sprinkler", "1900", "hippocampus", ("DG",)),
}


@pytest.mark.parametrize(("name", "key", "region", "inner"), REGIONS.values(), ids=REGIONS.keys())
def test_the_subregion_is_spelled_as_in_layers(name: str, key: str, region: str, inner: tuple[str]) -> None:
    raw = raw_neuron(key)
    html = raw.data["html"].replace("DG (e)2201p-CA3_001 Sprinkler &micro;*", name)
    record = Hippocampome.normalise(Raw(key, raw.data | {"html": html}, BASE))
    assert (record.region, record.secondary_region) == (region, inner)


def test_the_search_tells_the_neurotransmitter_where_the_page_does_not() -> None:
    raw = raw_neuron("4901", name="CA1 (i)1003 Umbrella")
    html = raw.data["html"].replace("CA1 (i)1003", "CA1")
    record = Hippocampome.normalise(Raw("4901", raw.data | {"html": html}, BASE))
    assert isinstance(record, Electrophysiology)
    assert record.neurotransmitter == "inhibitory"


def test_records_do_not_share_what_can_be_changed() -> None:
    first = Hippocampome.normalise(raw_neuron())
    first.extra["known_targets"].clear()
    assert Hippocampome.normalise(raw_neuron()).extra["known_targets"]


SHELL = (DATA / "shell.html").read_text()
BAD_ITEMS = {
    "no object": (None, "kind is 'None'"),
    "unknown kind": ({"kind": "synapse"}, "kind is 'synapse'"),
    "no page": ({"kind": "neuron", "id": "1900"}, "must be texts"),
    "shell": ({"kind": "neuron", "id": "7", "html": SHELL}, "does not know the id"),
    "page of another": (raw_neuron("4901").data | {"id": "1900"}, "page of type 1900 is that of 4901"),
    "one end": ({"kind": "connection", "source": raw_neuron().data}, "must be texts"),
}


@pytest.mark.parametrize(("data", "reason"), BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_what_is_no_neuron_type_is_refused(data: object, reason: str) -> None:
    with pytest.raises(InvalidItem, match=reason):
        Hippocampome.normalise(Raw("1900", data, BASE))
