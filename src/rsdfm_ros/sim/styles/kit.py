"""Building blocks of several styles: cells between streets, things beside them, and a last check for collisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.plan import Clutter, Layout, Place, Point2, Rectangle, Street, Surface, Tree, Walk

LAMP_HEIGHT_M = 7.0


def cells(xs: Sequence[float], ys: Sequence[float], half_m: float) -> list[Rectangle]:
    """Rectangles between street lines (half_m on both sides of each belongs to the street), more than 8 m wide."""
    cx, cy = ([-PAINTED_EXTENT_M - half_m, *v, PAINTED_EXTENT_M + half_m] for v in (xs, ys))
    found = [
        (cx[i] + half_m, cy[j] + half_m, cx[i + 1] - half_m, cy[j + 1] - half_m)
        for i in range(len(cx) - 1)
        for j in range(len(cy) - 1)
    ]
    return [r for r in found if r[2] - r[0] > 8 and r[3] - r[1] > 8]


def rect(r: Rectangle, material: str, stripe_m: float = 0.0, turn: bool = False) -> Surface:
    """A rectangle of ground; furrows run along x, with `turn` along y."""
    x0, y0, x1, y1 = r
    points = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    return Surface(points[1:] + points[:1] if turn else points, material, stripe_m)


def shrink(r: Rectangle, by: float) -> Rectangle:
    return (r[0] + by, r[1] + by, r[2] - by, r[3] - by)


def split(rng: np.random.Generator, length: float, low: float, high: float) -> list[tuple[float, float]]:
    """Pieces of a length, each between low and high where that is possible, as (from, to)."""
    count = max(1, int(length / rng.uniform(low, high)))
    cuts = [0.0, *sorted((n + rng.uniform(-0.12, 0.12)) * length / count for n in range(1, count)), length]
    return [(float(a), float(b)) for a, b in pairwise(cuts)]


def walks(streets: Sequence[Street]) -> tuple[Walk, ...]:
    """Ways along the pavements of streets, between junctions."""
    out = []
    for s in streets:
        if s.road.pavement_m < 1:
            continue
        a = max(s.start_m + s.road.junction_half_m, -100.0)
        z = min(s.end_m - s.road.junction_half_m, 100.0)
        for side in (-1.0, 1.0):
            p = s.across_m + side * (s.road.half_width_m + 0.35 * s.road.pavement_m)
            if z - a > 8:
                out.append(Walk((a, p), (z, p)) if s.axis == 0 else Walk((p, a), (p, z)))
    return tuple(out)


def street_lamps(streets: Sequence[Street], apart_m: float = 26.0) -> tuple[list[Point2], list[Clutter]]:
    """Heads of lamps above the kerbs, on alternating sides, and their poles and arms."""
    heads: list[Point2] = []
    things: list[Clutter] = []
    for s in streets:
        a, z = s.start_m + s.road.junction_half_m + 2, s.end_m - s.road.junction_half_m - 2
        for n, u in enumerate(np.arange(a, z, apart_m)):
            side = 1.0 if n % 2 else -1.0
            p = s.across_m + side * (s.road.half_width_m + 0.5)
            head = p - side * 1.4
            x, y = (float(u), p) if s.axis == 0 else (p, float(u))
            hx, hy = (float(u), head) if s.axis == 0 else (head, float(u))
            heads.append((hx, hy))
            things.append(Clutter(x, y, 0.0, 0.16, 0.16, LAMP_HEIGHT_M, "steel", drum=True))
            yaw = math.atan2(hy - y, hx - x)
            middle = (0.5 * (x + hx), 0.5 * (y + hy))
            things.append(Clutter(*middle, yaw, 1.6, 0.14, 0.12, "steel", LAMP_HEIGHT_M - 0.1))
    return heads, things


def lit(layout: Layout) -> Layout:
    """The layout with street lamps, if it has none yet."""
    if layout.lamps:
        return layout
    heads, poles = street_lamps(layout.streets)
    return tidy(replace(layout, lamps=tuple(heads), clutter=(*layout.clutter, *poles)))


def hedge(a: Point2, b: Point2, width_m: float, height_m: float, colour: str = "leaf") -> Clutter:
    """A hedge, fence or wall between two points."""
    x, y = 0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1])
    yaw = math.atan2(b[1] - a[1], b[0] - a[0])
    return Clutter(x, y, yaw, math.dist(a, b), width_m, height_m, colour)


def random_tree(
    rng: np.random.Generator, x: float, y: float, low: float = 4.0, high: float = 9.0, conifers: float = 0.2
) -> Tree:
    form = "conifer" if rng.random() < conifers else "round"
    h = float(rng.uniform(low, high))
    r = float(rng.uniform(0.22, 0.32) * h) if form == "conifer" else float(rng.uniform(0.28, 0.42) * h)
    return Tree(x, y, h, r, int(rng.integers(3)), form)


def scatter(rng: np.random.Generator, r: Rectangle, count: int, conifers: float = 0.2) -> list[Tree]:
    """Trees at random in a rectangle."""
    if r[2] - r[0] < 2 or r[3] - r[1] < 2:
        return []
    at = rng.uniform((r[0] + 1, r[1] + 1), (r[2] - 1, r[3] - 1), (count, 2))
    return [random_tree(rng, float(x), float(y), conifers=conifers) for x, y in at]


def tidy(layout: Layout) -> Layout:
    """The layout without collisions: removes places in buildings, trees and clutter on roads, on places or in walls."""
    roads = _boxes([s.rectangle(s.road.half_width_m, s.road.half_width_m) for s in layout.streets], 0.15)
    walls = _boxes([b.footprint for b in layout.buildings], 0.5)
    bays = [p for p in layout.places if not p.kerb]
    at = _sample_places(bays)
    free = np.logical_not((_inside(at, walls) | _inside(at, roads)).any(1)).tolist()
    places = [p for p in layout.places if p.kerb] + [p for p, ok in zip(bays, free, strict=True) if ok]
    parked = np.array([(p.x, p.y, p.yaw, 0.5 * p.length_m + 0.3, 1.65) for p in places]).reshape(-1, 5)
    taken = np.concatenate([roads, parked])
    trunks = np.array([(t.x, t.y) for t in layout.trees]).reshape(-1, 2)
    stands = ~(_inside(trunks, taken) | _inside(trunks, walls))
    low = [c for c in layout.clutter if c.z_m < 3.6]
    clear = np.array(
        [not (_inside(p := _sample(c), taken).any() or _inside(p, walls).any()) for c in low], bool
    )
    clutter = [c for c in layout.clutter if c.z_m >= 3.6] + [
        c for c, ok in zip(low, clear, strict=True) if ok
    ]
    return replace(
        layout,
        places=tuple(places),
        trees=tuple(t for t, ok in zip(layout.trees, stands, strict=True) if ok),
        clutter=tuple(clutter),
    )


def _boxes(rects: Sequence[Rectangle], margin: float) -> NDArray[np.float64]:
    """Rectangles as rows (x, y, yaw, half length, half width), grown by a margin."""
    r = np.array(rects).reshape(-1, 4)
    centre, half = 0.5 * (r[:, :2] + r[:, 2:]), 0.5 * (r[:, 2:] - r[:, :2]) + margin
    return np.column_stack([centre, np.zeros(len(r)), half])


def _inside(points: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (..., 2) lie in any of the boxes (M, 5)."""
    d = points[..., None, :] - boxes[:, :2]
    c, s = np.cos(boxes[:, 2]), np.sin(boxes[:, 2])
    u, v = d[..., 0] * c + d[..., 1] * s, d[..., 1] * c - d[..., 0] * s
    return np.asarray(((np.abs(u) < boxes[:, 3]) & (np.abs(v) < boxes[:, 4])).any(-1))


def _sample_places(places: Sequence[Place]) -> NDArray[np.float64]:
    """Points (N, 15, 2) of places."""
    p = np.array([(p.x, p.y, p.yaw, 0.5 * p.length_m) for p in places]).reshape(-1, 4, 1, 1)
    u, v = np.linspace(-1, 1, 5)[:, None] * p[:, 3], np.array([-1.2, 0, 1.2])[None, :] + 0 * p[:, 3]
    c, s = np.cos(p[:, 2]), np.sin(p[:, 2])
    return np.stack([p[:, 0] + u * c - v * s, p[:, 1] + u * s + v * c], -1).reshape(-1, 15, 2)


def _sample(c: Clutter) -> NDArray[np.float64]:
    """Points (N, 2) of clutter, at most a metre apart."""
    length, width = (c.width_m, c.width_m) if c.drum else (c.length_m, c.width_m)
    u, v = (np.linspace(-0.5 * d, 0.5 * d, 2 + int(d)) for d in (length, width))
    uu, vv = (g.ravel() for g in np.meshgrid(u, v))
    cos, sin = math.cos(c.yaw), math.sin(c.yaw)
    return np.column_stack([c.x + uu * cos - vv * sin, c.y + uu * sin + vv * cos])
