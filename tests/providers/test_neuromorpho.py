"""NeuroMorpho.Org: one raw neuron to one record, quirk by quirk (all neurons are made up)."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.errors import InvalidItem
from helpers.providers.base import Raw
from helpers.providers.neuromorpho import NeuroMorpho
from helpers.records import Morphology, Paper
from helpers.staging import to_document

BASE = "https://neuromorpho.org"
FILES = f"{BASE}/dableFiles"
V8: dict[str, Any] = {  # as the API answers since 2021
    "neuron_id": 4321,
    "neuron_name": "rb-ca1-7",
    "archive": "Riverbend",
    "note": "",
    "age_scale": "Month",
    "gender": "Male",
    "age_classification": "adult",
    "brain_region": ["hippocampus", "CA1", "pyramidal layer"],
    "cell_type": ["Local projecting", "pyramidal", "principal cell"],
    "species": "rat",
    "strain": "Swiss-Webster ",
    "scientific_name": "Rattus norvegicus",
    "stain": "biocytin",
    "experiment_condition": ["Control"],
    "protocol": "in vitro",
    "slicing_direction": "coronal",
    "slicing_thickness": "300.00",
    "reconstruction_software": "Neurolucida",
    "objective_type": "Not reported",
    "original_format": "Neurolucida.asc",
    "domain": "Dendrites, Soma, No Axon",
    "attributes": "Diameter, 3D, Angles",
    "magnification": "40",
    "upload_date": "2024-03-15",
    "deposition_date": "2023-11-02",
    "shrinkage_reported": "Reported",
    "shrinkage_corrected": "Not reported",
    "reported_value": None,
    "reported_xy": "10",
    "reported_z": None,
    "corrected_value": None,
    "corrected_xy": None,
    "corrected_z": None,
    "soma_surface": "512.5",
    "surface": "8000.25",
    "volume": "1900.0",
    "max_age": "3.0",
    "min_age": "2.0",
    "max_weight": "220.0",
    "min_weight": "Not reported",
    "png_url": "http://neuromorpho.org/images/imageFiles/Riverbend/rb-ca1-7.png",
    "reference_pmid": ["90000001"],
    "reference_doi": ["10.5555/example.2023.001"],
    "physical_Integrity": "Dendrites Complete, Axon Incomplete",
    "_links": {"self": {"href": "http://neuromorpho.org/api/neuron/id/4321"}},
}
V7_LACKS = ("age_scale", "gender")
V7: dict[str, Any] = {
    **{key: value for key, value in V8.items() if key not in V7_LACKS},
    "experiment_condition": "Control",
    "reference_pmid": None,
    "reference_doi": None,
}
MORPHOMETRY: dict[str, Any] = {
    "neuron_id": 4321,
    "neuron_name": "rb-ca1-7",
    "soma_Surface": 512.6,
    "surface": 8000.3,
    "volume": 1900.1,
    "n_stems": 5.0,
    "n_bifs": 394.0,
    "n_branch": 790.0,
    "width": 100.5,
    "height": 200.5,
    "depth": 50.5,
    "diameter": 0.75,
    "length": 12000.5,
    "eucDistance": 300.5,
    "pathDistance": 500.5,
    "branch_Order": 30.0,
    "contraction": 0.9,
    "fragmentation": 6000.0,
    "partition_asymmetry": 0.5,
    "pk_classic": 1.5,
    "bif_ampl_local": 70.5,
    "bif_ampl_remote": 60.5,
    "fractal_Dim": 1.03,
    "_links": {"self": {"href": "http://neuromorpho.org/api/morphometry/id/4321"}},
}
MISSING = [
    None,
    "",
    "  ",
    "Not reported",
    "Not Reported",
    "not reported",
    "NOT REPORTED",
    " Not reported ",
    "Not applicable",
    "Not Applicable",
    "None",
    "NaN",
]


def record(morphometry: dict[str, Any] | None = None, **changes: Any) -> Morphology:
    """The record of a neuron that differs so from the usual one."""
    neuron = V8 | changes
    return NeuroMorpho.normalise(
        Raw(str(neuron["neuron_id"]), {"neuron": neuron, "morphometry": morphometry}, BASE)
    )


def test_a_neuron_of_version_8_is_kept_whole() -> None:
    made = record(MORPHOMETRY)
    assert made.model_dump(exclude={"measurements", "papers", "citations", "extra", "provenance"}) == {
        "source_id": "neuromorpho-4321",
        "id": "4321",
        "type": "morphology",
        "accession": "NMO_04321",
        "name": "rb-ca1-7",
        "source": "Neuromorpho",
        "description": None,
        "region": "hippocampus",
        "secondary_region": ("CA1",),
        "layers": ("pyramidal layer",),
        "brain_region": ("hippocampus", "CA1", "pyramidal layer"),
        "cell_type": "Local projecting",
        "cell_types": ("Local projecting", "pyramidal", "principal cell"),
        "species": "rat",
        "strain": "Swiss-Webster",
        "scientific_name": "Rattus norvegicus",
        "archive": "Riverbend",
        "gender": "Male",
        "age_classification": "adult",
        "age_scale": "Month",
        "min_age": 2.0,
        "max_age": 3.0,
        "min_weight_g": None,
        "max_weight_g": 220.0,
        "stain": "biocytin",
        "experiment_condition": ("Control",),
        "protocol": "in vitro",
        "slicing_direction": "coronal",
        "slicing_thickness_um": 300.0,
        "objective_type": None,
        "magnification": 40.0,
        "reconstruction_software": "Neurolucida",
        "original_format": "Neurolucida.asc",
        "domain": "Dendrites, Soma, No Axon",
        "attributes": "Diameter, 3D, Angles",
        "physical_integrity": "Dendrites Complete, Axon Incomplete",
        "deposition_date": "2023-11-02",
        "upload_date": "2024-03-15",
        "shrinkage": {"shrinkage_reported": "Reported", "reported_xy": "10"},
        "page_link": f"{BASE}/neuron_info.jsp?neuron_name=rb-ca1-7",
        "icon": "https://neuromorpho.org/images/imageFiles/Riverbend/rb-ca1-7.png",
        "licence": "CC BY 4.0",
        "download_link": f"{FILES}/riverbend/Source-Version/rb-ca1-7.asc",
        "original_link": f"{FILES}/riverbend/Source-Version/rb-ca1-7.asc",
        "standard_link": f"{FILES}/riverbend/CNG%20version/rb-ca1-7.CNG.swc",
        "log_link": f"{FILES}/riverbend/Standardization%20log/rb-ca1-7.std",
    }
    assert made.provenance.model_dump() == {
        "source": "neuromorpho",
        "url": f"{BASE}/api/neuron/id/4321",
        "release": "2024-03-15",
    }
    assert made.citations[0] == "NeuroMorpho.Org (RRID:SCR_002145)"
    assert made.extra == {"links": V8["_links"]}


def test_a_neuron_of_version_7_has_the_same_shape() -> None:
    made = NeuroMorpho.normalise(Raw("4321", {"neuron": V7, "morphometry": None}, BASE))
    assert (made.experiment_condition, made.papers) == (("Control",), ())
    assert (made.gender, made.age_scale) == (None, None)
    assert made.model_dump(include={"name", "region", "cell_types"}) == record().model_dump(
        include={"name", "region", "cell_types"}
    )


def test_the_same_neuron_gives_the_same_bytes() -> None:
    assert to_document(record(MORPHOMETRY)) == to_document(record(dict(MORPHOMETRY)))


class TestMissing:
    @pytest.mark.parametrize("said", MISSING, ids=repr)
    def test_text_is_null(self, said: str | None) -> None:
        made = record(strain=said, stain=said, protocol=said, scientific_name=said, gender=said, domain=said)
        assert {made.strain, made.stain, made.protocol, made.scientific_name, made.gender, made.domain} == {
            None
        }

    @pytest.mark.parametrize("said", MISSING, ids=repr)
    def test_number_is_null_and_not_zero(self, said: str | None) -> None:
        made = record(slicing_thickness=said, magnification=said, min_age=said, max_weight=said)
        numbers = (made.slicing_thickness_um, made.magnification, made.min_age, made.max_weight_g)
        assert set(numbers) == {None}
        assert made.extra == record().extra, "what is missing is no text to keep"

    @pytest.mark.parametrize(
        "said", [None, [], "", "Not reported", [None], ["Not reported", "", None]], ids=repr
    )
    def test_list_is_empty(self, said: Any) -> None:
        made = record(
            brain_region=said,
            cell_type=said,
            experiment_condition=said,
            reference_pmid=said,
            reference_doi=said,
        )
        assert (made.brain_region, made.cell_types, made.experiment_condition, made.papers) == (
            (),
            (),
            (),
            (),
        )
        assert (made.region, made.secondary_region, made.cell_type) == (None, (), None)

    @pytest.mark.parametrize("field", sorted({*V8} - {"neuron_id", "neuron_name"}))
    def test_field_is_no_reason_to_lose_a_neuron(self, field: str) -> None:
        neuron = {key: value for key, value in V8.items() if key != field}
        made = NeuroMorpho.normalise(Raw("4321", {"neuron": neuron, "morphometry": MORPHOMETRY}, BASE))
        assert made.name == "rb-ca1-7"
        assert '""' not in to_document(made)[1].body.decode()

    def test_items_of_a_list_are_left_out(self) -> None:
        made = record(cell_type=["pyramidal", "Not reported", None, " pyramidal ", "principal cell"])
        assert made.cell_types == ("pyramidal", "principal cell")

    def test_shrinkage_may_be_said_by_one_letter(self) -> None:
        assert "shrinkage_reported" not in record(shrinkage_reported="N").shrinkage

    def test_negative_pmid_means_that_there_is_no_paper(self) -> None:
        assert record(reference_pmid=["-26"], reference_doi=[]).papers == ()

    def test_archive_leaves_no_files_to_link_to(self) -> None:
        made = record(archive=None)
        links = (made.archive, made.download_link, made.standard_link, made.original_link, made.log_link)
        assert set(links) == {None}


class TestRegions:
    @pytest.mark.parametrize(
        ("path", "region", "secondary", "layers"),
        [
            (["hippocampus"], "hippocampus", (), ()),
            (["hippocampus", "CA1"], "hippocampus", ("CA1",), ()),
            (["hippocampus", "left", "CA1"], "hippocampus", ("CA1",), ()),
            (["Right", "hippocampus", "CA3"], "hippocampus", ("CA3",), ()),
            (
                ["hippocampus", "CA1", "layer 2", "Stratum oriens"],
                "hippocampus",
                ("CA1",),
                ("layer 2", "Stratum oriens"),
            ),
            (["neocortex", "layer 2-3"], "neocortex", ("layer 2-3",), ("layer 2-3",)),
            (["neocortex", "multilayered area"], "neocortex", ("multilayered area",), ()),
        ],
        ids=str,
    )
    def test_run_from_general_to_specific(
        self, path: list[str], region: str, secondary: tuple[str, ...], layers: tuple[str, ...]
    ) -> None:
        made = record(brain_region=path)
        assert (made.region, made.secondary_region, made.layers) == (region, secondary, layers)
        assert made.brain_region == tuple(path), "the whole path is kept, sides too"

    def test_may_be_a_plain_text(self) -> None:
        assert record(brain_region="hippocampus", cell_type="pyramidal").brain_region == ("hippocampus",)


class TestPapers:
    @pytest.mark.parametrize(
        ("pmids", "dois", "papers"),
        [
            (["1"], ["10.5/a"], [("doi:10.5/a", "1", "10.5/a")]),
            (["1"], [], [("PMID 1", "1", None)]),
            (["1"], None, [("PMID 1", "1", None)]),
            (["-26"], ["10.5/a"], [("doi:10.5/a", None, "10.5/a")]),
            (["-26"], ["Not reported"], []),
            ([1], ["10.5/a"], [("doi:10.5/a", "1", "10.5/a")]),
            (
                ["1", "2"],
                ["10.5/a", "10.5/b"],
                [("doi:10.5/a", "1", "10.5/a"), ("doi:10.5/b", "2", "10.5/b")],
            ),
            (["1", "-26"], [], [("PMID 1", "1", None)]),
            (
                ["1", "2"],
                ["10.5/a"],
                [("PMID 1", "1", None), ("PMID 2", "2", None), ("doi:10.5/a", None, "10.5/a")],
            ),
            ("1", "10.5/a", [("doi:10.5/a", "1", "10.5/a")]),
        ],
        ids=str,
    )
    def test_have_pmid_and_doi_where_both_are_known(self, pmids: Any, dois: Any, papers: list[Any]) -> None:
        made = record(reference_pmid=pmids, reference_doi=dois).papers
        assert [(paper.label, paper.pmid, paper.doi) for paper in made] == papers

    def test_have_links(self) -> None:
        doi, pmid = (
            record(reference_pmid=["7", "8"], reference_doi=["10.5/a<b>#c?d"]).papers[2],
            record(reference_doi=None).papers[0],
        )
        assert doi.url == "https://doi.org/10.5/a%3Cb%3E%23c%3Fd"
        assert pmid == Paper(
            label="PMID 90000001", url="https://pubmed.ncbi.nlm.nih.gov/90000001/", pmid="90000001"
        )

    @pytest.mark.parametrize("said", ["https://doi.org/10.5/a", "doi:10.5/a", "DOI 10.5/a"])
    def test_doi_in_another_spelling_is_not_lost(self, said: str) -> None:
        made = record(reference_pmid=None, reference_doi=[said])
        kept = [paper.doi for paper in made.papers] or made.extra.get("reference_doi")
        assert kept in (["10.5/a"], [said])


NAMES = [
    pytest.param("a b", "a%20b", id="a blank"),
    pytest.param("a/b", "a%2Fb", id="a slash"),
    pytest.param("../../x", "..%2F..%2Fx", id="a way up"),
    pytest.param("a'b\"c", "a%27b%22c", id="quotes"),
    pytest.param("<img src=x>", "%3Cimg%20src%3Dx%3E", id="markup"),
    pytest.param("神経-é", "%E7%A5%9E%E7%B5%8C-%C3%A9", id="other scripts"),
    pytest.param("a#b?c=1&d%41", "a%23b%3Fc%3D1%26d%2541", id="signs of URLs"),
    pytest.param("a\\b", "a%5Cb", id="a backslash"),
    pytest.param("a\r\nb", "a%0D%0Ab", id="a line end"),
]


class TestNames:
    @pytest.mark.parametrize(("name", "quoted"), NAMES)
    def test_are_quoted_in_every_url_and_kept_as_they_are(self, name: str, quoted: str) -> None:
        made = record(neuron_name=name)
        assert made.name == name
        assert made.standard_link == f"{FILES}/riverbend/CNG%20version/{quoted}.CNG.swc"
        assert made.original_link == f"{FILES}/riverbend/Source-Version/{quoted}.asc"
        assert made.log_link == f"{FILES}/riverbend/Standardization%20log/{quoted}.std"
        assert made.page_link == f"{BASE}/neuron_info.jsp?neuron_name={quoted}"

    @pytest.mark.parametrize(
        ("archive", "folder"),
        [
            ("Allen Cell Types", "allen%20cell%20types"),
            ("A_B", "a_b"),
            ("../x", "..%2Fx"),
            ("Ärchiv", "%C3%A4rchiv"),
        ],
    )
    def test_of_archives_are_folders_in_lower_case(self, archive: str, folder: str) -> None:
        made = record(archive=archive)
        assert (made.archive, made.standard_link) == (
            archive,
            f"{FILES}/{folder}/CNG%20version/rb-ca1-7.CNG.swc",
        )

    @pytest.mark.parametrize("name", [None, "", "  ", "\n", 5, [], ["x"], {}, True], ids=repr)
    def test_that_are_none_are_refused_with_what_was_seen(self, name: Any) -> None:
        with pytest.raises(InvalidItem, match=r"neuron_name is .*a name is required"):
            record(neuron_name=name)

    def test_absent_are_refused(self) -> None:
        neuron = {key: value for key, value in V8.items() if key != "neuron_name"}
        with pytest.raises(InvalidItem, match="neuron_name"):
            NeuroMorpho.normalise(Raw("4321", {"neuron": neuron}, BASE))

    def test_with_nul_are_refused_before_they_are_stored(self) -> None:
        with pytest.raises(InvalidItem, match=r"U\+0000"):
            to_document(record(neuron_name="a\0b"))


class TestFiles:
    @pytest.mark.parametrize(
        ("original_format", "ending", "viewable"),
        [
            ("Neurolucida.asc", "asc", True),
            ("Neurolucida.ASC", "ASC", True),
            ("Neuron_Morpho.swc", "swc", True),
            ("neuTu, Raveler.swc", "swc", True),
            ("Neurolucida.dat", "DAT", False),
            ("Neurolucida.DAT", "DAT", False),
            ("Custom.xml", "morph.xml", False),
            ("Neurolucida.xml", "xml", False),
            ("Imaris.ims", "ims", False),
            ("Odd.a/b", "a%2Fb", False),
        ],
    )
    def test_follow_from_the_original_format(self, original_format: str, ending: str, viewable: bool) -> None:
        made = record(original_format=original_format)
        assert made.original_link == f"{FILES}/riverbend/Source-Version/rb-ca1-7.{ending}"
        assert made.download_link == (made.original_link if viewable else made.standard_link)
        assert made.original_format == original_format

    @pytest.mark.parametrize("original_format", [None, "Not reported", "Neurolucida", "", "Neurolucida."])
    def test_without_an_extension_are_the_standard_ones(self, original_format: str | None) -> None:
        made = record(original_format=original_format)
        assert (made.original_link, made.download_link) == (None, made.standard_link)

    def test_are_never_pages_that_programs_may_not_ask_for(self) -> None:
        made = record(original_format="Evil.jsp", png_url="http://neuromorpho.org/x.jsp")
        for link in (made.download_link, made.original_link, made.icon):
            assert link is None or ".jsp" not in link

    @pytest.mark.parametrize(
        ("said", "icon"),
        [
            ("http://neuromorpho.org/images/A b/é.png", "https://neuromorpho.org/images/A%20b/%C3%A9.png"),
            ("https://neuromorpho.org/x%20y.png", "https://neuromorpho.org/x%20y.png"),
            ('http://neuromorpho.org/"><script>.png', "https://neuromorpho.org/%22%3E%3Cscript%3E.png"),
            ("javascript:alert(1)", None),
            ("//neuromorpho.org/x.png", None),
            ("/x.png", None),
            ("Not reported", None),
            (None, None),
        ],
        ids=str,
    )
    def test_pictures_are_https(self, said: str | None, icon: str | None) -> None:
        assert record(png_url=said).icon == icon

    def test_are_below_the_base_that_was_asked(self) -> None:
        made = NeuroMorpho.normalise(Raw("1", {"neuron": V8}, "http://127.0.0.1:9/neuromorpho"))
        assert made.standard_link == (
            "http://127.0.0.1:9/neuromorpho/dableFiles/riverbend/CNG%20version/rb-ca1-7.CNG.swc"
        )
