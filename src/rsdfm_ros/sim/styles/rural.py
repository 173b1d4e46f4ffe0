"""The country: a road between fields, hedgerows and copses, one or two farms with yards, a lay-by."""

from __future__ import annotations

import math

import numpy as np

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.layout import grid
from rsdfm_ros.sim.plan import Building, Clutter, Crowd, Layout, Place, Rectangle, Road, Surface, Tree
from rsdfm_ros.sim.styles import kit

LANE = Road(
    lane_m=3.25, half_width_m=3.9, pavement_m=0.4, junction_half_m=8.0, pace=1.5, marks="country",
)  # fmt: skip
CROPS = ("wheat", "rape", "beet", "stubble", "soil", "meadow", "lawn")


def plan(rng: np.random.Generator) -> Layout:
    """One road through the middle, in half of all cases crossed by another."""
    ys = (float(rng.uniform(-25, 25)),)
    xs = (float(rng.uniform(-40, 40)),) if rng.random() < 0.6 else ()
    streets = grid(rng, xs, ys, LANE, parks=0.0, drops=0.0)
    rects = kit.cells(xs, ys, LANE.half_width_m + 2.5)
    buildings: list[Building] = []
    surfaces: list[Surface] = []
    trees: list[Tree] = []
    clutter: list[Clutter] = []
    places: list[Place] = []
    e = PAINTED_EXTENT_M
    surfaces.append(kit.rect((-e, -e, e, e), "meadow"))
    for r in rects:
        _fields(rng, r, surfaces, trees, clutter)
    farms = int(rng.integers(1, 4))
    for side in rng.permutation([-1.0, 1.0, 1.0, -1.0])[:farms]:
        _farm(rng, ys[0], float(side), xs, buildings, surfaces, trees, clutter, places)
    if rng.random() < 0.8:
        _lay_by(rng, ys[0], xs, surfaces, places)
    for side in (-1.0, 1.0):  # trees along the road
        if rng.random() < 0.5:
            for u in np.arange(-e, e, float(rng.uniform(9, 16))):
                if rng.random() < 0.8:
                    trees.append(kit.random_tree(rng, float(u), ys[0] + side * 6.2, 6, 12, 0.0))
    clutter += [
        Clutter(float(u), ys[0] + 5.2, 0.0, 0.12, 0.12, 1.0, "white", drum=True)
        for u in np.arange(-e, e, 25.0)
    ]
    crowd = Crowd(kerb=(0, 0), bays=(6, 14), moving=(6, 14), shares=(0.6, 0.16, 0.17, 0.07))
    return Layout(
        xs, ys, streets, (), tuple(buildings), tuple(trees), tuple(places), tuple(surfaces), tuple(clutter),
        crowd=crowd, palette="houses",
    )  # fmt: skip


def _fields(
    rng: np.random.Generator, r: Rectangle, surfaces: list[Surface], trees: list[Tree], clutter: list[Clutter]
) -> None:
    """Strips of crops with furrows, some parted by hedgerows; now and then a copse or a pond."""
    turn = bool(rng.random() < 0.5)
    span = r[2] - r[0] if turn else r[3] - r[1]
    for a, b in kit.split(rng, span, 22, 60):
        field = (r[0] + a, r[1], r[0] + b, r[3]) if turn else (r[0], r[1] + a, r[2], r[1] + b)
        field = kit.shrink(field, 0.8)
        if rng.random() < 0.14:
            trees += kit.scatter(rng, field, int((field[2] - field[0]) * (field[3] - field[1]) / 45), 0.5)
            continue
        crop = str(rng.choice(CROPS))
        surfaces.append(kit.rect(field, crop, float(rng.uniform(0.8, 2.4)), turn))
        if crop in ("meadow", "stubble"):
            for _ in range(int(rng.integers(0, 14))):  # bales
                x, y = rng.uniform(field[:2], field[2:])
                clutter.append(Clutter(float(x), float(y), float(rng.uniform(0, 3)), 1.4, 1.2, 1.2, "yellow"))
        if rng.random() < 0.45:
            edge = (
                ((field[2], field[1]), (field[2], field[3]))
                if turn
                else ((field[0], field[3]), (field[2], field[3]))
            )
            clutter.append(kit.hedge(*edge, 1.4, float(rng.uniform(1.2, 2.2))))
            n = int(math.dist(*edge) / 14)
            trees += [
                kit.random_tree(
                    rng,
                    edge[0][0] + t * (edge[1][0] - edge[0][0]),
                    edge[0][1] + t * (edge[1][1] - edge[0][1]),
                )
                for t in rng.uniform(0, 1, n)
            ]


