"""Weather and light: changes of the renderer's lights, and effects added to a finished image from its depth.

Haze, sky light under clouds, street lamps and headlights are worked out per pixel from the distance and the place that
it shows: exact in geometry, cheap, and without lights of the renderer, which has few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.sim.meshes import Ground
from rsdfm_ros.sim.plan import Layout

MAP_HALF_M, MAP_CELL_M = 140.0, 0.5
_CELLS = round(2 * MAP_HALF_M / MAP_CELL_M)
_LAMP_M = 6.8
SKY_M = 600.0
"""Assumed distance of pixels without depth."""
Float = NDArray[np.float32]


@dataclass(frozen=True)
class RenderedImage:
    """A rendered image with its geometry.

    image (H, W, 3) uint8 RGB · depth (H, W) m, 0 for the sky · plan (H, W, 3) m: the point that each pixel shows, in
    the frame of the plan · height (H, W) m above the ground · geom (H, W) geom or -1 · K, T_plan_camera.
    """

    image: NDArray[np.uint8]
    depth: Float
    plan: Float
    height: Float
    geom: NDArray[np.int64]
    K: NDArray[np.float64]
    T_plan_camera: NDArray[np.float64]


@dataclass(frozen=True)
class Car:
    """A vehicle in the scene: pose (x, y, yaw) in the plan, size in m, whether its lights are on."""

    pose: tuple[float, float, float]
    size: tuple[float, float, float]
    lit: bool


class Weather:
    """Effects of a weather on images; a pure function of seed and frame."""

    def __init__(self, name: str, layout: Layout, seed: int, ground: Ground | None = None) -> None:
        self.name = name
        rng = np.random.default_rng([seed, 22])
        self._hash = int(rng.integers(1 << 30))
        if name == "haze":
            self._extinction = float(rng.uniform(0.003, 0.010))
            self._airlight = float(rng.uniform(165, 215)) * np.array([0.97, 1.0, 1.03], np.float32)
        if name == "overcast":
            self._static = _occlusion([(b.footprint, 2.5) for b in layout.buildings])
        if name == "night":
            warm = np.array([1.0, 0.78, 0.46] if rng.random() < 0.5 else [0.92, 0.97, 1.0], np.float32)
            self._lamp_colour = warm
            self._lamps = np.array(layout.lamps, np.float64).reshape(-1, 2)
            below = np.zeros(len(self._lamps)) if ground is None else ground(self._lamps)
            self._heads = np.column_stack([self._lamps, below + _LAMP_M])
            self._static = _lamp_map(self._lamps) * float(rng.uniform(0.55, 0.95))
            self._dark = float(rng.uniform(0.13, 0.24)) * np.array([0.85, 0.92, 1.15], np.float32)
            self._lit_windows = float(rng.uniform(0.1, 0.35))

    @property
    def needs_depth(self) -> bool:
        return self.name in ("haze", "overcast", "night")

    def apply(
        self, rendered: RenderedImage, cars: Sequence[Car], glow: NDArray[np.int64], walls: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """The image in this weather.

        glow (G + 1,): 1 for geoms that are headlights, 2 for rear lights, of vehicles whose lights are on · walls
        (G + 1,): which geoms are walls of buildings; the last entry is for pixels without a geom.
        """
        if self.name == "haze":
            distance = np.where(rendered.depth > 0, rendered.depth, SKY_M)
            clear = np.exp(-self._extinction * distance)[..., None].astype(np.float32)
            return _image(rendered.image * clear + self._airlight * (1 - clear))
        if self.name == "overcast":
            return self._overcast(rendered, cars)
        if self.name == "night":
            return self._night(rendered, cars, glow, walls)
        return rendered.image

    def _overcast(self, rendered: RenderedImage, cars: Sequence[Car]) -> NDArray[np.uint8]:
        """Soft darkness on the ground beside buildings and under vehicles, where the sky is hidden."""
        under = np.zeros((_CELLS, _CELLS), np.uint8)
        for c in cars:
            _fill(under, c.pose, 0.5 * c.size[0] + 0.3, 0.5 * c.size[1] + 0.3, 0.0, 255)
        soft = cv2.GaussianBlur(under, (0, 0), 1.2).astype(np.float32) * np.float32(0.5 / 255)
        hidden = _sample(np.maximum(soft, self._static), rendered.plan)
        hidden *= (rendered.height < 0.25) & (rendered.depth > 0)
        image: Float = rendered.image * (1 - hidden)[..., None]
        image[rendered.depth == 0] = (196, 200, 205)
        return _image(image)

    def _night(
        self, rendered: RenderedImage, cars: Sequence[Car], glow: NDArray[np.int64], walls: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        beams = np.zeros((_CELLS, _CELLS), np.uint8)
        for c in cars:
            if c.lit:
                _beam(beams, c)
        head = cv2.GaussianBlur(beams, (0, 0), 2.0).astype(np.float32) * np.float32(0.75 / 255)
        low = np.clip(1.15 - rendered.height / 8.0, 0.12, 1.0)
        near = np.clip(1.2 - rendered.height / 2.0, 0.0, 1.0)
        lamps, heads = _sample(self._static, rendered.plan) * low, _sample(head, rendered.plan) * near
        light = (
            self._dark
            + lamps[..., None] * self._lamp_colour
            + heads[..., None] * np.array([1.0, 0.97, 0.88], np.float32)
        )
        image: Float = rendered.image * light
        self._windows(image, rendered, walls[rendered.geom])
        image[rendered.depth == 0] = (6, 8, 14)
        shine = np.zeros_like(image)
        kind = glow[rendered.geom]
        shine[kind == 1], shine[kind == 2] = (255, 245, 215), (255, 40, 25)
        self._lamp_heads(shine, rendered)
        image += shine + 2.2 * cv2.GaussianBlur(shine, (0, 0), 2.2)
        return _image(image)

    def _windows(self, image: Float, rendered: RenderedImage, wall: NDArray[np.bool_]) -> None:
        """Lights up some of the windows: dark bluish pixels of walls, by cells of 3 m."""
        rgb = rendered.image.astype(np.int32)
        glass = wall & (rgb[..., 2] > rgb[..., 0] + 3) & (rgb.max(-1) < 120)
        cell = np.floor(rendered.plan[glass] / 3.0).astype(np.int64)
        mixed = (cell @ np.array([73856093, 19349663, 83492791]) + self._hash) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0xFFFFFFFF
        lit = (mixed >> 8) % 1000 < 1000 * self._lit_windows
        colours = image[glass]
        colours[lit] = (225, 180, 105)
        image[glass] = colours

    def _lamp_heads(self, shine: Float, rendered: RenderedImage) -> None:
        """The lamps themselves, where nothing hides them."""
        p = (self._heads - rendered.T_plan_camera[:3, 3]) @ rendered.T_plan_camera[:3, :3]
        p = p[p[:, 2] > 5.0]
        u = np.floor(rendered.K[0, 0] * p[:, 0] / p[:, 2] + rendered.K[0, 2]).astype(int)
        v = np.floor(rendered.K[1, 1] * p[:, 1] / p[:, 2] + rendered.K[1, 2]).astype(int)
        inside = (u >= 0) & (v >= 0) & (u < shine.shape[1]) & (v < shine.shape[0])
        u, v, z = u[inside], v[inside], p[inside, 2]
        behind = rendered.depth[v, u]
        seen = (behind == 0) | (behind > z - 1.0)
        shine[v[seen], u[seen]] = 200 * self._lamp_colour


def _image(image: Float) -> NDArray[np.uint8]:
    return np.clip(image, 0, 255).astype(np.uint8)


def _cell(x: float, y: float) -> tuple[int, int]:
    """Cell of a place, in 1/16 cells; row along y, column along x."""
    return round(((x + MAP_HALF_M) / MAP_CELL_M - 0.5) * 16), round(
        ((y + MAP_HALF_M) / MAP_CELL_M - 0.5) * 16
    )


def _polygon(pose: tuple[float, float, float], points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return np.array([_cell(pose[0] + u * c - v * s, pose[1] + u * s + v * c) for u, v in points], np.int32)


def _fill(
    canvas: NDArray[np.uint8],
    pose: tuple[float, float, float],
    length: float,
    width: float,
    shift: float,
    value: int,
) -> None:
    corners = [
        (shift - length, -width),
        (shift + length, -width),
        (shift + length, width),
        (shift - length, width),
    ]
    cv2.fillConvexPoly(canvas, _polygon(pose, corners), value, cv2.LINE_AA, 4)


def _beam(canvas: NDArray[np.uint8], car: Car) -> None:
    """Light of a vehicle's headlights on the ground: three cones, the brightest nearest."""
    front, half = 0.5 * car.size[0], 0.5 * car.size[1]
    for reach, wide, value in ((20.0, 4.2, 70), (13.0, 3.0, 140), (8.0, 2.2, 240)):
        points = [
            (front, -half),
            (front + reach, -wide),
            (front + reach + 1.5, 0.0),
            (front + reach, wide),
            (front, half),
        ]
        cv2.fillConvexPoly(canvas, _polygon(car.pose, points), value, cv2.LINE_AA, 4)


