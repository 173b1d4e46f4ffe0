"""Pictures painted for the scene: the ground seen from above and the facades of buildings."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.config import JUNCTION_HALF_M, LANE_WIDTH_M, PAINTED_EXTENT_M, ROAD_HALF_WIDTH_M
from rsdfm_ros.sim.layout import BUILT_HALF_WIDTH_M, Layout, Street

GROUND_PX = 3072
FACADE_PX = 256
FACADE_M = 12.0
"""Side of the square of wall that a facade picture covers."""
Image = NDArray[np.uint8]
Colour = tuple[float, float, float]
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


def _tint(rng: np.random.Generator, base: Colour, light: float, hue: float) -> Colour:
    c = np.clip(np.array(base) * rng.uniform(1 - light, 1 + light) + rng.normal(0, hue, 3), 10, 245)
    return (float(c[0]), float(c[1]), float(c[2]))


def paint_ground(layout: Layout, seed: int) -> tuple[Image, Colour]:
    """The ground (GROUND_PX, GROUND_PX, 3) RGB, north up, and the colour of the land around it."""
    rng = np.random.default_rng([seed, 5])
    grass = _tint(rng, (92, 112, 62), 0.2, 7)
    paving, pavement = _tint(rng, (150, 146, 138), 0.15, 5), _tint(rng, (158, 156, 152), 0.12, 4)
    asphalt, parking = _tint(rng, (78, 79, 83), 0.2, 2), _tint(rng, (92, 92, 95), 0.2, 3)
    yard, mark = _tint(rng, (128, 122, 108), 0.15, 8), (225.0, 225.0, 220.0)
    image = np.empty((GROUND_PX, GROUND_PX, 3), np.uint8)
    image[:] = np.array(paving, np.uint8)
    for rect, use in layout.blocks:
        base = {"built": yard if rng.random() < 0.5 else grass, "park": grass, "carpark": parking}[use]
        _fill(image, *rect, _tint(rng, base, 0.08, 2))
    b, h = BUILT_HALF_WIDTH_M, ROAD_HALF_WIDTH_M
    for s in layout.streets:
        _along(image, s, s.start_m - b, s.end_m + b, -b, b, pavement)
    for s in layout.streets:
        _along(image, s, s.start_m - h - 0.15, s.end_m + h + 0.15, -h - 0.15, h + 0.15, (190, 188, 184))
    for s in layout.streets:
        _along(image, s, s.start_m - h, s.end_m + h, -h, h, asphalt)
    for s in layout.streets:
        _paint_street(image, s, pavement, parking, mark)
    for p in layout.places:
        if not p.kerb:
            _paint_bay(image, p.x, p.y, p.yaw, p.length_m, mark)
    shade = _noise(rng, 24, 0.05) * _noise(rng, 200, 0.04) * _noise(rng, 1024, 0.05)
    return np.clip(image * shade[..., None], 0, 255).astype(np.uint8), grass


def _paint_street(image: Image, s: Street, pavement: Colour, parking: Colour, mark: Colour) -> None:
    """Parking strips or wider pavements, edge and centre lines, stop lines and crossings of one stretch."""
    a = s.start_m + (JUNCTION_HALF_M if s.nodes[0] is not None else 0)
    z = s.end_m - (JUNCTION_HALF_M if s.nodes[1] is not None else 0)
    lane, h = LANE_WIDTH_M, ROAD_HALF_WIDTH_M
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


def paint_facade(rng: np.random.Generator) -> Image:
    """A wall of FACADE_M x FACADE_M with rows of windows, (FACADE_PX, FACADE_PX, 3) RGB; it tiles."""
    walls = (
        (176, 160, 138),
        (150, 92, 72),
        (196, 192, 182),
        (128, 130, 136),
        (188, 168, 120),
        (110, 98, 90),
        (205, 200, 205),
    )
    wall = np.array(_tint(rng, walls[int(rng.integers(len(walls)))], 0.12, 5))
    image = np.empty((FACADE_PX, FACADE_PX, 3), np.uint8)
    image[:] = wall.astype(np.uint8)
    columns, floors = int(rng.integers(3, 6)), 4
    w, h = FACADE_PX / columns, FACADE_PX / floors
    fw, fh = float(rng.uniform(0.35, 0.75)), float(rng.uniform(0.4, 0.65))
    for i in range(columns):
        for j in range(floors):
            glass = np.array([52, 62, 76]) * rng.uniform(0.6, 1.5) + (60 if rng.random() < 0.08 else 0)
            x0, y0 = (i + 0.5 - 0.5 * fw) * w, (j + 0.5 - 0.5 * fh) * h
            outer = (int(x0) - 3, int(y0) - 3), (int(x0 + fw * w) + 3, int(y0 + fh * h) + 3)
            cv2.rectangle(image, *outer, tuple(float(v) for v in np.clip(wall * 1.15, 0, 255)), -1)
            cv2.rectangle(
                image,
                (int(x0), int(y0)),
                (int(x0 + fw * w), int(y0 + fh * h)),
                tuple(float(v) for v in glass),
                -1,
            )
        if rng.random() < 0.5:
            cv2.line(image, (int(i * w), 0), (int(i * w), FACADE_PX), tuple(float(v) for v in wall * 0.9), 1)
    noise = rng.normal(1.0, 0.03, (FACADE_PX, FACADE_PX, 1))
    return np.clip(image * noise, 0, 255).astype(np.uint8)
