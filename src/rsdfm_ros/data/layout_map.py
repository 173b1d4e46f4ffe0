"""The static layout of a scene, seen from above: a raster of classes such as road and building."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.errors import RsdfmError

LAYOUT_CLASSES: tuple[str, ...] = ("road", "building")
"""Classes that the simulator writes and the layout head learns. They may overlap."""


class LayoutError(RsdfmError):
    """A layout that is missing, damaged or lacks a class: names what was expected and what to do."""


@dataclass(frozen=True)
class LayoutMap:
    """A raster of static classes, in the ``map`` frame.

    classes: their names, K of them · bits (ni, nj) uint8: bit k is set where class k is; cell (i, j) covers
    x in [x0 + i·r, x0 + (i + 1)·r), y in [y0 + j·r, y0 + (j + 1)·r) · origin: (x0, y0) in m · resolution_m: r ·
    T_raster_map (4, 4): the map frame to the one that origin refers to; both are the same until the world is moved.
    """

    classes: tuple[str, ...]
    bits: NDArray[np.uint8]
    origin: tuple[float, float]
    resolution_m: float
    T_raster_map: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))

    def moved(self, matrix: NDArray[np.float64]) -> LayoutMap:
        """The same layout in a new world frame; matrix (4, 4) maps the old frame to the new one, mirrored or not."""
        return replace(self, T_raster_map=self.T_raster_map @ np.linalg.inv(matrix))

    def at(
        self, xy: NDArray[np.float64], classes: Sequence[str]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Presence of `classes` at points (..., 2) m: (K, ...) bool, and where the layout is known, (...) bool.

        Raises: LayoutError for a class that the layout does not have.
        """
        missing = [name for name in classes if name not in self.classes]
        if missing:
            raise LayoutError(
                f"the layout has the classes {', '.join(self.classes)}, but {', '.join(missing)} was asked for"
            )
        T = self.T_raster_map
        points = xy @ T[:2, :2].T + T[:2, 3] - np.asarray(self.origin)
        cells = np.floor(points / self.resolution_m).astype(np.int64)
        known = ((cells >= 0) & (cells < np.array(self.bits.shape))).all(axis=-1)
        i, j = np.moveaxis(np.where(known[..., None], cells, 0), -1, 0)
        values = self.bits[i, j] if self.bits.size else np.zeros(known.shape, np.uint8)
        found = [known & ((values >> self.classes.index(name)) & 1).astype(bool) for name in classes]
        return np.stack(found), known


def layout_of_rectangles(
    rectangles: dict[str, Sequence[tuple[float, float, float, float]]],
    half_extent_m: float,
    resolution_m: float = 0.25,
) -> LayoutMap:
    """The layout of rectangles (x0, y0, x1, y1) m by class, over the square of ± `half_extent_m`.

    A cell belongs to a rectangle that holds its centre.
    """
    side = round(2 * half_extent_m / resolution_m)
    bits = np.zeros((side, side), np.uint8)
    for k, of_class in enumerate(rectangles.values()):
        for x0, y0, x1, y1 in of_class:
            low = np.ceil((np.array([x0, y0]) + half_extent_m) / resolution_m - 0.5).clip(0, side).astype(int)
            high = (
                np.ceil((np.array([x1, y1]) + half_extent_m) / resolution_m - 0.5).clip(0, side).astype(int)
            )
            bits[low[0] : high[0], low[1] : high[1]] |= np.uint8(1 << k)
    return LayoutMap(tuple(rectangles), bits, (-half_extent_m, -half_extent_m), resolution_m)
