"""The parser of neuron pages, on hand-written pages in the site's markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.errors import InvalidItem
from helpers.providers.hippocampome import decoded
from helpers.providers.hippocampome_cells import absolute, clean, read_sheet
from helpers.providers.hippocampome_page import (
    NeuronPage,
    no_record,
    parse_page,
    read_property,
    split_evidence,
    transmitter_of,
)
from helpers.providers.hippocampome_papers import modeldb_link
from helpers.records import Marker

DATA = Path(__file__).parent.parent / "data" / "hippocampome"
URL = "http://h.example/php/neuron_page.php?id=1900"


def html_of(name: str) -> str:
    return decoded((DATA / name).read_bytes())


@pytest.fixture
def html() -> str:
    return html_of("1900_sprinkler.html")


@pytest.fixture
def page(html: str) -> NeuronPage:
    return parse_page(html, URL)


def test_names_keep_their_signs(page: NeuronPage) -> None:
    assert page.name == "DG (e)2201p-CA3_001 Sprinkler µ*"
    assert page.nickname == "DG Sprinkler α"
    assert page.supertype == "S019001:Glutamatergic GC:Sprinkler:DG"
    assert page.synonyms == ("Sprinkling cell", "Rain cell")
    assert (page.name_derivation, page.neurotransmitter) == ("It sprinkles.", "excitatory")


def test_layers_stand_under_their_part(page: NeuronPage) -> None:
    assert page.soma == ("DG:SG",)
    assert page.axons == ("DG:H", "CA3:SL")
    assert page.dendrites == ("DG:SMo", "DG:SMi")


def test_markers_keep_sign_and_evidence(page: NeuronPage) -> None:
    assert [(m.name, m.expression, m.evidence) for m in page.markers] == [
        ("CB", "positive", None),
        ("CR", "positive", "weak positive; confirmed by inference"),
        ("NG", "positive", "*The expression is weaker in (deep) cells"),
        ("PV", "negative", "inference"),
        ("Sub P Rec", "negative", None),
        ("5HT-3", "negative", None),
        ("GABAa \\delta", "mixed", "subcellular expression differences"),
        ("Gaba-a-alpha", "mixed", None),
    ]


def test_properties_have_unit_and_statistics(page: NeuronPage) -> None:
    assert [p.name for p in page.properties] == [
        "Resting membrane potential (Vrest)",
        "Max firing rate (Max F.R.)",
        "Fast AHP",
        "Sag ratio",
    ]
    assert page.properties[0].model_dump() == {
        "name": "Resting membrane potential (Vrest)",
        "unit": "mV",
        "value": -75.0,
        "sd": 2.0,
        "minimum": -84.0,
        "maximum": -74.0,
        "n": 16,
        "n_sources": 5,
        "text": "Resting membrane potential (Vrest): -75±2 mV (16); 5 sources (100): [-84 , -74]",
    }


PROPERTIES = {
    "a value": ("25.6 mV (1);  1 source", ("mV", 25.6, None, None, None, 1, 1)),
    "no unit": ("0.97±0.01 (16);  3 sources (18):  [0.92 , 0.97]", (None, 0.97, 0.01, 0.92, 0.97, 16, 3)),
    "a bound is no value": (">72±8 Hz (16);  1 source", ("Hz", None, 8.0, 72.0, None, 16, 1)),
    "an upper bound": ("<5 ms (2); 1 source", ("ms", None, None, None, 5.0, 2, 1)),
    "a range": ("[-70, -65] mV (2);  1 source", ("mV", None, None, -70.0, -65.0, 2, 1)),
    "the range of sources wins": (
        "[9, 11]±1 mV (2); 2 sources (9): [8 , 12]",
        ("mV", None, 1.0, 8.0, 12.0, 2, 2),
    ),
    "true minus": ("\u22123.5 mV (2); 1 source", ("mV", -3.5, None, None, None, 2, 1)),
    "micro": ("12 µS", ("µS", 12.0, None, None, None, None, None)),
    "zero stays zero": ("0 mV (1); 1 source", ("mV", 0.0, None, None, None, 1, 1)),
    "words": ("about as usual", (None, None, None, None, None, None, None)),
    "too large for a number": ("1e999 mV (1); 1 source", ("mV", None, None, None, None, 1, 1)),
}


@pytest.mark.parametrize(("text", "expected"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_a_property_is_read(text: str, expected: tuple[object, ...]) -> None:
    p = read_property("X", text, f"X: {text}")
    assert (p.unit, p.value, p.sd, p.minimum, p.maximum, p.n, p.n_sources) == expected
    assert p.text == f"X: {text}"


def test_papers_are_listed_once_with_their_numbers(page: NeuronPage) -> None:
    assert [paper.model_dump() for paper in page.papers] == [
        {
            "label": "Doe J, Roe AB (1998) Sprinkling in the hilus.",
            "url": "https://pubmed.ncbi.nlm.nih.gov/9900001/",
            "pmid": "9900001",
            "doi": "10.1000/(SICI)1-1(1996)6:4<347::AID>3.0.CO;2-I",
        },
        {
            "label": "Doe J (2007) A chapter on rain",
            "url": "https://www.worldcat.org/isbn/9780000000001",
            "pmid": None,
            "doi": None,
        },
        {
            "label": "Poe E (2007) Another chapter",
            "url": "https://www.worldcat.org/isbn/9780000000001",
            "pmid": None,
            "doi": None,
        },
    ]


def test_models_have_todays_addresses_and_come_once(page: NeuronPage) -> None:
    assert [m.url for m in page.models] == ["https://modeldb.science/124513", "https://modeldb.science/51781"]
    assert page.extra["modeldb_pmids"] == {"124513": ["15342722", "17093119"], "51781": ["15342722"]}


ADDRESSES = {
    "yale": ("http://modeldb.yale.edu/2796", "https://modeldb.science/2796"),
    "yale, query": ("https://modeldb.yale.edu/showmodel?model=2796&tab=2", "https://modeldb.science/2796"),
    "senselab": (
        "http://senselab.med.yale.edu/ModelDB/ShowModel.asp?model=2796",
        "https://modeldb.science/2796",
    ),
    "download": ("http://senselab.med.yale.edu/modeldb/eavbindown?o=2796", "https://modeldb.science/2796"),
    "today": ("https://modeldb.science/2796?tab=1", "https://modeldb.science/2796"),
    "no model": ("http://modeldb.yale.edu/help", "http://modeldb.yale.edu/help"),
    "elsewhere": ("https://osb.example/2796", "https://osb.example/2796"),
}


@pytest.mark.parametrize(("old", "new"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_old_modeldb_addresses_are_rewritten(old: str, new: str) -> None:
    assert modeldb_link(old) == new


def test_figure_and_firing_patterns(page: NeuronPage) -> None:
    assert page.icon == "http://h.example/php/attachment/morph/Doe-1998.jpeg"
    assert page.firing_patterns == ("ASP.", "D.NASP")
    assert page.extra["firing_pattern_evidence"] == [
        {"name": "ASP.", "count": "1"},
        {"name": "D.NASP", "count": "2"},
    ]
    assert page.extra["firing_pattern_images"] == ["http://h.example/php/attachment/fp/a%20b.jpeg"]


def test_what_has_no_field_is_kept(page: NeuronPage) -> None:
    extra = page.extra
    assert extra["notes"] == "Only after rain."
    assert extra["supplemental_pmids"] == ["9900002", "9900003"]
    assert extra["neuromorpho"] == [
        {"label": "rain-1", "url": "http://neuromorpho.org/neuron_info.jsp?neuron_name=rain-1"}
    ]
    assert extra["figure_quote"] == "A quote."
    assert extra["izhikevich"][0]["parameters"] == {"k": 0.45, "Vr": -77.4}
    assert extra["izhikevich"][0]["preferred"] is True
    assert extra["izhikevich"][0]["links"] == [
        {"label": "FitFiles", "url": "http://h.example/php/attachment/izhikevich/f.json"},
        {"label": "Simulate", "url": "http://h.example/php/simulate.php?paramK=0.447"},
    ]
    assert extra["oscillation_phase_locking"] == {"Theta (deg)": "152"}
    umbrella = {"id": "4901", "name": "CA1 Umbrella", "neurotransmitter": "inhibitory"}
    assert extra["known_sources"] == [umbrella]
    assert extra["known_targets"] == extra["known_sources"]
    assert extra["potential_sources"][0]["id"] == "1900"
    assert "potential_targets" not in extra
    assert len(extra["unvetted"]) == 2
    assert extra["articles"][0]["tags"] == ["morphology", "marker"]
    assert extra["articles"][1]["reference"] == "The Rain Book, 2007, Pages: 35 - 112"
    assert "other_sections" not in extra


def test_an_unknown_section_is_kept_under_its_title(html: str) -> None:
    title, value = "<td class='table_neuron_page3'>Census</td>", "<td class='table_neuron_page2'>7</td>"
    new = f"<table><tr>{title}</tr><tr>{value}</tr></table>"
    page = parse_page(html.replace("<table><tr><td align=", new + "<table><tr><td align=", 1), URL)
    assert page.extra["other_sections"] == {"Census": ["7"]}


def test_none_known_is_nothing() -> None:
    page = parse_page(html_of("4901_umbrella.html"), "http://h.example/php/neuron_page.php?id=4901")
    lists = (page.synonyms, page.markers, page.properties, page.firing_patterns, page.models, page.papers)
    assert lists == ((), (), (), (), (), ())
    assert page.icon is None
    assert page.extra["currently_annotating"] == ["Negative"]


def test_a_page_in_latin1_is_read() -> None:
    page = parse_page(html_of("4901_umbrella.html"), URL)
    assert page.name_derivation == "It keeps ü dry."


ENCODINGS = {
    "utf-8": ("µ é".encode(), "µ é"),
    "utf-8 with mark": ("\ufeffµ".encode(), "µ"),
    "declared": ('<meta charset="iso-8859-15" />€'.encode("iso-8859-15"), '<meta charset="iso-8859-15" />€'),
    "latin-1 is windows-1252": (b"<meta content='text/html; charset=iso-8859-1'>\x96", "–"),
    "undeclared": (b"\xb5", "µ"),
    "declared as nonsense": (b"<meta charset=x-klingon>\xb5", "µ"),
}


@pytest.mark.parametrize(("content", "text"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_pages_are_decoded(content: bytes, text: str) -> None:
    assert decoded(content).endswith(text)


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "no name": (lambda h: h.replace("DG (e)2201p-CA3_001 Sprinkler &micro;* ", ""), "no Name"),
    "no heading of the name": (lambda h: h.replace(">Name<", ">Title<"), "name"),
    "no morphology": (lambda h: h.replace("Morphology", "Shape"), "morphology: soma"),
    "no dendrites": (lambda h: h.replace(">Dendrites<", ">Branches<"), "morphology: dendrites"),
    "no mixed markers": (lambda h: h.replace("Mixed expression", "Mixed up"), "markers: mixed expression"),
    "no ephys": (lambda h: h.replace("Electrophysiological", "Electric"), "electrophysiological properties"),
    "no layer": (lambda h: h.replace("> DG:SG <", "> granular <"), "soma is in 'granular'"),
    "broken off": (lambda h: h[: h.index("Oscillation")], "breaks off"),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_page_is_refused(html: str, change: Callable[[str], str], reason: str) -> None:
    with pytest.raises(InvalidItem, match=reason):
        parse_page(change(html), URL)


NO_RECORDS = {
    "shell": (html_of("shell.html"), "does not know the id"),
    "maintenance": ("<html><title>Back soon</title></html>", "no neuron page but 'Back soon'"),
    "nothing": ("", "no neuron page but ''"),
    "noise": ("\ufffd\x00\x01", "no neuron page"),
}


@pytest.mark.parametrize(("text", "reason"), NO_RECORDS.values(), ids=NO_RECORDS.keys())
def test_what_is_no_neuron_page_is_named(text: str, reason: str) -> None:
    found = no_record(text)
    assert found is not None
    assert reason in found


def test_a_neuron_page_without_nickname_is_a_record(html: str) -> None:
    assert no_record(html) is None
    bare = html.replace("Neuron type - DG Sprinkler &alpha;", "Neuron type - ")
    assert no_record(bare) is None
    assert parse_page(bare, URL).nickname is None


def test_surplus_tables_and_tags_change_nothing(html: str, page: NeuronPage) -> None:
    other = html.replace("<body>", "<body><table><tr><td>* new</td></tr></table>", 1)
    other = other.replace("</table>\n<table>", "</table></table></div>\n<table>")
    moved = parse_page(other, URL)
    assert (moved.soma, moved.axons, moved.dendrites) == (page.soma, page.axons, page.dendrites)
    assert moved.markers == page.markers


def test_control_characters_show_as_damage(html: str) -> None:
    page = parse_page(html.replace("Sprinkler &micro;*", "Spr\x00ink\x9aler"), URL)
    assert page.name == "DG (e)2201p-CA3_001 Spr\ufffdink\ufffdler"
    assert page.soma == ("DG:SG",)
    assert clean("a\u00a0\n b\x7f") == "a b\ufffd"


def test_values_of_one_row_belong_to_their_columns() -> None:
    cells = read_sheet(
        "<table><tr><td class=table_neuron_page1>A</td><td class=table_neuron_page1></td>"
        "<td class=table_neuron_page1>B</td></tr><tr><td></td><td class=table_neuron_page2>1</td>"
        "<td class=table_neuron_page2>2</td></tr></table>"
    ).cells
    assert [(cell.heading, cell.text) for cell in cells] == [("a", "1"), ("b", "2")]


SIGNS = {
    "excitatory": ("DG (e)2201 X", "excitatory"),
    "inhibitory": ("CA1 (i)1003 X", "inhibitory"),
    "older sign": ("CA1 (-)1003 X", "inhibitory"),
    "none": ("CA1 X", None),
    "missing": (None, None),
}


@pytest.mark.parametrize(("name", "expected"), SIGNS.values(), ids=SIGNS.keys())
def test_the_formal_name_tells_the_neurotransmitter(name: str | None, expected: str | None) -> None:
    assert transmitter_of(name) == expected


def test_the_supertype_tells_it_else(html: str) -> None:
    assert parse_page(html.replace("DG (e)2201p", "DG 2201p"), URL).neurotransmitter == "excitatory"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5-HT(1A)", ("5-HT(1A)", None)),
        ("(odd)", ("(odd)", None)),
        ("A ()", ("A", None)),
        ("B)", ("B)", None)),
    ],
    ids=["brackets of a name", "nothing else", "empty", "unbalanced"],
)
def test_brackets_of_names_are_no_evidence(text: str, expected: tuple[str, str | None]) -> None:
    assert split_evidence(text) == expected


@pytest.mark.parametrize("target", [None, "", "javascript:x()", "http://[bad", "mailto:a@b.c"])
def test_only_web_addresses_are_links(target: str | None) -> None:
    assert absolute(URL, target) is None


def test_markers_come_once(html: str) -> None:
    row = "<tr><td width='20%'></td><td class='table_neuron_page2'>5HT-3</td></tr>"
    assert row in html
    markers = parse_page(html.replace(row, row * 2), URL).markers
    assert markers.count(Marker(name="5HT-3", expression="negative")) == 1
