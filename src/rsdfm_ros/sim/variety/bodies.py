"""Bodies of vehicles of many kinds; each is labelled as one of the four classes, with an exact box."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rsdfm_ros.sim.vehicles import (
    GLASS,
    HEADLIGHT,
    REAR_LIGHT,
    TYRE,
    WINDSCREEN,
    Part,
    Rgb,
    VehicleSpec,
    parts,
)

LOADS: tuple[Rgb, ...] = ((0.55, 0.45, 0.33), (0.40, 0.33, 0.26), (0.62, 0.60, 0.56), (0.30, 0.32, 0.34))
"""Wood, earth, gravel, steel."""
_UNDER = (0.10, 0.10, 0.11)


@dataclass(frozen=True)
class Body:
    """Size of a body (length, width, height) against the nominal one of its class, and how often it is drawn."""

    scale: tuple[float, float, float]
    odds: float


BODIES: dict[int, dict[str, Body]] = {
    0: {
        "saloon": Body((1.03, 1.0, 0.98), 3.0),
        "hatchback": Body((0.89, 0.97, 1.0), 3.0),
        "estate": Body((1.05, 1.0, 1.0), 2.0),
        "off-roader": Body((1.02, 1.04, 1.18), 2.5),
        "pickup": Body((1.17, 1.03, 1.2), 1.2),
        "convertible": Body((0.93, 0.97, 0.9), 0.5),
        "taxi": Body((1.03, 1.0, 1.06), 0.6),
    },
    1: {
        "panel van": Body((1.0, 1.0, 1.0), 2.0),
        "minibus": Body((1.0, 1.0, 0.95), 1.0),
        "box van": Body((1.12, 1.08, 1.25), 1.2),
        "flatbed van": Body((1.1, 1.05, 0.95), 1.0),
    },
    2: {
        "box truck": Body((1.0, 1.0, 1.1), 1.5),
        "flatbed": Body((1.05, 1.0, 0.95), 1.0),
        "tipper": Body((0.95, 1.0, 1.0), 1.0),
        "tanker": Body((1.1, 1.0, 1.05), 0.7),
        "articulated truck": Body((1.6, 1.0, 1.2), 1.0),
    },
    3: {
        "city bus": Body((1.0, 1.0, 0.97), 1.5),
        "coach": Body((1.0, 1.0, 1.1), 1.0),
        "double-decker": Body((0.93, 1.0, 1.34), 0.4),
    },
}
"""By class of data.frame.CLASSES."""


def varied(v: VehicleSpec, rng: np.random.Generator, room_m: float = 20.0) -> VehicleSpec:
    """The vehicle with a body, size and paint drawn anew; no longer than `room_m`."""
    known = BODIES[v.kind]
    odds = np.array([b.odds for b in known.values()])
    name = list(known)[int(rng.choice(len(known), p=odds / odds.sum()))]
    length, width, height = (s * k for s, k in zip(v.size, known[name].scale, strict=True))
    first, second = _paint(rng), _paint(rng)
    if name == "taxi":
        first = ((0.90, 0.72, 0.08), (0.93, 0.90, 0.78), (0.07, 0.07, 0.08))[int(rng.integers(3))]
    size = (min(length, max(room_m, v.size[0])), width, height)
    return replace(v, size=size, paint=first, second=second, body=name)


def vehicle_parts(v: VehicleSpec) -> list[Part]:
    """The boxes of a vehicle with any body; together they touch all six faces of its bounding box."""
    return _BUILDERS[v.body](_Boxes(v)) if v.body else parts(v)


def _paint(rng: np.random.Generator) -> Rgb:
    """Two thirds of all cars are white, black, grey or silver; the others have any hue."""
    if rng.random() < 0.66:
        value = float(rng.choice([0.92, 0.72, 0.55, 0.38, 0.22, 0.06]) * rng.uniform(0.9, 1.06))
        r, g, b = np.clip(value + rng.normal(0, 0.012, 3), 0.03, 1.0)
        return float(r), float(g), float(b)
    hue, saturation = float(rng.random()), float(rng.uniform(0.35, 0.95))
    return colorsys.hsv_to_rgb(hue, saturation, float(rng.uniform(0.25, 0.9)))


class _Boxes:
    """Collects boxes; x from -1 (rear) to 1 (front), y half width from 0 to 1, z from 0 to 1 of the size."""

    def __init__(self, v: VehicleSpec) -> None:
        self.v, self.parts = v, list[Part]()
        self.half = (0.5 * v.size[0], 0.5 * v.size[1])
        self.wheels((-0.62, 0.62), 0.64 if v.kind < 2 else 0.98)

    def add(
        self, x0: float, x1: float, y: float, z0: float, z1: float, rgb: Rgb, y0: float | None = None
    ) -> None:
        """A box symmetric about the middle, or from y0 to y."""
        (hx, hy), h = self.half, self.v.size[2]
        low, high = (-y if y0 is None else y0), y
        self.parts.append(Part((x0 * hx, low * hy, z0 * h), (x1 * hx, high * hy, z1 * h), rgb))

    def wheels(self, at: tuple[float, ...], size_m: float) -> None:
        hx, hy = self.half
        for x in at:
            low = (x * hx - 0.5 * size_m, -0.97 * hy, 0.0)
            self.parts.append(Part(low, (x * hx + 0.5 * size_m, 0.97 * hy, size_m), TYRE))

    def lights(self, z0: float, z1: float) -> None:
        """Within the box of the vehicle: the body in front of and behind which they lie ends before ±1."""
        for side in (-1.0, 1.0):
            y0, y1 = sorted((side * 0.62, side * 0.96))
            self.add(-1.0, -0.985, y1, z0, z1, REAR_LIGHT, y0)
            self.add(0.985, 1.0, y1, z0, z1, HEADLIGHT, y0)

    def cab(self, back: float, top: float, rgb: Rgb) -> None:
        """Cab of a truck from `back` to the front."""
        self.add(back, 0.99, 0.96, 0.14, 0.5 * top, rgb)
        self.add(back, 0.96, 0.92, 0.5 * top, 0.85 * top, GLASS)
        self.add(0.9, 0.962, 0.925, 0.5 * top, 0.86 * top, WINDSCREEN)
        self.add(back, 0.93, 0.93, 0.85 * top, top, rgb)


def _car(b: _Boxes, hood: float, boot: float, *, bars: bool = False) -> list[Part]:
    """A car with a bonnet from `hood` on and a boot up to `boot`."""
    v = b.v
    waist = 0.58
    b.add(-0.99, 0.99, 1.0, 0.12, waist, v.paint)
    b.add(boot, hood, 0.90, waist, 0.95, GLASS)
    b.add(hood - 0.2, hood + 0.01, 0.905, waist, 0.955, WINDSCREEN)
    b.add(boot + 0.08, hood - 0.2, 0.84, 0.93, 0.985 if bars else 1.0, v.paint)
    if bars:
        for side in (-1.0, 1.0):
            y0, y1 = sorted((side * 0.72, side * 0.80))
            b.add(boot + 0.12, hood - 0.25, y1, 0.985, 1.0, _UNDER, y0)
    b.lights(0.38, waist)
    return b.parts


def _pickup(b: _Boxes) -> list[Part]:
    v, waist = b.v, 0.58
    b.add(-0.99, 0.99, 1.0, 0.2, 0.38, v.paint)
    b.add(-0.15, 0.99, 1.0, 0.38, waist, v.paint)
    b.add(-0.15, 0.38, 0.9, waist, 0.95, GLASS)
    b.add(0.22, 0.385, 0.905, waist, 0.955, WINDSCREEN)
    b.add(-0.12, 0.22, 0.85, 0.93, 1.0, v.paint)
    _bed(b, -0.99, -0.15, 0.38, waist, 0.06, v.paint)
    b.lights(0.38, waist)
    return b.parts


def _bed(b: _Boxes, back: float, front: float, floor: float, top: float, wall: float, rgb: Rgb) -> None:
    """A load bed with walls, empty or with a load that stays below `top`."""
    for side in (-1.0, 1.0):
        y0, y1 = sorted((side, side * (1.0 - wall)))
        b.add(back, front, y1, floor, top, rgb, y0)
    b.add(back, back + 0.03, 1.0, floor, top, rgb)
    b.add(back, front, 1.0 - wall, floor, floor + 0.01, _UNDER)
    if b.v.shape > 0.4:
        load = LOADS[int(10 * b.v.shape) % len(LOADS)]
        b.add(
            back + 0.08,
            front - 0.1 * b.v.shape,
            0.8,
            floor,
            floor + (0.3 + 0.6 * b.v.shape) * (top - floor),
            load,
        )


def _convertible(b: _Boxes) -> list[Part]:
    v, waist = b.v, 0.66
    b.add(-0.99, 0.99, 1.0, 0.12, waist - 0.1, v.paint)
    b.add(0.36, 0.99, 1.0, waist - 0.1, waist, v.paint)
    b.add(-0.99, -0.55, 1.0, waist - 0.1, waist, v.paint)
    b.add(-0.55, 0.36, 0.85, waist - 0.1, waist - 0.08, (0.16, 0.12, 0.10))
    for x in (-0.35, 0.0):
        b.add(x - 0.05, x + 0.03, 0.7, waist - 0.08, 0.9, (0.24, 0.17, 0.13))
    b.add(0.28, 0.36, 0.86, waist, 1.0, WINDSCREEN)
    b.lights(0.4, waist - 0.1)
    return b.parts


def _taxi(b: _Boxes) -> list[Part]:
    _car(b, 0.38, -0.72)
    top = b.parts
    h = b.v.size[2]
    lowered = [replace(p, high=(p.high[0], p.high[1], min(p.high[2], 0.93 * h))) for p in top]
    b.parts = [p for p in lowered if p.high[2] > p.low[2]]
    b.add(-0.22, 0.12, 0.84, 0.925, 0.94, b.v.paint)
    b.add(-0.08, -0.01, 0.3, 0.94, 1.0, (0.95, 0.90, 0.55))
    return b.parts


def _van(b: _Boxes, *, windows: bool) -> list[Part]:
    v = b.v
    b.add(-0.99, 0.99, 1.0, 0.1, 0.5, v.paint)
    b.add(-0.99, 0.45, 0.96, 0.5, 1.0, v.paint)
    b.add(0.45, 0.75, 0.92, 0.5, 0.92, WINDSCREEN)
    b.add(-0.9 if windows else 0.15, 0.42, 0.97, 0.56, 0.85, GLASS)
    b.lights(0.36, 0.5)
    return b.parts


def _cab_van(b: _Boxes, *, box: bool) -> list[Part]:
    """A van's cab with a box or a bed behind."""
    v = b.v
    top = 0.72 if box else 1.0
    b.add(0.3, 0.99, 0.92, 0.12, 0.5 * top, v.paint)
    b.add(0.3, 0.8, 0.88, 0.5 * top, 0.92 * top, GLASS)
    b.add(0.62, 0.805, 0.885, 0.5 * top, 0.92 * top, WINDSCREEN)
    b.add(0.3, 0.6, 0.86, 0.92 * top, top, v.paint)
    b.add(-0.985, 0.3, 0.8, 0.2, 0.32, _UNDER)
    if box:
        b.add(-0.985, 0.28, 1.0, 0.32, 1.0, v.second)
    else:
        _bed(b, -0.985, 0.26, 0.32, 0.55, 0.06, v.second)
    b.lights(0.24, 0.32)
    return b.parts


