"""The one background process that refreshes: at the start, on each source's schedule, and after a failure."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from injector import inject, singleton

from helpers.errors import HubError, LeaseHeld, StorageUnavailable, UpstreamError
from helpers.state import Lease, State
from helpers.storage.base import Storage
from services.refresh import RefreshService, all_unreachable
from services.sources import SourceService

log = logging.getLogger(__name__)

LEASE: Final = "refresher"
WAIT_S: Final = 2.0  # between two attempts to become the refresher
PATIENCE_S: Final = 9.0  # without any item from any source; a network that swallows everything takes minutes
CHECK_S: Final = 5.0  # between two looks at whether we still are
RETRY_FIRST_S: Final = 60.0  # after a failure; doubled each time
RETRY_MOST_S: Final = 3_600.0
NOBODY: Final = (
    "no source can be reached; the example records are served, and `make demo` shows everything "
    "without a network. Trying again."
)


@dataclass(frozen=True, slots=True)
class Schedules:
    """When each source is refreshed: crontab texts; none means at the start only."""

    crontabs: Mapping[str, str]
    timezone: str


@singleton
class Refresher:
    """Runs in a process of its own until stopped."""

    @inject
    def __init__(
        self,
        refreshes: RefreshService,
        sources: SourceService,
        storage: Storage,
        state: State,
        schedules: Schedules,
    ) -> None:
        self._refreshes = refreshes
        self._sources = sources
        self._storage = storage
        self._state = state
        self._schedules = schedules
        self._failures: dict[str, int] = {}
        self._said = False
        self._stopped = threading.Event()
        self._scheduler = self._new_scheduler()

    def _new_scheduler(self) -> BackgroundScheduler:
        return BackgroundScheduler(
            timezone=self._schedules.timezone,
            executors={"default": {"type": "threadpool", "max_workers": 1}},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )

    def run(self) -> None:
        """Work until `stop`. Only one process at a time does; the others wait for its lease."""
        while not self._stopped.is_set():
            try:
                with self._state.lease(LEASE, "background refresh") as lease:
                    self._work(lease)
            except LeaseHeld as error:
                log.debug("not the refresher: %s", error)
            except StorageUnavailable as error:
                log.error("nothing can be refreshed: %s", error)
                self._stopped.wait(WAIT_S * 10)
            self._stopped.wait(WAIT_S)

    def stop(self) -> None:
        """Break off the present refresh and end `run`."""
        self._stopped.set()
        self._refreshes.stop()

    def _work(self, lease: Lease) -> None:
        try:
            self._storage.rebuild_if_outdated()
        except StorageUnavailable as error:
            log.error("the index of an older version could not be rebuilt: %s", error)
        for status in self._sources.all():
            if status.state == "fetching":  # what it was killed in, nobody is at any more
                self._sources.keep(replace(status, state="waiting", progress=None))
        self._scheduler = self._new_scheduler()
        self._scheduler.start()
        for key in self._refreshes.keys:
            crontab = self._schedules.crontabs.get(key)
            if crontab:
                trigger = CronTrigger.from_crontab(crontab, timezone=self._schedules.timezone)
                self._scheduler.add_job(self._refresh, trigger, args=[[key]], id=key)
        self._scheduler.add_job(self._first, args=[], id="start")
        try:
            begun = time.monotonic()
            while not self._stopped.wait(CHECK_S):
                lease.check()  # a machine that slept may have been taken for dead
                if time.monotonic() - begun > PATIENCE_S and self._nothing_came():
                    self._say_nobody()
        finally:
            self._scheduler.shutdown(wait=False)

    def _first(self) -> None:
        outcomes = self._refresh(self._refreshes.keys)
        if all_unreachable(outcomes) and set(self._storage.released()) <= {"internal"}:
            self._say_nobody()

    def _nothing_came(self) -> bool:
        """Whether no source on the network has given anything yet, now or ever."""
        asked = [status for status in self._sources.all() if status.enabled and status.key != "internal"]
        silent = all(
            status.state in ("fetching", "failed") and not status.counts["fetched"] for status in asked
        )
        return bool(asked) and silent and set(self._storage.released()) <= {"internal"}

    def _say_nobody(self) -> None:
        """Once per process."""
        if not self._said:
            self._said = True
            log.warning(NOBODY)

    def _refresh(self, keys: Iterable[str]) -> dict[str, HubError | None]:
        wanted = list(keys)
        try:
            outcomes = self._refreshes.refresh(wanted, task="background refresh")
        except (LeaseHeld, StorageUnavailable) as error:
            log.info("the refresh of %s waits: %s", ", ".join(wanted), error)
            self._again(wanted, WAIT_S * 5)
            return {}
        for key, outcome in outcomes.items():
            self._failures[key] = self._failures.get(key, 0) + 1 if outcome is not None else 0
            if isinstance(outcome, UpstreamError | StorageUnavailable) and not self._stopped.is_set():
                self._again([key], min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** (self._failures[key] - 1)))
            self._show_next(key)
        return outcomes

    def _again(self, keys: list[str], pause_s: float) -> None:
        at = datetime.now(UTC) + timedelta(seconds=pause_s)
        job = f"again {' '.join(keys)}"
        self._scheduler.add_job(
            self._refresh, "date", run_date=at, args=[keys], id=job, replace_existing=True
        )

    def _show_next(self, key: str) -> None:
        jobs = (self._scheduler.get_job(job) for job in (key, f"again {key}"))
        times = [job.next_run_time for job in jobs if job is not None and job.next_run_time is not None]
        shown = (
            min(times).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if times else None
        )
        try:
            self._sources.schedule(key, shown)
        except StorageUnavailable as error:
            log.warning("%s: the next refresh cannot be shown: %s", key, error)
