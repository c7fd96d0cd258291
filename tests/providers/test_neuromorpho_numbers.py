"""NeuroMorpho.Org: numbers, measurements, notes, wrong types, and which neurons are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.errors import InvalidItem
from helpers.providers.neuromorpho import Choice
from helpers.staging import to_document
from tests.providers.test_neuromorpho import MISSING, MORPHOMETRY, V8, record


class TestMeasurements:
    def test_are_those_of_the_morphometry_with_units(self) -> None:
        assert record(MORPHOMETRY).measurements.model_dump() == {
            "soma_surface_um2": 512.6,
            "surface_um2": 8000.3,
            "volume_um3": 1900.1,
            "length_um": 12000.5,
            "width_um": 100.5,
            "height_um": 200.5,
            "depth_um": 50.5,
            "diameter_um": 0.75,
            "euclidean_distance_um": 300.5,
            "path_distance_um": 500.5,
            "n_stems": 5.0,
            "n_bifurcations": 394.0,
            "n_branches": 790.0,
            "branch_order": 30.0,
            "contraction": 0.9,
            "fragmentation": 6000.0,
            "partition_asymmetry": 0.5,
            "pk_classic": 1.5,
            "bifurcation_angle_local_deg": 70.5,
            "bifurcation_angle_remote_deg": 60.5,
            "fractal_dimension": 1.03,
        }

    def test_of_the_neuron_stand_in_where_there_is_no_morphometry(self) -> None:
        made = record(None).measurements.model_dump(exclude_none=True)
        assert made == {"soma_surface_um2": 512.5, "surface_um2": 8000.25, "volume_um3": 1900.0}

    @pytest.mark.parametrize("said", MISSING, ids=repr)
    def test_missing_are_null(self, said: str | None) -> None:
        morphometry = MORPHOMETRY | {"soma_Surface": said, "fractal_Dim": said, "n_bifs": said}
        made = record(morphometry, soma_surface=said).measurements
        assert (made.soma_surface_um2, made.fractal_dimension, made.n_bifurcations) == (None, None, None)

    @pytest.mark.parametrize("zero", [0, 0.0, "0", "0.0", "0.00"], ids=repr)
    def test_no_cell_has_a_surface_of_zero(self, zero: Any) -> None:
        morphometry = MORPHOMETRY | {"soma_Surface": zero, "surface": zero, "volume": zero, "length": zero}
        made = record(morphometry, soma_surface=zero, surface=zero, volume=zero).measurements
        assert (made.soma_surface_um2, made.surface_um2, made.volume_um3, made.length_um) == (None,) * 4

    @pytest.mark.parametrize("zero", [0, "0.0"], ids=repr)
    def test_a_cell_may_have_no_bifurcation(self, zero: Any) -> None:
        made = record(MORPHOMETRY | {"n_bifs": zero, "branch_Order": zero}).measurements
        assert (made.n_bifurcations, made.branch_order) == (0.0, 0.0)

    @pytest.mark.parametrize("value", [394, 394.0, "394", " 394.0 ", "3.94e2"], ids=repr)
    def test_are_numbers_in_any_form(self, value: Any) -> None:
        assert record(MORPHOMETRY | {"n_bifs": value}).measurements.n_bifurcations == 394.0

    @pytest.mark.parametrize(
        "value",
        ["many", "1,5", "12 µm", "1_000", "0x10", [], [1], {}, True, "inf", "-Infinity", "1e999"],
        ids=repr,
    )
    def test_that_are_no_numbers_never_become_one(self, value: Any) -> None:
        try:
            made = record(MORPHOMETRY | {"n_bifs": value})
        except (InvalidItem, ValueError) as error:
            assert "n_bifs" in str(error) or "n_bifurcations" in str(error)
        else:
            assert made.measurements.n_bifurcations is None

    def test_that_we_do_not_know_are_kept(self) -> None:
        """Every field that an item has upstream is kept, in the morphometry too."""
        made = record(MORPHOMETRY | {"new_measure": 7.5})
        assert "7.5" in to_document(made)[1].body.decode()

    def test_of_another_neuron_are_not_ours(self) -> None:
        made = record({"neuron_id": 4321, "neuron_name": "x"}).measurements
        assert made.length_um is None


class TestNumbers:
    @pytest.mark.parametrize(
        ("said", "number"),
        [("300.00", 300.0), (" 40 ", 40.0), (40, 40.0), (0.5, 0.5), ("0", 0.0), ("-1.5", -1.5)],
        ids=repr,
    )
    def test_may_be_texts(self, said: Any, number: float) -> None:
        made = record(slicing_thickness=said, magnification=said, min_age=said)
        assert (made.slicing_thickness_um, made.magnification, made.min_age) == (number,) * 3

    @pytest.mark.parametrize("said", ["about 300", "40x", "20, 40", ">1", ["40", "60"], {"x": 40}], ids=repr)
    def test_that_cannot_be_read_are_kept_as_said(self, said: Any) -> None:
        made = record(magnification=said)
        assert (made.magnification, made.extra["magnification"]) == (None, said)

    @pytest.mark.parametrize("said", ["inf", "-inf", "Infinity", "1e999", "1_000", True], ids=repr)
    def test_that_only_python_reads_never_become_one(self, said: Any) -> None:
        try:
            made = record(magnification=said)
        except ValueError as error:
            assert "magnification" in str(error)
        else:
            assert (made.magnification, made.extra.get("magnification")) == (None, said)

    def test_are_never_rounded(self) -> None:
        assert record(slicing_thickness="0.1234567890123").slicing_thickness_um == 0.1234567890123


@pytest.mark.parametrize("said", ["15/03/2024", "2024-3-15", "2024", "2024-03-15T00:00:00Z", "soon"])
def test_a_date_in_another_form_is_named_or_kept_but_never_taken_for_a_day(said: str) -> None:
    try:
        made = record(upload_date=said)
    except ValueError as error:
        assert "upload_date" in str(error)
    else:
        assert made.upload_date in (None, "2024-03-15")
        assert made.extra.get("upload_date") == said or made.upload_date


class TestUnknownFields:
    def test_are_kept_under_extra_as_they_are(self) -> None:
        new = {"cohort": "B", "nested": {"a": [1, None, {"b": "é"}]}, "flag": False, "zero": 0}
        made = record(**new)
        assert made.extra == {"links": V8["_links"], **new}

    def test_that_are_missing_are_left_out(self) -> None:
        assert record(cohort="Not reported", other=None).extra == {"links": V8["_links"]}

    def test_nothing_of_a_neuron_is_lost(self) -> None:
        """Every value that is present stands somewhere in the record."""
        marked = {key: f"mark-{key}" for key in ("species", "strain", "stain", "protocol", "domain", "newer")}
        body = to_document(record(**marked))[1].body.decode()
        assert [key for key, value in marked.items() if value not in body] == []


class TestNotes:
    @pytest.mark.parametrize(
        ("note", "description", "raw_is_kept"),
        [
            ("Plain words.", "Plain words.", False),
            (' See <a href=" /x.html">older\n version</a><br>', "See older version", True),
            ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4", None),
            ("<br/>", None, True),
            ("Not reported", None, False),
        ],
        ids=str,
    )
    def test_are_text_with_the_markup_beside_it(
        self, note: str, description: str | None, raw_is_kept: bool | None
    ) -> None:
        made = record(note=note)
        if raw_is_kept is not None:
            assert made.description == description
            assert made.extra.get("note") == (note.strip() if raw_is_kept else None)

    @pytest.mark.parametrize(
        "note",
        [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<a href=javascript:x>y</a",
            "<<b>b>x<</b>/b>",
        ],
    )
    def test_leave_no_tag_in_the_text(self, note: str) -> None:
        description = record(note=note).description or ""
        assert "<script" not in description and "<img" not in description and "<b>" not in description

    def test_of_any_length_are_quick(self) -> None:
        made = record(note="<" * 100_000)
        assert made.name == "rb-ca1-7"


@pytest.mark.parametrize(
    "field", ["species", "archive", "strain", "note", "png_url", "original_format", "upload_date", "domain"]
)
@pytest.mark.parametrize("value", [["a list"], {"an": "object"}], ids=["a list", "an object"])
def test_a_text_of_another_type_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidItem, match=f"{field} is .*one text is expected"):
        record(**{field: value})


@pytest.mark.parametrize("field", ["brain_region", "cell_type", "experiment_condition", "reference_pmid"])
@pytest.mark.parametrize("value", [{"a": 1}, [["nested"]], [{"a": 1}]], ids=str)
def test_a_list_of_another_type_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidItem, match=f"{field} is .*a list of texts is expected"):
        record(**{field: value})


@pytest.mark.parametrize("field", ["species", "strain", "neuron_name", "archive"])
def test_a_text_of_any_length_ends_in_a_reason(field: str) -> None:
    with pytest.raises(ValueError, match="2000 characters"):
        record(**{field: "x" * 2001})


class TestChoice:
    @pytest.mark.parametrize(
        ("allowed", "not_allowed", "value", "passes"),
        [
            ([], [], "Dendrites, Soma, Axon", True),
            ([], [], None, True),
            (["Axon"], [], "Dendrites, Soma, Axon", True),
            (["Axon"], [], "Dendrites, Soma, No Axon", False),
            (["axon", "SOMA"], [], "Dendrites, Axon, Soma", True),
            (["Dendrites", "Axon"], [], "Axon, Soma", False),
            ([], ["Axon"], "Dendrites, Soma, No Axon", True),
            ([], ["No Axon"], "Dendrites, Soma, No Axon", False),
            ([], ["no  axon"], "Dendrites,No   Axon", False),
            (["Soma"], ["Axon"], "Soma, Axon", False),
            (["Soma"], ["Axon"], " soma ", True),
            (["Axon"], [], None, False),
            (["Axon"], [], "", False),
            ([], ["Axon"], None, True),
            (["Diameter"], [], "No Diameter, 3D, Angles", False),
            (["Dendrites & Axon Complete"], [], "Dendrites & Axon Complete", True),
            (["Dendrites Complete"], [], "Dendrites & Axon Complete", False),
            (["Axon"], [], "Axonal", False),
        ],
    )
    def test_compares_whole_items_in_any_order(
        self, allowed: list[str], not_allowed: list[str], value: str | None, passes: bool
    ) -> None:
        assert Choice.of(allowed=allowed, not_allowed=not_allowed).passes(value) is passes
