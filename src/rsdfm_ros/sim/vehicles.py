"""Appearance of vehicles: sizes, colours and the boxes that a body is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARES = (0.55, 0.18, 0.15, 0.12)
"""Shares of data.frame.CLASSES."""
NOMINAL_SIZES_M = ((4.5, 1.85, 1.5), (5.4, 2.0, 2.2), (8.0, 2.5, 3.2), (12.0, 2.55, 3.2))
_PAINTS = (
    (0.92, 0.92, 0.93), (0.95, 0.95, 0.92), (0.72, 0.74, 0.77), (0.08, 0.08, 0.1),
    (0.70, 0.08, 0.08), (0.1, 0.2, 0.6), (0.05, 0.35, 0.55), (0.08, 0.35, 0.15),
    (0.85, 0.7, 0.1), (0.85, 0.4, 0.08), (0.4, 0.1, 0.15), (0.55, 0.42, 0.3),
)  # fmt: skip
_PAINT_ODDS = np.array([4, 2, 3, 2.5, 2, 2, 1, 0.8, 1, 0.8, 0.7, 0.7])
GLASS = (0.07, 0.09, 0.12)
WINDSCREEN = (0.33, 0.42, 0.50)
"""Slanted glass shows the sky."""
TYRE = (0.05, 0.05, 0.05)
HEADLIGHT, REAR_LIGHT = (0.97, 0.97, 0.9), (0.75, 0.05, 0.05)

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class VehicleSpec:
    """One vehicle: class id, size (length, width, height) in m, two colours, shape variation 0 to 1, and the name of
    its body (variety.bodies), empty for the basic one of its class."""

    kind: int
    size: tuple[float, float, float]
    paint: Rgb
    second: Rgb
    shape: float
    body: str = ""


@dataclass(frozen=True)
class Part:
    """A box, by two corners in m, in the vehicle frame (x forward, y left, z up from the ground)."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    rgb: Rgb


def draw_kind(rng: np.random.Generator, shares: tuple[float, ...] = SHARES) -> int:
    """A class id by the shares of the classes."""
    return int(rng.choice(4, p=shares))


def make_vehicle(rng: np.random.Generator, kind: int) -> VehicleSpec:
    """A vehicle of a class with a jittered size and random colours."""
    jitter = rng.uniform(0.94, 1.06, 3)
    size = tuple(float(s * j) for s, j in zip(NOMINAL_SIZES_M[kind], jitter, strict=True))

    def paint() -> Rgb:
        base = np.array(_PAINTS[int(rng.choice(len(_PAINTS), p=_PAINT_ODDS / _PAINT_ODDS.sum()))])
        r, g, b = np.clip(base * rng.uniform(0.85, 1.1) + rng.uniform(-0.03, 0.03, 3), 0.03, 1.0)
        return (float(r), float(g), float(b))

    first, second = paint(), paint()
    return VehicleSpec(kind, (size[0], size[1], size[2]), first, second, float(rng.random()))


def parts(v: VehicleSpec) -> list[Part]:
    """The boxes of a vehicle; together they touch all six faces of its bounding box."""
    length, width, height = v.size
    x, y = 0.5 * length, 0.5 * width
    floor = 0.18 if v.kind < 2 else 0.45
    out: list[Part] = []

    def box(x0: float, x1: float, half_y: float, z0: float, z1: float, rgb: Rgb) -> None:
        out.append(Part((x0, -half_y, z0), (x1, half_y, z1), rgb))

    wheel = 0.62 if v.kind < 2 else 0.95
    for centre in (-0.58 * x, 0.62 * x):
        box(centre - 0.5 * wheel, centre + 0.5 * wheel, 0.97 * y, 0.0, wheel, TYRE)
    if v.kind == 0:
        waist, back = 0.58 * height, -x * (0.96 if v.shape < 0.4 else 0.72)
        box(-x, x, y, floor, waist, v.paint)
        box(back, 0.38 * x, 0.90 * y, waist, 0.95 * height, GLASS)
        box(0.20 * x, 0.385 * x, 0.905 * y, waist, 0.955 * height, WINDSCREEN)
        box(back + 0.09 * x, 0.20 * x, 0.84 * y, 0.93 * height, height, v.paint)
        _lights(out, x, y, 0.42 * height, waist, 0.3)
    elif v.kind == 1:
        waist = 0.5 * height
        box(-x, x, y, floor, waist, v.paint)
        box(-x, 0.42 * x, 0.96 * y, waist, height, v.paint)
        box(0.42 * x, 0.74 * x, 0.92 * y, waist, 0.93 * height, WINDSCREEN)
        box(0.15 * x, 0.42 * x, 0.975 * y, 0.56 * height, 0.85 * height, GLASS)
        if v.shape < 0.5:
            box(-0.85 * x, 0.05 * x, 0.975 * y, 0.56 * height, 0.85 * height, GLASS)
        _lights(out, x, y, 0.38 * height, waist, 0.3)
    elif v.kind == 2:
        cab = x - 2.1
        box(-x, cab - 0.25, y, 0.9, height, v.second)
        box(-x + 0.05, x - 0.1, 0.7 * y, floor, 0.9, TYRE)
        box(cab, x, 0.96 * y, floor, 0.5 * height, v.paint)
        box(cab, x - 0.25, 0.92 * y, 0.5 * height, 0.72 * height, GLASS)
        box(x - 0.75, x - 0.24, 0.925 * y, 0.5 * height, 0.725 * height, WINDSCREEN)
        box(cab, x - 0.7, 0.92 * y, 0.72 * height, 0.82 * height, v.paint)
        _lights(out, x, 0.96 * y, 0.3 * height, 0.36 * height, 0.05)
    else:
        box(-x, x, y, floor, 0.45 * height, v.paint)
        box(-x + 0.04, x - 0.02, 0.985 * y, 0.45 * height, 0.78 * height, GLASS)
        box(x - 0.6, x - 0.015, 0.99 * y, 0.45 * height, 0.80 * height, WINDSCREEN)
        box(-x, x - 0.5, y, 0.78 * height, 0.95 * height, v.paint)
        box(-0.6 * x, -0.1 * x, 0.6 * y, 0.95 * height, height, v.second)
        box(0.2 * x, 0.5 * x, 0.6 * y, 0.95 * height, height, v.second)
        _lights(out, x, y, 0.3 * height, 0.36 * height, 0.05)
    return out


def _lights(out: list[Part], x: float, y: float, z0: float, z1: float, depth: float) -> None:
    """Rear lights red and head lights white, millimetres proud of the body, so deep that they show from above where
    the body ends at z1."""
    for side in (-1.0, 1.0):
        low, high = sorted((side * 0.62 * y, side * 0.96 * y))
        out.append(Part((-x - 0.002, low, z0), (-x + depth, high, z1 + 0.004), REAR_LIGHT))
        out.append(Part((x - depth, low, z0), (x + 0.002, high, z1 + 0.004), HEADLIGHT))
