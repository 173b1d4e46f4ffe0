"""An industrial estate: halls, yards with trailers and containers, tanks and chimneys. Held out from training."""

from __future__ import annotations

import math

import numpy as np

from rsdfm_ros.sim.layout import grid, kerb_places, lines
from rsdfm_ros.sim.plan import Building, Clutter, Crowd, Layout, Place, Rectangle, Road, Surface, Tree
from rsdfm_ros.sim.styles import kit

LANE = Road(
    lane_m=3.7, half_width_m=6.7, pavement_m=2.0, junction_half_m=11.0, kerb_offset_m=1.5,
    place_lengths_m=(6.2, 9.6, 13.8), place_odds=(0.3, 0.3, 0.4),
)  # fmt: skip
CONTAINERS = ("red", "blue", "green", "orange", "rust", "white", "steel")


def plan(rng: np.random.Generator) -> Layout:
    """Streets 70 to 100 m apart; halls at one side of each block, the yard at the other."""
    xs, ys = lines(rng, (76, 105), 30), lines(rng, (66, 90), 30)
    streets = grid(rng, xs, ys, LANE, parks=0.5, drops=0.1)
    rects = kit.cells(xs, ys, LANE.built_half_width_m)
    buildings: list[Building] = []
    surfaces: list[Surface] = []
    trees: list[Tree] = []
    clutter: list[Clutter] = []
    places: list[Place] = []
    for r in rects:
        x0, y0, x1, y1 = r
        surfaces.append(kit.rect(r, "lawn"))
        surfaces.append(
            kit.rect(kit.shrink(r, 2), str(rng.choice(["asphalt", "concrete", "concrete", "gravel"])))
        )
        cut = y0 + float(rng.uniform(0.4, 0.6)) * (y1 - y0)
        hall, yard = (
            ((x0, y0, x1, cut), (x0, cut, x1, y1))
            if rng.random() < 0.5
            else ((x0, cut, x1, y1), (x0, y0, x1, cut))
        )
        _halls(rng, kit.shrink(hall, 4), buildings, clutter)
        _yard(rng, kit.shrink(yard, 4), clutter, places, hall[1] < yard[1])
        trees += [
            kit.random_tree(rng, float(u), float(rng.choice([y0 + 1, y1 - 1])), 4, 8)
            for u in rng.uniform(x0, x1, 5)
        ]
        clutter.append(kit.hedge((x0 + 1, y0 + 1.6), (x1 - 1, y0 + 1.6), 0.08, 1.8, "steel"))
    for s in streets:
        places += kerb_places(rng, s)
    lamps, poles = kit.street_lamps(streets, 34.0)
    crowd = Crowd(kerb=(8, 18), bays=(14, 30), moving=(10, 18), shares=(0.36, 0.24, 0.34, 0.06))
    return Layout(
        xs, ys, streets, (), tuple(buildings), tuple(trees), tuple(places), tuple(surfaces),
        (*clutter, *poles), kit.walks(streets), tuple(lamps), crowd, "halls",
    )  # fmt: skip


def _halls(rng: np.random.Generator, r: Rectangle, buildings: list[Building], clutter: list[Clutter]) -> None:
    """One to three halls, flat or with low gables, some with a chimney or tanks beside."""
    x0, y0, x1, y1 = r
    if x1 - x0 < 14 or y1 - y0 < 10:
        return
    for a, b in kit.split(rng, x1 - x0, 26, 50):
        if rng.random() < 0.15:
            for u in np.arange(x0 + a + 4, x0 + b - 3, 8.0):
                d = float(rng.uniform(5, 7))
                tall = float(rng.uniform(5, 12))
                clutter.append(
                    Clutter(
                        float(u),
                        0.5 * (y0 + y1),
                        0.0,
                        d,
                        d,
                        tall,
                        str(rng.choice(["white", "steel"])),
                        drum=True,
                    )
                )
            continue
        foot = (x0 + a + 1.5, y0 + float(rng.uniform(0, 3)), x0 + b - 1.5, y1 - float(rng.uniform(0, 3)))
        form = ("gable", float(rng.uniform(1.2, 2.6))) if rng.random() < 0.4 else ("flat", 0.0)
        buildings.append(
            Building(foot, float(rng.uniform(6.5, 12)), int(rng.integers(4)), int(rng.integers(3)), *form)
        )
        if rng.random() < 0.25:
            clutter.append(
                Clutter(
                    foot[2] + 1.6, foot[3] - 2, 0.0, 1.4, 1.4, float(rng.uniform(15, 26)), "stone", drum=True
                )
            )


def _yard(
    rng: np.random.Generator, r: Rectangle, clutter: list[Clutter], places: list[Place], above: bool
) -> None:
    """Docks for trucks at the hall, a row of bays for staff, stacks of containers and pallets between."""
    x0, y0, x1, y1 = r
    if x1 - x0 < 16 or y1 - y0 < 18:
        return
    dock, far = (y0 + 5.0, y1 - 3.0) if above else (y1 - 5.0, y0 + 3.0)
    middle = 0.5 * (x0 + x1)
    for u in np.arange(x0 + 4, middle, 4.6):
        places.append(Place(float(u), dock, -math.pi / 2 if above else math.pi / 2, 13.6, False))
    for u in np.arange(x0 + 3, x1 - 2, 2.8):
        places.append(Place(float(u), far, math.pi / 2 if above else -math.pi / 2, 5.4, False))
    u = middle + 3
    while u < x1 - 6.5:
        if rng.random() < 0.8:
            for level in range(int(rng.integers(1, 4))):
                for v in (-3.0, 0.0):
                    if rng.random() < 0.85 and (level == 0 or clutter[-1].z_m >= 2.6 * (level - 1)):
                        long = 12.2 if u + 13 < x1 and rng.random() < 0.4 else 6.1
                        clutter.append(
                            Clutter(
                                u + 0.5 * long,
                                dock + v,
                                0.0,
                                long,
                                2.44,
                                2.55,
                                str(rng.choice(CONTAINERS)),
                                2.6 * level,
                            )
                        )
        u += float(rng.choice([7.0, 13.0]))
    for _ in range(int(rng.integers(3, 12))):
        x, y = rng.uniform((x0, min(dock, far)), (x1, max(dock, far)))
        if abs(y - dock) > 8 and abs(y - far) > 4:
            yaw, tall = float(rng.uniform(0, 3)), float(rng.uniform(0.5, 1.8))
            colour = str(rng.choice(["wood", "blue", "dark"]))
            clutter.append(Clutter(float(x), float(y), yaw, 1.2, 1.0, tall, colour))
