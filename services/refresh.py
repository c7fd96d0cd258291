"""From a source to a release: fetch, normalise, stage, guard, publish."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from injector import inject, singleton
from pydantic import ValidationError

from helpers.errors import (
    HubError,
    InvalidItem,
    RefreshHeld,
    StorageUnavailable,
    UpstreamError,
    UpstreamUnavailable,
)
from helpers.providers.base import Provider, Raw, Unfetched
from helpers.query import Document, Release, SearchQuery
from helpers.records import INDICES
from helpers.staging import Quarantined, Staging, to_document
from helpers.state import Lease, State
from helpers.storage.base import Storage
from services.sources import SourceService, SourceState, SourceStatus, Throttle, now_text

log = logging.getLogger(__name__)

LEASE: Final = "refresh"
LEAST_SHARE: Final = 0.5  # of what is released; a refresh that yields less is held back
CARRY_CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many records of a source are believable."""

    minimum: int = 0
    maximum: int | None = None

    def objection(self, records: int, released: int) -> str | None:
        """Why a result must not be released unseen, or None."""
        if records < self.minimum:
            return f"{records} records, at least {self.minimum} are expected"
        if self.maximum is not None and records > self.maximum:
            return f"{records} records, at most {self.maximum} are expected"
        if records < released * LEAST_SHARE:
            return f"{records} records, under half of the {released} that are released"
        return None


@dataclass(frozen=True, slots=True)
class Sources:
    """What a refresh works on: the enabled providers, and where it keeps its files."""

    providers: Mapping[str, Provider]
    expectations: Mapping[str, Expectation]
    folder: Path  # for staged, held and quarantined items


Watch = Callable[[SourceStatus], None]  # told of every change of a source, at most a few times a second


@singleton
class RefreshService:
    """Refreshes sources one by one or together; at most one process does at a time."""

    @inject
    def __init__(self, sources: Sources, storage: Storage, state: State, statuses: SourceService) -> None:
        self._sources = sources
        self._storage = storage
        self._state = state
        self._statuses = statuses
        self._stopping = threading.Event()

    @property
    def keys(self) -> tuple[str, ...]:
        """The sources that can be refreshed: the enabled ones."""
        return tuple(self._sources.providers)

    def stop(self) -> None:
        """Break off what is under way as soon as possible; nothing released is touched."""
        self._stopping.set()
        for provider in self._sources.providers.values():
            if provider.client is not None:
                provider.client.stop()

    def refresh(
        self, keys: Iterable[str], *, accept: bool = False, task: str = "refresh", watch: Watch | None = None
    ) -> dict[str, HubError | None]:
        """Refresh sources side by side; for each one None or what went wrong.

        One source's failure never stops another. With `accept`, what was held back is released.
        Raises `LeaseHeld` when another process refreshes.
        """
        wanted = list(keys)
        with self._state.lease(LEASE, task) as lease, ThreadPoolExecutor(max(1, len(wanted))) as pool:
            try:
                runs = {
                    key: pool.submit(_Run(self, key, lease, watch or (lambda status: None)).go, accept)
                    for key in wanted
                }
                return {key: run.result() for key, run in runs.items()}
            except KeyboardInterrupt:
                self.stop()  # else leaving the pool would wait for whole fetches
                raise


