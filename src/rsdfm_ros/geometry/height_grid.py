"""Terrain as a regular grid of ground heights, and where viewing rays meet it.

A digital elevation model (DEM) in the map frame: node (i, j) lies at x = x0 + i·cell, y = y0 + j·cell; between nodes
the height is bilinear, beyond the edge it is that of the nearest edge point. Heights above terrain are vertical.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.errors import RsdfmError

Array = NDArray[np.float64]

MAX_NODES = 4096 * 4096
"""Largest grid, 64 MiB of float32: a limit for files of unknown origin."""
MAX_ABS_HEIGHT_M = 10_000.0
CELL_RANGE_M = (0.01, 1000.0)

MARCH_STEPS = 32
"""Places along a ray at which it is compared with the terrain. A ridge that is narrower along the ray than a step may
be missed: a step is 1/32 of the ray's way between the highest and the lowest ground around."""
REFINEMENTS = 4
"""Evaluations within the step that holds the first hit: false position and bisection in turn."""


class GroundError(RsdfmError):
    """A ground model that cannot be used."""


@dataclass(frozen=True)
class HeightGrid:
    """Ground heights (ni, nj) float32 in metres of the map frame; see the module for where the nodes lie.

    Raises: GroundError for anything but a finite grid of at least 2 × 2 nodes and at most MAX_NODES.
    """

    heights: NDArray[np.float32]
    x0: float
    y0: float
    cell_m: float

    def __post_init__(self) -> None:
        shape, kind = np.shape(self.heights), getattr(self.heights, "dtype", None)
        if kind != np.float32 or len(shape) != 2 or min(shape) < 2:
            raise GroundError(f"a height grid needs at least 2 x 2 nodes of float32, got {shape} of {kind}")
        if shape[0] * shape[1] > MAX_NODES:
            raise GroundError(
                f"a height grid has at most {MAX_NODES} nodes, got {shape[0]} x {shape[1]}: cut it to where the UAVs "
                "look, or make its cells larger"
            )
        low, high = CELL_RANGE_M
        if not (low <= self.cell_m <= high and np.isfinite([self.x0, self.y0]).all()):
            raise GroundError(
                f"a height grid needs a finite origin and cells of {low} to {high} m, got origin ({self.x0}, "
                f"{self.y0}) and cell {self.cell_m}"
            )
        if not (np.isfinite(self.heights).all() and np.abs(self.heights).max() <= MAX_ABS_HEIGHT_M):
            raise GroundError(
                f"every height of a grid must be finite and within ±{MAX_ABS_HEIGHT_M:.0f} m: fill the gaps first"
            )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """x_min, y_min, x_max, y_max in metres of the outermost nodes."""
        ni, nj = self.heights.shape
        return self.x0, self.y0, self.x0 + (ni - 1) * self.cell_m, self.y0 + (nj - 1) * self.cell_m

    def height(self, points: ArrayLike) -> Array:
        """Height (...) in metres of points (..., 3) above the terrain, vertically."""
        p = np.asarray(points, dtype=np.float64)
        return np.asarray(p[..., 2] - self.elevation(p[..., :2]))

    def elevation(self, xy: ArrayLike) -> Array:
        """Ground height (...) in metres at map positions (..., 2)."""
        corner, share = self._cell(xy)
        i, j = corner[..., 0], corner[..., 1]
        a, b = share[..., 0], share[..., 1]
        z = self.heights
        low = z[i, j] * (1 - b) + z[i, j + 1] * b
        high = z[i + 1, j] * (1 - b) + z[i + 1, j + 1] * b
        return np.asarray(low * (1 - a) + high * a)

    def normals(self, xy: ArrayLike) -> Array:
        """Unit normals (..., 3), pointing up, of the terrain at map positions (..., 2); flat beyond the edge."""
        position = np.asarray(xy, dtype=np.float64)
        corner, share = self._cell(position)
        i, j = corner[..., 0], corner[..., 1]
        a, b = share[..., 0], share[..., 1]
        z = self.heights.astype(np.float64)
        along_x = (z[i + 1, j] - z[i, j]) * (1 - b) + (z[i + 1, j + 1] - z[i, j + 1]) * b
        along_y = (z[i, j + 1] - z[i, j]) * (1 - a) + (z[i + 1, j + 1] - z[i + 1, j]) * a
        low, high = self.bounds[:2], self.bounds[2:]
        within = (position >= low) & (position <= high)
        slope = np.stack([along_x, along_y], axis=-1) / self.cell_m * within
        n = np.concatenate([-slope, np.ones_like(slope[..., :1])], axis=-1)
        return np.asarray(n / np.linalg.norm(n, axis=-1, keepdims=True))

    def relief(self, xy: ArrayLike, reach_m: float) -> tuple[float, float]:
        """Lowest and highest ground in metres within `reach_m` of a position (2,), by a square of nodes around it."""
        at = np.asarray(xy, dtype=np.float64)
        spans = []
        for n, (origin, count) in enumerate(zip((self.x0, self.y0), self.heights.shape, strict=True)):
            first = np.floor((at[n] - reach_m - origin) / self.cell_m)
            last = np.ceil((at[n] + reach_m - origin) / self.cell_m)
            start = int(np.clip(first, 0, count - 1))
            spans.append(slice(start, int(np.clip(last, start, count - 1)) + 1))
        part = self.heights[spans[0], spans[1]]
        return float(part.min()), float(part.max())

    def _cell(self, xy: ArrayLike) -> tuple[NDArray[np.int64], Array]:
        """Lower corner (..., 2) of the cell of every position, and where in it (..., 2) in [0, 1] the position lies."""
        place = (np.asarray(xy, dtype=np.float64) - (self.x0, self.y0)) / self.cell_m
        last = np.array(self.heights.shape) - 1
        place = np.clip(place, 0, last)
        corner = np.minimum(np.floor(place), last - 1)
        return corner.astype(np.int64), place - corner


