"""The example upstream: the shapes of its three sites, and its files."""

from __future__ import annotations

import http.client
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from helpers.example_upstream import ExampleUpstream

AGENT = {"User-Agent": "tests (someone@example.org)"}
LIST = "/neuromorpho/api/neuron"
PAGE = "/hippocampome/php/neuron_page.php?id="
MODELS = "/modeldb/api/v1/models"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def neurons(self) -> list[dict[str, Any]]:
        return self.json["_embedded"]["neuronResources"]


def ask(
    upstream: ExampleUpstream, path: str, body: object = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(upstream.url).netloc, timeout=5)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(
            "GET" if body is None else "POST", path, content, AGENT if headers is None else headers
        )
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def search(upstream: ExampleUpstream, query: str) -> Answer:
    return ask(upstream, f"/hippocampome/php/search_engine_json.php?query_str={quote(query)}")


def found(answer: Answer) -> list[str]:
    """Ids of the types, or `source-destination` of the connections, in their order."""
    entries = answer.json
    assert list(entries) == [str(number) for number in range(1, len(entries) + 1)]
    return ["-".join(v for k, v in entry.items() if k.endswith("_id")) for entry in entries.values()]


@pytest.fixture(scope="module")
def shared() -> Iterator[ExampleUpstream]:
    with ExampleUpstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared: ExampleUpstream) -> Iterator[ExampleUpstream]:
    yield shared
    shared.withheld.clear()
    shared.requests.clear()


def every_neuron(upstream: ExampleUpstream) -> list[dict[str, Any]]:
    return ask(upstream, f"{LIST}?size=500").neurons


# NeuroMorpho.Org


def test_the_fixture_has_the_quirks_that_the_providers_must_bear(upstream: ExampleUpstream) -> None:
    neurons = every_neuron(upstream)
    assert len(neurons) >= 30
    seen = json.dumps(neurons, ensure_ascii=False)
    for quirk in (
        '"Not reported"',
        '"Not Reported"',
        '"not reported"',
        '"-26"',
        '"Swiss-Webster "',
        "<a href",
        "No Axon",
    ):
        assert quirk in seen
    assert {type(n["experiment_condition"]) for n in neurons} == {str, list}
    assert any(n["soma_surface"] is None for n in neurons)
    assert {"gender" in n for n in neurons} == {True, False}
    places = {place for n in neurons for place in n["brain_region"]}
    assert places >= {"CA1", "CA2", "CA3", "dentate gyrus", "subiculum", "neocortex"}
    names = "".join(n["neuron_name"] for n in neurons)
    assert set(' /"<кл馬') <= set(names)


