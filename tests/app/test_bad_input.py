"""Bad input from sources and from the lab's own folder: a clear reason each time, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from config.settings import InternalSettings
from helpers.example_upstream import ExampleUpstream
from helpers.example_upstream.neuromorpho import load_neurons
from helpers.example_upstream.server import DATA
from tests.app import all_items, files_of, settings_for

Neuron = dict[str, Any]
OWN = Path(__file__).parents[2] / "data" / "internal"
SPOILED = 5001  # the neuron that goes wrong


def refresh(app: Flask, *sources: str) -> int:
    return app.test_cli_runner().invoke(args=["refresh", *sources]).exit_code


def source(client: FlaskClient, key: str) -> dict[str, Any]:
    return next(entry for entry in client.get("/sources").get_json() if entry["key"] == key)


def reasons(client: FlaskClient, key: str) -> dict[str, str]:
    """id -> reason of everything in a source's quarantine."""
    items = client.get(f"/sources/{key}/quarantine").get_json()["items"]
    return {item["id"]: item["reason"] for item in items}


def neurons(spoil: Callable[[Neuron], Any]) -> list[Neuron]:
    """The example's neurons, one of them spoiled."""
    many = load_neurons(DATA / "neurons.json")
    for neuron in many:
        if neuron["neuron_id"] == SPOILED:
            spoil(neuron)
    return many


SPOILING: dict[str, tuple[Callable[[Neuron], Any], str]] = {
    "no name": (lambda neuron: neuron.pop("neuron_name"), "name"),
    "a null name": (lambda neuron: neuron.update(neuron_name=None), "name"),
    "an empty name": (lambda neuron: neuron.update(neuron_name=""), "name"),
    "a name of blanks": (lambda neuron: neuron.update(neuron_name=" \t "), "name"),
    "a name that is a number": (lambda neuron: neuron.update(neuron_name=7), "name"),
    "a name that is a list": (lambda neuron: neuron.update(neuron_name=["x"]), "name"),
    "a null character in the name": (lambda neuron: neuron.update(neuron_name="a\u0000b"), "U+0000"),
    "a null character in a note": (lambda neuron: neuron.update(note="a\u0000b"), "U+0000"),
    "a null character in a list": (lambda neuron: neuron.update(cell_type=["a\u0000"]), "U+0000"),
    "a name of 1 MB": (lambda neuron: neuron.update(neuron_name="x" * 1_000_000), "name"),
    "a note of 3 MB": (lambda neuron: neuron.update(note="x" * 3_000_000), ""),
    "10,000 cell types": (lambda neuron: neuron.update(cell_type=[f"{n:01000}" for n in range(10_000)]), ""),
}


@pytest.mark.parametrize(("spoil", "word"), SPOILING.values(), ids=SPOILING.keys())
def test_a_neuron_that_is_wrong_is_quarantined_alone(
    tmp_path: Path, spoil: Callable[[Neuron], Any], word: str
) -> None:
    with ExampleUpstream(neurons=neurons(spoil)) as upstream:
        app = create_app(settings_for(tmp_path, upstream))
        assert refresh(app, "neuromorpho") == 0
        client = app.test_client()
        assert client.get("/search/dataset").get_json()["total"] == 29
        counts = source(client, "neuromorpho")["counts"]
        assert counts == {"fetched": 30, "normalised": 29, "quarantined": 1, "released": 29}
        found = reasons(client, "neuromorpho")
        assert found.keys() == {str(SPOILED)}
        assert word in found[str(SPOILED)]
        assert 0 < len(found[str(SPOILED)]) < 1_000, "a reason is a line, not a page"


ODD: dict[str, Callable[[Neuron], Any]] = {
    "a region of null": lambda neuron: neuron.update(cell_type=None),
    "texts where lists belong": lambda neuron: neuron.update(cell_type="pyramidal", reference_pmid="1, 2"),
    "numbers where texts belong": lambda neuron: neuron.update(strain=7, archive=8, gender=9.5),
    "lists where texts belong": lambda neuron: neuron.update(species=["rat"], note=["a", "b"], strain=[]),
    "objects where texts belong": lambda neuron: neuron.update(stain={"a": 1}, domain={}),
    "words where numbers belong": lambda neuron: neuron.update(min_age="many", slicing_thickness="300 um"),
    "numbers out of the world": lambda neuron: neuron.update(min_age="1e999", magnification="nan"),
    "negative and zero": lambda neuron: neuron.update(min_weight="-26", soma_surface="0", surface=-1),
    "dates that are none": lambda neuron: neuron.update(upload_date="2024-13-45", deposition_date="soon"),
    "unknown fields": lambda neuron: neuron.update(novel={"deep": [1, {"er": None}]}, other="x"),
    "strange letters": lambda neuron: neuron.update(note="\u202e🧠\ufffe\u0301", strain="\u2028"),
    "long lists": lambda neuron: neuron.update(reference_pmid=["1"] * 10_000),
    "links of another kind": lambda neuron: neuron.update(png_url="javascript:alert(1)", _links=5),
}


