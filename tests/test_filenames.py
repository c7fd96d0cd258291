"""Names of files in zips: safe on every system, and each of them once."""

from __future__ import annotations

import unicodedata

import pytest

from helpers.filenames import MAX_BYTES, UniqueNames, safe_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("TypeA-10.CNG.swc", "TypeA-10.CNG.swc", id="an ordinary name stays"),
        pytest.param("cell 1 (left).asc", "cell 1 (left).asc", id="blanks within stay"),
        pytest.param("../../etc/passwd", "_.._etc_passwd", id="a way out of the folder"),
        pytest.param("..\\..\\x.swc", "_.._x.swc", id="a way out on Windows"),
        pytest.param("/etc/passwd", "_etc_passwd", id="an absolute path"),
        pytest.param("C:\\x.swc", "C__x.swc", id="a drive"),
        pytest.param("..", "id-1", id="nothing but dots"),
        pytest.param("", "id-1", id="nothing"),
        pytest.param(" .hidden.swc. ", "hidden.swc", id="dots and blanks at the edges"),
        pytest.param("a\x00b\nc\x7f.swc", "a_b_c_.swc", id="control characters"),
        pytest.param('a<b>c:d"e|f?g*h.swc', "a_b_c_d_e_f_g_h.swc", id="characters that Windows forbids"),
        pytest.param("gpj\u202ecws.exe", "gpj_cws.exe", id="a change of text direction"),
        pytest.param("a\udcffb.swc", "a_b.swc", id="half of a surrogate pair"),
        pytest.param("a\u2028b.swc", "a_b.swc", id="a line separator"),
        pytest.param("CON", "_CON", id="a device of Windows"),
        pytest.param("nul.swc", "_nul.swc", id="a device with an extension"),
        pytest.param("Com1.CNG.swc", "_Com1.CNG.swc", id="a port with two extensions"),
        pytest.param("lpt² .swc", "_lpt² .swc", id="a port with a raised digit and a blank"),
        pytest.param("console.swc", "console.swc", id="no device, only begins like one"),
        pytest.param("e\u0301.swc", "é.swc", id="decomposed letters are composed"),
    ],
)
def test_safe_name(name: str, expected: str) -> None:
    assert safe_name(name, "id-1") == expected


@pytest.mark.parametrize("letter", ["a", "é", "神", "🧠"])
@pytest.mark.parametrize("length", [145, 146, 147, 150, 151, 300, 5000])
def test_long_names_are_cut_between_letters_and_keep_the_extension(letter: str, length: int) -> None:
    name = safe_name(letter * length + ".swc")
    assert len(name.encode()) <= MAX_BYTES
    assert name.endswith(f"{letter}.swc")
    assert len(name.encode()) > MAX_BYTES - 4 or name == letter * length + ".swc"


def test_what_is_too_long_is_no_extension() -> None:
    name = safe_name("a." + "b" * 400)
    assert name == "a." + "b" * (MAX_BYTES - 2)


def test_a_name_that_is_cut_ends_with_no_blank_or_dot() -> None:
    assert safe_name("a" * (MAX_BYTES - 1) + ". ." + "b" * 100) == "a" * (MAX_BYTES - 1)


def test_an_unsafe_fallback_is_made_safe_too() -> None:
    assert safe_name("..", "../x") == "_x"
    assert safe_name("..", "...") == "file"


def test_a_taken_name_gets_the_record_id_then_a_number() -> None:
    names = UniqueNames()
    taken = [names.take("cell.CNG.swc", one) for one in ("neuromorpho-1", "neuromorpho-2", "neuromorpho-2")]
    assert taken == ["cell.CNG.swc", "cell.CNG_neuromorpho-2.swc", "cell.CNG_neuromorpho-2_2.swc"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("Cell.swc", "cELL.SWC", id="letter case"),
        pytest.param("É.swc", "e\u0301.swc", id="case and composition"),
        pytest.param("straße.swc", "STRASSE.swc", id="letters that fold to two"),
        pytest.param("a/b.swc", "a_b.swc", id="the same once made safe"),
        pytest.param("x" * 200 + ".swc", "x" * 300 + ".swc", id="the same once cut"),
    ],
)
def test_names_that_some_system_takes_for_one_are_told_apart(first: str, second: str) -> None:
    names = UniqueNames()
    one, two = names.take(first, "i-1"), names.take(second, "i-2")
    assert unicodedata.normalize("NFC", one.casefold()) != unicodedata.normalize("NFC", two.casefold())
    assert "_i-2" in two
    assert len(two.encode()) <= MAX_BYTES


def test_a_name_made_unique_is_taken_itself() -> None:
    names = UniqueNames()
    assert names.take("a_i-2.swc", "i-1") == "a_i-2.swc"
    assert names.take("a.swc", "i-9") == "a.swc"
    assert names.take("a.swc", "i-2") == "a_i-2_2.swc"


def test_reserved_names_are_never_given() -> None:
    names = UniqueNames(("manifest.csv", "CITATIONS.txt"))
    assert names.take("Manifest.CSV", "i-1") == "Manifest_i-1.CSV"
    assert names.take("citations.txt", "i-2") == "citations_i-2.txt"


def test_many_equal_names_with_ids_too_long_to_differ_take_no_quadratic_time() -> None:
    names = UniqueNames()
    taken = {names.take("n.swc", "i" * 500 + str(number)).casefold() for number in range(5_000)}
    assert len(taken) == 5_000
    assert max(len(name.encode()) for name in taken) <= MAX_BYTES