def test_a_page_has_the_envelope_and_links_without_the_query(upstream: ExampleUpstream) -> None:
    answer = ask(upstream, f"{LIST}/select?q=species:rat&page=1&size=5").json
    total = answer["page"]["totalElements"]
    assert answer["page"] == {"size": 5, "totalElements": total, "totalPages": -(-total // 5), "number": 1}
    assert list(answer["_links"]) == ["first", "prev", "self", "next", "last"]
    following = answer["_links"]["next"]["href"]
    assert following == "http://neuromorpho.org/api/neuron/select?page=2&size=5&sort=neuron_id,asc"


def test_walking_the_pages_sees_each_record_once(upstream: ExampleUpstream) -> None:
    pages = [ask(upstream, f"{LIST}?size=7&page={page}").json for page in range(6)]
    ids = [n["neuron_id"] for page in pages for n in page.get("_embedded", {}).get("neuronResources", [])]
    assert ids == sorted(set(ids))
    assert len(ids) == pages[0]["page"]["totalElements"]


def test_an_empty_result_has_no_list(upstream: ExampleUpstream) -> None:
    answer = ask(upstream, f"{LIST}/select?q=species:unicorn")
    assert answer.status == 200
    assert "_embedded" not in answer.json
    assert answer.json["page"]["totalPages"] == 0


@pytest.mark.parametrize(
    ("query", "test"),
    [
        pytest.param("q=species:rat,mouse", lambda n: n["species"] in ("rat", "mouse"), id="comma is or"),
        pytest.param(
            "q=species:mouse&fq=brain_region:ca1",
            lambda n: n["species"] == "mouse" and "CA1" in n["brain_region"],
            id="fq is and",
        ),
        pytest.param(
            'q=brain_region:"dentate gyrus"', lambda n: "dentate gyrus" in n["brain_region"], id="quoted"
        ),
        pytest.param("q=brain_region:dentate gyrus", lambda n: False, id="unquoted second word"),
        pytest.param("q=neuron_name:tide_*", lambda n: n["neuron_name"].startswith("tide_"), id="wildcard"),
        pytest.param("q=neuron_id:[* TO 310]", lambda n: n["neuron_id"] <= 310, id="range"),
        pytest.param(
            'q=Physical_Integrity:"Axon Complete"',
            lambda n: n["physical_Integrity"] == "Axon Complete",
            id="capital in the query",
        ),
        pytest.param(
            "q=species:rat AND brain_region_2:CA3",
            lambda n: n["species"] == "rat" and n["brain_region"][1:2] == ["CA3"],
            id="and within q",
        ),
    ],
)
def test_select(upstream: ExampleUpstream, query: str, test: Any) -> None:
    answer = ask(upstream, f"{LIST}/select?{quote(query, safe='=&')}&size=500").json
    ids = [n["neuron_id"] for n in answer.get("_embedded", {"neuronResources": []})["neuronResources"]]
    assert ids == [n["neuron_id"] for n in every_neuron(upstream) if test(n)]


def test_select_by_post_is_or_within_and_and_across(upstream: ExampleUpstream) -> None:
    body = {"species": ["mouse", "human"], "brain_region": ["CA1"]}
    wanted = [
        n for n in every_neuron(upstream) if n["species"] in body["species"] and "CA1" in n["brain_region"]
    ]
    assert wanted
    assert ask(upstream, f"{LIST}/select?size=500", body).neurons == wanted


@pytest.mark.parametrize(
    "path",
    ["?size=501", "?size=0", "?page=-1", "?page=x", "/select", "/select?q=nonsense:1", "/select?q=species"],
)
def test_bad_requests_are_400(upstream: ExampleUpstream, path: str) -> None:
    answer = ask(upstream, LIST + path)
    assert (answer.status, answer.json["status"]) == (400, 400)


def test_single_records_by_id_and_by_odd_name(upstream: ExampleUpstream) -> None:
    for neuron in every_neuron(upstream):
        assert ask(upstream, f"{LIST}/id/{neuron['neuron_id']}").json == neuron
        assert ask(upstream, f"{LIST}/name/{quote(neuron['neuron_name'], safe='')}").json == neuron
    missing = ask(upstream, f"{LIST}/name/AA1544")
    assert missing.status == 404
    assert missing.json["message"] == "Requested neuron not found"


def test_fields_and_partition(upstream: ExampleUpstream) -> None:
    values = ask(upstream, f"{LIST}/fields/species?size=3").json
    assert len(values["fields"]) == 3
    counts = ask(upstream, f"{LIST}/partition/species").json["fields"]
    assert sum(counts.values()) == len(every_neuron(upstream))
    assert sorted(counts)[:3] == values["fields"]
    assert ask(upstream, f"{LIST}/fields/nonsense").status == 404


def test_measurements_by_get_by_post_and_by_id_agree_with_the_record(upstream: ExampleUpstream) -> None:
    path = "/neuromorpho/api/morphometry"
    by_get = ask(upstream, f"{path}/select?q=Neuron_id:5001,5021").json["_embedded"]["measurements"]
    by_post = ask(upstream, f"{path}/select", {"neuron_id": ["5001", "5021"]}).json["_embedded"][
        "measurements"
    ]
    assert by_get == by_post
    assert by_get[0] == ask(upstream, f"{path}/id/5001").json
    record = ask(upstream, f"{LIST}/id/5001").json
    for key, field in (("surface", "surface"), ("soma_Surface", "soma_surface"), ("volume", "volume")):
        assert by_get[0][key] == pytest.approx(float(record[field]))
    assert by_get[1]["soma_Surface"] in (None, "None", "NaN")  # this one has no soma


def test_files_of_every_neuron(upstream: ExampleUpstream) -> None:
    for neuron in every_neuron(upstream):
        name, folder = quote(neuron["neuron_name"], safe=""), quote(neuron["archive"].lower())
        base = f"/neuromorpho/dableFiles/{folder}"
        ending = neuron["original_format"].rpartition(".")[2]
        ending = {"dat": "DAT", "xml": "morph.xml"}.get(ending, ending)
        paths = (
            f"CNG%20version/{name}.CNG.swc",
            f"Source-Version/{name}.{ending}",
            f"Standardization%20log/{name}.std",
        )
        for path in paths:
            answer = ask(upstream, f"{base}/{path}")
            assert answer.status == 200 and answer.body, path
        picture = ask(upstream, "/neuromorpho" + quote(urlsplit(neuron["png_url"]).path))
        assert (
            picture.body.startswith(b"\x89PNG\r\n\x1a\n") and picture.headers["Content-Type"] == "image/png"
        )
    assert ask(upstream, "/neuromorpho/dableFiles/tidepool/Source-Version/tide_dg_001.dat").status == 404


def test_a_withheld_file_is_404(upstream: ExampleUpstream) -> None:
    path = "/neuromorpho/dableFiles/tidepool/CNG%20version/tide_ca1_001.CNG.swc"
    assert ask(upstream, path).status == 200
    upstream.withheld.add("tide_ca1_001.CNG.swc")
    assert ask(upstream, path).status == 404


def test_the_site_refuses_strangers_and_scripts_on_web_pages(upstream: ExampleUpstream) -> None:
    assert ask(upstream, LIST, headers={}).status == 403
    assert ask(upstream, "/neuromorpho/neuron_info.jsp?neuron_id=301").status == 403
    assert ask(upstream, "/neuromorpho/useterm.jsp").status == 200
    asked = [(one.source, one.method, one.path) for one in upstream.requests if ".jsp" in one.path]
    assert asked[0] == ("neuromorpho", "GET", "/neuron_info.jsp?neuron_id=301")
    assert "User-Agent" not in upstream.requests[0].headers


def test_records_of_a_test_are_served_as_they_are() -> None:
    odd = [
        {"neuron_id": 1, "neuron_name": None},
        {"neuron_name": "no id\u0000"},
        {"neuron_id": 2, "archive": 7},
    ]
    with ExampleUpstream(neurons=odd) as upstream:
        assert sorted(map(str, every_neuron(upstream))) == sorted(map(str, odd))
        assert ask(upstream, "/neuromorpho/api/morphometry").json["page"]["totalElements"] == 3


# Hippocampome.org

EVERY = ["1000", "1002", "1041", "2000", "2028", "3000", "3001", "4000", "4013", "4021", "5000", "6000"]
ANY_CA1 = "Morphology:(Axons:CA1:???? OR Dendrites:CA1:???? OR Soma:CA1:????)"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        pytest.param(f"Neuron:({ANY_CA1})", EVERY, id="question marks match everything"),
        pytest.param("Neuron:(Morphology:Soma:CA1:??1?)", ["4000", "4013"], id="present"),
        pytest.param("neuron:(MORPHOLOGY:(soma:CA1:0001))", ["4021"], id="absent, any case"),
        pytest.param("Neuron:(Morphology:(Soma:CA1:??1?) AND Markers:(D+:PV))", ["4013"], id="and"),
        pytest.param("Neuron:(Markers:(D+:PV OR D-:PCP4 OR D±:CB1))", ["1041", "2028", "4013"], id="or"),
        pytest.param("Neuron:(Markers:(I-:CR) OR Name:Stellate)", ["4021", "6000"], id="name"),
        pytest.param("Neuron:(Neurotransmitter:Inhibitory NOT Markers:D+:PV)", ["3001", "4021"], id="not"),
        pytest.param("Neuron:(Name:Stellate, Include:(1000, 1002))", ["1000", "1002", "6000"], id="include"),
        pytest.param("Neuron:(FiringPattern:D+:ASP.)", EVERY, id="criterion not evaluated"),
        pytest.param(
            "Neuron:(Presynaptic:(Markers:(D+:SOM)), Postsynaptic:(Name:Nobody))",
            ["4021"],
            id="first bracket",
        ),
        pytest.param(
            "Connection:(Presynaptic:(Markers:(D+:PV)), Postsynaptic:(Morphology:(Soma:CA1:0010)))",
            ["4013-4000"],
            id="connection",
        ),
        pytest.param(f"Neuron:(Markers:({' OR '.join(['D+:SOM'] * 3000)}))", ["4021"], id="long"),
    ],
)
def test_search(upstream: ExampleUpstream, query: str, ids: list[str]) -> None:
    assert found(search(upstream, query)) == ids


