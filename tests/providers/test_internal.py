"""The source `internal`: tables, files, and what is said about rows that cannot be used."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest

from helpers.errors import InvalidItem
from helpers.providers.base import Raw, Unfetched
from helpers.providers.internal import Internal, local_file
from helpers.providers.internal_columns import COLUMNS, OURS, RECORDS, parse
from helpers.records import Connection, Electrophysiology, Measurements, Model, Morphology, Record

EXAMPLE = Path(__file__).parents[2] / "data" / "internal"
BASE = "http://hub.example"
SWC = b"1 1 0 0 0 5 -1\n2 3 0 10 0 1 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file of each sort and no table yet."""
    own = tmp_path / "own"
    for name in ("a.swc", "sub dir/b.ASC", "t.csv", "t.abf", "t.json", "m.zip", "k.mod", "r.txt", "p.png"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(SWC)
    (own / "folder.toml").write_text('hosts = ["files.example.org"]\nlicence = "CC-BY-4.0"\ntitle = "Lab"\n')
    return own


def outcome(folder: Path) -> tuple[list[Record], list[str]]:
    """The records of a folder and the reasons of what is none, each in its order."""
    records, reasons = [], []
    for item in Internal(folder, BASE).fetch(lambda expected: None):
        if isinstance(item, Unfetched):
            reasons.append(item.reason)
            continue
        archived = Raw(item.id, orjson.loads(orjson.dumps(item.data)), item.base)
        try:
            records.append(Internal.normalise(archived))
        except InvalidItem as error:
            reasons.append(str(error))
    return records, reasons


def morphologies(folder: Path, *lines: str, header: str = "id,name,file") -> tuple[list[Record], list[str]]:
    (folder / "morphology.csv").write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return outcome(folder)


def only(folder: Path, table: str, content: str) -> Any:
    (folder / table).write_text(content, encoding="utf-8")
    records, reasons = outcome(folder)
    assert reasons == []
    assert len(records) == 1
    return records[0]


# --- the example that is shipped


def test_every_example_row_is_a_record() -> None:
    records, reasons = outcome(EXAMPLE)
    assert reasons == []
    kinds = [type(record) for record in records]
    assert [kinds.count(kind) for kind in (Morphology, Electrophysiology, Connection, Model)] == [12, 6, 3, 4]
    assert all(record.description == "Made-up example, no real data." for record in records)


def test_example_links_are_files_that_are_served() -> None:
    links = [
        link
        for record in outcome(EXAMPLE)[0]
        for link in (
            record.download_link,
            record.icon,
            getattr(getattr(record, "metadata", None), "url", None),
        )
        if link
    ]
    assert len(links) > 40
    for link in links:
        assert local_file(EXAMPLE, link.removeprefix(f"{BASE}/files/internal/")).stat().st_size > 0


def test_example_swc_points_follow_their_parents() -> None:
    files = sorted((EXAMPLE / "morphologies").glob("*.swc"))
    assert len(files) == 10
    for path in files:
        rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
        assert len(rows) >= 24, path.name
        assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
        assert rows[0][1] == "1" and rows[0][6] == "-1"
        assert all(0 < int(row[6]) < int(row[0]) and float(row[5]) > 0 for row in rows[1:])


def test_example_asc_brackets_are_closed() -> None:
    files = sorted((EXAMPLE / "morphologies").glob("*.asc"))
    assert len(files) == 2
    assert all(path.read_text().count("(") == path.read_text().count(")") > 20 for path in files)


# --- rows as records


def test_morphology_row_whole(folder: Path) -> None:
    record = only(
        folder,
        "morphology.csv",
        "id,name,file,species,region,Secondary region,layers,cell_type,min_age,length_um,papers,rig\n"
        "c.1_A-b,Cell 1,sub dir/b.ASC,rat,hippocampus,CA1;CA2,CA1:SP,pyramidal; principal cell,28,784.5,"
        "12345678;doi:10.1000/x.1,Rig 2\n",
    )
    link = f"{BASE}/files/internal/sub%20dir/b.ASC"
    assert record.source_id == "internal_morphology-c.1_A-b"
    assert (record.id, record.source, record.type) == ("c.1_A-b", "internal_morphology", "morphology")
    assert (record.download_link, record.original_link, record.standard_link) == (link, link, None)
    assert record.page_link == f"{BASE}/records/dataset/internal_morphology-c.1_A-b"
    assert (record.secondary_region, record.layers) == (("CA1", "CA2"), ("CA1:SP",))
    assert record.brain_region == ("hippocampus", "CA1", "CA2")
    assert (record.cell_type, record.cell_types) == ("pyramidal", ("pyramidal", "principal cell"))
    assert (record.min_age, record.measurements.length_um) == (28.0, 784.5)
    assert [(paper.pmid, paper.doi) for paper in record.papers] == [("12345678", None), (None, "10.1000/x.1")]
    assert (record.licence, record.archive, record.provenance.source) == ("CC-BY-4.0", "Lab", "internal")
    digest = hashlib.sha256(SWC).hexdigest()
    assert record.extra == {
        "rig": "Rig 2",
        "file": {"path": "sub dir/b.ASC", "size": len(SWC), "sha256": digest},
    }


def test_electrophysiology_row_whole(folder: Path) -> None:
    record = only(
        folder,
        "electrophysiology.csv",
        "id,name,file,metadata,etype,neurotransmitter,positive_markers,mixed_markers,properties,models,icon\n"
        "t1,Trace,t.abf,t.json,cAC,Inhibitory,PV;CB,SOM,Vrest: -68.2 mV;sag: little,Net https://x.example/1,p.png\n",
    )
    assert record.metadata.url == f"{BASE}/files/internal/t.json"
    assert record.icon == f"{BASE}/files/internal/p.png"
    assert (record.etype, record.neurotransmitter) == ("cAC", "inhibitory")
    assert [(marker.name, marker.expression) for marker in record.markers] == [
        ("PV", "positive"), ("CB", "positive"), ("SOM", "mixed"),
    ]  # fmt: skip
    assert [(item.name, item.value, item.unit, item.text) for item in record.properties] == [
        ("Vrest", -68.2, "mV", "-68.2 mV"), ("sag", None, None, "little"),
    ]  # fmt: skip
    assert [(link.label, link.url) for link in record.models] == [("Net", "https://x.example/1")]


def test_model_row_whole(folder: Path) -> None:
    record = only(
        folder,
        "model.csv",
        "id,name,file,readme_link,model_files,cell_type,channels,version_number,simulator_is_web_link,page_link\n"
        "m1,Model,m.zip,r.txt,k.mod;https://files.example.org/x/h%20h.mod,CA1 basket,I Na\\;t;I K,3,no,https://a.example/m\n",
    )
    assert (record.type, record.page_link) == ("single", "https://a.example/m")
    assert [(link.label, link.url) for link in record.model_files] == [
        ("k.mod", f"{BASE}/files/internal/k.mod"),
        ("h h.mod", "https://files.example.org/x/h%20h.mod"),
    ]
    assert (record.cell_types, record.channels) == (("CA1 basket",), ("I Na;t", "I K"))
    assert (record.version_number, record.simulator_is_web_link) == (3, False)


def test_connection_ends_by_row_and_by_columns(folder: Path) -> None:
    (folder / "electrophysiology.csv").write_text("id,name,file,layers\nbc,Basket,t.csv,CA1:SP\n")
    (folder / "connection.csv").write_text(
        "id,name,presynaptic,postsynaptic_name,postsynaptic.layers\nc1,BC to PC,bc,Pyramidal,CA1:SP;CA1:SR\n"
    )
    records, reasons = outcome(folder)
    assert reasons == []
    trace, made = records
    assert isinstance(made, Connection)
    assert (made.presynaptic.source_id, made.presynaptic.download_link) == (
        trace.source_id,
        trace.download_link,
    )
    assert (made.postsynaptic.name, made.postsynaptic.layers) == ("Pyramidal", ("CA1:SP", "CA1:SR"))
    assert made.postsynaptic.page_link == made.page_link


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        pytest.param(
            "nobody,,", "column presynaptic: the table electrophysiology has no row 'nobody'", id="unknown"
        ),
        pytest.param(
            ",,", "column presynaptic: must be an id of the table electrophysiology, or give", id="neither"
        ),
        pytest.param(
            "bad,,", "the row that it names has errors: electrophysiology.csv line 2 column file", id="bad"
        ),
        pytest.param("ok,Basket,", "names the row 'ok'; leave the columns presynaptic_... empty", id="both"),
        pytest.param(
            ",Basket,PV", "column presynaptic_negative_markers: 'PV' is positive elsewhere", id="marker"
        ),
    ],
)
def test_connection_end_that_cannot_be(folder: Path, cells: str, reason: str) -> None:
    (folder / "electrophysiology.csv").write_text("id,name,file\nbad,Bad,gone.csv\nok,Fine,t.csv\n")
    (folder / "connection.csv").write_text(
        "id,name,postsynaptic_name,presynaptic_negative_markers,"
        "presynaptic,presynaptic_name,presynaptic_positive_markers\n"
        f"c1,X,Y,{'PV' if 'PV' in cells else ''},{cells}\n"
    )
    reasons = outcome(folder)[1]
    assert reasons[-1].startswith("connection.csv line 2 column")
    assert reason in reasons[-1]


