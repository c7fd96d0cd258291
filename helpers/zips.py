"""A zip written as a stream of stored (uncompressed) members whose sizes and check sums are known.

Why not zipfile or zipstream-ng: both keep about 500 bytes of memory per member (160 MB for 300,000,
measured) and, as they learn size and check sum last, write them behind each member, which programs that
unpack while they receive cannot read for stored members. Here the central directory lies in a spool.
Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final

from helpers.spool import Spool

LIMIT_32: Final = 0xFFFFFFFF  # this value or more needs the zip64 form
LIMIT_16: Final = 0xFFFF

_LOCAL: Final = Struct("<4s5H3L2H")
_CENTRAL: Final = Struct("<4s6H3L5H2L")
_END: Final = Struct("<4s4H2LH")
_END_64: Final = Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = Struct("<4sLQL")
_VERSION: Final = 20  # of the format that a reader must know: 2.0
_VERSION_64: Final = 45  # 4.5: zip64
_MADE_ON_UNIX: Final = 3 << 8
_UTF_8: Final = 0x800  # flag: the name is UTF-8
_MODE: Final = 0o100644 << 16  # a plain file, rw-r--r--


class ZipWriter:
    """Gives the bytes of a zip, member by member, in constant memory.

    `start` is the position at which the zip begins in what it is written to.
    """

    def __init__(self, *, start: int = 0, folder: Path | None = None) -> None:
        self._position = start
        self._members = 0
        self._directory = Spool(folder)
        now = time.gmtime()
        self._date = (now.tm_year - 1980) << 9 | now.tm_mon << 5 | now.tm_mday
        self._time = now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2

    def member(self, name: str, content: Spool) -> Iterator[bytes]:
        """Yield one file. Its name must be safe and must not have been used before."""
        encoded = name.encode()
        flags = 0 if name.isascii() else _UTF_8
        header = self._local_header(encoded, flags, content)
        self._directory.write(self._directory_entry(encoded, flags, content))
        self._members += 1
        self._position += len(header) + content.size
        for piece in content.pieces():
            yield header + piece if header else piece  # one write to the network for a small file
            header = b""
        if header:
            yield header

    def end(self) -> Iterator[bytes]:
        """Yield what must stand last: without it the zip is not valid."""
        yield from self._directory.pieces()
        size, offset = self._directory.size, self._position
        if self._members >= LIMIT_16 or max(size, offset) >= LIMIT_32:
            versions = (_MADE_ON_UNIX | _VERSION_64, _VERSION_64)
            counts = (self._members, self._members)
            yield _END_64.pack(b"PK\6\6", _END_64.size - 12, *versions, 0, 0, *counts, size, offset)
            yield _LOCATOR_64.pack(b"PK\6\7", 0, offset + size, 1)
        members = min(self._members, LIMIT_16)
        yield _END.pack(b"PK\5\6", 0, 0, members, members, min(size, LIMIT_32), min(offset, LIMIT_32), 0)

    def close(self) -> None:
        """Give the directory's memory and disk back."""
        self._directory.close()

    def _local_header(self, name: bytes, flags: int, content: Spool) -> bytes:
        large = content.size >= LIMIT_32
        size = min(content.size, LIMIT_32)
        extra = _extra_64(content.size, content.size) if large else b""
        version = _VERSION_64 if large else _VERSION
        fields = (version, flags, 0, self._time, self._date, content.crc, size, size, len(name), len(extra))
        return _LOCAL.pack(b"PK\3\4", *fields) + name + extra

    def _directory_entry(self, name: bytes, flags: int, content: Spool) -> bytes:
        size, offset = min(content.size, LIMIT_32), min(self._position, LIMIT_32)
        sizes = (content.size, content.size) if size == LIMIT_32 else ()
        offsets = (self._position,) if offset == LIMIT_32 else ()
        extra = _extra_64(*sizes, *offsets)
        version = _VERSION_64 if extra else _VERSION
        fields = (version, flags, 0, self._time, self._date, content.crc, size, size, len(name), len(extra))
        return (
            _CENTRAL.pack(b"PK\1\2", _MADE_ON_UNIX | version, *fields, 0, 0, 0, _MODE, offset) + name + extra
        )


def _extra_64(*values: int) -> bytes:
    """The zip64 field that holds those values that are too large for their places."""
    return Struct(f"<2H{len(values)}Q").pack(1, 8 * len(values), *values) if values else b""
