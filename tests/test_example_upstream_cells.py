"""The made-up cells of the example upstream: their files and their measurements."""

from __future__ import annotations

import re

import pytest

from helpers.example_upstream import cells


@pytest.mark.parametrize(
    "domain", ["Dendrites, Soma, Axon", "Soma, Dendrites, No Axon", "Neurites, No Soma", "", "Axon"]
)
@pytest.mark.parametrize("number", [301, 5000, 5001, 5005, 5012])
def test_an_swc_is_a_tree_of_30_to_200_points_with_the_parts_of_its_domain(number: int, domain: str) -> None:
    text = cells.swc(cells.grow(number, domain)).decode("latin-1")
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert 30 <= len(rows) <= 200
    numbers: set[str] = set()
    for row in rows:
        assert len(row) == 7 and float(row[5]) > 0
        assert row[6] == "-1" or row[6] in numbers, "a parent stands before its child"
        numbers.add(row[0])
    kinds = {row[1] for row in rows}
    assert ("1" in kinds) == ("No Soma" not in domain)
    assert ("2" in kinds) == (domain.endswith("Axon") and "No Axon" not in domain)


def test_the_measurements_are_those_of_the_file() -> None:
    cell = cells.Cell(
        1,
        (
            cells.Point(1, cells.SOMA, (0.0, 0.0, 0.0), 2.0, -1),
            cells.Point(2, cells.BASAL, (3.0, 4.0, 0.0), 0.5, 1),
            cells.Point(3, cells.BASAL, (3.0, 10.0, 0.0), 0.5, 2),
            cells.Point(4, cells.BASAL, (9.0, 4.0, 0.0), 0.5, 2),
        ),
    )
    values = cells.measure(cell)
    assert values["length"] == 17.0  # 5 + 6 + 6
    assert (values["n_stems"], values["n_bifs"], values["n_branch"]) == (1.0, 1.0, 3.0)
    assert values["soma_Surface"] == pytest.approx(50.2655)  # 4 pi r²
    assert values["surface"] == pytest.approx(17 * 3.14159, abs=0.001)
    assert values["pathDistance"] == 11.0
    assert values["bif_ampl_local"] == 90.0
    assert (values["width"], values["height"], values["depth"]) == (9.0, 10.0, 0.0)


def test_an_asc_has_balanced_brackets_and_one_tree_for_each_stem() -> None:
    cell = cells.grow(5001)
    text = cells.asc(cell).decode()
    assert text.count("(") == text.count(")")
    stems = cells.measure(cell)["n_stems"]
    assert len(re.findall(r"^\( \(Color Blue\)$", text, re.MULTILINE)) == stems