def test_json_table_is_read_as_the_csv_one(folder: Path) -> None:
    row = {
        "id": 7,
        "name": "Cell",
        "file": "a.swc",
        "layers": ["CA1:SP"],
        "measurements": {"n_stems": 3},
        "x": [1],
    }
    (folder / "morphology.json").write_bytes(b"\xef\xbb\xbf[\n\n" + json.dumps(row).encode() + b"\n]")
    records, reasons = outcome(folder)
    assert reasons == []
    (record,) = records
    assert isinstance(record, Morphology)
    assert (record.id, record.layers, record.measurements.n_stems) == ("7", ("CA1:SP",), 3.0)
    assert record.extra["x"] == [1]


@pytest.mark.parametrize("spelled", ["", "-", "n/a", "Not reported", "#N/A"])
def test_missing_is_null(folder: Path, spelled: str) -> None:
    row = f"a,A,a.swc,{spelled},{spelled},{spelled}"
    (record,), _ = morphologies(folder, row, header="id,name,file,species,min_age,layers")
    assert isinstance(record, Morphology)
    assert (record.species, record.min_age, record.layers) == (None, None, ())


def test_channel_na_is_not_missing(folder: Path) -> None:
    assert only(folder, "model.csv", "id,name,channels\nm,M,Na;NA\n").channels == ("Na", "NA")


