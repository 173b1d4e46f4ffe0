"""Distractors: cranes, containers, construction sites, ponds, markets, rubble in free places; no labelled objects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.plan import Clutter, Layout, Point2, Surface

CONTAINER_M = (6.06, 2.44, 2.59)
"""A container of 20 feet."""
TALLEST_M = 24.0
"""No distractor is taller."""
_COLOURS = ("red", "blue", "green", "orange", "rust", "white", "steel", "yellow")
_TRIES = 60


@dataclass(frozen=True)
class Site:
    """A free square: its middle, its direction and half its side in m."""

    x: float
    y: float
    yaw: float
    half_m: float

    def at(self, u: float, v: float) -> Point2:
        """The point u m along and v m across the direction of the site."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + u * c - v * s, self.y + u * s + v * c

    def box(
        self,
        u: float,
        v: float,
        size: tuple[float, float, float],
        colour: str,
        z: float = 0.0,
        turn: float = 0.0,
    ) -> Clutter:
        """A box of a size (along, across, up) with its middle at (u, v)."""
        return Clutter(*self.at(u, v), self.yaw + turn, *size, colour, z)

    def ground(self, material: str, share: float = 1.0, corners: int = 4) -> Surface:
        """A convex patch of ground that fills the site, a square or of more corners."""
        half = share * self.half_m
        if corners == 4:
            ring = [(-half, -half), (half, -half), (half, half), (-half, half)]
        else:
            angles = np.linspace(0, 2 * math.pi, corners, endpoint=False)
            ring = [(half * math.cos(a), half * math.sin(a)) for a in angles]
        return Surface(tuple(self.at(u, v) for u, v in ring), material)


def with_distractors(layout: Layout, count: int, seed: int) -> tuple[Layout, tuple[Clutter, ...]]:
    """The layout with up to `count` distractors where there is room, and what is taller than 8 m of them."""
    if not count:
        return layout, ()
    rng = np.random.default_rng([seed, 43])
    taken = _taken(layout)
    things: list[Clutter] = []
    surfaces: list[Surface] = []
    for _ in range(count):
        make, half = _KINDS[int(rng.integers(len(_KINDS)))]
        site = _free_site(rng, taken, half * float(rng.uniform(0.85, 1.25)))
        if site is None:
            continue
        make(rng, site, things, surfaces)
        taken = np.concatenate([taken, [[site.x, site.y, 1.42 * site.half_m]]])
    tall = tuple(c for c in things if c.z_m + c.height_m > 8.0)
    return replace(layout, clutter=(*layout.clutter, *things), surfaces=(*layout.surfaces, *surfaces)), tall


def _taken(layout: Layout) -> NDArray[np.float64]:
    """Everything that stands or drives somewhere, as circles (N, 3): x, y, radius; long things as rows of circles."""
    rows: list[tuple[float, float, float]] = []

    def rectangle(x0: float, y0: float, x1: float, y1: float, margin: float) -> None:
        step = max(2.0, 0.7 * min(x1 - x0, y1 - y0))
        radius = 0.71 * step + margin
        for x in _spread(x0, x1, step):
            rows.extend((x, y, radius) for y in _spread(y0, y1, step))

    for s in layout.streets:
        rectangle(*s.rectangle(s.road.built_half_width_m, s.road.built_half_width_m), 0.5)
    for b in layout.buildings:
        rectangle(*b.footprint, 1.0)
    rows += [(t.x, t.y, t.crown_radius_m + 0.5) for t in layout.trees]
    rows += [(p.x, p.y, 0.5 * p.length_m + 1.5) for p in layout.places]
    rows += [
        (c.x, c.y, 0.5 * math.hypot(c.length_m, c.width_m) + 0.3) for c in layout.clutter if c.length_m < 12
    ]
    for w in layout.walks:
        length = math.dist(w.start, w.end)
        for t in np.linspace(0, 1, 2 + int(length / 3.0)):
            x, y = (float(a + t * (b - a)) for a, b in zip(w.start, w.end, strict=True))
            rows.append((x, y, 2.2))
    return np.array(rows).reshape(-1, 3)


def _spread(low: float, high: float, step: float) -> list[float]:
    count = max(1, math.ceil((high - low) / step))
    return [low + (n + 0.5) * (high - low) / count for n in range(count)]


def _free_site(rng: np.random.Generator, taken: NDArray[np.float64], half_m: float) -> Site | None:
    """A place within view for a square, which may shrink to half the size where room is short."""
    for attempt in range(_TRIES):
        half = half_m * (1.0 - 0.5 * attempt / _TRIES)
        x, y = (float(v) for v in rng.uniform(-75, 75, 2))
        if np.all(np.hypot(taken[:, 0] - x, taken[:, 1] - y) > taken[:, 2] + 1.42 * half):
            return Site(x, y, float(rng.uniform(0, 2 * math.pi)), half)
    return None


