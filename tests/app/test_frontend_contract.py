"""What the compiled front end and its users rely on: docs/api.md in words, here as invariants.

A page of the front end crashes as a whole when one of these does not hold for one record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from tests.app import INDICES, PAGE_KEYS, found

Records = dict[str, list[dict[str, Any]]]

ARRAYS = {
    "morphology": ("secondary_region", "layers", "papers", "cell_types", "brain_region"),
    "electrophysiology": ("secondary_region", "layers", "papers", "markers", "models"),
    "connection": ("secondary_region", "layers", "papers"),
    "single": (
        "secondary_region",
        "model_types",
        "cell_types",
        "channels",
        "receptors",
        "transmitters",
        "model_concepts",
        "implementers",
        "papers",
        "model_files",
    ),
}
READ = {  # the fields that the front end reads
    "morphology": "name species region cell_type secondary_region physical_integrity source icon "
    "download_link page_link source_id id type",
    "electrophysiology": "name species region cell_type secondary_region source icon download_link page_link "
    "source_id id type papers layers etype metadata",
    "connection": "name source_id id type page_link presynaptic postsynaptic",
    "single": "name model_types cell_types papers model_concepts implementers readme_link source model_files "
    "download_link page_link source_id id type",
}
END_READ = "name icon papers secondary_region layers source page_link download_link"
# source, type -> the form of `source_id` and the text of `source`
IDS = {
    ("neuromorpho", "morphology"): (r"neuromorpho-\d+", "Neuromorpho"),
    ("hippocampome", "electrophysiology"): (r"hippocampome-\d+", "Hippocampome"),
    ("hippocampome", "connection"): (r"hippocampome-\d+-\d+", "Hippocampome"),
    ("modeldb", "single"): (r"model_db-\d+", "ModelDB"),
    ("internal", "morphology"): (r"internal_morphology-[\w.-]+", "internal_morphology"),
    ("internal", "electrophysiology"): (r"internal_electrophysiology-[\w.-]+", "internal_electrophysiology"),
    ("internal", "connection"): (r"internal_connection-[\w.-]+", "internal_connection"),
    ("internal", "single"): (r"internal_model-[\w.-]+", "internal_model"),
}


def every(records: Records, *types: str) -> Iterator[dict[str, Any]]:
    """All records, or those of some types."""
    for index in INDICES:
        yield from (item for item in records[index] if not types or item["type"] in types)


def ends(records: Records) -> Iterator[dict[str, Any]]:
    """Both ends of every connection."""
    for item in every(records, "connection"):
        yield item["presynaptic"]
        yield item["postsynaptic"]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in a record that is neither an object nor a list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, value


def test_the_example_holds_every_kind_of_record(records: Records) -> None:
    kinds = {(item["provenance"]["source"], item["type"]) for item in every(records)}
    assert kinds == IDS.keys()


def test_ids_and_sources_are_the_ancestors(records: Records) -> None:
    for item in every(records):
        form, shown = IDS[item["provenance"]["source"], item["type"]]
        assert re.fullmatch(form, item["source_id"]), item["source_id"]
        assert item["source_id"].endswith(f"-{item['id']}"), item["source_id"]
        assert item["source"] == shown, item["source_id"]


def test_ids_are_unique(records: Records) -> None:
    known = [item["source_id"] for item in every(records)]
    assert len(known) == len(set(known))


@pytest.mark.parametrize("data_type", READ)
def test_every_field_that_is_read_is_there(records: Records, data_type: str) -> None:
    for item in every(records, data_type):
        assert set(READ[data_type].split()) <= item.keys(), item["source_id"]
    for end in ends(records):
        assert set(END_READ.split()) <= end.keys(), end["source_id"]


def test_links_are_texts_that_a_browser_can_open(records: Records) -> None:
    """`page_link: null` is a crash; a link of another kind leads nowhere."""
    for item in [*every(records), *ends(records)]:
        assert isinstance(item["page_link"], str), item["source_id"]
        for name in ("page_link", "download_link", "icon"):
            link = item.get(name)
            if link is not None:
                parts = urlsplit(link)
                assert parts.scheme in ("http", "https"), (item["source_id"], name, link)
                assert parts.hostname, (item["source_id"], name, link)


def test_arrays_are_arrays_of_texts_or_objects(records: Records) -> None:
    for item in every(records):
        for name in ARRAYS[item["type"]]:
            assert isinstance(item[name], list), (item["source_id"], name)
            assert None not in item[name], (item["source_id"], name)
    for end in ends(records):
        for name in ("secondary_region", "layers", "papers"):
            assert isinstance(end[name], list), (end["source_id"], name)


def test_missing_is_null_never_an_empty_text(records: Records) -> None:
    for item in every(records):
        for path, value in leaves({key: value for key, value in item.items() if key != "extra"}):
            assert value != "", (item["source_id"], path)
            if isinstance(value, str):
                assert value.strip().casefold() not in ("not reported", "not applicable", "none", "-26"), (
                    item["source_id"],
                    path,
                )


def test_source_and_name_are_texts(records: Records) -> None:
    for item in [*every(records), *ends(records)]:
        for name in ("source", "name", "source_id", "id"):
            assert isinstance(item[name], str), (item["source_id"], name)
            assert item[name].strip(), (item["source_id"], name)


def test_papers_and_files_have_labels(records: Records) -> None:
    for item in [*every(records), *ends(records)]:
        for listed in ("papers", "model_files"):
            for entry in item.get(listed) or ():
                assert isinstance(entry["label"], str), item["source_id"]
                assert entry["label"].strip(), item["source_id"]
                assert entry["url"] is None or entry["url"].startswith(("http://", "https://"))
    assert any(item["papers"] for item in every(records, "morphology"))
    assert any(item["papers"] for item in ends(records))


def test_pictures_of_neuromorpho_are_https(records: Records) -> None:
    icons = [item["icon"] for item in every(records, "morphology") if item["source"] == "Neuromorpho"]
    assert any(icons)
    assert all(icon is None or icon.startswith("https://") for icon in icons)


def test_the_file_of_a_morphology_is_the_original_where_it_is_asc_or_swc(records: Records) -> None:
    kinds = set()
    for item in every(records, "morphology"):
        if item["source"] == "Neuromorpho":
            original = item["original_format"].rpartition(".")[2].lower()
            kinds.add(original in ("asc", "swc"))
            wanted = "original_link" if original in ("asc", "swc") else "standard_link"
            assert item["download_link"] == item[wanted], item["source_id"]
    assert kinds == {True, False}


def test_the_neuron_builder_can_fetch_what_it_asks_for(records: Records) -> None:
    """It takes a trace's `metadata.url`, which must not be null, and the `.mod` files by their label."""
    traces = [item for item in every(records, "electrophysiology") if item["source"].startswith("internal")]
    assert any(item["metadata"] for item in traces)
    for item in traces:
        assert item["metadata"] is None or item["metadata"]["url"].startswith("http"), item["source_id"]
    files = [link for item in every(records, "single") for link in item["model_files"]]
    assert files
    assert all(link["label"].endswith(".mod") and link["url"] for link in files)


