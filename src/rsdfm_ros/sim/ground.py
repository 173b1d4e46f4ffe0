"""The image of the ground seen from above."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.plan import Layout, Street, Surface

GROUND_PX = 3072
Image = NDArray[np.uint8]
Colour = tuple[float, float, float]
MATERIALS: dict[str, Colour] = {
    "lawn": (92, 120, 58),
    "meadow": (118, 128, 66),
    "paving": (152, 146, 136),
    "cobbles": (128, 120, 110),
    "asphalt": (80, 81, 84),
    "concrete": (158, 156, 150),
    "gravel": (150, 140, 122),
    "soil": (112, 88, 64),
    "wheat": (182, 158, 92),
    "rape": (186, 176, 62),
    "beet": (78, 108, 52),
    "stubble": (160, 142, 100),
    "water": (70, 120, 142),
    "sand": (188, 172, 136),
    "tartan": (150, 82, 62),
}
"""Colours of ground, RGB 0 to 255; each patch has a tint of its own."""
_SCALE = GROUND_PX / (2 * PAINTED_EXTENT_M)


def _px(x: float, y: float) -> tuple[int, int]:
    """Pixel of a ground point, in 1/16 px; row 0 is the north edge."""
    return round((x + PAINTED_EXTENT_M) * _SCALE * 16), round((PAINTED_EXTENT_M - y) * _SCALE * 16)


def _fill(image: Image, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
    corners = np.array([_px(x0, y0), _px(x1, y0), _px(x1, y1), _px(x0, y1)], np.int32)
    cv2.fillConvexPoly(image, corners, colour, cv2.LINE_AA, 4)


def _along(image: Image, s: Street, a: float, b: float, p: float, q: float, colour: Colour) -> None:
    """A rectangle from a to b along a street and p to q across it, from its axis."""
    if s.axis == 0:
        _fill(image, a, s.across_m + p, b, s.across_m + q, colour)
    else:
        _fill(image, s.across_m + p, a, s.across_m + q, b, colour)


def _noise(rng: np.random.Generator, cells: int, strength: float) -> NDArray[np.float32]:
    small = rng.normal(1.0, strength, (cells, cells)).astype(np.float32)
    large = cv2.resize(small, (GROUND_PX, GROUND_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def tint(rng: np.random.Generator, base: Colour, light: float, hue: float) -> Colour:
    """A colour near `base`: `light` is the relative spread of its brightness, `hue` that of its channels."""
    c = np.clip(np.array(base) * rng.uniform(1 - light, 1 + light) + rng.normal(0, hue, 3), 10, 245)
    return (float(c[0]), float(c[1]), float(c[2]))


def paint_ground(layout: Layout, seed: int) -> tuple[Image, Colour]:
    """The ground (GROUND_PX, GROUND_PX, 3) RGB, north up, and the colour of the land around it."""
    rng = np.random.default_rng([seed, 5])
    grass = tint(rng, (92, 112, 62), 0.2, 7)
    paving, pavement = tint(rng, (150, 146, 138), 0.15, 5), tint(rng, (158, 156, 152), 0.12, 4)
    asphalt, parking = tint(rng, (78, 79, 83), 0.2, 2), tint(rng, (92, 92, 95), 0.2, 3)
    yard, mark = tint(rng, (128, 122, 108), 0.15, 8), (225.0, 225.0, 220.0)
    image = np.empty((GROUND_PX, GROUND_PX, 3), np.uint8)
    image[:] = np.array(paving, np.uint8)
    for rect, use in layout.blocks:
        built = yard if rng.random() < 0.5 else grass
        base = {"built": built, "park": grass, "carpark": parking}.get(use) or MATERIALS[use]
        _fill(image, *rect, tint(rng, base, 0.08, 2))
    for surface in layout.surfaces:
        _paint_surface(image, surface, rng)
    for s in layout.streets:
        b = s.road.built_half_width_m
        _along(image, s, s.start_m - b, s.end_m + b, -b, b, pavement if s.road.pavement_m > 0.5 else grass)
    for s in layout.streets:
        h = s.road.half_width_m
        if s.road.pavement_m > 0.5:
            _along(image, s, s.start_m - h - 0.15, s.end_m + h + 0.15, -h - 0.15, h + 0.15, (190, 188, 184))
    for s in layout.streets:
        h = s.road.half_width_m
        _along(image, s, s.start_m - h, s.end_m + h, -h, h, asphalt)
    for s in layout.streets:
        if s.road.marks == "town":
            _paint_street(image, s, pavement, parking, mark)
        elif s.road.marks in ("country", "motorway"):
            _paint_open_road(image, s, grass, mark)
    for p in layout.places:
        if not p.kerb:
            _paint_bay(image, p.x, p.y, p.yaw, p.length_m, mark)
    shade = _noise(rng, 24, 0.05) * _noise(rng, 200, 0.04) * _noise(rng, 1024, 0.05)
    return np.clip(image * shade[..., None], 0, 255).astype(np.uint8), grass


def _paint_street(image: Image, s: Street, pavement: Colour, parking: Colour, mark: Colour) -> None:
    """Parking strips or wider pavements, edge and centre lines, stop lines and crossings of one stretch."""
    a = s.start_m + (s.road.junction_half_m if s.nodes[0] is not None else 0)
    z = s.end_m - (s.road.junction_half_m if s.nodes[1] is not None else 0)
    lane, h = s.road.lane_m, s.road.half_width_m
    for parks, side in zip(s.parking, (1.0, -1.0), strict=True):
        side = side if s.axis == 0 else -side
        lo, hi = sorted((side * lane, side * h))
        _along(image, s, a + 2.5, z - 2.5, lo, hi, parking if parks else pavement)
        lo, hi = sorted((side * (lane - 0.06), side * (lane + 0.1)))
        _along(image, s, a, z, lo, hi, mark)
    u = a + 1.0
    while u + 3 < z:
        _along(image, s, u, u + 3, -0.08, 0.08, mark)
        u += 6.0
    for node, end, inward in ((s.nodes[0], a, 1.0), (s.nodes[1], z, -1.0)):
        if node is None:
            continue
        side = (1.0 if inward > 0 else -1.0) * (1.0 if s.axis == 0 else -1.0)
        lo, hi = sorted((0.0, side * lane))
        first, last = sorted((end, end + 0.4 * inward))
        _along(image, s, first, last, lo, hi, mark)
        first, last = sorted((end - 0.6 * inward, end - 3.2 * inward))
        for stripe in np.arange(-lane + 0.2, lane, 1.0):
            _along(image, s, first, last, float(stripe), float(stripe) + 0.5, mark)


def _paint_open_road(image: Image, s: Street, grass: Colour, mark: Colour) -> None:
    """Edge lines, lane lines and the median of roads outside towns."""
    road = s.road
    edge = 0.5 * road.median_m + road.lanes * road.lane_m
    if road.median_m > 1:
        half = 0.5 * road.median_m - 0.5
        _along(image, s, s.start_m, s.end_m, -half, half, grass)
    for side in (-1.0, 1.0):
        lines = [(side * edge, 0.0)] + [(side * 0.5 * road.median_m, 0.0)] * (road.median_m > 1)
        lines += [(side * (0.5 * road.median_m + n * road.lane_m), 12.0) for n in range(1, road.lanes)]
        for across, period in lines:
            _dashes(image, s, across, period, mark)
    if road.median_m <= 1:
        _dashes(image, s, 0.0, 9.0, mark)


def _dashes(image: Image, s: Street, across: float, period: float, mark: Colour) -> None:
    """A line along a street, 0.15 m wide; solid for period 0, else a third of each period is painted."""
    if not period:
        _along(image, s, s.start_m, s.end_m, across - 0.08, across + 0.08, mark)
        return
    for u in np.arange(s.start_m, s.end_m, period):
        _along(image, s, float(u), float(u) + period / 3, across - 0.08, across + 0.08, mark)


def _paint_surface(image: Image, surface: Surface, rng: np.random.Generator) -> None:
    """A patch in a tint of its material, with furrows along its first side."""
    colour = tint(rng, MATERIALS[surface.material], 0.1, 3)
    corners = np.array([_px(*p) for p in surface.points], np.int32)
    cv2.fillConvexPoly(image, corners, colour, cv2.LINE_AA, 4)
    if surface.stripe_m <= 0:
        return
    p = np.array(surface.points)
    side, up = p[1] - p[0], p[-1] - p[0]
    count = int(np.linalg.norm(up) / surface.stripe_m)
    dark = tuple(float(c) * 0.86 for c in colour)
    for n in range(0, count, 2):
        a, b = n / count, (n + 1) / count
        band = [p[0] + a * up, p[0] + a * up + side, p[0] + b * up + side, p[0] + b * up]
        cv2.fillConvexPoly(image, np.array([_px(*q) for q in band], np.int32), dark, cv2.LINE_AA, 4)


def _paint_bay(image: Image, x: float, y: float, yaw: float, length: float, mark: Colour) -> None:
    """Two lines along the sides of a bay."""
    half_width = 1.4 if length < 9 else 1.75
    c, s = math.cos(yaw), math.sin(yaw)
    for side in (-half_width, half_width):
        corners = [
            (-0.5 * length, side - 0.06),
            (0.5 * length, side - 0.06),
            (0.5 * length, side + 0.06),
            (-0.5 * length, side + 0.06),
        ]
        pts = np.array([_px(x + u * c - v * s, y + u * s + v * c) for u, v in corners], np.int32)
        cv2.fillConvexPoly(image, pts, mark, cv2.LINE_AA, 4)
