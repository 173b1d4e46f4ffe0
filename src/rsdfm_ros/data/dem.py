"""A digital elevation model: heights of the ground on a regular grid, stored with a scene.

File: a NumPy ``.npz`` (a zip of ``.npy`` arrays, no pickled objects) with ``heights`` float32 (N, M) in metres, and the
float64 scalars ``x0``, ``y0`` (m, position of heights[0, 0] in the map frame) and ``cell_m`` (m between nodes). Row i
lies at x = x0 + i·cell_m, column j at y = y0 + j·cell_m; between nodes the ground is bilinear.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsdfm_ros.data.errors import MissingFileError

REMEDY = "simulate the scene anew"


@dataclass(frozen=True)
class Dem:
    """Heights (N, M) float32 m above z = 0 of the map; see the module for the grid."""

    heights: NDArray[np.float32]
    x0: float
    y0: float
    cell_m: float

    def height(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Height (...) in m of the ground at points (..., 2); beyond the grid that of the nearest point on its edge."""
        p = np.asarray(xy, np.float64)
        shape = self.heights.shape
        u = np.clip((p[..., 0] - self.x0) / self.cell_m, 0.0, shape[0] - 1.0)
        v = np.clip((p[..., 1] - self.y0) / self.cell_m, 0.0, shape[1] - 1.0)
        i = np.minimum(u.astype(np.int64), shape[0] - 2)
        j = np.minimum(v.astype(np.int64), shape[1] - 2)
        a, b, h = u - i, v - j, self.heights.astype(np.float64)
        low = h[i, j] * (1 - b) + h[i, j + 1] * b
        high = h[i + 1, j] * (1 - b) + h[i + 1, j + 1] * b
        return np.asarray(low * (1 - a) + high * a)

    def to_bytes(self) -> bytes:
        """The file; the same grid always gives the same bytes."""
        buffer = io.BytesIO()
        x0, y0, cell_m = (np.float64(value) for value in (self.x0, self.y0, self.cell_m))
        np.savez_compressed(buffer, heights=self.heights.astype(np.float32), x0=x0, y0=y0, cell_m=cell_m)
        return buffer.getvalue()


def dem_path(root: Path, scene: str) -> Path:
    """Path of a scene's elevation model in a dataset."""
    return root / "maps" / f"{scene}_dem.npz"


def read_dem(path: Path) -> Dem:
    """Reads a file of :meth:`Dem.to_bytes`. Raises :class:`MissingFileError` if it is missing, damaged or no grid."""
    try:
        with np.load(path, allow_pickle=False) as file:
            heights = np.asarray(file["heights"], np.float32)
            x0, y0, cell = (float(file[key]) for key in ("x0", "y0", "cell_m"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise MissingFileError(path, f"cannot be read as an elevation model ({error})", REMEDY) from None
    finite = bool(np.isfinite(heights).all() and np.isfinite([x0, y0, cell]).all())
    if heights.ndim != 2 or min(heights.shape) < 2 or not finite or cell <= 0:
        raise MissingFileError(
            path, f"heights of shape {heights.shape} at {cell} m: expected a finite grid, 2x2 or more", REMEDY
        )
    return Dem(heights, x0, y0, cell)