Maker = Callable[[np.random.Generator, Site, list[Clutter], list[Surface]], None]


def _colour(rng: np.random.Generator) -> str:
    return _COLOURS[int(rng.integers(len(_COLOURS)))]


def _containers(rng: np.random.Generator, site: Site, things: list[Clutter], surfaces: list[Surface]) -> None:
    """Rows of containers, up to three on top of each other."""
    surfaces.append(site.ground(str(rng.choice(["gravel", "concrete", "asphalt"]))))
    length, width, height = CONTAINER_M
    rows = max(1, int(2 * site.half_m / (width + 0.4)))
    for n in range(rows):
        v = (n - 0.5 * (rows - 1)) * (width + 0.4)
        if abs(v) + 0.5 * width > site.half_m or 0.5 * length > site.half_m:
            continue
        for level in range(int(rng.integers(0, 4))):
            things.append(site.box(0.0, v, CONTAINER_M, _colour(rng), level * height))


def _fence(site: Site, things: list[Clutter], colour: str) -> None:
    side = 2 * site.half_m - 0.2
    for k in range(4):
        turn = 0.5 * math.pi * k
        u, v = 0.5 * side * math.cos(turn), 0.5 * side * math.sin(turn)
        things.append(site.box(u, v, (0.08, side, 1.9), colour, 0.0, turn))


def _shell(rng: np.random.Generator, site: Site, things: list[Clutter], surfaces: list[Surface]) -> None:
    """A building in its shell: slabs on columns, scaffolding, fence, excavator, stacks."""
    surfaces.append(site.ground("soil"))
    _fence(site, things, str(rng.choice(["steel", "white", "orange"])))
    half, floors = 0.55 * site.half_m, int(rng.integers(1, 5))
    storey = 3.2
    for n in range(floors):
        for u in np.linspace(-half + 0.4, half - 0.4, 3):
            for v in np.linspace(-half + 0.4, half - 0.4, 3):
                things.append(site.box(float(u), float(v), (0.4, 0.4, storey - 0.3), "stone", n * storey))
        things.append(site.box(0.0, 0.0, (2 * half, 2 * half, 0.3), "stone", (n + 1) * storey - 0.3))
    for u in np.arange(-half, half + 0.1, 2.5):
        things.append(site.box(float(u), half + 0.9, (0.1, 0.1, floors * storey + 1), "steel"))
    for n in range(floors):
        things.append(site.box(0.0, half + 0.9, (2 * half, 0.8, 0.06), "wood", (n + 1) * storey - 1.2))
    _excavator(rng, site, things, -0.78 * site.half_m, 0.0)
    _stack(rng, site, things, 0.0, -0.78 * site.half_m)


def _crane(rng: np.random.Generator, site: Site, things: list[Clutter], surfaces: list[Surface]) -> None:
    """A tower crane on a site with a fence, its jib over whatever is near."""
    surfaces.append(site.ground(str(rng.choice(["soil", "gravel", "sand"]))))
    _fence(site, things, "steel")
    height, reach = float(rng.uniform(15, TALLEST_M - 2.0)), float(rng.uniform(14, 26))
    colour = str(rng.choice(["yellow", "red", "white", "blue"]))
    things.append(site.box(0, 0, (3.5, 3.5, 0.8), "stone"))
    for u, v in ((-0.6, -0.6), (-0.6, 0.6), (0.6, -0.6), (0.6, 0.6)):
        things.append(site.box(u, v, (0.18, 0.18, height), colour))
    for z in np.arange(1.5, height, 1.5):
        things.append(site.box(0, 0, (1.35, 1.35, 0.12), colour, float(z)))
    for side in (-0.5, 0.5):
        things.append(site.box(0.5 * reach - 3.0, side, (reach + 6.0, 0.15, 0.15), colour, height))
    things.append(site.box(0.5 * reach, 0, (reach, 0.15, 0.15), colour, height + 1.0))
    for u in np.arange(-5.5, reach, 1.5):
        things.append(site.box(float(u), 0, (0.12, 1.0, 0.1), colour, height))
    things.append(site.box(-5.0, 0, (1.6, 1.3, 1.4), "stone", height - 1.4))
    things.append(site.box(1.2, 0.9, (1.4, 1.2, 1.7), "white", height - 1.7))
    things.append(site.box(0.6 * reach, 0, (0.08, 0.08, 0.6 * height), "dark", 0.4 * height))
    _stack(rng, site, things, 0.6 * site.half_m, 0.55 * site.half_m)


