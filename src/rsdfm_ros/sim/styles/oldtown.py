"""An old town: narrow streets, tall houses wall to wall around courtyards, squares with kiosks and a church."""

from __future__ import annotations

import numpy as np

from rsdfm_ros.sim.layout import grid, kerb_places, lines
from rsdfm_ros.sim.plan import Building, Clutter, Crowd, Layout, Place, Rectangle, Road, Surface, Tree
from rsdfm_ros.sim.styles import kit

LANE = Road(
    lane_m=2.85, half_width_m=5.1, pavement_m=1.5, junction_half_m=7.0, kerb_offset_m=1.12, pace=0.7,
    place_lengths_m=(6.0,), place_odds=(1.0,),
)  # fmt: skip


def plan(rng: np.random.Generator) -> Layout:
    """Streets 28 to 46 m apart; most blocks are rings of houses, one or two are squares."""
    xs, ys = lines(rng, (30, 46), 16), lines(rng, (30, 46), 16)
    streets = grid(rng, xs, ys, LANE, parks=0.5, drops=0.3)
    rects = kit.cells(xs, ys, LANE.built_half_width_m)
    inner = [n for n, r in enumerate(rects) if abs(r[0] + r[2]) < 90 and abs(r[1] + r[3]) < 90]
    squares = set(rng.permutation(inner)[: int(rng.integers(1, 3))].tolist())
    buildings: list[Building] = []
    surfaces: list[Surface] = []
    trees: list[Tree] = []
    clutter: list[Clutter] = []
    places: list[Place] = []
    for n, r in enumerate(rects):
        if n in squares:
            _square(rng, r, buildings, surfaces, trees, clutter, places)
        else:
            _ring(rng, r, buildings, surfaces, trees, clutter)
    for s in streets:
        places += kerb_places(rng, s)
    lamps, poles = kit.street_lamps(streets, 22.0)
    crowd = Crowd(kerb=(16, 32), bays=(4, 12), moving=(10, 20), shares=(0.66, 0.22, 0.08, 0.04))
    blocks = tuple((r, "cobbles") for r in rects)
    return Layout(
        xs, ys, streets, blocks, tuple(buildings), tuple(trees), tuple(places), tuple(surfaces),
        (*clutter, *poles), kit.walks(streets), tuple(lamps), crowd, "old",
    )  # fmt: skip


def _house(rng: np.random.Generator, r: Rectangle, buildings: list[Building]) -> None:
    short = min(r[2] - r[0], r[3] - r[1])
    rise = float(np.clip(0.5 * short * rng.uniform(0.6, 1.0), 2.0, 6.0))
    height = float(rng.uniform(8, 16))
    flat = rng.random() < 0.12
    buildings.append(
        Building(
            r,
            height,
            int(rng.integers(4)),
            int(rng.integers(3)),
            "flat" if flat else "gable",
            0.0 if flat else rise,
        )
    )


def _ring(
    rng: np.random.Generator,
    r: Rectangle,
    buildings: list[Building],
    surfaces: list[Surface],
    trees: list[Tree],
    clutter: list[Clutter],
) -> None:
    """Houses along all four sides, or two rows where there is no room for a courtyard."""
    x0, y0, x1, y1 = kit.shrink(r, 0.3)
    w, h = x1 - x0, y1 - y0
    depth = float(rng.uniform(7.5, 10))
    if min(w, h) < 2 * depth + 5:
        along_x = w >= h
        rows = [(0.0, 1.0)] if min(w, h) < 13 else [(0.0, 0.5), (0.5, 1.0)]
        for a, b in rows:
            for u, v in kit.split(rng, w if along_x else h, 8, 14):
                house = (
                    (x0 + u, y0 + a * h, x0 + v, y0 + b * h)
                    if along_x
                    else (x0 + a * w, y0 + u, x0 + b * w, y0 + v)
                )
                _house(rng, house, buildings)
        return
    for u, v in kit.split(rng, w, 8, 15):
        _house(rng, (x0 + u, y0, x0 + v, y0 + depth), buildings)
        if rng.random() > 0.12:  # a gap lets one look in
            _house(rng, (x0 + u, y1 - depth, x0 + v, y1), buildings)
    for u, v in kit.split(rng, h - 2 * depth, 8, 15):
        for a, b in ((x0, x0 + depth), (x1 - depth, x1)):
            if rng.random() > 0.12:
                _house(rng, (a, y0 + depth + u, b, y0 + depth + v), buildings)
    court = (x0 + depth, y0 + depth, x1 - depth, y1 - depth)
    green = rng.random() < 0.6
    surfaces.append(kit.rect(court, "lawn" if green else "paving"))
    trees += kit.scatter(
        rng, kit.shrink(court, 1.5), int(rng.integers(1, 5)) if green else int(rng.integers(0, 2)), 0.1
    )
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(court[:2], court[2:])
        colour = str(rng.choice(["dark", "green", "yellow", "blue"]))
        clutter.append(Clutter(float(x), float(y), float(rng.uniform(0, 3)), 1.2, 0.8, 1.2, colour))


def _square(
    rng: np.random.Generator,
    r: Rectangle,
    buildings: list[Building],
    surfaces: list[Surface],
    trees: list[Tree],
    clutter: list[Clutter],
    places: list[Place],
) -> None:
    """A paved square: a church or a market, trees around, some bays along one side."""
    x0, y0, x1, y1 = r
    w, h = x1 - x0, y1 - y0
    surfaces.append(kit.rect(r, "cobbles" if rng.random() < 0.5 else "paving"))
    if min(w, h) > 16 and rng.random() < 0.5:
        cx, cy = 0.5 * (x0 + x1), 0.5 * (y0 + y1)
        long, wide = (0.34 * w, 4.5) if w > h else (4.5, 0.34 * h)
        buildings.append(Building((cx - long, cy - wide, cx + long, cy + wide), 10.0, 0, 0, "gable", 5.0))
        buildings.append(
            Building((cx - long - 2.4, cy - 2.4, cx - long + 2.4, cy + 2.4), 23.0, 0, 0, "gable", 4.0)
        )
    else:
        for _ in range(int(rng.integers(4, 12))):
            x, y = rng.uniform((x0 + 3, y0 + 3), (x1 - 3, y1 - 3))
            colour = str(rng.choice(["red", "white", "green", "orange", "blue"]))
            yaw = float(rng.choice([0, np.pi / 2])) + float(rng.normal(0, 0.1))
            if rng.random() < 0.5:  # a stall: table and canopy
                clutter.append(Clutter(float(x), float(y), yaw, 2.6, 1.2, 0.9, "wood"))
                clutter.append(Clutter(float(x), float(y), yaw, 3.0, 2.2, 0.12, colour, 2.2))
            else:  # a kiosk
                clutter.append(Clutter(float(x), float(y), yaw, 3.2, 2.2, 2.5, colour))
    for u in np.arange(x0 + 2, x1 - 1, 6.0):
        for v in (y0 + 1.2, y1 - 1.2):
            if rng.random() < 0.6:
                trees.append(kit.random_tree(rng, float(u), v, 4, 7, 0.0))
    if w > 18 and rng.random() < 0.8:
        places += [Place(float(u), y0 + 5.0, np.pi / 2, 5.4, False) for u in np.arange(x0 + 3, x1 - 3, 2.7)]
