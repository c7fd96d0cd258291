"""Refresh of NeuroMorpho.Org from the replica, through the real command, with the rate limit off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.hub import Plan, Refreshed, keep_as, refresh, replica
from benchmarks.measures import Aim, Line, at_least, at_most
from benchmarks.stages import STAGED, stages

AIM_RECORDS_S: Final = 4_000
AIM_MB: Final = 600


def measure(plan: Plan) -> Iterator[Line]:
    """For each scale the whole command, then the stages one by one in this process."""
    for scale in plan.scales:
        new = plan.work / f"records-{scale}.new"
        with replica(plan, scale) as source:
            seen = refresh(plan, source, new)
            yield from _lines(seen)
            folder = plan.work / "stages"
            yield from stages(source.base_url, folder, min(scale, STAGED))
        keep_as(plan, new, scale)


def _lines(seen: Refreshed) -> Iterator[Line]:
    def line(what: str, value: float, unit: str, aim: Aim | None = None, note: str = "") -> Line:
        return Line(
            benchmark="refresh", records=seen.records, what=what, value=value, unit=unit, aim=aim, note=note
        )

    yield line(
        "end to end",
        seen.records / seen.seconds,
        "records/s",
        at_least(AIM_RECORDS_S),
        f"{seen.seconds:.1f} s; processor: refresh {seen.watch.cpu_s:.1f} s, "
        f"replica {seen.replica_cpu_s:.1f} s",
    )
    if seen.staged_s is not None:
        yield line("until all are staged", seen.records / seen.staged_s, "records/s", note="start included")
        yield line("index and release", seen.records / (seen.seconds - seen.staged_s), "records/s")
    yield line(
        "peak memory, sum of its processes",
        seen.watch.peak_mb,
        "MB",
        at_most(AIM_MB),
        f"{seen.watch.own_mb:.0f} MB without pages of mapped files",
    )
