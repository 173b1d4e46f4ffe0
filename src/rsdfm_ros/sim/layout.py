"""The static plan of an urban block: streets, blocks, buildings, trees, car parks and parking places."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsdfm_ros.sim.config import JUNCTION_HALF_M, PAINTED_EXTENT_M, PAVEMENT_WIDTH_M, ROAD_HALF_WIDTH_M

BUILT_HALF_WIDTH_M = ROAD_HALF_WIDTH_M + PAVEMENT_WIDTH_M
Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""


@dataclass(frozen=True)
class Street:
    """A straight stretch between two junctions (or the edge of the world).

    axis: 0 along x, 1 along y · line: index of the street line across · across_m: its fixed coordinate ·
    start_m < end_m: the stretch along the axis · nodes: index along the axis of the junctions at the two
    ends, None at the edge of the world · parking: whether vehicles park at the (left, right) kerb seen along
    the axis.
    """

    axis: int
    line: int
    across_m: float
    start_m: float
    end_m: float
    nodes: tuple[int | None, int | None]
    parking: tuple[bool, bool]


@dataclass(frozen=True)
class Building:
    """An upright block; facade and roof pick among the looks of the scene."""

    footprint: Rectangle
    height_m: float
    facade: int
    roof: int


@dataclass(frozen=True)
class Tree:
    x: float
    y: float
    height_m: float
    crown_radius_m: float
    look: int


@dataclass(frozen=True)
class Place:
    """A parking place: centre, direction along it, room, and whether it lies at a kerb or is a bay."""

    x: float
    y: float
    yaw: float
    length_m: float
    kerb: bool


@dataclass(frozen=True)
class Layout:
    """Everything that stands still. Street lines: x = xs[i] (axis 1) and y = ys[j] (axis 0)."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    streets: tuple[Street, ...]
    blocks: tuple[tuple[Rectangle, str], ...]
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    places: tuple[Place, ...]

    def road_rectangles(self) -> list[Rectangle]:
        """Carriageways with parking strips as rectangles in metres; they overlap at junctions."""
        h, out = ROAD_HALF_WIDTH_M, []
        for s in self.streets:
            if s.axis == 0:
                out.append((s.start_m - h, s.across_m - h, s.end_m + h, s.across_m + h))
            else:
                out.append((s.across_m - h, s.start_m - h, s.across_m + h, s.end_m + h))
        return out


def make_layout(seed: int) -> Layout:
    """The plan that belongs to a seed."""
    rng = np.random.default_rng([seed, 1])
    xs, ys = _lines(rng), _lines(rng)
    streets = _streets(rng, xs, ys)
    blocks = _blocks(rng, xs, ys)
    buildings: list[Building] = []
    trees: list[Tree] = []
    places: list[Place] = []
    for rect, kind in blocks:
        if kind == "built":
            _build(rng, rect, buildings, trees)
        elif kind == "park":
            _plant(rng, rect, int((rect[2] - rect[0]) * (rect[3] - rect[1]) / 70), trees)
        else:
            places += _bays(rng, rect)
    for s in streets:
        places += _kerb_places(rng, s)
        _avenue(rng, s, trees)
    return Layout(xs, ys, streets, blocks, tuple(buildings), tuple(trees), tuple(places))


def _lines(rng: np.random.Generator) -> tuple[float, ...]:
    """Coordinates of parallel streets, 40 to 60 m apart, around a random offset."""
    lines = [float(rng.uniform(-26, 26))]
    while (nxt := lines[-1] + float(rng.uniform(40, 60))) < 88:
        lines.append(nxt)
    while (nxt := lines[0] - float(rng.uniform(40, 60))) > -88:
        lines.insert(0, nxt)
    return tuple(lines)


def _streets(rng: np.random.Generator, xs: tuple[float, ...], ys: tuple[float, ...]) -> tuple[Street, ...]:
    """All stretches of the grid less a few inner ones.

    Every junction keeps three arms, and one line per axis stays whole.
    """
    arms = {(i, j): 4 for i in range(len(xs)) for j in range(len(ys))}
    whole = (int(rng.integers(len(ys))), int(rng.integers(len(xs))))
    out: list[Street] = []
    for axis, lines, along in ((0, ys, xs), (1, xs, ys)):
        for line, across in enumerate(lines):
            cuts = [-PAINTED_EXTENT_M, *along, PAINTED_EXTENT_M]
            for n in range(len(cuts) - 1):
                a, b = (n - 1 if n > 0 else None), (n if n < len(along) else None)
                parking = (bool(rng.random() < 0.7), bool(rng.random() < 0.7))
                drop = rng.random() < 0.22
                if drop and a is not None and b is not None and line != whole[axis]:
                    ends = [(a, line), (b, line)] if axis == 0 else [(line, a), (line, b)]
                    if all(arms[e] == 4 for e in ends):
                        for e in ends:
                            arms[e] -= 1
                        continue
                out.append(Street(axis, line, across, cuts[n], cuts[n + 1], (a, b), parking))
    return tuple(out)


def _blocks(
    rng: np.random.Generator, xs: tuple[float, ...], ys: tuple[float, ...]
) -> tuple[tuple[Rectangle, str], ...]:
    """Rectangles between pavements with their use: built, park or carpark."""
    h = BUILT_HALF_WIDTH_M
    cx, cy = (
        [-PAINTED_EXTENT_M - h, *xs, PAINTED_EXTENT_M + h],
        [-PAINTED_EXTENT_M - h, *ys, PAINTED_EXTENT_M + h],
    )
    rects: list[Rectangle] = []
    for i in range(len(cx) - 1):
        for j in range(len(cy) - 1):
            r = (cx[i] + h, cy[j] + h, cx[i + 1] - h, cy[j + 1] - h)
            if r[2] - r[0] > 8 and r[3] - r[1] > 8:
                rects.append(r)
    inner = [n for n, r in enumerate(rects) if abs(r[0] + r[2]) < 100 and abs(r[1] + r[3]) < 100]
    rng.shuffle(inner)
    uses = ["built"] * len(rects)
    n_car, n_park = int(rng.integers(1, 4)), int(rng.integers(0, 2))
    for n in inner[:n_car]:
        uses[n] = "carpark"
    for n in inner[n_car : n_car + n_park]:
        uses[n] = "park"
    for n in range(len(rects)):
        if n not in inner and rng.random() < 0.3:
            uses[n] = "park"
    return tuple(zip(rects, uses, strict=True))