def _excavator(rng: np.random.Generator, site: Site, things: list[Clutter], u: float, v: float) -> None:
    turn = float(rng.uniform(0, 2 * math.pi))
    colour = str(rng.choice(["yellow", "orange"]))
    for side in (-0.9, 0.9):
        du, dv = -side * math.sin(turn), side * math.cos(turn)
        things.append(site.box(u + du, v + dv, (3.4, 0.5, 0.8), "dark", 0.0, turn))
    things.append(site.box(u, v, (2.6, 2.3, 1.0), colour, 0.8, turn))
    c, s = math.cos(turn), math.sin(turn)
    things.append(site.box(u + 0.6 * c - 0.6 * s, v + 0.6 * s + 0.6 * c, (1.1, 0.9, 1.1), "dark", 1.8, turn))
    things.append(site.box(u + 2.2 * c, v + 2.2 * s, (3.2, 0.35, 0.4), colour, 2.3, turn))
    things.append(site.box(u + 3.7 * c, v + 3.7 * s, (0.5, 0.9, 2.2), colour, 0.1, turn))


def _stack(rng: np.random.Generator, site: Site, things: list[Clutter], u: float, v: float) -> None:
    """Timber, pipes or pallets."""
    colour = str(rng.choice(["wood", "steel", "stone", "rust", "blue"]))
    for n in range(int(rng.integers(1, 4))):
        size = (float(rng.uniform(1.0, 3.0)), float(rng.uniform(0.5, 1.2)), float(rng.uniform(0.3, 1.4)))
        things.append(site.box(u + 0.3 * n, v + 1.3 * (n - 1), size, colour))


def _pond(rng: np.random.Generator, site: Site, things: list[Clutter], surfaces: list[Surface]) -> None:
    """Water with a bank, and reeds."""
    surfaces.append(site.ground(str(rng.choice(["sand", "meadow", "gravel"])), 1.0, 14))
    surfaces.append(site.ground("water", float(rng.uniform(0.75, 0.93)), 14))
    for a in rng.uniform(0, 2 * math.pi, int(rng.integers(0, 9))):
        r = 0.95 * site.half_m
        size = (float(rng.uniform(0.3, 1.4)), 0.4, float(rng.uniform(0.4, 1.2)))
        things.append(site.box(r * math.cos(a), r * math.sin(a), size, "leaf", 0.0, a))


def _market(rng: np.random.Generator, site: Site, things: list[Clutter], surfaces: list[Surface]) -> None:
    """Stalls with roofs on posts, the size of vans."""
    surfaces.append(site.ground("paving"))
    for u in np.arange(-site.half_m + 1.8, site.half_m - 1.7, 4.2):
        for v in np.arange(-site.half_m + 1.8, site.half_m - 1.7, 4.2):
            if rng.random() < 0.3:
                continue
            at = (float(u), float(v))
            things.append(site.box(*at, (3.0, 2.6, 0.25), _colour(rng), 2.2))
            things.append(site.box(*at, (2.4, 0.8, 0.9), "wood"))
            for du, dv in ((-1.4, -1.2), (1.4, -1.2), (1.4, 1.2), (-1.4, 1.2)):
                things.append(site.box(at[0] + du, at[1] + dv, (0.08, 0.08, 2.2), "steel"))


def _rubble(rng: np.random.Generator, site: Site, things: list[Clutter], surfaces: list[Surface]) -> None:
    """Stones, broken bricks and bushes on bare ground, some as large as a car."""
    surfaces.append(site.ground(str(rng.choice(["gravel", "sand", "soil", "meadow"])), 1.0, 9))
    for _ in range(int(rng.integers(25, 70))):
        u, v = (float(d) for d in rng.uniform(-0.6, 0.6, 2) * site.half_m)
        width = float(rng.choice([0.4, 0.8, 1.5, 2.5]) * rng.uniform(0.7, 1.3))
        size = (width * float(rng.uniform(1.0, 2.0)), width, 0.7 * width)
        colour = str(rng.choice(["stone", "stone", "leaf", "rust", "wood", "dark"]))
        things.append(site.box(u, v, size, colour, 0.0, float(rng.uniform(0, math.pi))))


_KINDS: tuple[tuple[Maker, float], ...] = (
    (_containers, 5.0),
    (_shell, 9.0),
    (_crane, 5.0),
    (_pond, 7.0),
    (_market, 6.0),
    (_rubble, 7.0),
)
"""What there is, and half the side of the square that it takes."""
