"""Listing a model's zip: what is taken, what is left out and said, and what can do no harm."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

from helpers.providers.modeldb_archive import MAX_FILES, MAX_MEMBERS, listing, mod_files, readme


def zipped(*paths: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in paths:
            archive.writestr(path, b"x" * 7)
    return content.getvalue()


def paths(content: bytes) -> list[str]:
    return [file["path"] for file in listing(content)["files"]]


def test_files_come_by_path_with_their_size_and_without_folders():
    found = listing(zipped("m/", "m/z.hoc", "m/sub/deep/k.mod", "m/a.hoc"))
    assert found == {
        "files": [{"path": path, "size": 7} for path in ("m/a.hoc", "m/sub/deep/k.mod", "m/z.hoc")],
        "note": None,
        "exists": True,
    }


@pytest.mark.parametrize(
    "path",
    ["../x.mod", "m/../../x.mod", "/etc/x.mod", "C:/x.mod", "..\\..\\x.mod", "\\x.mod", "m/.."],
    ids=["parent", "inner parent", "absolute", "drive", "backslashes", "rooted backslash", "ends in parent"],
)
def test_a_member_outside_the_folder_is_left_out_and_said(path):
    found = listing(zipped("m/a.mod", path))
    assert [file["path"] for file in found["files"]] == ["m/a.mod"]
    assert "1 outside the model's folder" in found["note"]


def test_a_symbolic_link_is_left_out_and_said():
    content = io.BytesIO(zipped("m/a.mod"))
    link = zipfile.ZipInfo("m/link.mod")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    found = listing(content.getvalue())
    assert [file["path"] for file in found["files"]] == ["m/a.mod"]
    assert found["note"] == "left out: 1 symbolic link ('m/link.mod')"


def test_litter_of_macos_is_left_out_and_counted():
    found = listing(zipped("__MACOSX/m/._a.mod", "m/.DS_Store", "m/._a.mod", "m/a.mod", "__MACOSX/readme"))
    assert [file["path"] for file in found["files"]] == ["m/a.mod"]
    assert found["note"].startswith("left out: 4 litter of a file manager (")


@pytest.mark.parametrize("name", ["m/a\nb.mod", "m/a\x1b[2J.mod"], ids=["line break", "escape"])
def test_a_name_with_control_characters_is_left_out(name):
    found = listing(zipped(name))
    assert found["files"] == []
    assert "without a usable name" in found["note"]


def test_backslashes_between_folders_become_slashes():
    assert paths(zipped("m\\sub\\k.MOD")) == ["m/sub/k.MOD"]


def test_a_path_that_comes_twice_is_listed_once_and_said():
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zipped("m/a.mod", "m/a.mod")
    assert paths(content) == ["m/a.mod"]
    assert "came before" in listing(content)["note"]


def test_a_bomb_is_listed_and_never_inflated():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/bomb.mod", bytes(3_000_000))
    packed = bytearray(content.getvalue())
    packed[60:600] = b"\xff" * 540  # inflating it would fail now
    assert listing(bytes(packed))["files"] == [{"path": "m/bomb.mod", "size": 3_000_000}]


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>Service Interruption</html>", zipped("m/a.mod")[:-30], b"PK\x05\x06" + bytes(18)[:10]],
    ids=["nothing", "a page", "cut off", "half an end"],
)
def test_what_is_no_zip_has_no_files_and_a_note(content):
    found = listing(content)
    assert (found["files"], found["exists"]) == ([], False)
    assert found["note"].startswith("the archive is no readable zip")


def test_an_empty_zip_has_no_files_and_needs_no_note():
    assert listing(zipped()) == {"files": [], "note": None, "exists": True}


def test_more_files_than_a_record_takes_are_cut_and_said():
    found = listing(zipped(*(f"{number:05d}" for number in range(MAX_FILES + 1))))
    assert len(found["files"]) == MAX_FILES
    assert found["note"] == "the first 5,000 of 5,001 files are listed"


def test_a_directory_of_millions_is_not_read():
    found = listing(b"PK\x01\x02" * (MAX_MEMBERS + 1))
    assert found["note"] == "the zip has more than 50,000 members"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["m/sub/readme.txt", "m/README"], "m/README"),
        (["m/readme.txt", "m/readme.html"], "m/readme.html"),
        (["m/index.html", "m/ReadMe_first.txt"], "m/ReadMe_first.txt"),
        (["m/index.html", "m/a.hoc"], "m/index.html"),
        (["m/READ ME.TXT"], "m/READ ME.TXT"),
        (["m/readme.jpg", "m/index.hoc", "m/already.txt"], None),
        ([], None),
    ],
    ids=["outermost", "format", "index last", "index", "blank", "no text", "no files"],
)
def test_the_readme_is(files, expected):
    assert readme(files) == expected


def test_mod_files_come_from_any_folder_and_any_case():
    assert mod_files(["m/a.mod", "m/x/y/B.MOD", "m/a.mod.txt", "m/mod"]) == ("m/a.mod", "m/x/y/B.MOD")
