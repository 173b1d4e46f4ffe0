"""A dual carriageway with hard shoulders, barriers, gantries and embankments; a local road runs beside it."""

from __future__ import annotations

import math

import numpy as np

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.layout import kerb_places
from rsdfm_ros.sim.plan import Building, Clutter, Crowd, Layout, Place, Road, Street, Surface, Tree
from rsdfm_ros.sim.styles import kit

SHOULDER_M = 3.0
LOCAL = Road(lane_m=3.2, half_width_m=5.8, pavement_m=2.0, pace=1.1)


def plan(rng: np.random.Generator) -> Layout:
    """Two or three lanes per direction along x; a rest area or a local road with a few buildings at its sides."""
    e = PAINTED_EXTENT_M
    lanes = int(rng.integers(2, 4))
    median = float(rng.uniform(3, 6))
    width = 0.5 * median + 3.6 * lanes + SHOULDER_M
    road = Road(
        lane_m=3.6, lanes=lanes, median_m=median, half_width_m=width, pavement_m=0.4, pace=2.4, marks="motorway",
        kerb_offset_m=1.5,
    )  # fmt: skip
    y = float(rng.uniform(-16, 16))
    side = float(rng.choice([-1, 1]))
    local = y + side * (width + float(rng.uniform(26, 40)))
    ys = (y, local)
    streets = (
        Street(0, 0, y, -e, e, (None, None), (False, False), road),
        Street(0, 1, local, -e, e, (None, None), (bool(rng.random() < 0.6), bool(rng.random() < 0.6)), LOCAL),
    )
    surfaces: list[Surface] = [kit.rect((-e, -e, e, e), "meadow")]
    buildings: list[Building] = []
    trees: list[Tree] = []
    clutter: list[Clutter] = []
    places: list[Place] = []
    for half in (-0.6, 0.6):
        clutter.append(kit.hedge((-e, y + half), (e, y + half), 0.25, 0.8, "steel"))
    for far in (-1.0, 1.0):
        if rng.random() < 0.5:
            wall = y + far * (width + 2.0)
            colour = str(rng.choice(["stone", "wood", "green"]))
            clutter.append(kit.hedge((-e, wall), (e, wall), 0.3, float(rng.uniform(2.2, 4)), colour))
        trees += [
            kit.random_tree(rng, float(u), y + far * (width + float(rng.uniform(4, 14))), 4, 10)
            for u in rng.uniform(-e, e, int(rng.integers(15, 60)))
        ]
    for u in rng.uniform(-90, 90, int(rng.integers(0, 3))):  # gantries with signs
        for p in (-width - 0.6, 0.0, width + 0.6):
            clutter.append(Clutter(float(u), y + p, 0.0, 0.4, 0.4, 6.6, "steel", drum=True))
        clutter.append(Clutter(float(u), y, math.pi / 2, 2 * width + 1.4, 0.5, 0.6, "steel", 6.0))
        for p in (-0.5 * width, 0.5 * width):
            clutter.append(Clutter(float(u) + 0.4, y + p, math.pi / 2, 5.0, 0.15, 2.6, "blue", 5.4))
    for u in rng.uniform(-90, 90, 2):  # broken down on the hard shoulder
        far = float(rng.choice([-1, 1]))
        yaw = math.pi if far > 0 else 0.0
        places.append(Place(float(u), y + far * (width - 1.5), yaw, float(rng.choice([6.2, 13.8])), True))
    _rest_area(rng, y - side * (width + 17), side, surfaces, trees, clutter, places)
    _along_the_local_road(rng, local, side, buildings, surfaces, trees, places)
    places += kerb_places(rng, streets[1])
    lamps, poles = kit.street_lamps(streets[1:], 30.0)
    crowd = Crowd(kerb=(4, 10), bays=(8, 18), moving=(22, 44), shares=(0.58, 0.16, 0.2, 0.06))
    return Layout(
        (), ys, streets, (), tuple(buildings), tuple(trees), tuple(places), tuple(surfaces),
        (*clutter, *poles), kit.walks(streets[1:]), tuple(lamps), crowd, "halls",
    )  # fmt: skip


def _rest_area(
    rng: np.random.Generator,
    y: float,
    side: float,
    surfaces: list[Surface],
    trees: list[Tree],
    clutter: list[Clutter],
    places: list[Place],
) -> None:
    """Slanted places for trucks and bays for cars beside the carriageway."""
    x = float(rng.uniform(-30, 30))
    surfaces.append(kit.rect((x - 46, y - 11, x + 46, y + 11), "asphalt"))
    for u in np.arange(x - 40, x + 2, 5.2):
        places.append(Place(float(u), y, side * math.radians(55), 13.6, False))
    for u in np.arange(x + 10, x + 44, 2.8):
        places.append(Place(float(u), y + 4.5, math.pi / 2, 5.6, False))
    for u in np.arange(x + 10, x + 44, 6.0):
        clutter.append(Clutter(float(u), y - 5.0, 0.0, 1.8, 0.8, 0.75, "wood"))
    clutter.append(Clutter(x + 6.0, y - 6.0, 0.0, 4.0, 3.0, 2.8, "stone"))
    trees += kit.scatter(rng, (x - 46, y - side * 13 - 3, x + 46, y - side * 13 + 3), 14)


def _along_the_local_road(
    rng: np.random.Generator,
    local: float,
    side: float,
    buildings: list[Building],
    surfaces: list[Surface],
    trees: list[Tree],
    places: list[Place],
) -> None:
    """Workshops and houses with bays on the far side of the local road, as far as the ground is painted."""
    x = -112.0
    while x < 95:
        w = float(rng.uniform(18, 34))
        y = local + side * (LOCAL.built_half_width_m + 1)
        room = PAINTED_EXTENT_M - abs(y)
        if rng.random() < 0.6 and room > 24:
            lot = (x, min(y, y + side * 24), x + w, max(y, y + side * 24))
            surfaces.append(kit.rect(lot, str(rng.choice(["asphalt", "gravel", "paving"]))))
            a, b = sorted((y + side * 9, y + side * 23))
            house = rng.random() < 0.5
            form = ("gable", float(rng.uniform(1.5, 4))) if house else ("flat", 0.0)
            buildings.append(
                Building(
                    (x + 2, a, x + w - 2, b),
                    float(rng.uniform(4, 9)),
                    int(rng.integers(4)),
                    int(rng.integers(3)),
                    *form,
                )
            )
            for u in np.arange(x + 2.5, x + w - 2, 2.8):
                places.append(Place(float(u), y + side * 3.4, side * math.pi / 2, 5.4, False))
        else:
            trees += kit.scatter(rng, (x, min(y, y + side * 20), x + w, max(y, y + side * 20)), 8)
        x += w + 4
