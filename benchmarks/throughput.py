"""Answers per second at several clients, beside the engine called in as many processes as answer the web."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.hub import Plan, Web
from benchmarks.measures import Line, Unmeasurable, at_least
from benchmarks.processes import ROOT
from benchmarks.questions import Question
from helpers.storage.embedded import EmbeddedStorage

CLIENTS: Final = 8
ROUNDS: Final = 3
WARM_UP_S: Final = 1.5
AIM_SHARE: Final = 0.7
DISTINCT: Final = 5_000  # questions; an engine keeps at most 2,000 windows per release


def throughput(plan: Plan, served: Web, root: Path, some: Sequence[Question], scale: int) -> Iterator[Line]:
    """Questions of all kinds in a random order, asked of the engine and over HTTP in turns."""
    mixed = _with_further_pages(some, EmbeddedStorage(root))
    random.Random(2).shuffle(mixed)
    workers = len(served.workers())
    with ExitStack() as held:
        pools = [
            held.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
            for _ in range(workers)
        ]
        _engine_s(pools, root, mixed, WARM_UP_S)
        _load(served.port, mixed, WARM_UP_S)
        direct: list[float] = []
        loads: list[dict[str, Any]] = []
        before = {one: used.cpu_s for one, used in served.workers().items()}
        for _ in range(ROUNDS):
            direct.append(_engine_s(pools, root, mixed, plan.seconds))
            loads.append(_load(served.port, mixed, plan.seconds))
        took = [used.cpu_s - before.get(one, 0.0) for one, used in served.workers().items()]
    yield from _lines(scale, direct, loads, took)


def _with_further_pages(some: Sequence[Question], storage: EmbeddedStorage) -> list[Question]:
    """The questions, and those of a search on further pages too: more than are kept per release, so that
    every answer is worked for.
    """
    mixed = list(some)
    share = DISTINCT // max(1, len(some))
    for question in some:
        if question.query is not None and question.query.hits > 1:
            pages = -(-storage.search(question.query).total // question.query.hits)
            mixed += [question.on_page(page) for page in range(1, min(pages, share))]
    return mixed


def _engine_s(
    pools: Sequence[ProcessPoolExecutor], root: Path, some: Sequence[Question], seconds: float
) -> float:
    """Answers per second of the engine, called in all pools at once."""
    runs = [pool.submit(_ask_for, root, some, seconds) for pool in pools]
    return sum(run.result() for run in runs)


_opened: dict[Path, EmbeddedStorage] = {}  # of a pool's process, kept from round to round


def _ask_for(root: Path, some: Sequence[Question], seconds: float) -> float:
    """Answers per second of one process."""
    storage = _opened.setdefault(root, EmbeddedStorage(root))
    done, begun = 0, time.perf_counter()
    for question in cycle(some):
        question.ask(storage)
        done += 1
        if time.perf_counter() - begun >= seconds:
            break
    return done / (time.perf_counter() - begun)


def _load(port: int, some: Sequence[Question], seconds: float) -> dict[str, Any]:
    """What `benchmarks.load` says, run as a process of its own."""
    order = {
        "port": port,
        "clients": CLIENTS,
        "seconds": seconds,
        "requests": [question.http.decode("latin-1") for question in some],
    }
    command = [sys.executable, "-m", "benchmarks.load"]
    made = subprocess.run(
        command, cwd=ROOT, input=orjson.dumps(order), capture_output=True, timeout=seconds + 60, check=False
    )
    if made.returncode:
        raise Unmeasurable(f"the load could not be made: {made.stderr.decode(errors='replace')[-500:]}")
    answer: dict[str, Any] = orjson.loads(made.stdout)
    return answer


def _lines(
    scale: int, direct: Sequence[float], loads: Sequence[dict[str, Any]], took: Sequence[float]
) -> Iterator[Line]:
    rates = [load["answers"] / load["seconds"] for load in loads]
    cost = sum(load["cpu_s"] for load in loads) / sum(load["answers"] for load in loads)
    yield Line(
        benchmark="search",
        records=scale,
        what=f"mixed, {CLIENTS} clients over HTTP",
        value=statistics.median(rates),
        unit="answers/s",
        note=f"p50 {loads[-1]['p50_ms']:.1f} ms, p95 {loads[-1]['p95_ms']:.1f} ms; web processes took "
        + " and ".join(f"{seconds:.1f}" for seconds in took)
        + f" s; the clients {cost * 1e3:.2f} ms of processor each",
    )
    yield Line(
        benchmark="search",
        records=scale,
        what=f"mixed, engine in {len(took)} processes",
        value=statistics.median(direct),
        unit="answers/s",
    )
    shares = [rate / engine for rate, engine in zip(rates, direct, strict=True)]
    yield Line(
        benchmark="search",
        records=scale,
        what="mixed, HTTP as a share of the engine",
        value=statistics.median(shares),
        unit="",
        aim=at_least(AIM_SHARE),
        note="rounds " + ", ".join(f"{share:.2f}" for share in shares),
    )