def _build(rng: np.random.Generator, rect: Rectangle, buildings: list[Building], trees: list[Tree]) -> None:
    """Splits a block into lots; most get a building, the others a few trees."""
    x0, y0, x1, y1 = rect
    w, h = x1 - x0, y1 - y0
    if max(w, h) > 26 or (max(w, h) > 18 and rng.random() < 0.4):
        cut = float(rng.uniform(0.4, 0.6))
        halves = (
            ((x0, y0, x0 + cut * w, y1), (x0 + cut * w, y0, x1, y1))
            if w > h
            else ((x0, y0, x1, y0 + cut * h), (x0, y0 + cut * h, x1, y1))
        )
        for half in halves:
            _build(rng, half, buildings, trees)
        return
    if rng.random() < 0.22 or min(w, h) < 9:
        _plant(rng, rect, int(w * h / 90) + 1, trees)
        return
    m = rng.uniform(0.8, 3.5, 4)
    tall = rng.random() < 0.2
    height = float(rng.uniform(13, 20) if tall else rng.uniform(6, 13))
    footprint = (x0 + float(m[0]), y0 + float(m[1]), x1 - float(m[2]), y1 - float(m[3]))
    buildings.append(Building(footprint, height, int(rng.integers(4)), int(rng.integers(3))))


def _plant(rng: np.random.Generator, rect: Rectangle, count: int, trees: list[Tree]) -> None:
    """Trees at random in a rectangle."""
    for _ in range(count):
        r = float(rng.uniform(1.4, 2.6))
        if rect[2] - rect[0] > 2 * r and rect[3] - rect[1] > 2 * r:
            x, y = float(rng.uniform(rect[0] + r, rect[2] - r)), float(rng.uniform(rect[1] + r, rect[3] - r))
            trees.append(Tree(x, y, float(rng.uniform(4, 8)), r, int(rng.integers(3))))


def _avenue(rng: np.random.Generator, s: Street, trees: list[Tree]) -> None:
    """Street trees on the pavements."""
    for side in (-1.0, 1.0):
        if rng.random() < 0.45:
            continue
        along = s.start_m + 13.0
        while along < s.end_m - 12:
            if rng.random() < 0.7:
                p = s.across_m + side * (ROAD_HALF_WIDTH_M + 1.7)
                x, y = (along, p) if s.axis == 0 else (p, along)
                r = float(rng.uniform(1.2, 2.0))
                trees.append(Tree(x, y, float(rng.uniform(4, 7)), r, int(rng.integers(3))))
            along += float(rng.uniform(8, 13))


def _kerb_places(rng: np.random.Generator, s: Street) -> list[Place]:
    """Places along the kerbs, in driving direction (right-hand traffic), with room for one vehicle each."""
    out = []
    for parks, side in zip(s.parking, (1.0, -1.0), strict=True):
        along, end = s.start_m + JUNCTION_HALF_M + 4.0, s.end_m - JUNCTION_HALF_M - 4.0
        while parks and along < end:
            length = float(rng.choice([6.2, 9.6, 13.8], p=[0.56, 0.24, 0.2]))
            if along + length > end:
                break
            c, p = along + 0.5 * length, s.across_m + side * (ROAD_HALF_WIDTH_M - 1.38)
            if s.axis == 0:
                out.append(Place(c, p, math.pi if side > 0 else 0.0, length, True))
            else:  # seen along +y the left kerb lies at smaller x
                out.append(
                    Place(
                        s.across_m - side * (ROAD_HALF_WIDTH_M - 1.38),
                        c,
                        -math.pi / 2 if side > 0 else math.pi / 2,
                        length,
                        True,
                    )
                )
            along += length + float(rng.uniform(0, 2))
    return out


def _bays(rng: np.random.Generator, rect: Rectangle) -> list[Place]:
    """Rows of bays and aisles of a car park; one row may be made of long places for trucks and buses."""
    x0, y0, x1, y1 = rect
    turn = (x1 - x0) < (y1 - y0)
    u0, u1, v0, v1 = (y0, y1, x0, x1) if turn else (x0, x1, y0, y1)
    out: list[Place] = []

    def add(u: float, v: float, yaw: float, length: float) -> None:
        x, y, a = (v, u, math.pi / 2 - yaw) if turn else (u, v, yaw)
        out.append(Place(x, y, a, length, False))

    v = v0 + 1.5
    if rng.random() < 0.75 and v1 - v0 > 14:
        u = u0 + 2.0
        while u + 13.6 < u1 - 1:
            add(u + 6.8, v + 1.6, 0.0 if rng.random() < 0.5 else math.pi, 13.6)
            u += 14.2
        v += 3.4 + 6.0
    while v + 5.6 < v1 - 1:
        for back in (False, True):
            if v + 5.6 > v1 - 1:
                break
            u = u0 + 2.0
            while u + 2.8 < u1 - 1:
                add(u + 1.4, v + 2.8, math.pi / 2 if back else -math.pi / 2, 5.8)
                u += 2.8
            v += 5.7 + (6.2 if not back else 0.0)
    return out
