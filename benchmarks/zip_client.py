"""Takes a zip as a browser does, but keeps only its end: enough for the list of what is in it."""

from __future__ import annotations

import csv
import http.client
import io
import time
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from benchmarks.measures import Unmeasurable

KEPT_BYTES: Final = 16 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """A zip that was received."""

    size: int  # bytes
    seconds: float
    statuses: Mapping[str, int]  # of the manifest: ok, failed, missing
    cpu_s: float  # that receiving took


def take(port: int, target: str, body: object) -> Taken:
    """POST and read the zip to its end. Raises `Unmeasurable` where it is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    begun, cpu = time.perf_counter(), time.thread_time()
    try:
        connection.request("POST", target, orjson.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Unmeasurable(f"{target} answered {answer.status}: {answer.read(500)!r}")
        end = _End()
        piece = memoryview(bytearray(PIECE_BYTES))
        while count := answer.readinto(piece):
            end.add(piece[:count])
    except (OSError, http.client.HTTPException) as error:
        raise Unmeasurable(f"{target} broke off: {error}") from error
    finally:
        connection.close()
    seconds, cpu_s = time.perf_counter() - begun, time.thread_time() - cpu
    return Taken(end.size, seconds, end.statuses(), cpu_s)


class _End(io.RawIOBase):
    """A file of which only the last bytes are there; `zipfile` reads no others for the last members."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._place = 0
        self._kept = bytearray()

    def add(self, piece: memoryview) -> None:
        """Append what came."""
        self._kept += piece
        self.size += len(piece)
        if len(self._kept) > 2 * KEPT_BYTES:
            del self._kept[:-KEPT_BYTES]

    def statuses(self) -> dict[str, int]:
        """How often each status stands in the manifest. Raises `Unmeasurable` for a broken zip."""
        try:
            with zipfile.ZipFile(self) as archive, archive.open("manifest.csv") as manifest:
                rows = csv.DictReader(io.TextIOWrapper(manifest, "utf-8", newline=""))
                return dict(Counter(row["status"] for row in rows))
        except (zipfile.BadZipFile, OSError, KeyError) as error:
            raise Unmeasurable(f"the zip cannot be read: {error}") from error

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError(f"there is no byte {base + offset}")
        self._place = base + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        start = self._place - (self.size - len(self._kept))
        if start < 0:
            raise OSError(f"byte {self._place} was not kept")
        stop = len(self._kept) if size is None or size < 0 else start + size
        found = bytes(self._kept[start:stop])
        self._place += len(found)
        return found