def _farm(
    rng: np.random.Generator,
    road_y: float,
    side: float,
    xs: tuple[float, ...],
    buildings: list[Building],
    surfaces: list[Surface],
    trees: list[Tree],
    clutter: list[Clutter],
    places: list[Place],
) -> None:
    """House, barn, shed and silo around a yard beside the road, with vehicles in the yard."""
    x = _free_x(rng, xs, 24.0)
    if x is None or any(abs(p.x - x) < 45 and (p.y - road_y) * side > 0 for p in places):
        return
    y = road_y + side * 30.0
    surfaces.append(
        kit.rect((x - 20, y - 15, x + 20, y + 15), str(rng.choice(["gravel", "concrete", "paving"])))
    )
    surfaces.append(kit.rect((x - 2.5, min(y, road_y), x + 2.5, max(y, road_y)), "gravel"))
    far = y + side * 11
    buildings.append(
        Building((x - 19, far - 6, x + 6, far + 6), 6.0, 0, 0, "gable", float(rng.uniform(2.5, 4.5)))
    )
    buildings.append(Building((x + 9, y - 5.5, x + 19, y + 8), 5.0, 1, 1, "gable", 3.5))
    if rng.random() < 0.7:
        buildings.append(Building((x - 19, y - 13, x - 11, y + 1), 4.2, 2, 2, "gable", 1.8))
    for n in range(int(rng.integers(0, 3))):
        clutter.append(
            Clutter(x + 9.5 + 3.6 * n, far, 0.0, 3.2, 3.2, float(rng.uniform(6, 11)), "steel", drum=True)
        )
    for _ in range(int(rng.integers(2, 7))):
        cx, cy = x + float(rng.uniform(-19, 19)), y + float(rng.uniform(-14, 14))
        colour = str(rng.choice(["green", "red", "wood", "rust", "blue"]))
        size = (3.8, 2.2, 2.4) if rng.random() < 0.5 else (1.6, 1.2, 1.2)
        clutter.append(Clutter(cx, cy, float(rng.uniform(0, 3)), *size, colour))
    row = y - side * 9
    for u in np.arange(x - 9.5, x + 8.5, 3.2):
        if abs(u - x) > 3.0:
            places.append(Place(float(u), row, side * math.pi / 2, 5.8, False))
    places.append(Place(x - 3.0, y + side * 2.4, 0.0 if rng.random() < 0.5 else math.pi, 13.4, False))
    trees += kit.scatter(rng, (x - 28, y - 18, x - 21, y + 18), 5, 0.2) + kit.scatter(
        rng, (x + 21, y - 18, x + 28, y + 18), 5
    )


def _lay_by(
    rng: np.random.Generator,
    road_y: float,
    xs: tuple[float, ...],
    surfaces: list[Surface],
    places: list[Place],
) -> None:
    """A strip of asphalt beside the road with places in a row."""
    x, side = _free_x(rng, xs, 26.0), float(rng.choice([-1, 1]))
    y = road_y + side * (LANE.half_width_m + 2.2)
    if x is None or any(abs(p.x - x) < 42 and (p.y - road_y) * side > 0 for p in places):
        return
    surfaces.append(kit.rect((x - 23, y - 2.4, x + 23, y + 2.4), "asphalt"))
    yaw, u = (math.pi if side > 0 else 0.0), x - 21.0
    while u < x + 18:
        length = float(rng.choice([6.2, 9.6, 13.8], p=[0.5, 0.2, 0.3]))
        places.append(Place(u + 0.5 * length, y + 0.3 * side, yaw, length, False))
        u += length + 0.6


def _free_x(rng: np.random.Generator, xs: tuple[float, ...], clear_m: float) -> float | None:
    """A coordinate along the road that keeps clear_m from roads that cross it; None if none was found."""
    for _ in range(20):
        x = float(rng.uniform(-60, 60))
        if all(abs(x - c) > clear_m + LANE.half_width_m for c in xs):
            return x
    return None
