"""What each source is doing: the answer of `/sources`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from injector import inject, singleton

from helpers.errors import NotFound
from helpers.providers.base import About
from helpers.staging import Quarantined, read_quarantine
from helpers.state import State
from helpers.storage.base import Storage

SourceState = Literal["off", "waiting", "fetching", "released", "held", "failed"]
KIND = "source"


def now_text() -> str:
    """The present time as ISO 8601, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source as shown by `/sources`."""

    key: str
    title: str
    url: str | None
    enabled: bool
    state: SourceState
    progress: float | None = None  # 0 to 1 while fetching, where the source says how many
    counts: Mapping[str, int] = field(default_factory=dict)
    last_success: str | None = None
    next_refresh: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sources that this hub knows, and which of them are on."""

    abouts: Mapping[str, About]
    enabled: frozenset[str]
    quarantine: Path  # folder with one folder per source


@singleton
class SourceService:
    """Reads and keeps the state of each source, shared by all processes."""

    @inject
    def __init__(self, catalogue: Catalogue, state: State, storage: Storage) -> None:
        self._catalogue = catalogue
        self._state = state
        self._storage = storage

    def all(self) -> list[SourceStatus]:
        """Every known source, in the order of the registry."""
        kept = self._state.all(KIND)
        released = self._storage.released()
        return [self._status(key, kept.get(key, {}), released) for key in self._catalogue.abouts]

    def get(self, key: str) -> SourceStatus:
        """One source. Raises `KeyError` for an unknown one."""
        return self._status(key, self._state.all(KIND).get(key, {}), self._storage.released())

    def unreleased(self, index: str | None = None) -> list[str]:
        """Enabled sources of an index, or of all, of which nothing was ever released."""
        released = self._storage.released()
        return [
            key
            for key, about in self._catalogue.abouts.items()
            if key in self._catalogue.enabled
            and key not in released
            and (index is None or index in about.indices)
        ]

    def quarantine(self, key: str, limit: int) -> list[Quarantined]:
        """The first quarantined items of a source's last release. Raises `NotFound`."""
        if key not in self._catalogue.abouts:
            raise NotFound(f"there is no source {key!r}; there are {', '.join(self._catalogue.abouts)}")
        return read_quarantine(self._catalogue.quarantine / key, limit)

    def keep(self, status: SourceStatus) -> None:
        """Store a source's state for all processes."""
        self._state.put(KIND, status.key, asdict(status))

    def schedule(self, key: str, next_refresh: str | None) -> None:
        """Store when a source is refreshed next."""
        self.keep(replace(self.get(key), next_refresh=next_refresh))

    def _status(self, key: str, kept: Mapping[str, Any], released: Mapping[str, Any]) -> SourceStatus:
        about = self._catalogue.abouts[key]
        enabled = key in self._catalogue.enabled
        counts = dict.fromkeys(("fetched", "normalised", "quarantined"), 0) | dict(kept.get("counts", {}))
        counts["released"] = released[key].total if key in released else 0
        status = SourceStatus(
            key=key,
            title=about.title,
            url=about.url or None,
            enabled=enabled,
            state="off",
            counts=counts,
            last_success=kept.get("last_success"),
        )
        if not enabled:
            return status
        state = kept.get("state", "off")
        return replace(
            status,
            state="waiting" if state == "off" else state,
            progress=kept.get("progress"),
            next_refresh=kept.get("next_refresh"),
            error=kept.get("error"),
        )


class Throttle:
    """Says at most so often that it is time: for progress in the log and in the state."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last = 0.0

    def due(self) -> bool:
        """True when the interval is over since the last True."""
        now = time.monotonic()
        if now - self._last < self._interval_s:
            return False
        self._last = now
        return True