@pytest.mark.parametrize("spoil", ODD.values(), ids=ODD.keys())
def test_odd_values_never_stop_the_others_and_never_break_an_answer(
    tmp_path: Path, spoil: Callable[[Neuron], Any]
) -> None:
    """The neuron is released or quarantined with a reason; which one is the provider's matter."""
    with ExampleUpstream(neurons=neurons(spoil)) as upstream:
        app = create_app(settings_for(tmp_path, upstream))
        assert refresh(app, "neuromorpho") == 0
    client = app.test_client()
    items = {item["source_id"]: item for item in all_items(client, "dataset")}
    quarantined = reasons(client, "neuromorpho")
    assert len(items) + len(quarantined) == 30
    assert quarantined.keys() <= {str(SPOILED)}
    assert all(quarantined.values())
    for item in items.values():
        assert item["icon"] is None or item["icon"].startswith("https://")
        assert "" not in item.values()
        assert all(isinstance(item[name], list) for name in ("cell_types", "papers", "secondary_region"))


def test_an_item_that_breaks_keeps_its_released_record(tmp_path: Path) -> None:
    with ExampleUpstream() as upstream:
        assert refresh(create_app(settings_for(tmp_path, upstream)), "neuromorpho") == 0
    with ExampleUpstream(neurons=neurons(lambda neuron: neuron.update(neuron_name=None))) as upstream:
        app = create_app(settings_for(tmp_path, upstream))
        assert refresh(app, "neuromorpho") == 0
    client = app.test_client()
    assert client.get("/search/dataset").get_json()["total"] == 30
    assert client.get(f"/records/dataset/neuromorpho-{SPOILED}").status_code == 200
    assert reasons(client, "neuromorpho").keys() == {str(SPOILED)}


@pytest.mark.parametrize("key", ["neuromorpho", "hippocampome", "modeldb"])
def test_fifty_megabytes_in_a_field(tmp_path: Path, key: str) -> None:
    with ExampleUpstream() as upstream:
        app = create_app(settings_for(tmp_path, upstream))
        assert refresh(app, key) == 0
        client = app.test_client()
        index = "model" if key == "modeldb" else "dataset"
        before = all_items(client, index)
        upstream.fault(key, "huge")
        refresh(app, key)
        assert all_items(client, index) == before, "one item too large takes no record away"
        state = source(client, key)
        assert state["error"] or state["counts"]["quarantined"], "it is told"
        assert len(state["error"] or "") < 2_000


def test_a_page_that_repeats_an_item(tmp_path: Path) -> None:
    """One neuron comes on two pages of 500 and another on none; the one that was released before stays."""
    base = load_neurons(DATA / "neurons.json")[0]
    many = [{**base, "neuron_id": number, "neuron_name": f"n{number}"} for number in range(1, 521)]
    with ExampleUpstream(neurons=many) as upstream:
        app = create_app(settings_for(tmp_path, upstream))
        assert refresh(app, "neuromorpho") == 0
        upstream.fault("neuromorpho", "duplicate_page")
        refresh(app, "neuromorpho")
    client = app.test_client()
    ids = [item["source_id"] for item in all_items(client, "dataset")]
    assert len(ids) == len(set(ids))
    assert len(ids) in (519, 520)
    told = " ".join(reasons(client, "neuromorpho").values()) + (source(client, "neuromorpho")["error"] or "")
    assert "repeats" in told
    assert "never came" in told


@pytest.mark.parametrize(("share", "released"), [(50, 15), (49, 30)])
def test_under_half_is_held_and_half_is_not(
    tmp_path: Path, own_upstream: ExampleUpstream, share: int, released: int
) -> None:
    app = create_app(settings_for(tmp_path, own_upstream))
    assert refresh(app, "neuromorpho") == 0
    own_upstream.fault("neuromorpho", f"shrink:{share}")
    refresh(app, "neuromorpho")
    assert app.test_client().get("/search/dataset").get_json()["total"] == released


@pytest.mark.parametrize("fault", ["zip_traversal", "zip_bomb"])
def test_an_archive_that_means_harm(tmp_path: Path, fault: str) -> None:
    with ExampleUpstream(bomb_bytes=64 << 20) as upstream:
        upstream.fault("modeldb", fault)
        app = create_app(settings_for(tmp_path / "var", upstream))
        refresh(app, "modeldb")
        client = app.test_client()
        assert source(client, "modeldb")["state"] == "released"
        for item in all_items(client, "model"):
            for name in item["files"]:
                assert ".." not in Path(name).parts, item["source_id"]
                assert not Path(name).is_absolute(), item["source_id"]
        content, rows = files_of(client.get("/download/model/all"))
        assert len(rows) == client.get("/search/model").get_json()["total"]
        assert all(name == Path(name).name for name in content)
    assert {path.name for path in tmp_path.iterdir()} == {"var"}