def _truck(b: _Boxes, load: Callable[[_Boxes, float, float], None], cab: float, top: float) -> list[Part]:
    """A truck whose cab begins at `cab` and is `top` high, with a load from the rear to a gap behind the cab."""
    b.add(-0.985, 0.9, 0.7, 0.14, 0.3, _UNDER)
    b.cab(cab, top, b.v.paint)
    load(b, -0.985, cab - 0.03)
    b.lights(0.22, 0.29)
    return b.parts


def _box(b: _Boxes, back: float, front: float) -> None:
    b.add(back, front, 1.0, 0.3, 1.0, b.v.second)


def _flat(b: _Boxes, back: float, front: float) -> None:
    _bed(b, back, front, 0.32, 0.48, 0.04, b.v.second)


def _tip(b: _Boxes, back: float, front: float) -> None:
    _bed(b, back, front, 0.32, 0.8, 0.05, b.v.second)


def _tank(b: _Boxes, back: float, front: float) -> None:
    """A tank of octagonal section, as three boxes."""
    for y, z0, z1 in ((0.5, 0.3, 1.0), (0.82, 0.38, 0.92), (1.0, 0.5, 0.8)):
        b.add(back, front, y, z0, z1, b.v.second)


def _articulated(b: _Boxes) -> list[Part]:
    b.wheels((-0.8, -0.68, 0.35), 0.98)
    if b.v.shape < 0.6:
        return _truck(b, _box, 0.68, 0.9)
    return _truck(b, _flat if b.v.shape < 0.8 else _tank, 0.68, 1.0)


