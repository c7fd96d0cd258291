"""The zip writer, read back by Python's zipfile; what it must do beyond 65,535 members and 4 GiB."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.spool import MEMORY_BYTES, PIECE_BYTES, Spool
from helpers.zips import ZipWriter

GIB = 1024**3


def spool_of(content: bytes) -> Spool:
    spool = Spool()
    spool.write(content)
    return spool


def zip_of(*members: tuple[str, bytes]) -> bytes:
    writer = ZipWriter()
    made = b""
    for name, content in members:
        spool = spool_of(content)
        made += b"".join(writer.member(name, spool))
        spool.close()
    made += b"".join(writer.end())
    writer.close()
    return made


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, MEMORY_BYTES + 1])
def test_members_come_back_byte_for_byte(size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    with zipfile.ZipFile(io.BytesIO(zip_of(("a.swc", content), ("b.swc", b"b")))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.swc", "b.swc"]
        assert archive.read("a.swc") == content


def test_a_zip_without_members_is_valid() -> None:
    with zipfile.ZipFile(io.BytesIO(zip_of())) as archive:
        assert archive.namelist() == []


def test_names_beyond_ascii_are_marked_as_utf_8() -> None:
    with zipfile.ZipFile(io.BytesIO(zip_of(("Zelle_ä_神.swc", b"x"), ("plain.swc", b"y")))) as archive:
        assert archive.namelist() == ["Zelle_ä_神.swc", "plain.swc"]
        assert [bool(info.flag_bits & 0x800) for info in archive.infolist()] == [True, False]


def test_members_are_plain_files_with_sizes_in_front() -> None:
    made = zip_of(("a.swc", b"12345"))
    flags, size = struct.unpack_from("<H", made, 6)[0], struct.unpack_from("<L", made, 22)[0]
    assert (flags, size) == (0, 5), (
        "a program that unpacks while it receives needs the size before the content"
    )
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert stat.S_ISREG(archive.getinfo("a.swc").external_attr >> 16)


@pytest.mark.parametrize("members", [65_534, 65_535, 65_536])
def test_the_number_of_members_has_no_limit(members: int) -> None:
    writer, content = ZipWriter(), spool_of(b"x")
    made = b"".join(piece for number in range(members) for piece in writer.member(f"{number}", content))
    made += b"".join(writer.end())
    writer.close()
    content.close()
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert len(archive.namelist()) == members
        assert archive.read(str(members - 1)) == b"x"


@pytest.mark.parametrize("start", [4 * GIB - 100, 4 * GIB - 1, 5 * GIB])
def test_a_zip_may_be_larger_than_4_gib(tmp_path: Path, start: int) -> None:
    path = tmp_path / "large.zip"  # a sparse file: what lies before the zip takes no disk
    writer = ZipWriter(start=start)
    with path.open("wb") as file:
        file.seek(start)
        for name in ("a.swc", "b.swc"):
            content = spool_of(b"content of " + name.encode())
            file.writelines(writer.member(name, content))
            content.close()
        file.writelines(writer.end())
    writer.close()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("b.swc") == b"content of b.swc"
        assert archive.getinfo("a.swc").header_offset == start


class Hole(Spool):
    """A content of many zeros, of which a sparse file holds none."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def pieces(self) -> Iterator[bytes]:
        yield b""


@pytest.mark.parametrize("size", [4 * GIB - 2, 4 * GIB - 1, 4 * GIB, 6 * GIB])
def test_a_member_may_be_larger_than_4_gib(tmp_path: Path, size: int) -> None:
    path = tmp_path / "large.zip"
    writer, large, small = ZipWriter(), Hole(size), spool_of(b"after")
    with path.open("wb") as file:
        file.writelines(writer.member("large.abf", large))
        file.seek(size, io.SEEK_CUR)
        file.writelines(writer.member("small.swc", small))
        file.writelines(writer.end())
    for closed in (writer, large, small):
        closed.close()
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("large.abf").file_size == size
        assert archive.read("small.swc") == b"after"
        with archive.open("large.abf") as member:
            assert member.read(1000) == bytes(1000)


def test_a_large_spool_lies_on_disk_and_its_sums_are_right(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(5):
        spool.write(b"x" * (MEMORY_BYTES // 4))
    assert spool.size == 5 * MEMORY_BYTES // 4
    assert spool.sha256 == hashlib.sha256(b"x" * spool.size).hexdigest()
    assert spool.crc == zlib.crc32(b"x" * spool.size)
    assert b"".join(spool.pieces()) == b"x" * spool.size
    assert b"".join(spool.pieces()) == b"x" * spool.size, "it can be read again"
    spool.close()
    assert list(tmp_path.iterdir()) == []
