"""A supermarket with a large car park: rows of bays between islands with trees, trolley shelters, a road in front."""

from __future__ import annotations

import math

import numpy as np

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.plan import (
    Building,
    Clutter,
    Crowd,
    Layout,
    Place,
    Rectangle,
    Road,
    Street,
    Surface,
    Tree,
    Walk,
)
from rsdfm_ros.sim.styles import kit

FRONT = Road(lane_m=3.1, half_width_m=3.6, pavement_m=2.2, junction_half_m=6.5, marks="town")
AISLE = Road(lane_m=3.1, half_width_m=3.3, pavement_m=0.0, junction_half_m=6.5, pace=0.5, marks="plain")


def plan(rng: np.random.Generator) -> Layout:
    """A road along x, a loop of aisles north of it, the store behind the loop, another shop across the road."""
    e = PAINTED_EXTENT_M
    front = float(rng.uniform(-62, -42))
    back = front + float(rng.uniform(72, 88))
    left, right = float(rng.uniform(-46, -32)), float(rng.uniform(32, 46))
    xs, ys = (left, right), (front, back)
    no = (False, False)
    streets = (
        Street(0, 0, front, -e, left, (None, 0), no, FRONT),
        Street(0, 0, front, left, right, (0, 1), no, FRONT),
        Street(0, 0, front, right, e, (1, None), no, FRONT),
        Street(0, 1, back, left, right, (0, 1), no, AISLE),
        Street(1, 0, left, front, back, (0, 1), no, AISLE),
        Street(1, 1, right, front, back, (0, 1), no, AISLE),
    )
    lot = (left - 30, front + FRONT.built_half_width_m + 2, right + 30, back + 4)
    surfaces: list[Surface] = [kit.rect((-e, -e, e, e), "lawn"), kit.rect(lot, "asphalt")]
    buildings: list[Building] = []
    trees: list[Tree] = []
    clutter: list[Clutter] = []
    places: list[Place] = []
    half = AISLE.half_width_m
    for region in (
        (left + half + 1.2, lot[1] + 2.5, right - half - 1.2, back - half - 1.0),
        (lot[0] + 1, lot[1] + 2.5, left - half - 1.0, lot[3] - 8),
        (right + half + 1.0, lot[1] + 2.5, lot[2] - 1, lot[3] - 8),
    ):
        _rows(rng, region, places, trees, clutter, surfaces)
    deep = float(rng.uniform(24, 34))
    store = (left + float(rng.uniform(-14, 2)), back + 9, right + float(rng.uniform(-2, 14)), back + 9 + deep)
    buildings.append(Building(store, float(rng.uniform(6, 9)), 0, 0))
    surfaces.append(kit.rect((store[0] - 2, back + 4, store[2] + 2, back + 9), "paving"))
    _store_front(rng, store, back, clutter)
    for n, x in enumerate(np.arange(store[2] + 6, store[2] + 22, 5.0)):  # deliveries beside the store
        places.append(Place(float(x), back + 18 + 0.4 * n, math.pi / 2, 13.6, False))
    surfaces.append(kit.rect((store[2] + 1, back + 4, store[2] + 26, back + 28), "concrete"))
    _across_the_road(rng, front, buildings, surfaces, trees, places)
    trees += kit.scatter(rng, (-e, back + 46, e, e), 60) + kit.scatter(
        rng, (-e, front + 8, lot[0] - 3, back), 30
    )
    trees += kit.scatter(rng, (lot[2] + 3, front + 8, e, back), 30)
    lamps, poles = kit.street_lamps(streets[:3], 28.0)
    for x in np.arange(lot[0] + 8, lot[2] - 4, 24.0):
        for y in np.arange(lot[1] + 8, lot[3] - 4, 26.0):
            lamps.append((float(x), float(y)))
            poles.append(Clutter(float(x), float(y), 0.0, 0.2, 0.2, 7.0, "steel", drum=True))
    ways = [Walk((x, lot[1] + 1.2), (x, back - 4.5)) for x in (left + half + 0.6, right - half - 0.6)]
    ways += [Walk((store[0], back + 6.5), (store[2], back + 6.5)), *kit.walks(streets)]
    crowd = Crowd(kerb=(0, 0), bays=(35, 90), moving=(6, 12), shares=(0.7, 0.2, 0.06, 0.04))
    return Layout(
        xs, ys, streets, (), tuple(buildings), tuple(trees), tuple(places), tuple(surfaces),
        (*clutter, *poles), tuple(ways), tuple(lamps), crowd, "halls",
    )  # fmt: skip


