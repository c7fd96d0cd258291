"""Normalised records on disk between fetching and releasing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.errors import InvalidItem, StorageUnavailable
from helpers.query import Document
from helpers.records import Record
from helpers.staging import (
    MAX_REASON,
    MAX_RECORD_BYTES,
    Quarantined,
    Staging,
    read_quarantine,
    to_document,
)
from tests.fakes import folder_with, run_without_rights
from tests.records import connection, documents, electrophysiology, end, model, morphology

ODD_NAMES = [
    pytest.param("CA1 pyramidal", id="plain"),
    pytest.param("神経細胞 Ñandú Ωμέγα", id="other scripts"),
    pytest.param("cell \U0001f9e0", id="outside the basic plane"),
    pytest.param("a\tb\nc\r\nd\x1ee\x85f\u2028g\u2029h", id="every kind of line end"),
    pytest.param("back\\slash \"quoted\" 'name' <b>&amp;", id="quotes and markup"),
    pytest.param("e\u0301 \u202egnp.exe \ufeff", id="combining and invisible signs"),
]


def staged(folder: Path, records: list[Record]) -> Staging:
    """A finished staging of these records."""
    with Staging(folder) as staging:
        for index, document in documents(records):
            staging.add(index, document)
    staging.describe({"counts": {"fetched": len(records)}})
    return staging


class TestDocument:
    @pytest.mark.parametrize(
        ("record", "index"),
        [
            (morphology(1), "dataset"),
            (electrophysiology(1), "dataset"),
            (connection(end(1), end(2)), "dataset"),
            (model(1), "model"),
        ],
        ids=lambda value: getattr(value, "type", value),
    )
    def test_goes_to_the_index_of_its_type(self, record: Record, index: str) -> None:
        assert to_document(record)[0] == index

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_keeps_a_name_as_it_is(self, name: str) -> None:
        _, document = to_document(morphology(1, name=name))
        assert (document.source_id, document.parsed()["name"]) == ("neuromorpho-1", name)

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": "a\0b"},
            {"cell_types": ("\0",)},
            {"extra": {"deep": [{"in": "\0"}]}},
            {"extra": {"the key \0": 1}},
        ],
        ids=["name", "a list", "extra", "a key"],
    )
    def test_with_the_character_nul_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidItem, match=r"U\+0000"):
            to_document(morphology(1, **fields))

    def test_that_only_spells_nul_is_none_of_them(self) -> None:
        name = "C:\\u0000 \\\\u0000"
        assert to_document(morphology(1, name=name))[1].parsed()["name"] == name

    @pytest.mark.parametrize("character", ["\t", "\n", "\r", "\x01", "\x1f"], ids=repr)
    def test_with_a_control_character_in_its_id_is_refused(self, character: str) -> None:
        with pytest.raises(InvalidItem, match="control character"):
            to_document(morphology(1, source_id=f"neuromorpho-{character}1"))

    def test_up_to_the_limit_is_taken(self) -> None:
        size = len(to_document(morphology(1, extra={"x": ""}))[1].body)
        largest = morphology(1, extra={"x": "y" * (MAX_RECORD_BYTES - size)})
        assert len(to_document(largest)[1].body) == MAX_RECORD_BYTES

    def test_above_the_limit_is_refused_with_its_size(self) -> None:
        with pytest.raises(InvalidItem, match=f"at most {MAX_RECORD_BYTES:,}"):
            to_document(morphology(1, extra={"x": "y" * MAX_RECORD_BYTES}))


class TestRoundTrip:
    def test_gives_every_record_in_the_order_added(self, tmp_path: Path) -> None:
        records = [model(2), morphology(1), connection(end(1), end(2)), model(1)]
        staging = staged(tmp_path / "s", records)
        assert list(staging.documents()) == documents(records)
        assert (staging.records, staging.quarantined) == (4, 0)

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_keeps_names_as_they_are(self, tmp_path: Path, name: str) -> None:
        staging = staged(tmp_path / "s", [morphology(1, name=name, source_id=f"x-{ord(name[0])}")])
        ((_, document),) = staging.documents()
        assert document.parsed()["name"] == name

    @pytest.mark.parametrize("spelled", ["x-é", "x-\x85", "x-\u2028", "x-\x7f", "x- "], ids=ascii)
    def test_keeps_ids_as_they_are(self, tmp_path: Path, spelled: str) -> None:
        staging = staged(tmp_path / "s", [morphology(1, source_id=spelled), morphology(2)])
        assert [document.source_id for _, document in staging.documents()] == [spelled, "neuromorpho-2"]

    def test_works_for_nothing(self, tmp_path: Path) -> None:
        assert list(staged(tmp_path / "s", []).documents()) == []

    def test_can_be_read_again_by_another_process(self, tmp_path: Path) -> None:
        staged(tmp_path / "s", [morphology(1)])
        again = Staging(tmp_path / "s")
        assert list(again.documents()) == documents([morphology(1)])
        assert again.facts() == {"counts": {"fetched": 1}}

    def test_begins_anew_over_what_a_killed_refresh_left(self, tmp_path: Path) -> None:
        staged(tmp_path / "s", [morphology(1)])
        with Staging(tmp_path / "s") as staging:
            assert staging.facts() is None
        assert list(staging.documents()) == []

    def test_unfinished_has_no_facts(self, tmp_path: Path) -> None:
        with Staging(tmp_path / "s") as staging:
            staging.add("dataset", Document("x", b"{}"))
        assert Staging(tmp_path / "s").facts() is None
        assert Staging(tmp_path / "none").facts() is None


class TestDigest:
    def test_does_not_depend_on_the_order(self, tmp_path: Path) -> None:
        one = staged(tmp_path / "1", [morphology(1), morphology(2), model(1)])
        other = staged(tmp_path / "2", [model(1), morphology(2), morphology(1)])
        assert one.digest == other.digest

    @pytest.mark.parametrize(
        "others",
        [
            [morphology(1)],
            [morphology(1), morphology(3)],
            [morphology(1), morphology(2, name="x")],
            [morphology(1), morphology(2), model(2)],
            [],
        ],
        ids=["one less", "another", "one changed", "one more", "nothing"],
    )
    def test_tells_other_records_apart(self, tmp_path: Path, others: list[Record]) -> None:
        one = staged(tmp_path / "1", [morphology(1), morphology(2)])
        assert one.digest != staged(tmp_path / "2", others).digest


class TestMove:
    def test_keeps_everything_under_the_new_name(self, tmp_path: Path) -> None:
        staging = staged(tmp_path / "s", [morphology(1)])
        staging.move(tmp_path / "held" / "source")
        held = Staging(tmp_path / "held" / "source")
        assert list(held.documents()) == list(staging.documents()) == documents([morphology(1)])
        assert held.facts() is not None
        assert not (tmp_path / "s").exists()

    def test_replaces_what_was_there(self, tmp_path: Path) -> None:
        staged(tmp_path / "held", [morphology(1)])
        staged(tmp_path / "s", [morphology(2)]).move(tmp_path / "held")
        assert list(Staging(tmp_path / "held").documents()) == documents([morphology(2)])

    def test_removed_is_gone_and_may_be_removed_again(self, tmp_path: Path) -> None:
        staging = staged(tmp_path / "s", [morphology(1)])
        staging.remove()
        staging.remove()
        assert not (tmp_path / "s").exists()


class TestQuarantine:
    def test_keeps_source_id_and_reason(self, tmp_path: Path) -> None:
        items = [Quarantined("neuromorpho", "1", "no name"), Quarantined("neuromorpho", "神\n", "tab\there")]
        with Staging(tmp_path / "s") as staging:
            for item in items:
                staging.reject(item)
        assert (staging.quarantined, read_quarantine(tmp_path / "s", 10)) == (2, items)

    @pytest.mark.parametrize(("limit", "shown"), [(0, 0), (1, 1), (3, 3), (4, 3)])
    def test_is_read_up_to_a_limit(self, tmp_path: Path, limit: int, shown: int) -> None:
        with Staging(tmp_path / "s") as staging:
            for number in range(3):
                staging.reject(Quarantined("s", str(number), "reason"))
        assert [item.id for item in read_quarantine(tmp_path / "s", limit)] == ["0", "1", "2"][:shown]

    def test_is_empty_where_nothing_was_ever_refreshed(self, tmp_path: Path) -> None:
        assert read_quarantine(tmp_path / "none", 10) == []

    @pytest.mark.parametrize(("extra", "shortened"), [(0, False), (1, True), (5_000_000, True)])
    def test_shortens_long_reasons(self, tmp_path: Path, extra: int, shortened: bool) -> None:
        reason = "x" * (MAX_REASON + extra)
        with Staging(tmp_path / "s") as staging:
            staging.reject(Quarantined("s", "1", reason))
        (item,) = read_quarantine(tmp_path / "s", 1)
        assert item.reason == ("x" * MAX_REASON + " …" if shortened else reason)


def test_a_folder_that_cannot_be_written_is_named() -> None:
    script = (
        "from pathlib import Path\nfrom helpers.staging import Staging\n---\n"
        "with Staging(Path(sys.argv[1]) / 's'):\n    print('began')"
    )
    with folder_with(0o555) as folder:
        said = run_without_rights(script, str(folder))
    assert said.startswith(f"{StorageUnavailable.__name__} {folder}")


def test_a_folder_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(StorageUnavailable, match=str(tmp_path / "file")),
        Staging(tmp_path / "file" / "s"),
    ):
        pytest.fail("it cannot be written")