# Calls that the front end really sends


@pytest.mark.parametrize("hits", [10, 20, 50, 100])
@pytest.mark.parametrize("filters", [None, {"species": ["mouse"], "secondary_region": ["CA1"]}])
def test_the_data_page(client: FlaskClient, records: Records, hits: int, filters: Any) -> None:
    call = {"data_type": "morphology", "query": "", "filters": filters}
    body = client.post(f"/search/dataset/0/{hits}", json=call).get_json()
    assert body.keys() == PAGE_KEYS
    cells = [
        item
        for item in every(records, "morphology")
        if filters is None or (item["species"] == "mouse" and "CA1" in item["secondary_region"])
    ]
    assert body["total"] == len(cells) > 0
    assert body["total_page"] == -(-len(cells) // hits)


def test_unticking_the_last_box_of_a_connection(client: FlaskClient, records: Records) -> None:
    call = {"data_type": "connection", "query": "", "filters": {"presynaptic": {"layers": []}}}
    wanted = [item["source_id"] for item in every(records, "connection")]
    assert found(client.post("/search/dataset/0/100", json=call)) == wanted


@pytest.mark.parametrize("key", ["cell_types", "channels", "receptors", "model_concepts", "implementers"])
def test_the_model_page_filters_by_its_keys(client: FlaskClient, records: Records, key: str) -> None:
    value = next(value for item in records["model"] for value in item[key])
    call = {"query": "", "filters": {key: [value]}}
    wanted = [item["source_id"] for item in records["model"] if value in item[key]]
    assert found(client.post("/search/model/0/20", json=call)) == wanted


def test_the_terms_page_is_ours_with_a_link(client: FlaskClient) -> None:
    answer = client.get("/neuro_morpho/useterm.jsp")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    text = answer.get_data(as_text=True)
    assert re.search(r'href="https?://[^"]*useterm\.jsp"', text, re.IGNORECASE)
    assert "X-Frame-Options" not in answer.headers  # it is shown in an iframe of another site


# Words never fail

NASTY = {
    "one quote": '"',
    "an open phrase": '"CA1 pyramidal',
    "single quotes": "'CA1' o''clock",
    "a layer": "CA1:SP",
    "a field of the engine": "name:CA1 AND species:rat",
    "slashes": "/a/ CA1/CA3 //",
    "one slash": "/",
    "a pipe": "|",
    "pipes": "|| CA1 | | |",
    "a backslash": "\\",
    "backslashes": 'CA1\\ \\" \\\\',
    "operators": "+CA1 -CA3 !x && || NOT AND OR TO",
    "wildcards": "* ? CA* *a ~ CA1~2 ^3",
    "brackets": "(( [CA1 TO CA3} {* TO *] )",
    "a regular expression": "/(a+)+$/",
    "markup": "<script>alert(1)</script>",
    "percent": "100% %00 %zz %",
    "control characters": "CA1\x00\x01\x08\x1b\x7f",
    "line breaks": "CA1\r\nCA3\u2028x\u0085y",
    "emoji": "🧠👩🏽\u200d🔬",
    "lone combining marks": "\u0301\u0308 \u20dd",
    "a mark on a blank": " \u0301CA1",
    "right to left": "\u202eCA1\u202c עברית",
    "wide letters": "ＣＡ１ ﬁ ß İ ı ſ",
    "zero width": "\u200b\ufeff\u200d",
    "a letter beyond the base plane": "𝕮𝖆1 \U0010ffff",
    "a non-character": "\ufffe\uffff",
    "1,000 letters": "a" * 1_000,
    "1,000 words of a letter": "a " * 500,
    "1,000 pipes": "|" * 1_000,
    "1,000 quotes": '"' * 1_000,
    "500 alternatives": "|".join("ab" for _ in range(333)),
    "1,000 emoji": "🧠" * 1_000,
    "1,000 combining marks": "e" + "\u0301" * 999,
    "only punctuation": ".,;:!?-_=#@&$§°^´`~",
}


@pytest.mark.parametrize("words", NASTY.values(), ids=NASTY.keys())
@pytest.mark.parametrize("index", INDICES)
def test_words_never_fail(client: FlaskClient, index: str, words: str) -> None:
    posted = found(client.post(f"/search/{index}/0/100", json={"query": words, "facets": True}))
    asked = client.get(f"/search/{index}/0/100", query_string={"query": words})
    if asked.status_code != 414:  # encoded, the longest ones do not fit into a request line
        assert found(asked) == posted
    everything = client.post(f"/search/{index}/all", json={"query": words})
    assert sorted(found(everything)) == sorted(posted)


@pytest.mark.parametrize("unpaired", ['{"query": "\\ud800"}', '{"query": "a\\udfff b"}'])
def test_a_lone_surrogate_is_no_text(client: FlaskClient, unpaired: str) -> None:
    """JSON can spell what UTF-8 cannot: it is refused or searched for, but does not break the server."""
    answer = client.post("/search/dataset", data=unpaired, content_type="application/json")
    assert answer.status_code in (200, 400)


def names_with(records: Records, *words: str) -> set[str]:
    return {i["source_id"] for i in every(records, "morphology") if all(w in i["name"] for w in words)}


def test_words_are_all_required_in_any_order(client: FlaskClient, records: Records) -> None:
    wanted = names_with(records, "basket", "Example")
    assert wanted
    for words in ("example basket", "BASKET Example", "basket   EXAMPLE"):
        body = {"query": words, "data_type": "morphology"}
        assert wanted <= set(found(client.post("/search/dataset/0/100", json=body))), words
    unknown = {"query": "basket zzzunknownzzz"}
    assert found(client.post("/search/dataset/0/100", json=unknown)) == []


def test_a_pipe_separates_alternatives(client: FlaskClient) -> None:
    def search(words: str) -> set[str]:
        return set(found(client.post("/search/dataset/0/100", json={"query": words})))

    assert search("basket | granule") == search("basket") | search("granule")
    assert search("basket|zzzunknownzzz") == search("basket")


def test_every_name_finds_its_record(client: FlaskClient, records: Records) -> None:
    """Names with quotes, slashes, markup and other scripts too, typed in as they are."""
    lost = []
    for index in INDICES:
        for item in records[index]:
            body = {"query": item["name"], "data_type": item["type"]}
            if item["source_id"] not in found(client.post(f"/search/{index}/0/100", json=body)):
                lost.append(item["name"])
    assert lost == []