def test_all_connections_bring_both_ends(upstream: ExampleUpstream) -> None:
    clause = "(Neurotransmitter:Both)"
    answer = search(upstream, f"Connection:(Presynaptic:{clause}, Postsynaptic:{clause})")
    assert len(found(answer)) >= 20
    assert answer.json["1"] == {
        "source_id": "1000",
        "source_name": "DG (e)2201p Example Granule",
        "destination_id": "1002",
        "destination_name": "DG (e)0103 Example Mossy",
    }
    assert "4000-6036" in found(answer), "a type that no query of neurons finds"


def test_odd_search_answers(upstream: ExampleUpstream) -> None:
    assert search(upstream, "Neuron:(Name:Nobody)").json == []
    assert search(upstream, "").body == b""
    assert search(upstream, "Neuron:(Name:Nobody").status == 500
    assert search(upstream, "Connection:(Presynaptic:(Name:A),Postsynaptic:(Name:B))").status == 500
    wrong = search(upstream, "Neuron:(Morphology:(Axons:CA1:10))").body
    assert wrong.startswith(b'<br>Invalid count of CA1:10 for condition axons<br>{"1":')
    excluded = search(upstream, "Neuron:(Name:Stellate, Exclude:(6000))").body
    assert excluded == b"<pre></pre>[]"