def _bus(b: _Boxes, bands: tuple[tuple[float, float], ...], *, roof: bool) -> list[Part]:
    """A bus with bands of windows at heights; `roof`: with air conditioning on top."""
    v, top = b.v, 0.95 if roof else 1.0
    b.add(-0.99, 0.99, 1.0, 0.1, top, v.paint)
    for low, high in bands:
        b.add(-0.97, 0.992, 1.0, low, high, GLASS)
        b.add(0.97, 0.994, 0.97, low, high, WINDSCREEN)
    b.add(-0.99, -0.3 + v.shape, 1.0, 0.1, 0.3, v.second)
    if roof:
        b.add(-0.6, -0.2, 0.6, top, 1.0, v.second)
    b.lights(0.14, 0.2)
    return b.parts


_BUILDERS: dict[str, Callable[[_Boxes], list[Part]]] = {
    "saloon": lambda b: _car(b, 0.38, -0.72),
    "hatchback": lambda b: _car(b, 0.42, -0.95),
    "estate": lambda b: _car(b, 0.36, -0.97, bars=True),
    "off-roader": lambda b: _car(b, 0.42, -0.96, bars=True),
    "pickup": _pickup,
    "convertible": _convertible,
    "taxi": _taxi,
    "panel van": lambda b: _van(b, windows=False),
    "minibus": lambda b: _van(b, windows=True),
    "box van": lambda b: _cab_van(b, box=True),
    "flatbed van": lambda b: _cab_van(b, box=False),
    "box truck": lambda b: _truck(b, _box, 0.5, 0.8),
    "flatbed": lambda b: _truck(b, _flat, 0.5, 1.0),
    "tipper": lambda b: _truck(b, _tip, 0.5, 1.0),
    "tanker": lambda b: _truck(b, _tank, 0.52, 0.9),
    "articulated truck": _articulated,
    "city bus": lambda b: _bus(b, ((0.42, 0.8),), roof=True),
    "coach": lambda b: _bus(b, ((0.5, 0.88),), roof=False),
    "double-decker": lambda b: _bus(b, ((0.28, 0.48), (0.62, 0.85)), roof=False),
}
