"""The shape of the ground: flat, a slope with gentle waves, or terraces with banks between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.sim.config import PAINTED_EXTENT_M
from rsdfm_ros.sim.meshes import Mesh, Point

CELL_M = 2.0
"""Distance between the nodes of the ground; the drawn ground is flat within half a cell, to centimetres of the objects
on it."""
DEM_CELL_M, DEM_HALF_M = 1.0, 130.0
FAR_M = 600.0


@dataclass(frozen=True)
class Terrain:
    """Heights (N, N) m at nodes of a plan, x = -PAINTED_EXTENT_M + i·CELL_M, y likewise with j; bilinear between."""

    grid: HeightGrid

    def height(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height (...) m of the ground at points (..., 2) of the plan; beyond the painted ground it is level."""
        return self.grid.elevation(xy)

    def heights_of(self, plan: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same for the surface points (H, W, 3) of an image's pixels."""
        e, scale = np.float32(PAINTED_EXTENT_M), np.float32(1.0 / CELL_M)
        rows, columns = (plan[..., 0] + e) * scale, (plan[..., 1] + e) * scale
        return np.asarray(
            cv2.remap(self.grid.heights, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    def dem(self, turn_rad: float) -> HeightGrid:
        """The ground in the map, in which the plan is turned."""
        axis = np.arange(-DEM_HALF_M, DEM_HALF_M + 0.5 * DEM_CELL_M, DEM_CELL_M)
        x, y = np.meshgrid(axis, axis, indexing="ij")
        c, s = math.cos(turn_rad), math.sin(turn_rad)
        heights = self.height(np.stack([c * x + s * y, c * y - s * x], -1))
        return HeightGrid(heights.astype(np.float32), -DEM_HALF_M, -DEM_HALF_M, DEM_CELL_M)

    def meshes(self) -> tuple[Mesh, Mesh]:
        """The painted ground, with the ground's image as texture, and the land around it."""
        ground, land = Mesh(), Mesh()
        e = PAINTED_EXTENT_M
        inner = np.arange(-e, e + 0.5 * CELL_M, CELL_M)
        axis = np.concatenate([[-FAR_M], inner, [FAR_M]])
        z = self.height(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1))
        last = len(axis) - 2
        for i in range(len(axis) - 1):
            for j in range(len(axis) - 1):
                corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                points: list[Point] = [(float(axis[a]), float(axis[b]), float(z[a, b])) for a, b in corners]
                outside = i in (0, last) or j in (0, last)
                uvs = [((x + e) / (2 * e), (e - y) / (2 * e)) for x, y, _ in points]
                mesh = land if outside else ground
                mesh.polygon([points[0], points[1], points[2]], [uvs[0], uvs[1], uvs[2]])
                mesh.polygon([points[0], points[2], points[3]], [uvs[0], uvs[2], uvs[3]])
        return ground, land


def make_terrain(seed: int, name: str) -> Terrain | None:
    """The ground of a seed; None where it is flat. It passes through z = 0 in the middle."""
    if name == "flat":
        return None
    rng = np.random.default_rng([seed, 25])
    count = round(2 * PAINTED_EXTENT_M / CELL_M) + 1
    axis = np.linspace(-PAINTED_EXTENT_M, PAINTED_EXTENT_M, count)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    heights = _slope(rng, x, y) if name == "slope" else _steps(rng, x, y)
    heights -= heights[count // 2 - 1 : count // 2 + 1, count // 2 - 1 : count // 2 + 1].mean()
    return Terrain(HeightGrid(heights.astype(np.float32), -PAINTED_EXTENT_M, -PAINTED_EXTENT_M, CELL_M))


def _slope(rng: np.random.Generator, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A grade of 3 to 7 percent in one direction, and two waves of up to 1 m, 90 to 180 m long."""
    a, grade = rng.uniform(0, 2 * math.pi), rng.uniform(0.03, 0.07)
    heights = grade * (x * math.cos(a) + y * math.sin(a))
    for _ in range(2):
        a, length, phase = rng.uniform(0, 2 * math.pi), rng.uniform(90, 180), rng.uniform(0, 2 * math.pi)
        u = x * math.cos(a) + y * math.sin(a)
        heights = heights + rng.uniform(0.3, 1.0) * np.sin(2 * math.pi * u / length + phase)
    return np.asarray(heights)


def _steps(rng: np.random.Generator, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level terraces 30 to 55 m deep; banks 10 to 14 m wide lead 1.2 to 2.2 m up from each to the next."""
    a, heights = rng.uniform(0, 2 * math.pi), np.zeros_like(x)
    u = x * math.cos(a) + y * math.sin(a)
    edge = -PAINTED_EXTENT_M * 1.5 + rng.uniform(0, 40)
    while edge < PAINTED_EXTENT_M * 1.5:
        t = np.clip((u - edge) / rng.uniform(10, 14) + 0.5, 0.0, 1.0)
        heights += rng.uniform(1.2, 2.2) * t * t * (3 - 2 * t)
        edge += rng.uniform(40, 65)
    return heights
