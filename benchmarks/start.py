"""From `make run` on a warm `.venv` to the first answered search."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.hub import Plan, environment, filled, first_answer
from benchmarks.measures import Line, Unmeasurable, at_most, times
from benchmarks.processes import ROOT, closed_port, free_port, last_lines, running
from benchmarks.wire import request

AIM_S: Final = 2.0
TIMEOUT_S: Final = 60.0
STAMP: Final = (
    ".venv/.requirements"  # `make` runs the package installer when it is older than the requirements
)


def measure(plan: Plan) -> Iterator[Line]:
    """With nothing released, then with each scale."""
    for tool in (("make", "--version"), ("make", "-q", STAMP)):
        if (
            shutil.which("make") is None
            or subprocess.run(tool, cwd=ROOT, capture_output=True, check=False).returncode
        ):
            raise Unmeasurable("it needs make and a .venv that is up to date: run `make run` once")
    for scale in (0, *plan.scales):
        data = filled(plan, scale) if scale else plan.work / "nothing"
        seconds = []
        for _ in range(plan.starts):
            if not scale:
                shutil.rmtree(data, ignore_errors=True)
            seconds.append(_start(plan, data, some=scale > 0))
        seen = times(seconds)
        yield Line(
            benchmark="start",
            records=scale,
            what="`make run` to the first answered search",
            value=seen.p50,
            unit="s",
            aim=at_most(AIM_S),
            note=f"slowest {max(seconds):.2f} s of {seen.n}",
        )


def _start(plan: Plan, data: Path, *, some: bool) -> float:
    """Seconds of one start. Raises `Unmeasurable` when what it answers is not what is there."""
    port = free_port()
    log = plan.log(f"start-{data.name}")
    question = request("POST", "/search/dataset", {"query": "mouse"})
    with closed_port() as closed:
        env = environment(data, f"http://127.0.0.1:{closed}", AMMON_PORT=str(port))
        begun = time.perf_counter()
        with running(["make", "run"], env=env, log=log):
            answer = first_answer(port, question, TIMEOUT_S)
            seconds = time.perf_counter() - begun
    if not isinstance(answer, dict) or bool(answer["total"]) != some:
        raise Unmeasurable(f"the first search answered {str(answer)[:200]}: {last_lines(log)}")
    return seconds
