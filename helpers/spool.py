"""Bytes kept aside until they are needed: small ones in memory, large ones in a temporary file."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 1024 * 1024  # above this a temporary file is used
PIECE_BYTES: Final = 256 * 1024


class Spool:
    """Written from start to end, then read. Knows its size and check sums; `close` removes everything.

    Raises `OSError` when the disk is full.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.size = 0  # bytes
        self.crc = 0  # CRC-32 as zip files use it
        self._digest = hashlib.sha256()
        directory = None if folder is None else str(folder)
        # It lives until `close`, longer than any block.
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=directory)  # noqa: SIM115

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of what was written."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._digest.update(data)
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)

    def pieces(self) -> Iterator[bytes]:
        """Everything from the start, `PIECE_BYTES` at a time."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Give memory and disk back."""
        self._file.close()
