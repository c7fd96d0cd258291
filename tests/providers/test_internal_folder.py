"""The folder of own files: which of its files are given out, and what `folder.toml` may say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.errors import NotFound, UpstreamChanged, UpstreamUnavailable
from helpers.providers.internal import Internal, declared_hosts, local_file
from helpers.providers.internal_folder import SERVED

SWC = b"1 1 0 0 0 5 -1\n2 3 0 10 0 1 1\n"
BASE = "http://hub.example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files, a host and no table."""
    own = tmp_path / "own"
    for name in ("a.swc", "sub dir/b.ASC"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(SWC)
    (own / "folder.toml").write_text('hosts = ["files.example.org"]\n')
    return own


def test_folder_that_is_absent_or_has_no_table(folder: Path) -> None:
    with pytest.raises(UpstreamUnavailable, match="gone does not exist"):
        list(Internal(folder / "gone", BASE).fetch(lambda expected: None))
    with pytest.raises(UpstreamUnavailable, match=r"has none of the tables morphology\.csv"):
        list(Internal(folder, BASE).fetch(lambda expected: None))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(
            'hosts = ["https://x.org/a"]', r"folder\.toml: key 'hosts': .*got 'https://x\.org/a'", id="host"
        ),
        pytest.param(
            'titel = "x"', r"unknown key 'titel', allowed are title, hosts, licence, citations", id="key"
        ),
        pytest.param("licence = 3", r"key 'licence': Input should be a valid string, got 3", id="type"),
        pytest.param("hosts = [\nx", r"folder\.toml is no valid TOML: .*line 2", id="syntax"),
    ],
)
def test_folder_file_with_an_error(folder: Path, content: str, reason: str) -> None:
    (folder / "folder.toml").write_text(content)
    (folder / "model.csv").write_text("id,name\nm,Model\n")
    with pytest.raises(UpstreamChanged, match=reason):
        list(Internal(folder, BASE).fetch(lambda expected: None))
    assert declared_hosts(folder) == frozenset()


def test_declared_hosts(folder: Path) -> None:
    assert declared_hosts(folder) == {"files.example.org"}
    assert declared_hosts(folder / "gone") == frozenset()


@pytest.mark.parametrize("name", ["a.swc", "./a.swc", "sub dir/b.ASC", "in.swc"])
def test_local_file_is_given(folder: Path, name: str) -> None:
    (folder / "in.swc").symlink_to("a.swc")
    assert local_file(folder, name).read_bytes() == SWC
    assert local_file(folder, name).suffix.lower() in SERVED


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "gone.swc",
        "../a.swc",
        "sub dir/../a.swc",
        "/etc/passwd",
        ".git/x.swc",
        "morphology.csv",
        "out.swc",
        "folder.toml",
        "notes.xlsx",
        "hidden.swc",
        "linked.csv",
        "pipe.swc",
        "a.swc/x.swc",
        pytest.param("\x00.swc", id="NUL"),
        pytest.param("x" * 5000 + ".swc", id="long"),
    ],
)
def test_local_file_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.swc").write_bytes(SWC)
    (folder / ".git").mkdir()
    for made in (".git/x.swc", "morphology.csv", "notes.xlsx"):
        (folder / made).write_bytes(SWC)
    (folder / "out.swc").symlink_to(tmp_path / "a.swc")
    (folder / "hidden.swc").symlink_to(".git/x.swc")
    (folder / "linked.csv").symlink_to("morphology.csv")
    os.mkfifo(folder / "pipe.swc")
    with pytest.raises(NotFound):
        local_file(folder, name)