class _Run:
    """One refresh of one source."""

    def __init__(self, service: RefreshService, key: str, lease: Lease, watch: Watch) -> None:
        self._key = key
        self._lease = lease
        self._watch = watch
        self._provider = service._sources.providers[key]
        self._expectation = service._sources.expectations.get(key, Expectation())
        self._folder = service._sources.folder
        self._storage = service._storage
        self._statuses = service._statuses
        self._stopping = service._stopping
        self._quarantine = self._folder / "quarantine" / key
        self._status = replace(self._statuses.get(key), state="fetching", progress=None, error=None)
        self._expected = 0
        self._counts = dict.fromkeys(("fetched", "normalised", "quarantined"), 0)
        self._throttle = Throttle(0.3)
        self._logged = Throttle(10.0)

    def go(self, accept: bool) -> HubError | None:
        """Run to its end and keep the outcome. Only what is no fault of the source is raised."""
        try:
            held = Staging(self._folder / "held" / self._key)
            if accept and held.facts() is not None:
                self._release(held)
            else:
                self._fetch_and_release(accept)
        except RefreshHeld as error:
            self._end("held", error)
            return error
        except HubError as error:
            self._end("failed", error)
            return error
        except Exception as error:  # the boundary of one source: a fault of ours must not stop the others
            log.exception("%s: the refresh failed", self._key)
            broken = HubError(f"{type(error).__name__}: {error}"[:500])
            self._end("failed", broken)
            return broken
        return None

    def _fetch_and_release(self, accept: bool) -> None:
        self._tell()
        log.info("%s: fetching", self._key)
        started = now_text()
        staging = Staging(self._folder / "staging" / self._key)
        try:
            with staging:
                carried = self._stage(staging)
            staging.describe({"fetched_at": started, "counts": self._counts, "digest": staging.digest})
            released = self._storage.released().get(self._key)
            fresh = staging.records - carried
            objection = self._expectation.objection(fresh, released.total if released else 0)
            if objection and not accept:
                staging.move(self._folder / "held" / self._key)
                raise RefreshHeld(f"{objection}; `flask refresh {self._key} --accept` releases it")
            self._release(staging)
        except OSError as error:
            raise StorageUnavailable(f"the refresh cannot be written to {self._folder}: {error}") from error
        finally:
            Staging(self._folder / "staging" / self._key).remove()

    def _stage(self, staging: Staging) -> int:
        """Fetch and normalise everything; how many records were carried over from the release before."""
        seen: set[str] = set()
        kept_back: list[str] = []
        lost = 0
        for item in self._provider.fetch(self._report):
            if self._stopping.is_set():
                raise UpstreamUnavailable("the process is stopping")
            self._counts["fetched"] += isinstance(item, Raw)
            lost += item.lost if isinstance(item, Unfetched) else 0
            try:
                index, document = _normalised(self._provider, item)
                if document.source_id in seen:
                    raise InvalidItem(f"the id {document.source_id} came before")
            except (InvalidItem, ValueError) as error:
                staging.reject(Quarantined(self._key, item.id, _reason(error)))
                kept_back.append(self._provider.about.source_id(item.id))
            else:
                seen.add(document.source_id)
                staging.add(index, document)
            self._counts.update(normalised=staging.records, quarantined=staging.quarantined)
            self._progress()
        fresh = staging.records
        before = self._all_before(seen) if lost else self._released_before(kept_back, seen)
        for index, document in before:
            staging.add(index, document)
        return staging.records - fresh

    def _released_before(self, source_ids: list[str], seen: set[str]) -> Iterator[tuple[str, Document]]:
        """What quarantined items were before: an item that breaks does not take its record away."""
        lost = [source_id for source_id in source_ids if source_id not in seen]
        for start in range(0, len(lost), CARRY_CHUNK):
            for index in INDICES:
                for document in self._storage.get(index, lost[start : start + CARRY_CHUNK]):
                    yield index, document

    def _all_before(self, seen: set[str]) -> Iterator[tuple[str, Document]]:
        """Everything released before that did not come: nobody knows which items were lost on the way."""
        prefix = self._provider.about.source_id("")
        for index in INDICES:
            for document in self._storage.walk(SearchQuery(index=index)):
                if document.source_id.startswith(prefix) and document.source_id not in seen:
                    yield index, document

    def _release(self, staging: Staging) -> None:
        facts = staging.facts() or {}
        self._counts.update(facts.get("counts", {}))
        before = self._storage.released().get(self._key)
        digest = str(facts.get("digest", ""))
        self._lease.check()
        if before is None or before.digest != digest:
            self._replace(staging, facts, before)
        else:
            log.info("%s: unchanged since release %d", self._key, before.number)
        self._keep_quarantine(staging)
        staging.remove()
        Staging(self._folder / "held" / self._key).remove()
        self._status = replace(self._status, last_success=now_text())
        self._end("released", None)

    def _replace(self, staging: Staging, facts: Mapping[str, Any], before: Release | None) -> None:
        release = Release(
            source=self._key,
            number=before.number + 1 if before else 1,
            released_at=now_text(),
            fetched_at=str(facts.get("fetched_at", now_text())),
            digest=str(facts.get("digest", "")),
        )
        made = self._storage.replace(self._key, self._unless_stopped(staging.documents()), release)
        log.info("%s: released %d records as release %d", self._key, made.total, made.number)

    def _unless_stopped(self, documents: Iterable[tuple[str, Document]]) -> Iterator[tuple[str, Document]]:
        for item in documents:
            if self._stopping.is_set():
                raise UpstreamUnavailable("the process is stopping")
            yield item

    def _keep_quarantine(self, staging: Staging) -> None:
        self._quarantine.mkdir(parents=True, exist_ok=True)
        (staging.folder / "quarantine.ndjson").replace(self._quarantine / "quarantine.ndjson")

    def _report(self, expected: int) -> None:
        self._expected = expected

    def _progress(self) -> None:
        if self._throttle.due():
            if self._expected:
                self._status = replace(
                    self._status, progress=min(1.0, self._counts["fetched"] / self._expected)
                )
            self._tell()
            if self._logged.due():
                log.info("%s: %d of %s items", self._key, self._counts["fetched"], self._expected or "?")

    def _end(self, state: SourceState, error: HubError | None) -> None:
        if error is not None:
            log.warning("%s: %s: %s", self._key, state, error)
        self._status = replace(self._status, state=state, progress=None, error=str(error) if error else None)
        self._tell()

    def _tell(self) -> None:
        self._status = replace(self._status, counts=dict(self._counts))
        try:
            self._statuses.keep(self._status)
        except StorageUnavailable as error:  # a full disk must not hide what the refresh itself says
            log.warning("%s: its state cannot be kept: %s", self._key, error)
        self._watch(self._status)


def _normalised(provider: Provider, item: Raw | Unfetched) -> tuple[str, Document]:
    if isinstance(item, Unfetched):
        raise InvalidItem(item.reason)
    try:
        return to_document(provider.normalise(item))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        # Another shape than documented: this one item is at fault until more of them are.
        raise InvalidItem(f"unexpected shape: {type(error).__name__}: {error}") from error


def _reason(error: Exception) -> str:
    """A reason that a data manager can read, not a page of a validator's output."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}, got {str(first['input'])[:100]!r}"
    return str(error)


def all_unreachable(outcomes: Mapping[str, HubError | None]) -> bool:
    """Whether every source that is asked over a network failed to answer."""
    asked = [error for key, error in outcomes.items() if key != "internal"]
    return bool(asked) and all(isinstance(error, UpstreamError) for error in asked)