@pytest.mark.parametrize("kind", RECORDS)
def test_every_field_of_a_record_is_a_column_or_ours(kind: str) -> None:
    fields = {column.path[-1] for column in COLUMNS[kind].values()} | OURS | {"measurements"}
    assert RECORDS[kind].model_fields.keys() <= fields
    if kind == "morphology":
        assert Measurements.model_fields.keys() <= COLUMNS[kind].keys()


@pytest.mark.parametrize("kind", RECORDS)
def test_every_column_is_documented(kind: str) -> None:
    page = (EXAMPLE.parents[1] / "docs" / "internal-files.md").read_text(encoding="utf-8")
    bare = {name.removeprefix("presynaptic_").removeprefix("postsynaptic_") for name in COLUMNS[kind]}
    assert [name for name in sorted(bare) if f"`{name}`" not in page] == []


# --- what is wrong with a row


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("id,name,file", "a/b,A,a.swc", "column id: 'a/b' is no id; allowed are 1-200 letters, digits and"),
        ("id,name,file", ",A,a.swc", "column id: is empty"),
        ("id,name,file", "a,,a.swc", "column name: is empty"),
        ("id,name,file", "a,A,", "column file: is empty"),
        ("id,name,file", "a,A,b.swc", "column file: there is no file 'b.swc' in the folder"),
        ("id,name,file", "a,A,sub dir\\b.asc", "write / between folders, not \\"),
        ("id,name,file", "a,A,../a.swc", "column file: '../a.swc' is outside the folder"),
        ("id,name,file", "a,A,/etc/x.swc", "column file: '/etc/x.swc' is outside the folder"),
        ("id,name,file", "a,A,t.csv", "'t.csv' is of a type that is not allowed here; allowed: .asc, .swc"),
        ("id,name,file", "a,A,https://files.example.org/x.jsp", "is of a type that is not allowed here"),
        ("id,name,file", "a,A,http://169.254.169.254/x.swc", "is not declared; folder.toml declares hosts ="),
        ("id,name,file", "a,A,ftp://files.example.org/x.swc", "is no http or https URL"),
        ("id,name,file", "a,A,https://u@files.example.org/x.swc", "must hold neither a user name"),
        ("id,name,file", "a,A,http://[::1/x.swc", "is no URL"),
        ("id,name,file,icon", "a,A,a.swc,a.swc", "column icon: 'a.swc' is of a type that is not allowed"),
        ("id,name,file,min_age", "a,A,a.swc,old", "column min_age: must be a number such as 12.5, got 'old'"),
        ("id;name;file;min_age", "a;A;a.swc;3,5", "column min_age: must be a number such as 12.5, got '3,5'"),
        ("id,name,file,n_stems", "a,A,a.swc,nan", "column n_stems: must be a number such as 12.5, got 'nan'"),
        ("id,name,file,n_stems", "a,A,a.swc,1e999", "column n_stems: Input should be a finite number"),
        ("id,name,file,upload_date", "a,A,a.swc,2026-02-30", "column upload_date: must be a date such as"),
        ("id,name,file,papers", "a,A,a.swc,12x", "column papers: must be a PMID, a DOI, a URL or a citation"),
        ("id,name,file,page_link", "a,A,a.swc,javascript:x", "column page_link: 'javascript:x' is no http"),
        ("id,name,file,species", "a,A,a.swc,r\x00t", "column species: holds a character that no text may"),
        ("id,name,file", "a,A,a.swc,more", "column 4: a value, 'more', in a column without a name"),
        ("id,name,file,strain", f"a,A,a.swc,{'x' * 3000}", "column strain: String should have at most 2000"),
        ("id,name,file", f"a,{'A' * 200_000},a.swc", "cannot be read: field larger than field limit"),
        ("id,name,file", f"a,{'A' * 3_000_000},a.swc", "cannot be read: is longer than 1,000,000 bytes"),
        ("id,name,file", 'a,"A"x,a.swc', "cannot be read"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)  # fmt: skip