def _occlusion(rects: Sequence[tuple[tuple[float, float, float, float], float]]) -> Float:
    canvas = np.zeros((_CELLS, _CELLS), np.uint8)
    for (x0, y0, x1, y1), _ in rects:
        _fill(
            canvas,
            (0.5 * (x0 + x1), 0.5 * (y0 + y1), 0.0),
            0.5 * (x1 - x0) + 0.5,
            0.5 * (y1 - y0) + 0.5,
            0.0,
            255,
        )
    blurred = cv2.GaussianBlur(canvas, (0, 0), 2.5 / MAP_CELL_M)
    return np.asarray(blurred.astype(np.float32) * np.float32(0.45 / 255))


def _lamp_map(lamps: NDArray[np.float64]) -> Float:
    """Light of all lamps on the ground: that of a point source at height h, h³ / (h² + r²)^1.5, 1 below a lamp."""
    light = np.zeros((_CELLS, _CELLS), np.float32)
    reach = int(24.0 / MAP_CELL_M)
    axis = (np.arange(-reach, reach + 1) * MAP_CELL_M) ** 2
    patch = (_LAMP_M**3 / (_LAMP_M**2 + axis[:, None] + axis[None]) ** 1.5).astype(np.float32)
    for x, y in lamps:
        j, i = round((x + MAP_HALF_M) / MAP_CELL_M), round((y + MAP_HALF_M) / MAP_CELL_M)
        a, b = max(0, reach - i), max(0, reach - j)
        rows = slice(max(0, i - reach), min(_CELLS, i + reach + 1))
        columns = slice(max(0, j - reach), min(_CELLS, j + reach + 1))
        if rows.stop > rows.start and columns.stop > columns.start:
            light[rows, columns] += patch[
                a : a + rows.stop - rows.start, b : b + columns.stop - columns.start
            ]
    return light


def _sample(values: Float, plan: Float) -> Float:
    """A map of the ground at the places (H, W, 3) that pixels show; 0 outside."""
    x = (plan[..., 0] + np.float32(MAP_HALF_M)) / np.float32(MAP_CELL_M) - np.float32(0.5)
    y = (plan[..., 1] + np.float32(MAP_HALF_M)) / np.float32(MAP_CELL_M) - np.float32(0.5)
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)
