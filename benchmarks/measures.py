"""What a benchmark says: one line per figure, with its aim and whether it was reached."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

HEADINGS: Final = ("benchmark", "records", "what", "figure", "aim", "reached", "note")
RIGHT: Final = frozenset({"records", "figure"})  # columns of numbers


class Unmeasurable(Exception):
    """A benchmark cannot be run here; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class Aim:
    """The least or the most that a figure should be."""

    limit: float
    at_most: bool

    def reached(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {_number(self.limit)}"


def at_least(limit: float) -> Aim:
    """The aim of a figure that should be high."""
    return Aim(limit, at_most=False)


def at_most(limit: float) -> Aim:
    """The aim of a figure that should be low."""
    return Aim(limit, at_most=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure. `records` is how many the index held."""

    benchmark: str
    records: int
    what: str
    value: float
    unit: str
    aim: Aim | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the aim was reached; None where there is none."""
        return self.aim.reached(self.value) if self.aim else None

    def cells(self) -> tuple[str, ...]:
        """The line as texts, one for each of `HEADINGS`."""
        reached = {None: "", True: "yes", False: "NO"}[self.reached]
        figure = f"{_number(self.value)} {self.unit}".rstrip()
        aim = str(self.aim) if self.aim else ""
        return (self.benchmark, f"{self.records:,}", self.what, figure, aim, reached, self.note)

    def as_json(self) -> dict[str, Any]:
        """The line as plain values."""
        aim = str(self.aim) if self.aim else None
        return {**asdict(self), "aim": aim, "reached": self.reached}


@dataclass(frozen=True, slots=True)
class Times:
    """How long the same kind of thing took, again and again."""

    p50: float
    p95: float
    n: int


def times(samples: Sequence[float]) -> Times:
    """Median and 95th percentile (nearest rank), in the unit of the samples. At least one is needed."""
    ordered = sorted(samples)
    rank = -(-95 * len(ordered) // 100)
    return Times(p50=statistics.median(ordered), p95=ordered[rank - 1], n=len(ordered))


def table(lines: Iterable[Line]) -> str:
    """The lines under their headings, in columns."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]

    def shown(row: tuple[str, ...]) -> str:
        cells = (
            text.rjust(width) if heading in RIGHT else text.ljust(width)
            for text, width, heading in zip(row, widths, HEADINGS, strict=True)
        )
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([shown(rows[0]), rule, *map(shown, rows[1:])])


def _number(value: float) -> str:
    if value and abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
