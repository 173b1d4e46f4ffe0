"""A suburb: detached houses with pitched roofs on lots with gardens, hedges, pools, sheds and cars in the driveways."""

from __future__ import annotations

import math

import numpy as np

from rsdfm_ros.sim.layout import avenue, grid, kerb_places, lines
from rsdfm_ros.sim.plan import Building, Clutter, Crowd, Layout, Place, Rectangle, Road, Surface, Tree
from rsdfm_ros.sim.styles import kit

LANE = Road(
    lane_m=3.0, half_width_m=5.5, pavement_m=2.0, junction_half_m=8.5, kerb_offset_m=1.25, pace=0.75,
    place_lengths_m=(6.2, 9.6), place_odds=(0.85, 0.15),
)  # fmt: skip


def plan(rng: np.random.Generator) -> Layout:
    """Streets 52 to 76 m apart; two rows of lots back to back in every block, now and then a playground."""
    xs, ys = lines(rng, (60, 90), 30), lines(rng, (52, 68), 26)
    streets = grid(rng, xs, ys, LANE, parks=0.35, drops=0.15)
    rects = kit.cells(xs, ys, LANE.built_half_width_m)
    buildings: list[Building] = []
    surfaces: list[Surface] = []
    trees: list[Tree] = []
    clutter: list[Clutter] = []
    places: list[Place] = []
    for r in rects:
        surfaces.append(kit.rect(r, "lawn"))
        if rng.random() < 0.08:
            surfaces.append(kit.rect(kit.shrink(r, 6), "sand"))
            trees += kit.scatter(rng, r, 14)
            continue
        x0, y0, x1, y1 = r
        rows = [(y0, y1, 1.0)] if y1 - y0 < 30 else [(y0, 0.5 * (y0 + y1), 1.0), (0.5 * (y0 + y1), y1, -1.0)]
        for low, high, up in rows:
            for a, b in kit.split(rng, x1 - x0, 16, 23):
                lot = (x0 + a, low, x0 + b, high)
                _lot(rng, lot, up, buildings, surfaces, trees, clutter, places)
    for s in streets:
        places += kerb_places(rng, s)
        avenue(rng, s, trees)
    lamps, poles = kit.street_lamps(streets, 32.0)
    crowd = Crowd(kerb=(6, 14), bays=(14, 28), moving=(6, 14), shares=(0.7, 0.2, 0.07, 0.03))
    blocks = tuple((r, "lawn") for r in rects)
    return Layout(
        xs, ys, streets, blocks, tuple(buildings), tuple(trees), tuple(places), tuple(surfaces),
        (*clutter, *poles), kit.walks(streets), tuple(lamps), crowd, "houses",
    )  # fmt: skip


def _lot(
    rng: np.random.Generator,
    lot: Rectangle,
    up: float,
    buildings: list[Building],
    surfaces: list[Surface],
    trees: list[Tree],
    clutter: list[Clutter],
    places: list[Place],
) -> None:
    """A house with its garden; the street is at the lower edge for up = 1, else at the upper one."""
    x0, y0, x1, y1 = lot
    w, h = x1 - x0, y1 - y0

    def at(u: float, v: float) -> tuple[float, float]:
        """Point of the lot, v counted from the street."""
        return (x0 + u, y0 + v) if up > 0 else (x0 + u, y1 - v)

    def area(u0: float, v0: float, u1: float, v1: float) -> Rectangle:
        (ax, ay), (bx, by) = at(u0, v0), at(u1, v1)
        return (ax, min(ay, by), bx, max(ay, by))

    if w < 14 or h < 17:
        trees += kit.scatter(rng, lot, 3)
        return
    surfaces.append(kit.rect(lot, str(rng.choice(["lawn", "meadow"]))))
    house_w, house_d = float(rng.uniform(7.5, min(12.5, w - 6.0))), float(rng.uniform(7, min(11, h - 9)))
    front = float(rng.uniform(6.5, max(6.6, min(9.0, h - house_d - 1.5))))
    right = rng.random() < 0.5
    left = 1.2 if right else w - house_w - 1.2
    rise = float(rng.uniform(0.35, 0.55) * min(house_w, house_d))
    form = ("flat", 0.0) if rng.random() < 0.15 else ("gable", rise)
    body = area(left, front, left + house_w, front + house_d)
    buildings.append(
        Building(body, float(rng.uniform(3.2, 6.2)), int(rng.integers(4)), int(rng.integers(3)), *form)
    )
    # the driveway beside the house, with room for one or two cars, one behind the other
    u = left + house_w + 0.5 if right else left - 3.9
    if rng.random() < 0.9:
        surfaces.append(
            kit.rect(area(u, 0, u + 3.4, front + 5), str(rng.choice(["paving", "gravel", "asphalt"])))
        )
        for n in range(1 + int(rng.random() < 0.5)):
            x, y = at(u + 1.7, 3.6 + 6.0 * n)
            places.append(
                Place(x, y, -up * math.pi / 2 if rng.random() < 0.5 else up * math.pi / 2, 5.6, False)
            )
        if rng.random() < 0.35:  # a garage or carport behind it
            garage = area(u, front + 7, u + 3.4, min(front + 13, h - 0.5))
            buildings.append(Building(garage, 2.6, int(rng.integers(4)), int(rng.integers(3))))
    tall, colour = float(rng.uniform(0.8, 2.0)), str(rng.choice(["leaf", "leaf", "wood", "white"]))
    wide = 0.8 if colour == "leaf" else 0.12
    for a, b in ((at(0.2, 1.0), at(0.2, h)), (at(0.2, h - 0.4), at(w - 0.4, h - 0.4))):
        if rng.random() < 0.75:
            clutter.append(kit.hedge(a, b, wide, tall, colour))
    back = front + house_d + 2
    if h - back > 6:
        garden = area(1.5, back, w - 1.5, h - 1.5)
        trees += kit.scatter(rng, garden, int(rng.integers(1, 5)), 0.3)
        x, y = at(float(rng.uniform(4, w - 4)), float(rng.uniform(back + 2, h - 3)))
        extra = rng.random()
        if extra < 0.2:
            surfaces.append(kit.rect((x - 3.4, y - 2.1, x + 3.4, y + 2.1), "paving"))
            surfaces.append(kit.rect((x - 2.8, y - 1.5, x + 2.8, y + 1.5), "water"))
        elif extra < 0.55:
            clutter.append(
                Clutter(
                    x, y, float(rng.uniform(0, 3)), 2.8, 2.2, 2.2, str(rng.choice(["wood", "dark", "green"]))
                )
            )
        elif extra < 0.7:
            clutter.append(Clutter(x, y, 0.0, 3.2, 3.2, 0.7, "dark", drum=True))
    for _ in range(int(rng.integers(1, 4))):  # bins at the street
        x, y = at(float(rng.uniform(0.8, w - 0.8)), float(rng.uniform(0.5, 1.5)))
        colour = str(rng.choice(["dark", "blue", "yellow", "green"]))
        clutter.append(Clutter(x, y, float(rng.uniform(0, 3)), 0.6, 0.6, 1.1, colour))
    if rng.random() < 0.5:
        x, y = at(float(rng.uniform(2, w - 2)), float(rng.uniform(2.5, front - 1)))
        trees.append(kit.random_tree(rng, x, y, 3, 6))
