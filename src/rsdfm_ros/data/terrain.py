"""Terrain in files: a height grid as .npz, and the grid of a dataset's scene.

A file holds four arrays that `numpy.savez` writes: `heights` (ni, nj) float32 metres, row i along x and column j along
y; and the numbers `x0`, `y0` (position of node 0, 0) and `cell_m`. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.geometry.height_grid import MAX_NODES, GroundError, HeightGrid

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


def save_height_grid(path: str | Path, grid: HeightGrid) -> None:
    """Write a grid where `load_height_grid` finds it; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, heights=grid.heights, x0=grid.x0, y0=grid.y0, cell_m=grid.cell_m)


def scene_ground(dataset: Dataset, scene: int) -> HeightGrid | None:
    """The terrain of a scene, by its place in the dataset; None where the ground is the plane z = 0.

    Raises: GroundError for a damaged file.
    """
    path = dataset.path / "maps" / f"{dataset.scenes[scene].name}_dem.npz"
    return load_height_grid(path) if path.is_file() else None


def _number(value: np.ndarray, name: str, path: Path) -> float:
    if value.shape != () or value.dtype.kind not in "iuf":
        raise GroundError(f"{path}: expected one number {name}, got {value.shape} of {value.dtype}")
    return float(value)
