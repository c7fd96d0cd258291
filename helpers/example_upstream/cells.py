"""Made-up neurons: the same number always grows the same cell, with its files and its measurements."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean
from typing import Final

SOMA, AXON, BASAL, APICAL = 1, 2, 3, 4
NO_PARENT: Final = -1
ASC_NAMES: Final = {AXON: "Axon", BASAL: "Dendrite", APICAL: "Apical"}

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One line of an SWC file; lengths in micrometres."""

    number: int
    kind: int
    at: Vector
    radius: float
    parent: int


@dataclass(frozen=True)
class Cell:
    """A tree of points, parents first."""

    number: int  # what it grew from
    points: tuple[Point, ...]

    @cached_property
    def by_number(self) -> dict[int, Point]:
        """The points by their number."""
        return {point.number: point for point in self.points}

    @cached_property
    def children(self) -> dict[int, list[Point]]:
        """The points of dendrites and axon, by the number of their parent; stems under `NO_PARENT`."""
        found = defaultdict(list)
        for point in self.neurites:
            above = self.by_number.get(point.parent)
            found[NO_PARENT if above is None or above.kind == SOMA else above.number].append(point)
        return found

    @cached_property
    def neurites(self) -> list[Point]:
        """All points but the soma's."""
        return [point for point in self.points if point.kind != SOMA]

    @property
    def soma(self) -> list[Point]:
        """The points of the soma: none, one, or three."""
        return [point for point in self.points if point.kind == SOMA]

    def branch(self, point: Point) -> list[Point]:
        """The points from one to the next fork or tip, both included."""
        found = [point]
        while len(below := self.children.get(found[-1].number, [])) == 1:
            found.append(below[0])
        return found

    def segment(self, point: Point) -> float:
        """Distance of a point from its parent; 0 without one."""
        above = self.by_number.get(point.parent)
        return math.dist(point.at, above.at) if above else 0.0


@lru_cache(maxsize=1024)
def grow(number: int, domain: str = "Dendrites, Soma, Axon", pyramidal: bool = True) -> Cell:
    """The cell of a number with the parts that a `domain` names: 30 to 200 points."""
    parts = {part.strip().lower() for part in domain.split(",")}
    rng = random.Random(f"cell {number}")  # noqa: S311 - repeatable, no secret
    points: list[Point] = []
    root = NO_PARENT if "no soma" in parts else _soma(points, number, rng)
    dendrites = bool({"dendrites", "neurites"} & parts) or "axon" not in parts
    if dendrites:
        for _ in range(rng.randint(3, 4)):
            _grow_branch(points, root, BASAL, rng, forks=2)
        if pyramidal:
            _grow_branch(points, root, APICAL, rng, forks=3)
    if "axon" in parts:
        _grow_branch(points, root, AXON, rng, forks=3 if dendrites else 4)
    return Cell(number, tuple(points))


def _soma(points: list[Point], number: int, rng: random.Random) -> int:
    """A soma of three points for every fourth cell, else of one."""
    radius = round(rng.uniform(4.5, 9.5), 2)
    points.append(Point(1, SOMA, (0.0, 0.0, 0.0), radius, NO_PARENT))
    if number % 4 == 0:
        points.append(Point(2, SOMA, (0.0, -radius, 0.0), radius, 1))
        points.append(Point(3, SOMA, (0.0, radius, 0.0), radius, 1))
    return 1


def _grow_branch(points: list[Point], parent: int, kind: int, rng: random.Random, forks: int) -> None:
    at: Vector = next((point.at for point in points if point.number == parent), (0.0, 0.0, 0.0))
    step = [rng.uniform(-9, 9), rng.uniform(3, 14) * (-1 if kind == BASAL else 1), rng.uniform(-5, 5)]
    radius = (0.35 if kind == AXON else 0.6) + 0.3 * forks
    for _ in range(rng.randint(4, 6)):
        x, y, z = (round(a + s + rng.uniform(-2, 2), 2) for a, s in zip(at, step, strict=True))
        at, number = (x, y, z), len(points) + 1
        points.append(Point(number, kind, at, round(max(0.1, radius := radius * 0.95), 2), parent))
        parent = number
    if forks > 1:
        for _ in range(2):
            _grow_branch(points, parent, kind, rng, forks - 1)


def swc(cell: Cell) -> bytes:
    """The cell as a standardised SWC file, with the liberties that real files take."""
    micro = b"\xb5m" if cell.number % 7 == 0 else "µm".encode()  # not every header is UTF-8
    end = b"\r\n" if cell.number % 5 == 0 else b"\n"
    lead = " " if cell.number % 3 == 0 else ""
    lines = [b"# Made-up example cell %d, lengths in %b" % (cell.number, micro), b"# n T x y z R P"]
    for point in cell.points:
        radius = f"{point.radius:g}".removeprefix("0" if cell.number % 2 else "")
        x, y, z = point.at
        line = f"{lead}{point.number} {point.kind} {x:g} {y:g} {z:g} {radius} {point.parent}"
        lines.append(line.encode())
    return end.join([*lines, b""])