def _rows(
    rng: np.random.Generator,
    r: Rectangle,
    places: list[Place],
    trees: list[Tree],
    clutter: list[Clutter],
    surfaces: list[Surface],
) -> None:
    """Double rows of bays along x with aisles of 6.4 m between them; islands with trees part long rows."""
    x0, y0, x1, y1 = r
    if x1 - x0 < 8:
        return
    width, islands = float(rng.uniform(2.5, 2.8)), rng.random() < 0.7
    y = y0
    while y + 5.9 < y1:
        double = y + 11.8 < y1
        for row, up in ((y + 2.95, 1.0), (y + 8.85, -1.0))[: 2 if double else 1]:
            for n in range(int((x1 - x0) / width)):
                x = x0 + (n + 0.5) * width
                if islands and n % 9 == 4:
                    if up > 0 or not double:
                        tall = 11.4 if double else 5.5
                        surfaces.append(kit.rect((x - 1.1, y + 0.2, x + 1.1, y + 0.2 + tall), "lawn"))
                    trees.append(kit.random_tree(rng, x, row, 4, 6.5, 0.0))
                    continue
                if rng.random() < 0.015:  # a shelter for trolleys
                    clutter.append(Clutter(x, row, 0.0, 2.2, 4.6, 0.1, "blue", 2.3))
                    clutter.append(Clutter(x, row, 0.0, 0.9, 3.6, 1.0, "steel"))
                    continue
                yaw = up * math.pi / 2 if rng.random() < 0.7 else -up * math.pi / 2
                places.append(Place(x, row, yaw, 5.6, False))
        y += (11.8 if double else 5.9) + 6.4


def _store_front(rng: np.random.Generator, store: Rectangle, back: float, clutter: list[Clutter]) -> None:
    """A canopy, trolleys, flower boxes and bins at the entrance, machines on the roof come with flat roofs."""
    middle = 0.5 * (store[0] + store[2]) + float(rng.uniform(-10, 10))
    clutter.append(Clutter(middle, back + 7.4, 0.0, 12.0, 3.4, 0.3, "red", 3.7))
    for u in (-5.5, 5.5):
        clutter.append(Clutter(middle + u, back + 6.2, 0.0, 0.2, 0.2, 3.7, "steel", drum=True))
    for u in rng.uniform(store[0] + 2, store[2] - 2, 8):
        if abs(u - middle) > 7:
            size = [(1.2, 0.6, 0.7), (3.0, 0.9, 1.0), (1.4, 1.1, 1.3)][int(rng.integers(3))]
            colour = str(rng.choice(["green", "steel", "wood", "orange"]))
            clutter.append(Clutter(float(u), back + 8.0, 0.0, *size, colour))


def _across_the_road(
    rng: np.random.Generator,
    front: float,
    buildings: list[Building],
    surfaces: list[Surface],
    trees: list[Tree],
    places: list[Place],
) -> None:
    """Shops south of the road, each with a row of bays in front."""
    y = front - FRONT.built_half_width_m - 2
    x = -110.0
    while x < 90:
        w = float(rng.uniform(24, 42))
        if rng.random() < 0.7:
            surfaces.append(kit.rect((x, y - 16, x + w, y), "asphalt"))
            for u in np.arange(x + 2, x + w - 2, 2.7):
                places.append(Place(float(u), y - 3.2, -math.pi / 2, 5.2, False))
            buildings.append(
                Building(
                    (x + 1, y - 34, x + w - 1, y - 13),
                    float(rng.uniform(4, 8)),
                    1 + int(rng.integers(3)),
                    int(rng.integers(3)),
                )
            )
        else:
            trees += kit.scatter(rng, (x, y - 40, x + w, y - 2), 14)
        x += w + 3