def meet_terrain(
    rays: Array, centre: Array, heights: Array, grid: HeightGrid, max_depth_m: float, horizon_margin: float
) -> Array:
    """Depths (..., D) at which rays (..., 3) from `centre` (3,) first come down to `heights` (D,) above the terrain.

    NaN where a ray does not descend by `horizon_margin` metres per metre of depth, where it has not met the bare ground
    within `max_depth_m`, or where it starts lower. A fixed number of steps: the ray is compared with the terrain at
    MARCH_STEPS places between the highest and the lowest ground around, and the step of the first hit is refined.
    """
    reach = max_depth_m * float(np.linalg.norm(rays[..., :2], axis=-1).max(initial=0.0))
    lowest, highest = grid.relief(centre[:2], reach)
    descent = -rays[..., 2]
    down = descent > horizon_margin
    steep = np.where(down, descent, 1.0)
    begin = np.clip((centre[2] - highest - heights.max(initial=0.0)) / steep, 0.0, max_depth_m)
    end = np.clip((centre[2] - lowest) / steep, begin, max_depth_m)

    shares = np.linspace(0.0, 1.0, MARCH_STEPS + 1)
    depths = begin[..., None] + (end - begin)[..., None] * shares
    above = _clearance(depths, rays, centre, grid)
    met_ground = down & (above <= _TOUCH_M).any(axis=-1)
    out = np.full((*descent.shape, len(heights)), np.nan)
    for k, h in enumerate(heights):
        below = above - h <= _TOUCH_M
        first = below.argmax(axis=-1)
        found = met_ground & below.any(axis=-1) & ((first > 0) | (above[..., 0] - h > -_TOUCH_M))
        after, before = first[..., None], np.maximum(first - 1, 0)[..., None]
        a, b = np.take_along_axis(depths, before, -1)[..., 0], np.take_along_axis(depths, after, -1)[..., 0]
        fa, fb = (np.take_along_axis(above, n, -1)[..., 0] - h for n in (before, after))
        for step in range(REFINEMENTS):
            middle = 0.5 * (a + b) if step % 2 else _between(a, b, fa, fb)
            value = _clearance(middle[..., None], rays, centre, grid)[..., 0] - h
            hit = value <= 0
            a, fa = np.where(hit, a, middle), np.where(hit, fa, value)
            b, fb = np.where(hit, middle, b), np.where(hit, value, fb)
        out[..., k] = np.where(found, _between(a, b, fa, fb), np.nan)
    return out


_TOUCH_M = 1e-4
"""Distance at which a ray counts as on a surface: at the end of the march it lies on the lowest ground up to
rounding."""


def _clearance(depths: Array, rays: Array, centre: Array, grid: HeightGrid) -> Array:
    """Height (..., S) over the terrain at depths (..., S) along rays (..., 3)."""
    points = centre + depths[..., None] * rays[..., None, :]
    return np.asarray(points[..., 2] - grid.elevation(points[..., :2]))


def _between(a: Array, b: Array, fa: Array, fb: Array) -> Array:
    """Position where the line through (a, fa) and (b, fb) is zero, kept within a…b; fa > 0 ≥ fb, or both about 0."""
    drop = fa - fb
    share = np.where(drop > 1e-12, fa / np.where(drop > 1e-12, drop, 1.0), 1.0)
    return np.asarray(a + (b - a) * np.clip(share, 0.0, 1.0))