class Headings(HTMLParser):
    """Values by the heading they follow, as the three classes of the pages' cells tell."""

    def __init__(self) -> None:
        super().__init__()
        self.section = self.heading = ""
        self.level = ""
        self.values: dict[tuple[str, str], list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "td":
            self.level = str(dict(attrs).get("class") or "")[-1:]

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self.level == "3":
            self.section, self.heading = text, ""
        elif text and self.level == "1":
            self.heading = text
        elif text and self.level == "2":
            self.values.setdefault((self.section, self.heading), []).append(text)


def test_a_neuron_page_can_be_read_by_its_headings(upstream: ExampleUpstream) -> None:
    answer = ask(upstream, f"{PAGE}1000")
    text = answer.body.decode()
    assert text.count("</table>") > text.count("<table"), "stray tags are part of the shape"
    page = Headings()
    page.feed(text)
    assert page.values["", "Supertype (ID:Family:Type:Subregion)"][0] == "DG (e)2201p Example Granule"
    assert page.values["Morphology", "Axons"] == ["DG:H", "CA3:SL", "CA3:SP"]
    assert page.values["Molecular markers", "Negative"] == ["PV", "GABAa \\alpha 6 (inference)"]
    assert page.values["Molecular markers", "Mixed expression"] == ["CR (species/protocol differences)"]
    assert "-75±2 mV (16); 5 sources (100): [-84 , -74]" in page.values["Electrophysiological properties", ""]
    assert "http://modeldb.yale.edu/200001" in text
    image = re.search(r"<img src='(attachment/morph/[^']+)'", text)
    assert image and ask(upstream, f"/hippocampome/php/{image[1]}").status == 200


def test_an_unknown_type_has_a_shell_of_a_page(upstream: ExampleUpstream) -> None:
    answer = ask(upstream, f"{PAGE}99")
    assert answer.status == 200
    assert b"<title>Neuron type - </title>" in answer.body


# ModelDB


def test_models_are_listed_and_their_fields_run_parallel(upstream: ExampleUpstream) -> None:
    ids = ask(upstream, MODELS).json
    dates, regions = ask(upstream, f"{MODELS}/ver_date").json, ask(upstream, f"{MODELS}/region").json
    assert len(ids) == len(dates) == len(regions) == 20
    assert None in regions
    assert ask(upstream, f"{MODELS}/{ids[3]}").json["ver_date"] == dates[3]


def test_a_model_has_the_shape_of_the_api(upstream: ExampleUpstream) -> None:
    model = ask(upstream, f"{MODELS}/200001?indent=4").json
    assert model["class_id"] == 19 and model["gitrepo"] is False
    assert model["neurons"]["attr_id"] == 25
    assert model["neurons"]["value"][0]["object_name"] == "Dentate gyrus granule GLU cell"
    assert "\r\n" in model["notes"]["value"]
    assert model["implemented_by"]["value"][0]["object_name"] == "Alder, Ann [ann at example.org]"
    assert "region" not in model
    paper = ask(upstream, f"/modeldb/api/v1/papers/{model['model_paper']['value'][0]['object_id']}").json
    assert paper["doi"] == {"value": "10.5555/model.1"}
    cell = model["neurons"]["value"][0]
    assert ask(upstream, f"/modeldb/api/v1/celltypes/{cell['object_id']}").json["name"] == cell["object_name"]


def test_filters_and_other_answers_of_the_api(upstream: ExampleUpstream) -> None:
    assert ask(upstream, f"{MODELS}?region=Dentate%20gyrus&modeling_application=MATLAB").json == [200006]
    assert ask(upstream, f"{MODELS}?name=x").status == 500
    assert ask(upstream, f"{MODELS}/200503").json["id"] == 200003, (
        "an alternative version answers as its parent"
    )
    missing = ask(upstream, f"{MODELS}/7")
    assert (missing.status, missing.body) == (404, b"404 Not Found")


def test_archives_and_raw_files(upstream: ExampleUpstream) -> None:
    answer = ask(upstream, "/modeldb/download/200001")
    assert answer.headers["Content-Disposition"] == "attachment; filename=200001.zip"
    names = zipfile.ZipFile(io.BytesIO(answer.body)).namelist()
    assert names == [
        "granule/README.txt",
        "granule/nax.mod",
        "granule/kdr.mod",
        "granule/lib/deeper/ca.mod",
        "granule/run.hoc",
        "__MACOSX/granule/._nax.mod",
    ]
    raw = ask(upstream, "/modeldb/getModelFile?model=200001&file=granule/nax.mod")
    assert b"SUFFIX nax" in raw.body
    assert ask(upstream, "/modeldb/download/7").status == 403


def test_a_model_that_is_only_linked_has_no_archive(upstream: ExampleUpstream) -> None:
    assert ask(upstream, "/modeldb/download/200007").status == 500
    assert ask(upstream, "/modeldb/200007?tab=2").status == 404
    assert b"Download zip" not in ask(upstream, "/modeldb/200007").body


def test_pages_and_old_addresses(upstream: ExampleUpstream) -> None:
    assert (
        b'<a href="/download/200001"><i title="Download zip"' in ask(upstream, "/modeldb/200001?tab=1").body
    )
    folder = ask(upstream, "/modeldb/200001?tab=2").body.decode()
    assert 'class="nav thin"' in folder and "/200001?tab=2&file=granule/lib" in folder
    old = ask(upstream, "/modeldb/ModelDB/ShowModel.cshtml?model=200001&tab=2")
    assert (old.status, old.headers["Location"]) == (302, "/modeldb/200001?tab=2")
    assert ask(upstream, "/modeldb/eavbindown?o=200001").headers["Location"] == "/modeldb/download/200001"
    assert ask(upstream, "/download/200001").status == 200, "links of pages have no prefix"
