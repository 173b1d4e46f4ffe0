"""Textures with the statistics of real surfaces: 1/f spectra, repairs, stains, tyre marks, worn paint, dirt on walls.

The amplitude of natural images falls as 1/f (Field, J. Opt. Soc. Am. A 4 (12), 1987): every octave adds as much.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.ground import Image
from rsdfm_ros.sim.plan import Layout, Street

ROOF_PX = 512
ROOF_M = 16.0
"""Side of the square of roof that a roof texture covers."""
STRIP = 64
"""Rows of a large image that are worked on at a time, which keeps arrays in the cache."""
_PAINT = 170
"""Pixels of a road whose red is brighter are paint."""
Float = NDArray[np.float32]


def fractal(rng: np.random.Generator, px: int, *, tiles: bool = False) -> Float:
    """Noise (px, px) whose amplitude falls as 1/f; mean 0, standard deviation 1; `tiles`: without seams.

    Made from coarse to fine: each octave is the one before, twice as large, and new noise.
    """
    sizes = [px]
    while sizes[-1] >= 12:
        sizes.append((sizes[-1] + 1) // 2)
    total = rng.standard_normal((sizes[-1], sizes[-1]), dtype=np.float32)
    for size in reversed(sizes[:-1]):
        if tiles:
            wide = cv2.resize(np.pad(total, 1, mode="wrap"), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            total = np.ascontiguousarray(wide[2 : size + 2, 2 : size + 2])
        else:
            total = cv2.resize(total, (size, size), interpolation=cv2.INTER_LINEAR)
        total += rng.standard_normal((size, size), dtype=np.float32)
    some = total[:: max(1, px // 512), :: max(1, px // 512)]
    total -= some.mean()
    total /= some.std()
    return np.asarray(total, np.float32)


def natural_ground(image: Image, layout: Layout, seed: int) -> Image:
    """The painted ground with more markings, repairs, cracks, tyre marks, stains, worn paint and 1/f brightness."""
    rng = np.random.default_rng([seed, 40])
    px = len(image)
    roads = road_mask(px, layout)
    noise = fractal(rng, px)
    image = image.copy()
    for street in layout.streets:
        _markings(image, street, rng)
    layer = np.zeros((px, px), np.float32)
    for street in layout.streets:
        _tyre_marks(layer, street, rng)
        _repairs(layer, street, rng)
    layer = cv2.GaussianBlur(layer, (0, 0), 2.0) * roads
    for place in layout.places:
        if rng.random() < 0.5:
            _stain(layer, place.x, place.y, rng)
    _cracks(layer, layout, rng)
    dirt = fractal(rng, px)
    soil = np.array([118.0, 98.0, 74.0], np.float32) * np.float32(rng.uniform(0.8, 1.2))
    wear, strength = 0.8 * float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.06, 0.12))
    asphalt = _road_colour(image, roads)
    out = np.empty_like(image)
    for first in range(0, px, STRIP):
        rows = slice(first, first + STRIP)
        part, road = image[rows].astype(np.float32), roads[rows]
        painted = (image[rows][..., 0] > _PAINT) & (road > 0)
        worn = np.minimum(wear * _soft_step(noise[rows] - 0.3), 0.9) * painted
        part += worn[..., None] * (asphalt - part)
        dirty = 0.55 * _soft_step(dirt[rows] - 1.1) * (1 - 0.75 * road)
        part += dirty[..., None] * (soil - part)
        part *= np.exp(layer[rows] + strength * noise[rows] * (1 - 0.4 * road))[..., None]
        out[rows] = np.clip(part, 0, 255, out=part)
    return out


def natural_roof(tone: NDArray[np.float64], rng: np.random.Generator) -> Image:
    """A roof (ROOF_PX, ROOF_PX, 3) of a tone from 0 to 1 that tiles: joints or ribs, sheets, stains, moss."""
    out = np.full((ROOF_PX, ROOF_PX, 3), 255.0 * tone, np.float32)
    pitch = int(rng.choice([8, 16, 32, 64]))
    out[:, ::pitch] *= float(rng.uniform(0.75, 0.95))
    if rng.random() < 0.5:
        out[:: 2 * pitch] *= float(rng.uniform(0.75, 0.95))
    for _ in range(int(rng.integers(0, 7))):  # sheets that were replaced, skylights
        x, y = (int(v) for v in rng.integers(0, ROOF_PX - 64, 2))
        w, h = (int(v) for v in rng.integers(12, 60, 2))
        out[y : y + h, x : x + w] *= float(rng.uniform(0.6, 1.3))
    moss = 0.5 * _soft_step(fractal(rng, ROOF_PX, tiles=True) - float(rng.uniform(0.8, 2.0)))
    out += moss[..., None] * (np.array([70.0, 78.0, 52.0], np.float32) - out)
    out *= np.exp(0.1 * fractal(rng, ROOF_PX, tiles=True))[..., None]
    return np.clip(out, 0, 255).astype(np.uint8)


def natural_wall(image: Image, rng: np.random.Generator) -> Image:
    """A facade that tiles with 1/f brightness and streaks that run down."""
    px = len(image)
    streaks = cv2.resize(fractal(rng, px, tiles=True)[::8], (px, px), interpolation=cv2.INTER_LINEAR)
    change = 0.06 * fractal(rng, px, tiles=True) - 0.1 * _soft_step(streaks - 0.8)
    return np.clip(image * np.exp(change)[..., None], 0, 255).astype(np.uint8)


def pixel(px: int, x: float, y: float) -> tuple[int, int]:
    """Column and row of a ground point in 1/16 px; row 0 is the north edge."""
    scale = 16 * px / (2 * PAINTED_EXTENT_M)
    return round((x + PAINTED_EXTENT_M) * scale), round((PAINTED_EXTENT_M - y) * scale)


def road_mask(px: int, layout: Layout) -> Float:
    """1 on carriageways, else 0, (px, px) as the ground is painted."""
    mask = np.zeros((px, px), np.float32)
    for rectangle in layout.road_rectangles():
        _polygon(mask, _corners(rectangle), 1.0)
    return mask


def _soft_step(values: Float) -> Float:
    return np.asarray(np.clip(0.5 + 2.0 * values, 0, 1), np.float32)


def _corners(rectangle: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = rectangle
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _polygon(
    layer: NDArray[np.generic], points: list[tuple[float, float]], value: float | tuple[float, float, float]
) -> None:
    corners = np.array([pixel(len(layer), x, y) for x, y in points], np.int32)
    cv2.fillConvexPoly(layer, corners, value, cv2.LINE_8, 4)


def _road_colour(image: Image, roads: Float) -> Float:
    """The usual colour (3,) of a road without paint."""
    some = image[::8, ::8][roads[::8, ::8] > 0]
    plain = some[some[..., 0] <= _PAINT]
    return np.median(plain, axis=0).astype(np.float32) if len(plain) else np.zeros(3, np.float32)


def _along(street: Street, a: float, b: float, p: float, q: float) -> list[tuple[float, float]]:
    """A rectangle from a to b along a street and p to q across it, from its axis."""
    c = street.across_m
    return _corners((a, c + p, b, c + q) if street.axis == 0 else (c + p, a, c + q, b))


def _tyre_marks(layer: Float, street: Street, rng: np.random.Generator) -> None:
    road, depth = street.road, float(rng.uniform(-0.16, 0.06))
    for lane in range(road.lanes):
        for side in (-1.0, 1.0):
            for wheel in (-0.85, 0.85):
                middle = side * road.lane_offset_m(lane) + wheel
                _polygon(
                    layer, _along(street, street.start_m, street.end_m, middle - 0.3, middle + 0.3), depth
                )


def _markings(image: Image, street: Street, rng: np.random.Generator) -> None:
    """Yellow hatching before junctions, and words or arrows on the lanes, as strokes."""
    road, half = street.road, street.road.lanes * street.road.lane_m
    for end, inward in ((street.start_m, 1.0), (street.end_m, -1.0)):
        if rng.random() < 0.3:
            first = end + inward * (road.junction_half_m + float(rng.uniform(4.0, 12.0)))
            _hatching(image, street, sorted((first, first + inward * float(rng.uniform(6, 10)))), half, rng)
    for _ in range(int(rng.poisson(max(0.0, street.end_m - street.start_m) / 30.0))):
        a = float(rng.uniform(street.start_m, street.end_m))
        lane = road.lane_offset_m(int(rng.integers(road.lanes))) * float(rng.choice([-1.0, 1.0]))
        for _ in range(int(rng.integers(3, 12))):
            u, v = a + float(rng.uniform(0, 2.4)), lane + float(rng.uniform(-0.9, 0.9))
            long, wide = (float(d) for d in rng.permutation([rng.uniform(0.4, 1.6), 0.15]))
            _polygon(image, _along(street, u, u + long, v, v + wide), (225, 225, 220))


def _hatching(image: Image, street: Street, ends: list[float], half: float, rng: np.random.Generator) -> None:
    """A box with diagonals both ways."""
    yellow = (214, 190, 96) if rng.random() < 0.7 else (222, 222, 218)
    a, b = ends
    edges = [
        ((a, -half), (b, -half)),
        ((a, half), (b, half)),
        ((a, -half), (a, half)),
        ((b, -half), (b, half)),
    ]
    step = float(rng.uniform(1.2, 2.2))
    for start in np.arange(a - 2 * half, b, step):
        for sign in (-1.0, 1.0):  # u from start on while v crosses the box; cut at its ends
            low, high = max(a, start), min(b, start + 2 * half)
            if low < high:
                edges.append(((low, sign * (low - start - half)), (high, sign * (high - start - half))))
    width = max(1, round(0.15 * len(image) / (2 * PAINTED_EXTENT_M)))
    for p, q in edges:
        ends_px = [
            pixel(len(image), u, street.across_m + v)
            if street.axis == 0
            else pixel(len(image), street.across_m + v, u)
            for u, v in (p, q)
        ]
        cv2.line(image, *ends_px, yellow, width, cv2.LINE_AA, 4)


def _repairs(layer: Float, street: Street, rng: np.random.Generator) -> None:
    length = street.end_m - street.start_m
    for _ in range(int(rng.poisson(length / 30.0))):
        a = float(rng.uniform(street.start_m, street.end_m))
        p = float(rng.uniform(-street.road.half_width_m, street.road.half_width_m))
        size, width = float(rng.uniform(1.0, 12.0)), float(rng.uniform(0.6, 3.5))
        _polygon(layer, _along(street, a, a + size, p, p + width), float(rng.uniform(-0.35, 0.25)))


def _stain(layer: Float, x: float, y: float, rng: np.random.Generator) -> None:
    """Oil below a parked vehicle."""
    for _ in range(3):
        u, v = pixel(len(layer), x + float(rng.normal(0, 0.6)), y + float(rng.normal(0, 0.6)))
        radius = int(rng.uniform(3, 9))
        cv2.circle(layer, (u // 16, v // 16), radius, float(rng.uniform(-0.5, -0.15)), -1, cv2.LINE_AA)


def _cracks(layer: Float, layout: Layout, rng: np.random.Generator) -> None:
    """Sealed cracks: dark lines that wander over the roads."""
    for street in layout.streets:
        for _ in range(int(rng.poisson((street.end_m - street.start_m) / 40.0))):
            u, turn = float(rng.uniform(street.start_m, street.end_m)), float(rng.uniform(0, 2 * math.pi))
            p = float(rng.uniform(-street.road.half_width_m, street.road.half_width_m))
            points = []
            for _ in range(int(rng.integers(4, 16))):
                points.append((u, street.across_m + p) if street.axis == 0 else (street.across_m + p, u))
                turn += float(rng.normal(0, 0.5))
                u, p = u + 0.8 * math.cos(turn), p + 0.8 * math.sin(turn)
                if abs(p) > street.road.half_width_m:
                    break
            line = np.array([pixel(len(layer), *q) for q in points], np.int32)
            cv2.polylines(layer, [line], False, -0.4, 1, cv2.LINE_AA, 4)