def test_row_with_an_error_is_named_and_alone(folder: Path, header: str, row: str, reason: str) -> None:
    mark = ";" if ";" in header else ","
    records, reasons = morphologies(folder, row, f"good{mark}Good{mark}a.swc", header=header)
    assert [record.id for record in records] == ["good"]
    assert len(reasons) == 1
    assert reasons[0].startswith("morphology.csv line 2 c")
    assert reason in reasons[0]


def test_every_error_of_a_row_is_said_at_once(folder: Path) -> None:
    _, (reason,) = morphologies(folder, "a,,no.swc,x", header="id,name,file,min_age")
    assert [part.split(":")[0] for part in reason.split("; ")] == [
        "morphology.csv line 2 column file",
        "column min_age",
        "column name",
    ]


def test_duplicate_id_names_both_lines(folder: Path) -> None:
    records, (reason,) = morphologies(folder, "a,First,a.swc", "b,B,a.swc", "a,Second,a.swc")
    assert [record.name for record in records] == ["First", "B"]
    assert reason == "morphology.csv line 4 column id: 'a' stands in morphology.csv line 2 already"


def test_same_id_in_two_tables_is_two_records(folder: Path) -> None:
    (folder / "model.csv").write_text("id,name\na,Model\n")
    records, reasons = morphologies(folder, "a,Cell,a.swc")
    assert reasons == []
    assert [record.source_id for record in records] == ["internal_morphology-a", "internal_model-a"]


def test_raw_id_is_the_id_over_all_sources(folder: Path) -> None:
    (folder / "model.csv").write_text("id,name\na,Model\n")
    (item,) = Internal(folder, BASE).fetch(lambda expected: None)
    assert Internal.about.source_id(item.id) == "internal_model-a"


