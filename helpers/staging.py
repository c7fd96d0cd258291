"""Normalised records of one refresh on disk, between fetching and releasing.

One line per record: index, source_id and JSON, separated by tabs (JSON has none). So memory stays
constant, guards can count before anything is released, and a held refresh survives a restart.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import orjson

from helpers.errors import InvalidItem, StorageUnavailable
from helpers.query import Document
from helpers.records import Record, index_of

MAX_RECORD_BYTES: Final = 2_000_000
DIGEST_BYTES: Final = 16
MAX_REASON: Final = 2_000
_NUL: Final = b"\\u0000"
_ESCAPED_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not a text that spells these letters
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One raw item that did not become a record, and why."""

    source: str
    id: str
    reason: str


def to_document(record: Record) -> tuple[str, Document]:
    """(index, document) of a record. Raises `InvalidItem` for what no client could take."""
    body = record.model_dump_json().encode()
    if len(body) > MAX_RECORD_BYTES:
        raise InvalidItem(f"the record is {len(body):,} bytes, at most {MAX_RECORD_BYTES:,} are allowed")
    if _NUL in body and _ESCAPED_NUL.search(body):
        raise InvalidItem("the record holds the character U+0000")
    if _CONTROL.search(record.source_id):
        raise InvalidItem(f"the id {record.source_id!r} holds a control character")
    return index_of(record), Document(record.source_id, body)


class Staging:
    """The folder of one source's refresh. Used as a context manager while it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = 0
        self.quarantined = 0
        self._sum = 0  # of the digests of all records: it does not depend on their order

    def __enter__(self) -> Staging:
        """Begin anew: what a killed refresh left is thrown away."""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self._records = (self.folder / "records").open("wb", buffering=1 << 20)
            self._quarantine = (self.folder / "quarantine.ndjson").open("wb")
        except OSError as error:
            raise StorageUnavailable(f"{self.folder} cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.close()
        self._quarantine.close()

    def add(self, index: str, document: Document) -> None:
        """Append one record."""
        line = b"\t".join((index.encode(), document.source_id.encode(), document.body))
        self._records.write(line + b"\n")
        self.records += 1
        self._sum += int.from_bytes(sha256(line).digest()[:DIGEST_BYTES], "big")

    @property
    def digest(self) -> str:
        """Alike for the same set of records, whatever their order."""
        return f"{self._sum % 2 ** (8 * DIGEST_BYTES):0{2 * DIGEST_BYTES}x}"

    def reject(self, item: Quarantined) -> None:
        """Append one item to the quarantine, its reason shortened."""
        reason = item.reason if len(item.reason) <= MAX_REASON else item.reason[:MAX_REASON] + " …"
        self._quarantine.write(orjson.dumps({**asdict(item), "reason": reason}) + b"\n")
        self.quarantined += 1

    def describe(self, facts: dict[str, Any]) -> None:
        """Keep facts of the refresh beside its records, for a later release."""
        (self.folder / "facts.json").write_bytes(orjson.dumps(facts))

    def facts(self) -> dict[str, Any] | None:
        """What was described; None when this staging was never finished."""
        try:
            facts: dict[str, Any] = orjson.loads((self.folder / "facts.json").read_bytes())
        except FileNotFoundError:
            return None
        return facts

    def documents(self) -> Iterator[tuple[str, Document]]:
        """(index, document) of every staged record, in the order added."""
        with (self.folder / "records").open("rb", buffering=1 << 20) as file:
            for line in file:
                index, source_id, body = line.rstrip(b"\n").split(b"\t", 2)
                yield index.decode(), Document(source_id.decode(), body)

    def move(self, folder: Path) -> None:
        """Rename the whole staging, replacing what is there."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.rename(folder)
        self.folder = folder

    def remove(self) -> None:
        """Delete the staging."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_quarantine(folder: Path, limit: int) -> list[Quarantined]:
    """The first quarantined items of a source's last refresh."""
    path = folder / "quarantine.ndjson"
    if not path.exists():
        return []
    with path.open("rb") as file:
        return [Quarantined(**orjson.loads(line)) for line, _ in zip(file, range(limit), strict=False)]
