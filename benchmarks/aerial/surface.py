"""Digital surface models in files: GeoTIFF or height grids, and the bare earth below their buildings and trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from scipy.ndimage import distance_transform_edt

from benchmarks.errors import BenchError
from rsdfm_ros.data.terrain import load_height_grid
from rsdfm_ros.geometry.height_grid import MAX_NODES, HeightGrid

_SCALE, _TIE_POINT, _NO_DATA, _KEYS, _PIXEL_IS_POINT = 33550, 33922, 42113, 34735, 2
_RASTER_TYPE = 1025
BARE_EARTH_M = 24.0
"""Things narrower than this do not belong to the bare earth."""


@dataclass(frozen=True)
class Surface:
    """A surface model: its grid without gaps, and which nodes (ni, nj) were filled in."""

    grid: HeightGrid
    filled: NDArray[np.bool_]

    def known(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions (..., 2) lie on nodes with a height of their own."""
        place = np.round((xy - (self.grid.x0, self.grid.y0)) / self.grid.cell_m).astype(int)
        inside = ((place >= 0) & (place < self.filled.shape)).all(-1)
        i, j = (np.where(inside, place[..., n], 0) for n in (0, 1))
        return np.asarray(inside & ~self.filled[i, j])

    def moved(self, origin: NDArray[np.float64]) -> Surface:
        """In a frame whose origin (3,) was a point of this one."""
        g = self.grid
        heights = (g.heights.astype(np.float64) - origin[2]).astype(np.float32)
        return Surface(HeightGrid(heights, g.x0 - origin[0], g.y0 - origin[1], g.cell_m), self.filled)

    def bare_earth(self, width_m: float = BARE_EARTH_M) -> HeightGrid:
        """The ground below things narrower than `width_m`: a morphological opening, smoothed (Zhang et al., IEEE TGRS
        41 (4), 2003, with one window)."""
        g = self.grid
        size = 2 * max(1, round(0.5 * width_m / g.cell_m)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        low = cv2.morphologyEx(
            cv2.medianBlur(g.heights, 5), cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REPLICATE
        )
        smooth = cv2.GaussianBlur(low, (0, 0), 0.15 * size, borderType=cv2.BORDER_REPLICATE)
        return HeightGrid(np.ascontiguousarray(smooth, np.float32), g.x0, g.y0, g.cell_m)


def load_surface(path: Path) -> Surface:
    """A surface model from a north-up GeoTIFF in metres of a projected frame, or an .npz height grid.

    Raises: BenchError, GroundError.
    """
    if path.suffix.lower() == ".npz":
        grid = load_height_grid(path)
        return Surface(grid, np.zeros(grid.heights.shape, bool))
    try:
        with Pillow.open(path) as image:
            columns, rows = image.size
            if columns * rows > MAX_NODES:
                raise BenchError(
                    f"{path} has {columns} x {rows} heights; at most {MAX_NODES} are read: cut it"
                )
            tags = dict(image.tag_v2) if hasattr(image, "tag_v2") else {}
            heights = np.asarray(image, np.float32)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise BenchError(f"cannot read the surface model {path}: {error}") from error
    scale, tie = tags.get(_SCALE), tags.get(_TIE_POINT)
    if heights.ndim != 2 or scale is None or tie is None or len(scale) < 2 or len(tie) < 6:
        raise BenchError(
            f"{path} is no surface model: expected a GeoTIFF of one band with ModelPixelScale and ModelTiepoint"
        )
    if not np.isclose(scale[0], scale[1], rtol=1e-6) or scale[0] <= 0:
        raise BenchError(f"{path}: expected square pixels, got {scale[0]} x {scale[1]}")
    keys = list(tags.get(_KEYS, ()))
    raster = next((keys[n + 3] for n in range(4, len(keys) - 3, 4) if keys[n] == _RASTER_TYPE), 1)
    centre = 0.0 if raster == _PIXEL_IS_POINT else 0.5
    cell = float(scale[0])
    x0 = float(tie[3]) + (centre - float(tie[0])) * cell
    north = float(tie[4]) - (centre - float(tie[1])) * cell
    missing = ~np.isfinite(heights)
    try:
        missing |= heights == np.float32(str(tags.get(_NO_DATA, "nan")).strip("\0 "))
    except ValueError:
        raise BenchError(f"{path}: its value for missing heights is no number") from None
    if missing.all():
        raise BenchError(f"{path} has no height")
    if missing.any():
        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        heights = heights[tuple(nearest)]
    grid = HeightGrid(np.ascontiguousarray(heights[::-1].T), x0, north - (rows - 1) * cell, cell)
    return Surface(grid, np.ascontiguousarray(missing[::-1].T))