def test_url_on_a_declared_host_is_the_link(folder: Path) -> None:
    (record,), _ = morphologies(folder, "a,A,https://FILES.example.org:8443/get?id=1")
    assert record.download_link == "https://FILES.example.org:8443/get?id=1"
    assert "file" not in record.extra


def test_empty_file_and_links_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "empty.swc").touch()
    (tmp_path / "secret.swc").write_bytes(SWC)
    (folder / "out.swc").symlink_to(tmp_path / "secret.swc")
    (folder / "loop.swc").symlink_to(folder / "loop.swc")
    (folder / "in.swc").symlink_to(folder / "a.swc")
    (folder / "dir.swc").mkdir()
    records, reasons = morphologies(
        folder, "a,A,empty.swc", "b,B,out.swc", "c,C,loop.swc", "d,D,dir.swc", "e,E,in.swc"
    )
    assert [record.id for record in records] == ["e"]
    wanted = ["is an empty file", "leads outside the folder", "there is no file", "is no regular file"]
    assert all(text in reason for text, reason in zip(wanted, reasons, strict=True))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("morphology.csv", "name\nA\n", "morphology.csv line 1: no column 'id'", id="no id"),
        pytest.param("morphology.json", "{}", "morphology.json line 1: must be a list", id="no list"),
    ],
)
def test_table_that_cannot_be_read_leaves_the_others(
    folder: Path, name: str, content: str, reason: str
) -> None:
    (folder / name).write_text(content)
    (folder / "model.csv").write_text("id,name\nm,Model\n")
    records, (said,) = outcome(folder)
    assert [record.source_id for record in records] == ["internal_model-m"]
    assert said.startswith(reason)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        pytest.param({"id": ["a", "b"], "name": "A"}, "column id: must be one text, got", id="list"),
        pytest.param({"name": {"x": 1}}, "column name: must be one text, got {'x': 1}", id="object"),
        pytest.param({"name": "\ud800"}, "column name: holds a character that no text may", id="surrogate"),
        pytest.param({"n_stems": True}, "column n_stems: must be a number such as", id="boolean"),
        pytest.param({"papers": [{}]}, "column papers: Field required", id="paper"),
        pytest.param({"\ud800": "x"}, "column '\\ud800': holds a character", id="odd column"),
    ],
)
def test_json_row_with_an_error_is_named_and_alone(folder: Path, cells: dict[str, Any], reason: str) -> None:
    rows = [{"id": "a", "name": "A", "file": "a.swc"} | cells, {"id": "good", "name": "B", "file": "a.swc"}]
    (folder / "morphology.json").write_text(json.dumps(rows))
    records, (said,) = outcome(folder)
    assert [record.id for record in records] == ["good"]
    assert said.startswith(f"morphology.json line 1 {reason}")


def test_report_counts_the_rows(folder: Path) -> None:
    told: list[int] = []
    (folder / "model.csv").write_text("id,name\nm,Model\n\n/,bad\n")
    items = list(Internal(folder, BASE).fetch(told.append))
    assert (told, len(items)) == ([2], 2)


def test_long_table_is_read_in_constant_memory(folder: Path) -> None:
    with (folder / "model.csv").open("w") as handle:
        handle.write("id,name,description\n")
        handle.writelines(f"m{number},Model,{'x' * 2_000}\n" for number in range(5_000))
    tracemalloc.start()
    count = sum(1 for _ in Internal(folder, BASE).fetch(lambda expected: None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 5_000
    assert peak < 4_000_000  # bytes, of a table of 10 MB: the ids stay in memory


def test_parse_keeps_what_is_no_unit_as_text() -> None:
    column = COLUMNS["electrophysiology"]["properties"]
    texts = ["a: 7-8", "b: 3.5±0.2", "c: 65,5 mV", "d: 39 %", "e: 1.2.3", "f: 1e3 Hz"]
    values = [item.get("value") for item in parse(column, ";".join(texts))]
    assert values == [None, None, None, 39.0, None, 1000.0]
