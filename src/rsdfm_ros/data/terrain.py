"""Terrain in files: a height grid as .npz, and where that of a data set's scene lies.

A file holds four arrays that `numpy.savez` writes: `heights` (ni, nj) float32 metres, row i along x and column j along
y; and the numbers `x0`, `y0` (position of node 0, 0) and `cell_m`. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from rsdfm_ros.geometry.height_grid import MAX_NODES, GroundError, HeightGrid
from rsdfm_ros.outputs import write_atomically

_NUMBERS = ("x0", "y0", "cell_m")
_HEADER_BYTES = 4096


def load_height_grid(path: str | Path) -> HeightGrid:
    """The grid of a file. Raises: GroundError that says what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise GroundError(f"there is no height grid {path}: give the path of an .npz file (docs/mapping.md)")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
        wanted = {f"{name}.npy" for name in ("heights", *_NUMBERS)}
        if missing := sorted(wanted - set(sizes)):
            raise GroundError(f"{path} lacks {', '.join(missing)}: a height grid has heights, x0, y0, cell_m")
        if max(sizes[name] for name in wanted) > 4 * MAX_NODES + _HEADER_BYTES:
            raise GroundError(f"{path} is larger than a grid of {MAX_NODES} float32 nodes")
        with np.load(path, allow_pickle=False) as content:
            heights = content["heights"]
            x0, y0, cell_m = (_number(content[name], name, path) for name in _NUMBERS)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError) as error:
        raise GroundError(f"{path} is not a height grid in .npz form: {error}") from error
    try:
        return HeightGrid(heights, x0, y0, cell_m)
    except GroundError as error:
        raise GroundError(f"{path}: {error}") from error


def height_grid_bytes(grid: HeightGrid) -> bytes:
    """The file of a grid; the same grid always gives the same bytes."""
    buffer = io.BytesIO()
    x0, y0, cell_m = (np.float64(value) for value in (grid.x0, grid.y0, grid.cell_m))
    np.savez_compressed(buffer, heights=grid.heights, x0=x0, y0=y0, cell_m=cell_m)
    return buffer.getvalue()


def save_height_grid(path: str | Path, grid: HeightGrid) -> None:
    """Write a grid where `load_height_grid` finds it; folders are made."""
    write_atomically(Path(path), height_grid_bytes(grid))


def scene_grid_path(root: Path, scene: str) -> Path:
    """Path of a scene's elevation model in a data set; the grid is in the right-handed world of the tables."""
    return root / "maps" / f"{scene}_dem.npz"


def _number(value: np.ndarray, name: str, path: Path) -> float:
    if value.shape != () or value.dtype.kind not in "iuf":
        raise GroundError(f"{path}: expected one number {name}, got {value.shape} of {value.dtype}")
    return float(value)