# The lab's own folder


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A copy of the example folder that a test may change."""
    folder = tmp_path / "lab"
    shutil.copytree(OWN, folder)
    return folder


def released(lab: Path, upstream: ExampleUpstream) -> FlaskClient:
    """A client of a hub that has read the folder."""
    internal = InternalSettings(folder=lab)
    app = create_app(settings_for(lab.parent / "var", upstream, internal=internal))
    assert refresh(app, "internal") == 0
    return app.test_client()


def add_row(lab: Path, identity: str, name: str, file: str) -> None:
    """One more cell in the table."""
    table = lab / "morphology.csv"
    columns = len(table.read_text().splitlines()[0].split(","))
    row = ",".join([identity, name, file]) + "," * (columns - 3)
    table.write_text(table.read_text().rstrip("\n") + f"\n{row}\n")


ROWS = {
    "a file that is not there": ("new-1", "cell", "morphologies/none.swc", "none.swc"),
    "a file outside the folder": ("new-1", "cell", "../secret.swc", "secret.swc"),
    "an absolute path": ("new-1", "cell", "/etc/passwd", "passwd"),
    "a host that is not declared": ("new-1", "cell", "https://example.org/x.swc", "example.org"),
    "a link-local address": ("new-1", "cell", "http://169.254.169.254/x.swc", "169.254.169.254"),
    "a jsp page": ("new-1", "cell", "https://data.example.org/x.jsp", "jsp"),
    "another scheme": ("new-1", "cell", "file:///etc/passwd", "passwd"),
    "no name": ("new-1", "", "morphologies/EX-PC-01.swc", "name"),
    "an id with a slash": ("a/b", "cell", "morphologies/EX-PC-01.swc", "a/b"),
    "an id that was there": ("EX-PC-01", "cell", "morphologies/EX-PC-02.swc", "EX-PC-01"),
}


@pytest.mark.parametrize(("identity", "name", "file", "word"), ROWS.values(), ids=ROWS.keys())
def test_a_wrong_row_is_quarantined_with_file_and_line(
    lab: Path, upstream: ExampleUpstream, identity: str, name: str, file: str, word: str
) -> None:
    (lab / "folder.toml").write_text('hosts = ["data.example.org"]\n')
    add_row(lab, identity, name, file)
    line = len((lab / "morphology.csv").read_text().splitlines())
    client = released(lab, upstream)
    assert client.get("/search/dataset?data_type=morphology").get_json()["total"] == 12
    [reason] = reasons(client, "internal").values()
    assert word in reason
    assert "morphology.csv" in reason
    assert str(line) in reason


def test_a_declared_address_that_must_not_be_asked_stands_in_the_manifest(
    lab: Path, upstream: ExampleUpstream
) -> None:
    """Declared by mistake, and with private addresses allowed: link-local ones are never asked."""
    (lab / "folder.toml").write_text('hosts = ["169.254.169.254"]\n')
    add_row(lab, "meta", "cloud", "http://169.254.169.254/latest/x.swc")
    client = released(lab, upstream)
    asked = "internal_morphology-meta,internal_morphology-EX-PC-01"
    _, rows = files_of(client.get(f"/download/dataset?ids={asked}"))
    by_id = {row["id"]: row for row in rows}
    assert by_id["internal_morphology-EX-PC-01"]["status"] == "ok"
    assert by_id["internal_morphology-meta"]["status"] == "failed"
    assert "169.254.169.254" in by_id["internal_morphology-meta"]["reason"]


def test_a_file_that_went_away_after_the_refresh_stands_in_the_manifest(
    lab: Path, upstream: ExampleUpstream
) -> None:
    client = released(lab, upstream)
    (lab / "morphologies" / "EX-PC-01.swc").unlink()
    _, rows = files_of(client.get("/download/dataset?ids=internal_morphology-EX-PC-01"))
    assert rows[0]["status"] == "failed"
    assert str(lab) not in rows[0]["reason"], "paths of the machine are nobody's business"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"id,name\n", b"<html></html>", b"\x00" * 100])
def test_a_table_that_is_none_takes_nothing_of_the_other_tables(
    lab: Path, upstream: ExampleUpstream, content: bytes
) -> None:
    (lab / "morphology.csv").write_bytes(content)
    internal = InternalSettings(folder=lab)
    app = create_app(settings_for(lab.parent / "var", upstream, internal=internal))
    refresh(app, "internal")
    client = app.test_client()
    state = source(client, "internal")
    assert state["error"] or client.get("/search/model").get_json()["total"] == 4
    assert json.dumps(state)