def asc(cell: Cell) -> bytes:
    """The cell as a Neurolucida text file."""
    lines = ["; Made-up example cell, in the format of Neurolucida"]
    if cell.soma:
        radius = cell.soma[0].radius
        ring = [(math.cos(math.tau * k / 8) * radius, math.sin(math.tau * k / 8) * radius) for k in range(8)]
        lines += ['("CellBody"', "  (Color Red)", "  (CellBody)"]
        lines += [f"  ({x:.2f} {y:.2f} 0 0.1)" for x, y in ring] + [")"]
    for stem in cell.children[NO_PARENT]:
        lines += ["( (Color Blue)", f"  ({ASC_NAMES[stem.kind]})", *_asc_branch(cell, stem, "  "), ")"]
    return "\n".join([*lines, ""]).encode()


def _asc_branch(cell: Cell, point: Point, indent: str) -> list[str]:
    branch = cell.branch(point)
    lines = [f"{indent}({x:g} {y:g} {z:g} {2 * p.radius:g})" for p in branch for x, y, z in (p.at,)]
    forks = cell.children.get(branch[-1].number, [])
    for place, below in enumerate(forks):
        lines += [indent + ("|" if place else "("), *_asc_branch(cell, below, indent + "  ")]
    return [*lines, indent + (")" if forks else "Normal")]


def log(cell: Cell) -> bytes:
    """The standardisation log of a cell."""
    last = cell.points[-1]
    return (
        f"# Standardization file of made-up example cell {cell.number}\n"
        f"2.4  Length of segment ending at point {last.number} >= 6.0 stdevs above mean.  (no action taken)\n"
    ).encode()


def measure(cell: Cell) -> dict[str, float | None]:
    """The measurements of the morphometry API under its keys; None where nothing can be measured."""
    neurites, soma = cell.neurites, cell.soma
    branches = [
        cell.branch(start) for starts in cell.children.values() for start in starts if _starts(cell, start)
    ]
    forks = [below for number, below in cell.children.items() if number != NO_PARENT and len(below) > 1]
    paths, orders = _paths(cell)
    width, height, depth = ([p.at[axis] for p in cell.points] for axis in range(3))
    found: dict[str, float | None] = {
        "soma_Surface": 4 * math.pi * soma[0].radius ** 2 if soma else None,
        "n_stems": float(len(cell.children[NO_PARENT])),
        "n_bifs": float(len(forks)),
        "n_branch": float(len(branches)),
        "width": max(width) - min(width),
        "height": max(height) - min(height),
        "depth": max(depth) - min(depth),
        "diameter": fmean(2 * point.radius for point in neurites),
        "length": sum(map(cell.segment, neurites)),
        "surface": sum(math.tau * p.radius * cell.segment(p) for p in neurites),
        "volume": sum(math.pi * p.radius**2 * cell.segment(p) for p in neurites),
        "eucDistance": max(math.dist(cell.points[0].at, point.at) for point in neurites),
        "pathDistance": max(paths.values()),
        "branch_Order": float(max(orders.values())),
        "contraction": fmean(_contraction(cell, branch) for branch in branches),
        "fragmentation": float(len(neurites)),
        "bif_ampl_local": fmean(_angle(cell, below) for below in forks) if forks else None,
        "partition_asymmetry": None,
        "pk_classic": fmean(_rall(cell, below) for below in forks) if forks else None,
        "fractal_Dim": None,
    }
    return {key: None if value is None else float(f"{value:.6g}") for key, value in found.items()}


def _starts(cell: Cell, point: Point) -> bool:
    above = cell.by_number.get(point.parent)
    return above is None or above.kind == SOMA or len(cell.children[above.number]) > 1


def _paths(cell: Cell) -> tuple[dict[int, float], dict[int, int]]:
    """(distance along the branches from the root, branch order) by number."""
    paths: dict[int, float] = {}
    orders: dict[int, int] = {}
    for point in cell.neurites:
        paths[point.number] = paths.get(point.parent, 0.0) + cell.segment(point)
        forked = point.parent in orders and len(cell.children[point.parent]) > 1
        orders[point.number] = orders.get(point.parent, 0) + forked
    return paths, orders


def _contraction(cell: Cell, branch: list[Point]) -> float:
    above = cell.by_number.get(branch[0].parent, branch[0])
    return math.dist(above.at, branch[-1].at) / sum(map(cell.segment, branch))


def _angle(cell: Cell, below: list[Point]) -> float:
    """Angle between the first two branches at a fork, degrees."""
    fork = cell.by_number[below[0].parent].at
    one, two = ([a - b for a, b in zip(point.at, fork, strict=True)] for point in below[:2])
    cosine = sum(a * b for a, b in zip(one, two, strict=True)) / (math.hypot(*one) * math.hypot(*two))
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _rall(cell: Cell, below: list[Point]) -> float:
    parent = cell.by_number[below[0].parent]
    return float(sum(point.radius**1.5 for point in below) / parent.radius**1.5)


def png(shade: int) -> bytes:
    """A grey picture of one pixel; `shade` from 0 to 255."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(bytes([0, shade])))
    return b"\x89PNG\r\n\x1a\n" + header + pixel + chunk(b"IEND", b"")
