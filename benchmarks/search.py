"""Searches at one client: over HTTP and of the engine directly, in turns, in the same run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.hub import Plan, filled, web
from benchmarks.measures import Aim, Line, at_most, times
from benchmarks.questions import BY_NAME, FILTERS_AND_FACETS, SIX_FACETS, VARIANTS, Question, questions
from benchmarks.throughput import throughput
from benchmarks.wire import Client
from helpers.storage.embedded import EmbeddedStorage
from helpers.storage.embedded.manifest import FILE

AIM_ADDED_MS: Final = 3.0
AIM_FIRST_MS: Final = 60.0
AIM_AGAIN_MS: Final = 5.0
LARGE: Final = 300_000  # records that the aims of the facets speak of
FRESH: Final = 15  # times that a release is made to look new
WARM_UP: Final = 3

A = TypeVar("A")


def measure(plan: Plan) -> Iterator[Line]:
    """For each scale all kinds of questions at one client, then the throughput at several."""
    for scale in plan.scales:
        data = filled(plan, scale)
        root = data / "embedded"
        storage = EmbeddedStorage(root)
        kinds = questions(storage)
        with web(plan, data) as served:
            with closing(Client(served.port)) as client:
                asked = _Asked(storage, client, scale)
                yield from asked.fresh(root, kinds[BY_NAME][0], kinds.pop(SIX_FACETS)[0])
                for kind, some in kinds.items():
                    again = ""
                    if kind == FILTERS_AND_FACETS:  # nothing has kept their counts yet
                        yield from asked.kind(f"{kind}, first", some, len(some), warm_up=0)
                        again = ", again"
                    yield from asked.kind(f"{kind}{again}", some, plan.asks)
                yield asked.cost()
            mixed = [one for some in kinds.values() for one in islice(cycle(some), VARIANTS)]
            yield from throughput(plan, served, root, mixed, scale)


class _Asked:
    """Asks both ways and keeps what the measuring client itself takes."""

    def __init__(self, storage: EmbeddedStorage, client: Client, scale: int) -> None:
        self._storage = storage
        self._client = client
        self._scale = scale
        self._asks = 0
        self._cpu_s = 0.0

    def kind(
        self, kind: str, some: Sequence[Question], asks: int, *, warm_up: int = WARM_UP
    ) -> Iterator[Line]:
        """One kind of question, each way going first every other time."""
        for question in some[:warm_up]:
            question.ask(self._storage)
            self._client.ask(question.http)
        seen = self._in_turns(islice(cycle(some), asks))
        yield from self._lines(kind, seen, added=at_most(AIM_ADDED_MS))

    def fresh(self, root: Path, plain: Question, question: Question) -> Iterator[Line]:
        """Counts of six fields over everything, first in a release and again, after its first answer.

        A release looks new to every process when its manifest has another time; nothing else changes.
        """
        opening, first, again = _Both([], []), _Both([], []), _Both([], [])
        for _ in range(FRESH):
            os.utime(root / FILE)
            for seen, one in ((opening, plain), (first, question), (again, question)):
                seen.engine.append(_ms(one.ask, self._storage))
                seen.http.append(self._over_http(one.http))
        yield from self._lines("first answer after a release", opening)
        for name, seen, limit in (("first", first, AIM_FIRST_MS), ("again", again, AIM_AGAIN_MS)):
            aim = at_most(limit) if self._scale >= LARGE else None
            yield from self._lines(f"{question.kind}, {name}", seen, aim=aim)

    def cost(self) -> Line:
        """What the client takes for each request; it is part of every figure over HTTP."""
        return Line(
            benchmark="search",
            records=self._scale,
            what="the measuring client itself",
            value=self._cpu_s / self._asks * 1e3,
            unit="ms of processor",
            note=f"{self._asks} requests",
        )

    def _in_turns(self, asked: Iterable[Question]) -> _Both:
        seen = _Both([], [])
        for number, question in enumerate(asked):
            if number % 2:
                seen.http.append(self._over_http(question.http))
            seen.engine.append(_ms(question.ask, self._storage))
            if not number % 2:
                seen.http.append(self._over_http(question.http))
        return seen

    def _over_http(self, question: bytes) -> float:
        cpu = time.thread_time()
        took = _ms(self._client.ask, question)
        self._cpu_s += time.thread_time() - cpu
        self._asks += 1
        return took

    def _lines(
        self, what: str, seen: _Both, *, added: Aim | None = None, aim: Aim | None = None
    ) -> Iterator[Line]:
        """What is seen over HTTP with the engine beside it; what HTTP adds where there is an aim for it."""
        engine, http = times(seen.engine), times(seen.http)
        yield Line(
            benchmark="search",
            records=self._scale,
            what=f"{what}: HTTP p50",
            value=http.p50,
            unit="ms",
            aim=aim,
            note=f"p95 {http.p95:.2f}; engine p50 {engine.p50:.2f}, p95 {engine.p95:.2f}; n {http.n}",
        )
        if added is not None:
            yield Line(
                benchmark="search",
                records=self._scale,
                what=f"{what}: HTTP adds at p50",
                value=http.p50 - engine.p50,
                unit="ms",
                aim=added,
            )


@dataclass(frozen=True, slots=True)
class _Both:
    """Milliseconds that the same questions took in both ways."""

    engine: list[float]
    http: list[float]


def _ms(work: Callable[[A], object], argument: A) -> float:
    begun = time.perf_counter()
    work(argument)
    return (time.perf_counter() - begun) * 1e3
