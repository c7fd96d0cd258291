"""The stages of a refresh one after the other in one process: what each costs by itself.

The real command overlaps them where it can; this tells which one to look at.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from benchmarks.measures import Line
from helpers.errors import InvalidItem
from helpers.http import HTTPClient, Politeness
from helpers.providers.base import Raw
from helpers.providers.neuromorpho import PAGE_SIZE, NeuroMorpho
from helpers.query import Document, Release
from helpers.records import Record
from helpers.staging import Staging, to_document
from helpers.storage.embedded import EmbeddedStorage

STAGED: Final = 5_000  # records are enough to tell what one costs
WHEN: Final = "2000-01-01T00:00:00Z"


class _Clock:
    """Seconds of each stage, in the order in which they were first begun."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what the block takes."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


def stages(base_url: str, folder: Path, count: int) -> Iterator[Line]:
    """Microseconds per record of each stage, over the first `count` neurons of a replica."""
    shutil.rmtree(folder, ignore_errors=True)
    clock = _Clock()
    try:
        done = _run(base_url, folder, count, clock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, seconds in clock.seconds.items():
        yield Line(
            benchmark="refresh",
            records=done,
            what=f"stage: {name}",
            value=seconds / done * 1e6,
            unit="us each",
        )


def _run(base_url: str, folder: Path, count: int, clock: _Clock) -> int:
    """Page by page, as the real command does: memory that fills up would slow down everything."""
    fetched = (item for item in _provider(base_url).fetch(lambda _: None) if isinstance(item, Raw))
    wanted = islice(fetched, count)
    staging = Staging(folder / "staging")
    with staging:
        while True:
            with clock.stage("fetch and parse"):
                raws = list(islice(wanted, PAGE_SIZE))
            if not raws:
                break
            with clock.stage("normalise"):
                records = [record for raw in raws if (record := _normalised(raw)) is not None]
            with clock.stage("to JSON"):
                documents = [made for record in records if (made := _document(record)) is not None]
            with clock.stage("write to disk"):
                for index, document in documents:
                    staging.add(index, document)
    with clock.stage("read, index, commit, count facets"):
        storage = EmbeddedStorage(folder / "embedded")
        released = storage.replace("neuromorpho", staging.documents(), Release("neuromorpho", 1, WHEN, WHEN))
    return released.total


def _provider(base_url: str) -> NeuroMorpho:
    hosts = frozenset({urlsplit(base_url).hostname or ""})
    return NeuroMorpho(
        HTTPClient("Ammon benchmark", Politeness(rate=0, allow_private=True, hosts=hosts)), base_url
    )


def _normalised(raw: Raw) -> Record | None:
    try:
        return NeuroMorpho.normalise(raw)
    except (InvalidItem, ValidationError):
        return None


def _document(record: Record) -> tuple[str, Document] | None:
    try:
        return to_document(record)
    except InvalidItem:
        return None
