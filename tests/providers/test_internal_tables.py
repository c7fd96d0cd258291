"""Tables of own files as text: their forms, and what is said about those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.errors import InvalidItem
from helpers.providers.internal_tables import Row, column_name, read_table

NAMES = {name: name for name in ("id", "name", "file", "layers", "presynaptic_name")} | {
    "download_link": "file"
}


def rows(path: Path, content: bytes) -> list[Row]:
    path.write_bytes(content)
    return list(read_table(path, NAMES))


@pytest.mark.parametrize("mark", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_csv_forms(tmp_path: Path, mark: str, end: str, bom: bytes) -> None:
    table = ["id", " Name", "file", "layers", ""], ["a", '"Zelle, groß"', "", '"SP;SR"', ""], [""] * 5
    content = end.join(mark.join(row) for row in table)
    (row,) = rows(tmp_path / "t.csv", bom + content.encode())
    assert row == Row("t.csv", 2, {"id": "a", "name": "Zelle, groß", "layers": "SP;SR"})


def test_delimiter_is_that_of_the_columns_not_of_their_names(tmp_path: Path) -> None:
    (row,) = rows(tmp_path / "t.csv", b"id;a,b,c,d;name\n1;x;N\n")
    assert row.cells == {"id": "1", "a,b,c,d": "x", "name": "N"}


@pytest.mark.parametrize(
    ("written", "column"),
    [
        (" ID ", "id"),
        ("presynaptic.name", "presynaptic_name"),
        ("Presynaptic  Name", "presynaptic_name"),
        ("Bath temp. (C)", "Bath temp. (C)"),
    ],
)
def test_column_name(written: str, column: str) -> None:
    assert column_name(written, NAMES) == column


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    found = rows(tmp_path / "t.csv", b'\n\nid,name\n"a","A\nof two lines"\n\n , \n,\nb,5" B\n')
    assert [(row.line, row.cells) for row in found] == [
        (4, {"id": "a", "name": "A\nof two lines"}),
        (9, {"id": "b", "name": '5" B'}),
    ]


def test_json_lines_are_those_of_the_file(tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbf\n[ {"id": 1,\n"name": "A"}\n,\n'
        b'{"ID": "b", "presynaptic": {"name": "X"}, "file": null}, 7]\n'
    )
    found = rows(tmp_path / "t.json", content)
    assert [(row.line, row.cells) for row in found] == [
        (2, {"id": 1, "name": "A"}),
        (5, {"id": "b", "presynaptic_name": "X"}),
        (5, {}),
    ]
    assert found[2].problems == ("must be an object {...}, got 7",)


@pytest.mark.parametrize("content", [b"[]", b" [ ]\n", b"id,name\n"], ids=["list", "white", "header"])
def test_table_without_rows(tmp_path: Path, content: bytes) -> None:
    assert rows(tmp_path / ("t.csv" if content.startswith(b"id") else "t.json"), content) == []


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        pytest.param(b"a,Gro\xdf", "is not UTF-8 (byte 0xDF at 6); save it as CSV UTF-8", id="encoding"),
        pytest.param(b"a," + b"x" * 3_000_000, "is longer than 1,000,000 bytes", id="long line"),
        pytest.param(b"a," + b"x" * 200_000, "field larger than field limit (131072)", id="long cell"),
        pytest.param(b'a,"A"x', "',' expected after '\"'", id="quote"),
    ],
)
def test_line_that_cannot_be_read_costs_its_row(tmp_path: Path, bad: bytes, problem: str) -> None:
    broken, good = rows(tmp_path / "t.csv", b"id,name\n" + bad + b"\nb,B\n")
    assert (broken.line, broken.cells, broken.problems) == (2, {}, (f"cannot be read: {problem}",))
    assert (good.line, good.cells) == (3, {"id": "b", "name": "B"})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("t.csv", b"", "t.csv is empty", id="empty"),
        pytest.param("t.csv", b"name,file\nA,a\n", "t.csv line 1: no column 'id'", id="no id"),
        pytest.param("t.csv", b"id,file\nA,a\n", "t.csv line 1: no column 'name'", id="no name"),
        pytest.param(
            "t.csv", b"id,name,file,download link\n", "line 1: the column 'file' stands", id="twice"
        ),
        pytest.param("t.csv", "id,name\n".encode("utf-16"), "line 1: the column names cannot", id="UTF-16"),
        pytest.param("t.csv", b"id,name,a\x00b\n", "t.csv line 1: the column name 'a", id="control"),
        pytest.param("t.csv", b'id,name\na,"A\nb,B\n', "t.csv line 2: cannot be read", id="open quote"),
        pytest.param("t.csv", b'id,name\na,"\xdf\nb",B\n', "t.csv line 2: cannot be read", id="bad quote"),
        pytest.param("t.json", b"", "t.json line 1: must be a list of objects", id="no JSON"),
        pytest.param("t.json", b"{}", "t.json line 1: must be a list of objects", id="object"),
        pytest.param("t.json", b'[\n{"id": NaN}]', "t.json line 2: no valid JSON: NaN is no", id="NaN"),
        pytest.param("t.json", b"[\n{}\n{}]", "t.json line 3: no valid JSON: a comma or ]", id="comma"),
        pytest.param(
            "t.json", b"[\n{},\n]", "t.json line 3: no valid JSON: Expecting value", id="last comma"
        ),
        pytest.param("t.json", b'[\n{"id": "\xff"}]', "t.json line 2: is not UTF-8 (byte 0xFF)", id="bytes"),
        pytest.param("t.json", b"[" * 100_000, "t.json line 1: no valid JSON: ", id="deep"),
    ],
)
def test_table_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidItem) as caught:
        rows(tmp_path / name, content)
    assert reason in str(caught.value)


def test_rows_before_the_break_are_given(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'id,name\na,A\nb,"B\nc,C\n')
    table = read_table(tmp_path / "t.csv", NAMES)
    assert next(table).cells == {"id": "a", "name": "A"}
    with pytest.raises(InvalidItem, match=r"t\.csv line 3: cannot be read"):
        next(table)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        pytest.param("a,A,x", "column 3: a value, 'x', in a column without a name", id="more cells"),
        pytest.param("a,r\x00t", "column name: holds a character that no text may hold (U+0000)", id="NUL"),
    ],
)
def test_cell_that_no_record_may_hold(tmp_path: Path, row: str, problem: str) -> None:
    (found,) = rows(tmp_path / "t.csv", f"id,name\n{row}\n".encode())
    assert found.problems == (problem,)
    assert found.cells["id"] == "a"


def test_absent_table(tmp_path: Path) -> None:
    with pytest.raises(InvalidItem, match=r"gone\.csv cannot be read: No such file"):
        list(read_table(tmp_path / "gone.csv", NAMES))
