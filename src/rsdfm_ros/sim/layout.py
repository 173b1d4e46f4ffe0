"""The plan of the standard style, an urban block: a grid of streets with buildings, parks and car parks between."""

from __future__ import annotations

import math

import numpy as np

from rsdfm_ros.sim.config import PAINTED_EXTENT_M, Range
from rsdfm_ros.sim.plan import TOWN, Building, Layout, Place, Rectangle, Road, Street, Tree

__all__ = ["BUILT_HALF_WIDTH_M", "Building", "Layout", "Place", "Rectangle", "Street", "Tree", "make_layout"]

BUILT_HALF_WIDTH_M = TOWN.half_width_m + TOWN.pavement_m


def make_layout(seed: int) -> Layout:
    """The plan of an urban block that belongs to a seed."""
    rng = np.random.default_rng([seed, 1])
    xs, ys = lines(rng), lines(rng)
    streets = grid(rng, xs, ys)
    blocks = _blocks(rng, xs, ys)
    buildings: list[Building] = []
    trees: list[Tree] = []
    places: list[Place] = []
    for rect, kind in blocks:
        if kind == "built":
            _build(rng, rect, buildings, trees)
        elif kind == "park":
            plant(rng, rect, int((rect[2] - rect[0]) * (rect[3] - rect[1]) / 70), trees)
        else:
            places += bays(rng, rect)
    for s in streets:
        places += kerb_places(rng, s)
        avenue(rng, s, trees)
    return Layout(xs, ys, streets, blocks, tuple(buildings), tuple(trees), tuple(places))


def lines(rng: np.random.Generator, apart_m: Range = (40, 60), offset_m: float = 26) -> tuple[float, ...]:
    """Coordinates of parallel streets, by default 40 to 60 m apart, around a random offset."""
    found = [float(rng.uniform(-offset_m, offset_m))]
    while (nxt := found[-1] + float(rng.uniform(*apart_m))) < 88:
        found.append(nxt)
    while (nxt := found[0] - float(rng.uniform(*apart_m))) > -88:
        found.insert(0, nxt)
    return tuple(found)


def grid(
    rng: np.random.Generator,
    xs: tuple[float, ...],
    ys: tuple[float, ...],
    road: Road = TOWN,
    parks: float = 0.7,
    drops: float = 0.22,
) -> tuple[Street, ...]:
    """All stretches of the grid less a few inner ones.

    Every junction keeps three arms, and one line per axis stays whole.
    """
    arms = {(i, j): 4 for i in range(len(xs)) for j in range(len(ys))}
    whole = (int(rng.integers(max(len(ys), 1))), int(rng.integers(max(len(xs), 1))))
    out: list[Street] = []
    for axis, lines, along in ((0, ys, xs), (1, xs, ys)):
        for line, across in enumerate(lines):
            cuts = [-PAINTED_EXTENT_M, *along, PAINTED_EXTENT_M]
            for n in range(len(cuts) - 1):
                a, b = (n - 1 if n > 0 else None), (n if n < len(along) else None)
                parking = (bool(rng.random() < parks), bool(rng.random() < parks))
                drop = rng.random() < drops
                if drop and a is not None and b is not None and line != whole[axis]:
                    ends = [(a, line), (b, line)] if axis == 0 else [(line, a), (line, b)]
                    if all(arms[e] == 4 for e in ends):
                        for e in ends:
                            arms[e] -= 1
                        continue
                out.append(Street(axis, line, across, cuts[n], cuts[n + 1], (a, b), parking, road))
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
        plant(rng, rect, int(w * h / 90) + 1, trees)
        return
    m = rng.uniform(0.8, 3.5, 4)
    tall = rng.random() < 0.2
    height = float(rng.uniform(13, 20) if tall else rng.uniform(6, 13))
    footprint = (x0 + float(m[0]), y0 + float(m[1]), x1 - float(m[2]), y1 - float(m[3]))
    buildings.append(Building(footprint, height, int(rng.integers(4)), int(rng.integers(3))))


def plant(rng: np.random.Generator, rect: Rectangle, count: int, trees: list[Tree]) -> None:
    """Trees at random in a rectangle."""
    for _ in range(count):
        r = float(rng.uniform(1.4, 2.6))
        if rect[2] - rect[0] > 2 * r and rect[3] - rect[1] > 2 * r:
            x, y = float(rng.uniform(rect[0] + r, rect[2] - r)), float(rng.uniform(rect[1] + r, rect[3] - r))
            trees.append(Tree(x, y, float(rng.uniform(4, 8)), r, int(rng.integers(3))))


def avenue(rng: np.random.Generator, s: Street, trees: list[Tree]) -> None:
    """Street trees on the pavements."""
    for side in (-1.0, 1.0):
        if rng.random() < 0.45:
            continue
        along = s.start_m + 13.0
        while along < s.end_m - 12:
            if rng.random() < 0.7:
                p = s.across_m + side * (s.road.half_width_m + min(1.7, 0.66 * s.road.pavement_m))
                x, y = (along, p) if s.axis == 0 else (p, along)
                r = float(rng.uniform(1.2, 2.0))
                trees.append(Tree(x, y, float(rng.uniform(4, 7)), r, int(rng.integers(3))))
            along += float(rng.uniform(8, 13))


def kerb_places(rng: np.random.Generator, s: Street) -> list[Place]:
    """Places along the kerbs, in driving direction (right-hand traffic), with room for one vehicle each."""
    out = []
    for parks, side in zip(s.parking, (1.0, -1.0), strict=True):
        along, end = s.start_m + s.road.junction_half_m + 4.0, s.end_m - s.road.junction_half_m - 4.0
        edge = s.road.half_width_m - s.road.kerb_offset_m
        while parks and along < end:
            length = float(rng.choice(s.road.place_lengths_m, p=s.road.place_odds))
            if along + length > end:
                break
            c, p = along + 0.5 * length, s.across_m + side * edge
            if s.axis == 0:
                out.append(Place(c, p, math.pi if side > 0 else 0.0, length, True))
            else:  # seen along +y the left kerb lies at smaller x
                out.append(
                    Place(
                        s.across_m - side * edge,
                        c,
                        -math.pi / 2 if side > 0 else math.pi / 2,
                        length,
                        True,
                    )
                )
            along += length + float(rng.uniform(0, 2))
    return out


def bays(rng: np.random.Generator, rect: Rectangle) -> list[Place]:
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
