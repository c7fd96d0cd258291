"""NeuroMorpho.Org: reading it page by page, in health and under every fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from helpers.errors import (
    InvalidItem,
    UnsafeAddress,
    UpstreamChanged,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from helpers.example_upstream import ExampleUpstream
from helpers.http import HTTPClient, Politeness
from helpers.providers import neuromorpho
from helpers.providers.base import Raw, Unfetched
from helpers.providers.neuromorpho import NeuroMorpho
from helpers.query import Document
from helpers.staging import to_document
from tests.fakes import AGENT, loopback_client, without_waiting

SMALL = 10  # neurons on a page, so that a few neurons make several pages


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuromorpho, "PAGE_SIZE", SMALL)


def neuron(number: int, **fields: Any) -> dict[str, Any]:
    """A small neuron as the API gives it."""
    return {
        "neuron_id": number,
        "neuron_name": f"cell-{number}",
        "archive": "Riverbend",
        "original_format": "Neurolucida.asc",
        "species": "rat",
        "brain_region": ["hippocampus", "CA1"],
        "cell_type": ["pyramidal"],
        "domain": "Dendrites, Soma, Axon",
        **fields,
    }


def neurons(count: int) -> list[dict[str, Any]]:
    return [neuron(number) for number in range(1, count + 1)]


@pytest.fixture
def upstream(small_pages: None) -> Iterator[ExampleUpstream]:
    """A site with three and a half pages."""
    with ExampleUpstream(neurons=neurons(35), huge_bytes=300_000) as running:
        yield running


def provider(upstream: ExampleUpstream, *, client: HTTPClient | None = None, **selection: Any) -> NeuroMorpho:
    return NeuroMorpho(client or loopback_client(), upstream.base("neuromorpho"), **selection)


def fetched(source: NeuroMorpho) -> tuple[list[str], list[Unfetched]]:
    """(ids of what came, what did not)."""
    items = list(source.fetch(lambda expected: None))
    return [item.id for item in items if isinstance(item, Raw)], [
        item for item in items if isinstance(item, Unfetched)
    ]


def harvest(source: NeuroMorpho) -> tuple[dict[str, Document], list[str], UpstreamError | None]:
    """(records by id, reasons of quarantine, what ended it) as a refresh would have them."""
    records: dict[str, Document] = {}
    reasons: list[str] = []
    try:
        for item in source.fetch(lambda expected: None):
            if isinstance(item, Unfetched):
                reasons.append(item.reason)
                continue
            try:
                _, document = to_document(source.normalise(item))
            except (InvalidItem, ValueError) as error:
                reasons.append(str(error))
            else:
                assert document.source_id not in records
                records[document.source_id] = document
    except UpstreamError as error:
        return records, reasons, error
    return records, reasons, None


class TestPaging:
    @pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 35])
    def test_gives_every_neuron_once_in_order(self, small_pages: None, count: int) -> None:
        with ExampleUpstream(neurons=neurons(count)) as site:
            announced: list[int] = []
            items = list(provider(site).fetch(announced.append))
            assert [item.id for item in items] == [str(number) for number in range(1, count + 1)]
            assert announced == [count]

    def test_asks_for_pages_of_five_hundred_and_counts_them_itself(self) -> None:
        with ExampleUpstream(neurons=neurons(1_001)) as site:
            ids, lost = fetched(provider(site, brain_regions=["hippocampus"]))
            asked = [parse_qs(urlsplit(one.path).query) for one in site.requests if "/neuron/" in one.path]
        assert (len(ids), len(set(ids)), lost) == (1_001, 1_001, [])
        assert [one["page"] for one in asked] == [["0"], ["1"], ["2"]]
        assert all(one["size"] == ["500"] and one["sort"] == ["neuron_id,asc"] for one in asked)
        assert all(one["q"] == ['brain_region:"hippocampus"'] for one in asked), (
            "on every page, links drop it"
        )

    def test_gives_each_neuron_its_own_morphometry(self, upstream: ExampleUpstream) -> None:
        for item in provider(upstream).fetch(lambda expected: None):
            assert isinstance(item, Raw)
            assert item.data["neuron"]["neuron_id"] == item.data["morphometry"]["neuron_id"] == int(item.id)
        asked = [one.path for one in upstream.requests if "/morphometry" in one.path]
        assert len(asked) == 4, "in bulk, one request a page"

    def test_gives_the_first_page_before_the_last_is_asked_for(self, upstream: ExampleUpstream) -> None:
        items = provider(upstream, client=loopback_client(concurrency=1)).fetch(lambda expected: None)
        next(items)
        assert len(upstream.requests) == 2
        items.close()

    def test_reads_on_when_the_site_grows_meanwhile(self, upstream: ExampleUpstream) -> None:
        items = provider(upstream, client=loopback_client(concurrency=1)).fetch(lambda expected: None)
        first = next(items)
        upstream._sites["neuromorpho"].records += [neuron(number) for number in range(36, 62)]
        assert [first.id, *(item.id for item in items)] == [str(number) for number in range(1, 62)]

    def test_says_when_the_site_shrinks_meanwhile(self, upstream: ExampleUpstream) -> None:
        items = provider(upstream, client=loopback_client(concurrency=1)).fetch(lambda expected: None)
        next(items)
        del upstream._sites["neuromorpho"].records[:6]
        rest = list(items)
        reasons = [item.reason for item in rest if isinstance(item, Unfetched)]
        assert reasons == ["35 neurons were announced, 6 of them never came while paging"]

    def test_ends_at_once_when_the_process_stops(self, upstream: ExampleUpstream) -> None:
        source = provider(upstream, client=loopback_client(concurrency=1))
        items = source.fetch(lambda expected: None)
        next(items)
        assert source.client is not None
        source.client.stop()
        with pytest.raises(UpstreamUnavailable, match="stopping"):
            list(items)


class TestSelection:
    @pytest.mark.parametrize(
        ("regions", "ids"),
        [
            ([], ["1", "2", "3", "4"]),
            (["hippocampus"], ["1", "2"]),
            (["dentate gyrus"], ["3"]),
            (["hippocampus", "dentate gyrus"], ["1", "2", "3"]),
            (["HIPPOCAMPUS"], ["1", "2"]),
            (["gyrus"], []),
            (["nowhere"], []),
        ],
        ids=str,
    )
    def test_by_brain_regions_of_one_or_more_words(self, regions: list[str], ids: list[str]) -> None:
        made = [
            neuron(1),
            neuron(2, brain_region=["hippocampus", "left"]),
            neuron(3, brain_region=["dentate gyrus"]),
            neuron(4, brain_region=["neocortex"]),
        ]
        with ExampleUpstream(neurons=made) as site:
            assert fetched(provider(site, brain_regions=regions)) == (ids, [])

    def test_of_nothing_asks_once_and_gives_nothing(self, upstream: ExampleUpstream) -> None:
        announced: list[int] = []
        assert list(provider(upstream, brain_regions=["nowhere"]).fetch(announced.append)) == []
        assert (announced, len(upstream.requests)) == ([0], 1)

    @pytest.mark.parametrize(
        ("selection", "ids"),
        [
            ({"domains": {"allowed": ["Axon"]}}, ["1"]),
            ({"domains": {"not_allowed": ["Axon"]}}, ["2", "3"]),
            ({"attributes": {"allowed": ["diameter"]}}, ["1", "3"]),
            ({"physical_integrities": {"allowed": ["Axon Complete"]}}, ["2"]),
            ({"domains": {"allowed": ["Soma"]}, "attributes": {"not_allowed": ["No Diameter"]}}, ["1"]),
        ],
        ids=str,
    )
    def test_by_whole_items_of_the_configured_lists(self, selection: Any, ids: list[str]) -> None:
        made = [
            neuron(1, domain="Dendrites, Soma, Axon", attributes="Diameter, 3D", physical_Integrity="x"),
            neuron(
                2,
                domain="Dendrites, Soma, No Axon",
                attributes="No Diameter, 3D",
                physical_Integrity="Axon Complete",
            ),
            neuron(3, domain=None, attributes="3D, Diameter", physical_Integrity=None),
        ]
        with ExampleUpstream(neurons=made) as site:
            assert fetched(provider(site, **selection)) == (ids, []), "what is not wanted is not lost"


class TestOddItems:
    @pytest.mark.parametrize(
        "number",
        [None, "x", "", -5, 1.5, True, [1], {"a": 1}, "9" * 5000, "1 OR 2", "1)"],
        ids=lambda n: repr(n)[:12],
    )
    def test_a_neuron_without_a_usable_id_is_named_and_stops_nothing(
        self, small_pages: None, number: Any
    ) -> None:
        with ExampleUpstream(neurons=[*neurons(12), neuron(0, neuron_id=number)]) as site:
            ids, lost = fetched(provider(site))
        assert ids == [str(one) for one in range(1, 13)]
        assert any("without a neuron_id" in item.reason for item in lost)

    def test_ids_as_text_are_ids(self, small_pages: None) -> None:
        with ExampleUpstream(neurons=[neuron(0, neuron_id="17")]) as site:
            (item,) = provider(site).fetch(lambda expected: None)
        assert isinstance(item, Raw) and item.id == "17"
        assert NeuroMorpho.normalise(item).source_id == "neuromorpho-17"

    def test_two_neurons_of_one_id_come_once(self, small_pages: None) -> None:
        with ExampleUpstream(neurons=[neuron(1), neuron(1, neuron_name="other"), neuron(2)]) as site:
            ids, lost = fetched(provider(site))
        assert ids == ["1", "2"]
        assert [item.id for item in lost] == ["1", "?"]


def page(items: Any, **counts: Any) -> dict[str, Any]:
    return {
        "_embedded": {"neuronResources": items},
        "page": {"size": 500, "totalElements": 1, "totalPages": 1, "number": 0, **counts},
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="a list"),
        pytest.param("text", id="a text"),
        pytest.param({}, id="an empty object"),
        pytest.param({"page": None}, id="no counts"),
        pytest.param({"page": []}, id="counts as a list"),
        pytest.param({"page": {"totalElements": 3}}, id="only a total"),
        pytest.param({"page": {"totalPages": 1}}, id="no total"),
        pytest.param({"page": {"totalElements": 3, "totalPages": 1}}, id="a total without neurons"),
        pytest.param(
            {"_embedded": {}, "page": {"totalElements": 0, "totalPages": 0}}, id="an empty list of lists"
        ),
        pytest.param(
            {"_embedded": None, "page": {"totalElements": 1, "totalPages": 1}}, id="null for the list"
        ),
        pytest.param(page({"a": 1}), id="neurons as an object"),
        pytest.param(page(None), id="neurons as null"),
        pytest.param(page([], totalElements="many"), id="a total in words"),
        pytest.param(page([], totalPages=None), id="no number of pages"),
        pytest.param(page([], totalPages="x"), id="pages in words"),
        pytest.param({"status": 500, "error": "x", "message": "y"}, id="an error under 200"),
        pytest.param([{"status": 500, "message": "y"}], id="a list of errors under 200"),
    ],
)
def test_an_answer_of_another_shape_is_a_changed_source(body: Any) -> None:
    source = NeuroMorpho(
        HTTPClient(AGENT, Politeness(rate=0, hosts=frozenset({"site.example"}))), "https://site.example"
    )
    with responses.RequestsMock() as site:
        site.add(responses.GET, "https://site.example/api/neuron", json=body)
        with pytest.raises(UpstreamChanged):
            list(source.fetch(lambda expected: None))


def test_an_item_of_another_shape_is_named_and_stops_nothing() -> None:
    source = NeuroMorpho(
        HTTPClient(AGENT, Politeness(rate=0, hosts=frozenset({"site.example"}))), "https://site.example"
    )
    with responses.RequestsMock() as site:
        odd = page([None, "text", 5, ["x"], neuron(7)], totalElements=5)
        measured = {"_embedded": {"measurements": [{"neuron_id": 7}]}, "page": {"totalElements": 1}}
        site.add(responses.GET, "https://site.example/api/neuron", json=odd)
        site.add(responses.GET, "https://site.example/api/morphometry/select", json=measured)
        ids, lost = fetched(source)
    assert ids == ["7"]
    assert len(lost) == 5, "four odd items, and the count that does not match"


HOPELESS = {
    "down": UpstreamUnavailable,
    "hang": UpstreamUnavailable,
    "flaky:1": UpstreamUnavailable,
    "http500": UpstreamUnavailable,
    "http503": UpstreamUnavailable,
    "truncate": UpstreamUnavailable,
    "html200": UpstreamChanged,
    "empty200": UpstreamChanged,
    "error_in_200": UpstreamChanged,
    "garbage": UpstreamChanged,
    "bad_encoding": UpstreamChanged,
    "redirect_http": UnsafeAddress,
    "page_error:0": UpstreamUnavailable,
}


class TestFaults:
    @pytest.mark.parametrize("mode", HOPELESS)
    def test_that_spoil_everything_end_it_and_give_nothing(
        self, upstream: ExampleUpstream, mode: str
    ) -> None:
        upstream.fault("neuromorpho", mode)
        client = loopback_client(retries=1, timeout_s=0.1 if mode == "hang" else 5)
        records, reasons, error = harvest(provider(upstream, client=client))
        assert (records, reasons) == ({}, [])
        assert isinstance(error, HOPELESS[mode])
        assert "neuromorpho" in str(error).lower(), "the message names whom it is about"

    @pytest.mark.parametrize("place", [1, 3])
    def test_of_one_page_end_it_in_the_middle(self, upstream: ExampleUpstream, place: int) -> None:
        upstream.fault("neuromorpho", f"page_error:{place}")
        records, _, error = harvest(provider(upstream))
        assert isinstance(error, UpstreamUnavailable) and f"page={place}" in str(error)
        assert len(records) <= place * SMALL

    @pytest.mark.parametrize(
        "mode", ["none", "slow:0.01", "flaky:0.3", "redirect_evil", "zip_bomb", "zip_traversal"]
    )
    def test_that_pass_or_do_not_concern_it_cost_nothing(self, upstream: ExampleUpstream, mode: str) -> None:
        healthy, _, _ = harvest(provider(upstream))
        upstream.fault("neuromorpho", mode)
        client = loopback_client(retries=10, backoff_s=0.001)
        assert harvest(provider(upstream, client=client)) == (healthy, [], None)
        assert len(healthy) == 35

    def test_a_rate_limit_is_waited_out_as_the_site_asks(
        self, upstream: ExampleUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upstream.fault("neuromorpho", "ratelimit:3")
        client = loopback_client(retries=1)
        waits = without_waiting(client, monkeypatch)
        _, _, error = harvest(provider(upstream, client=client))
        assert isinstance(error, UpstreamUnavailable) and "429" in str(error)
        assert max(waits) >= 0.9, "nobody slept here, so it came too early again and gave up"

    @pytest.mark.parametrize(
        "field",
        ["neuron_id", "neuron_name", "brain_region", "original_format", "archive", "species", "cell_type"],
    )
    def test_a_field_that_is_gone_gives_no_wrong_record(self, upstream: ExampleUpstream, field: str) -> None:
        healthy, _, _ = harvest(provider(upstream))
        upstream.fault("neuromorpho", f"missing_field:{field}")
        records, reasons, error = harvest(provider(upstream))
        spoiled = {f"neuromorpho-{number}" for number in (1, 11, 21, 31)}  # the first of each page
        if error is not None:
            return
        if field != "neuron_id":  # measurements lose it too, see below
            assert all(records[one] == healthy[one] for one in healthy.keys() - spoiled)
        if field in ("neuron_id", "neuron_name"):
            assert not spoiled & records.keys()
            assert len(reasons) >= 4
        else:
            assert all(field not in ("archive",) or not records[one].parsed()["archive"] for one in spoiled)
            assert records.keys() == healthy.keys()

    def test_a_measurement_without_its_neuron_is_noticed(self, upstream: ExampleUpstream) -> None:
        """Else the record of that neuron would silently lose what was known of it."""
        healthy, _, _ = harvest(provider(upstream))
        upstream.fault("neuromorpho", "missing_field:neuron_id")
        records, _, error = harvest(provider(upstream))
        changed = [one for one in records if records[one] != healthy[one]]
        assert error is not None or changed == []

    def test_a_page_that_repeats_is_noticed_with_what_it_hid(self, upstream: ExampleUpstream) -> None:
        healthy, _, _ = harvest(provider(upstream))
        upstream.fault("neuromorpho", "duplicate_page")
        records, reasons, error = harvest(provider(upstream))
        assert error is None
        assert healthy.keys() - records.keys() == {"neuromorpho-11"}
        assert all(records[one] == healthy[one] for one in records)
        assert reasons == [
            "page 1 repeats a neuron that came before",
            "35 neurons were announced, 1 of them never came while paging",
        ]

    def test_a_site_that_halves_gives_half(self, upstream: ExampleUpstream) -> None:
        healthy, _, _ = harvest(provider(upstream))
        upstream.fault("neuromorpho", "shrink:50")
        records, reasons, error = harvest(provider(upstream))
        assert (len(records), reasons, error) == (17, [], None)
        assert records.keys() < healthy.keys()

    def test_a_huge_field_ends_at_the_limit_of_an_answer(self, upstream: ExampleUpstream) -> None:
        upstream.fault("neuromorpho", "huge")
        records, _, error = harvest(provider(upstream, client=loopback_client(max_bytes=100_000)))
        assert records == {} and isinstance(error, UpstreamChanged) and "100,000" in str(error)

    def test_a_huge_field_below_that_limit_costs_one_neuron(self, upstream: ExampleUpstream) -> None:
        upstream.fault("neuromorpho", "huge")
        records, reasons, error = harvest(provider(upstream))
        assert (len(records), len(reasons), error) == (34, 1, None)
        assert "neuromorpho-1" not in records and len(reasons[0]) < 2000

    def test_a_refusal_names_its_status(self, upstream: ExampleUpstream) -> None:
        client = HTTPClient("", loopback_client().politeness)
        records, _, error = harvest(provider(upstream, client=client))
        assert records == {} and isinstance(error, UpstreamRefused) and error.status == 403


def test_the_terms_and_limits_of_the_site_are_kept(upstream: ExampleUpstream) -> None:
    upstream.fault("neuromorpho", "slow:0.01")
    client = loopback_client(concurrency=2)
    ids, _ = fetched(provider(upstream, client=client, brain_regions=["hippocampus"]))
    assert len(ids) == 35
    assert all(one.headers["User-Agent"] == AGENT for one in upstream.requests)
    assert not any(".jsp" in one.path.lower() for one in upstream.requests)
    assert all(one.method == "GET" and one.path.startswith("/api/") for one in upstream.requests)
    assert upstream.most_at_once("neuromorpho") <= 2
    assert len(upstream.requests) == 8, "two requests a page, none for a single neuron"
