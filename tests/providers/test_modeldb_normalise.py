"""ModelDB: the region's decision, addresses, and one model as a record. All pure."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import InvalidItem
from helpers.providers import modeldb_fields as fields
from helpers.providers.base import Raw
from helpers.providers.modeldb import ModelDB
from helpers.providers.modeldb_region import decide, secondary_regions

DATA = Path(__file__).parent.parent / "data" / "modeldb"
BASE = "https://modeldb.science"
MODEL: dict[str, Any] = json.loads((DATA / "model_7001.json").read_text("utf-8"))
PAPER: dict[str, Any] = json.loads((DATA / "paper_7002.json").read_text("utf-8"))
FILES = ("7001/readme.txt", "7001/a b/kä.mod", "7001/run.hoc")
NO_ARCHIVE = {"files": [], "note": None, "exists": False}


def terms(*names: str) -> dict[str, Any]:
    return {"value": [{"object_id": None, "object_name": name} for name in names], "attr_id": 1}


def raw(model: dict[str, Any], region_key: str = "hippocampus", **data: Any) -> Raw:
    content = {
        "region_key": region_key,
        "listed_ver_date": None,
        "model": model,
        "papers": {"7002": PAPER},
        "paper_notes": {},
        "archive": {"files": [{"path": path, "size": 1} for path in FILES], "note": None, "exists": True},
    }
    return Raw(str(model["id"]), copy.deepcopy(content | data), BASE)


def with_fields(**changed: Any) -> dict[str, Any]:
    return MODEL | changed


# ---------------------------------------------------------------- region


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("A hippocampal network", True),
        ("HIPPOCAMPUS", True),
        ("Entorhinal-hippocampal loop", True),
        ("Dentate gyrus basket cell", True),
        ("dentate granule cells", True),
        ("CA1 pyramidal cell", True),
        ("ca3 network", True),
        ("CA3b cells", True),
        ("CA1_pyr", True),
        ("CA1+CA3", True),
        ("CA2 pyramidal cell", True),
        ("CA4", True),
        ("Ammon's horn", True),
        ("subicular bursting", True),
        ("MOPP cell", True),
        ("Ca2+ dynamics", False),
        ("CA2+ HANDLING", False),
        ("Ca2 channels", False),
        ("Ca1.2 channel", False),
        ("CA10", False),
        ("parahippocampal", False),
        ("dentate nucleus of the cerebellum", False),
        ("MOCA1 gene", False),
        ("", False),
    ],
)
def test_whole_words_decide_the_region(name, counts):
    assert (decide("hippocampus", {"name": name}) is not None) is counts


def test_the_most_reliable_evidence_is_told():
    model = {
        "name": "Dentate model",
        "notes": {"value": "word " * 20 + "in CA1\r\ncells, " + "more " * 20},
        "neurons": terms("Generic neuron", "CA1 basket cell"),
        "region": terms("Hippocampus"),
    }
    assert decide("hippocampus", model) == "region: Hippocampus"
    del model["region"]
    assert decide("hippocampus", model) == "neurons: CA1 basket cell"
    del model["neurons"]
    told = decide("hippocampus", model) or ""
    assert told.startswith("notes: … word")
    assert " in CA1 cells, more " in told
    assert len(told) < 120


@pytest.mark.parametrize(
    ("key", "name", "counts"),
    [
        ("", "Anything", True),
        ("  ", "Anything", True),
        ("Hippocampus", "CA1", True),
        ("olfactory bulb", "The Olfactory  Bulb mitral cell", True),
        ("olfactory bulb", "CA1", False),
        ("a.c", "abc", False),
        ("neocortex", "Neocortical column", True),
    ],
)
def test_a_region_key_is_one_of_the_table_or_taken_as_written(key, name, counts):
    assert (decide(key, {"name": name}) is not None) is counts


def test_secondary_regions_come_from_neurons_and_else_from_the_name():
    model = {"name": "CA1 to EC", "neurons": terms("Dentate gyrus granule GLU cell", "ca3 basket cell")}
    assert secondary_regions("hippocampus", model) == ("DG", "CA3")
    assert secondary_regions("hippocampus", {"name": "CA1 and entorhinal cortex"}) == ("CA1", "EC")
    assert secondary_regions("hippocampus", {"name": "Hippocampus"}) == ()
    assert secondary_regions("neocortex", model) == ()


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    [
        "jane@place.org",
        "jane.doe+x@lab.place.ac.uk",
        "mailto:jane@place.org",
        "[Jane.Doe at Place.edu]",
        "(jane at place.edu)",
        "jane [at] place.org",
        "jane (at) place (dot) org",
        "jane.doe AT place DOT edu",
        "jane.doe at place.edu",
        "Zoë.Doe@place.org",
    ],
)
def test_addresses_are_removed_from_running_text(address):
    assert fields.without_addresses(f"Write to {address}, or not.") == "Write to […], or not."


@pytest.mark.parametrize(
    "text",
    [
        "available at senselab.med.yale.edu",
        "(available at yale.edu)",
        "git@github.com:x/y.git",
        "https://example.org/@jane",
        "held at 0.5 mV",
        "look at the dot on the screen",
        "5 pA@soma",
    ],
)
def test_what_is_no_address_stays(text):
    assert fields.without_addresses(text) == text


def test_people_lose_their_brackets():
    item = {
        "implemented_by": [
            "Doe, Jane [Jane.Doe at place.edu]",
            "Roe, R <r@x.org>",
            "Poe (p@x.org)",
            "Doe, Jane",
        ]
    }
    assert fields.people(item, "implemented_by") == ("Doe, Jane", "Roe, R", "Poe")


# ---------------------------------------------------------------- normalise


def test_a_whole_model_becomes_a_record():
    record = ModelDB.normalise(raw(MODEL))
    assert (record.source_id, record.id, record.source, record.type) == (
        "model_db-7001",
        "7001",
        "ModelDB",
        "single",
    )
    assert record.description == "A burst model.\nSecond line, write to […] for more."
    assert (record.region, record.secondary_region) == ("hippocampus", ("DG", "CA3"))
    assert record.region_decision == "neurons: Hippocampus CA3 pyramidal GLU cell"
    assert record.cell_types == (
        "Hippocampus CA3 pyramidal GLU cell",
        "Dentate gyrus granule GLU cell",
        "CA3 made-up cell",
    )
    assert (record.channels, record.receptors) == (("I Na,t", "I K", "I made up"), ("AMPA",))
    assert (record.transmitters, record.genes) == (("Glutamate",), ("Kv9.9 KCNX9",))
    assert (record.model_types, record.model_concepts) == (
        ("Neuron or other electrically excitable cell",),
        ("Bursting",),
    )
    assert (record.simulators, record.simulator_is_web_link) == (("NEURON", "Brian"), True)
    assert (record.implementers, record.species) == (("Doe, Jane", "Roe, Richard"), "Rat")
    assert (record.created, record.version_date) == ("2001-03-04T05:06:07", "2019-08-07T06:05:04.321")
    assert (record.version_number, record.licence) == (12, None)
    assert record.citations[1] == "McDougal et al. 2017, doi:10.1007/s10827-016-0623-7"
    assert record.provenance.url == "https://modeldb.science/api/v1/models/7001"
    assert record.provenance.release == "12, 2019-08-07T06:05:04.321"


def test_links_are_literal_addresses_of_the_site():
    record = ModelDB.normalise(raw(MODEL))
    assert record.page_link == "https://modeldb.science/7001?tab=1"
    assert record.download_link == "https://modeldb.science/download/7001"
    assert record.readme_link == "https://modeldb.science/getModelFile?model=7001&file=7001/readme.txt"
    assert [(link.label, link.url) for link in record.model_files] == [
        ("kä.mod", "https://modeldb.science/getModelFile?model=7001&file=7001/a%20b/k%C3%A4.mod")
    ]
    assert record.files == FILES


def test_what_no_field_takes_is_kept_without_addresses():
    extra = ModelDB.normalise(raw(MODEL)).extra
    assert extra == {
        "class_id": 19,
        "gitrepo": True,
        "has_modelview": True,
        "modelviews": {"all": [{"id": "7001_1", "name": "Burst"}], "default": "7001_1"},
        "opensourcebrain": "made-up-cell",
        "_implementers_text": "Jane Doe <[…]>",
        "modeling_application": ["NEURON", "NEURON (web link to model)", "Brian 2"],
        "object_ids": {
            "model_type": {"Neuron or other electrically excitable cell": 3537},
            "neurons": {"Hippocampus CA3 pyramidal GLU cell": 259, "Dentate gyrus granule GLU cell": 257},
            "currents": {"I Na,t": 242},
            "receptors": {"AMPA": 205},
            "neurotransmitters": {"Glutamate": 213},
            "gene": {"Kv9.9 KCNX9": 9},
            "model_concept": {"Bursting": 3630},
            "modeling_application": {"NEURON": 1882, "NEURON (web link to model)": 1883, "Brian 2": 1884},
            "species": {"Rat": 7006},
            "model_paper": {"Doe J, Roe R (2001)": 7002, "Roe R (2002)": 7003},
        },
    }


def test_no_address_is_anywhere_in_a_record():
    text = ModelDB.normalise(raw(MODEL)).model_dump_json().lower()
    assert "@" not in text
    assert "lab.example.org" not in text


def test_papers_have_doi_and_pmid_or_their_label_alone():
    first, second = ModelDB.normalise(raw(MODEL, paper_notes={"7003": "answered 500"})).papers
    assert first.label == "Doe J, Roe R (2001). Two pools make a burst. J Made Up Sci 7:5-15"
    assert (first.doi, first.pmid) == ("10.1234/made(up)<2001>", "70020001")
    assert first.url == "https://doi.org/10.1234/made(up)%3C2001%3E"
    assert (second.label, second.url, second.doi, second.pmid) == ("Roe R (2002)", None, None, None)


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"doi": {"value": "https://doi.org/10.1/x"}}, None),
        ({"doi": {"value": "https://doi.org/10.1000/x"}}, "https://doi.org/10.1000/x"),
        ({"doi": {"value": "none"}, "pubmed_id": {"value": 12}}, "https://pubmed.ncbi.nlm.nih.gov/12/"),
        ({"pubmed_id": {"value": "0"}, "url": {"value": "http://journal.org/1"}}, "http://journal.org/1"),
        ({"url": {"value": "javascript:alert(1)"}}, None),
        ({}, None),
    ],
    ids=["no DOI", "DOI as address", "PMID as number", "own address", "no address of the web", "nothing"],
)
def test_a_paper_is_linked_by(parts, url):
    assert fields.cited("Doe J (2001)", parts).url == url


@pytest.mark.parametrize(
    "paper",
    ["an error page", {"id": 1}, {"title": {"value": 7}}, {"doi": {}}],
    ids=["text", "another paper", "wrong type", "no value"],
)
def test_a_paper_of_another_shape_leaves_its_label_and_a_note(paper):
    record = ModelDB.normalise(raw(MODEL, papers={"7002": paper}))
    assert record.papers[0].label == "Doe J, Roe R (2001)"
    assert record.papers[0].doi is None
    assert list(record.extra["papers"]) == ["7002"]


def test_a_model_with_nothing_but_id_and_name_is_a_record():
    record = ModelDB.normalise(raw({"id": 5, "name": "CA1"}, archive=NO_ARCHIVE, papers={}))
    assert record.page_link == "https://modeldb.science/5?tab=1"
    assert (record.download_link, record.readme_link, record.files) == (None, None, ())
    assert (record.description, record.papers, record.simulator_is_web_link) == (None, (), False)
    assert (record.version_number, record.provenance.release, record.extra) == (None, None, {})


def test_null_is_absent():
    absent = {key: None for key in MODEL if key not in ("id", "name")}
    nulls = {key: {"value": None, "attr_id": 1} for key in absent if key not in ("created", "ver_date")}
    expected = ModelDB.normalise(raw({"id": 7001, "name": "CA1"}))
    assert ModelDB.normalise(raw(absent | {"id": 7001, "name": "CA1"})) == expected
    assert ModelDB.normalise(raw(nulls | {"id": 7001, "name": "CA1"})) == expected


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": None}, "name"),
        ({"name": " \n"}, "name"),
        ({"name": 7}, "name"),
        ({"notes": {"value": ["x"]}}, "notes"),
        ({"notes": {"text": "x"}}, "notes"),
        ({"notes": {"value": "x" * 300_000}}, "notes"),
        ({"currents": {"value": 7}}, "currents"),
        ({"currents": {"value": [7]}}, "currents"),
        ({"currents": {"value": [{"object_id": 1}]}}, "currents"),
        ({"currents": {"value": [{"object_id": 1, "object_name": "x" * 2_001}]}}, "currents"),
        ({"receptors": {"value": [{"object_id": 1.5, "object_name": "x"}]}}, "receptors"),
        ({"ver_number": "12"}, "ver_number"),
        ({"ver_number": True}, "ver_number"),
        ({"created": "yesterday"}, "created"),
        ({"something_new": {"value": "x" * 300_000}}, "something_new"),
        ({"something_new": json.loads("[" * 100 + "]" * 100)}, "something_new"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_named(changed, told):
    with pytest.raises(InvalidItem, match=told) as caught:
        ModelDB.normalise(raw(with_fields(**changed)))
    assert len(str(caught.value)) < 200


def test_with_no_region_key_the_models_own_region_is_told():
    record = ModelDB.normalise(raw(with_fields(region=terms("Olfactory bulb", "Thalamus")), ""))
    assert (record.region, record.secondary_region) == ("Olfactory bulb", ())
    assert record.region_decision == "every model: no region is configured"
    assert record.extra["region"] == ["Olfactory bulb", "Thalamus"]


def test_several_species_are_no_single_one():
    record = ModelDB.normalise(raw(with_fields(species=terms("Rat", "Mouse"))))
    assert (record.species, record.extra["species"]) == (None, ["Rat", "Mouse"])


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("NEURON (web link to model)", "NEURON"),
        ("Brian (web link to method)", "Brian"),
        ("Brian 2", "Brian"),
        ("XPP (web link to model)", "XPPAUT"),
        ("SciLab", "Scilab"),
        ("Brand New Simulator (web link to tool)", "Brand New Simulator"),
    ],
)
def test_spellings_of_a_simulator_are_one(spelling, name):
    assert fields.simulator_name(spelling) == name


def test_a_note_of_the_archive_stands_on_the_record():
    record = ModelDB.normalise(raw(MODEL, archive={"files": [], "note": "answered 500", "exists": False}))
    assert (record.download_link, record.files, record.extra["archive"]) == (None, (), "answered 500")
