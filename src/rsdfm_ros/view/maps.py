"""Map layers as images of classes: found, missed, false alarms; contributors. North up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.geometry.lattice import TILE_CELLS, Window

GROUND, VEHICLE, FOUND, MISSED, FALSE_ALARM, SEVERAL = range(6)
FIRST_UAV = 8
"""Class of the first UAV; the others follow."""
CLASSES: dict[int, tuple[str, tuple[int, int, int, int]]] = {
    GROUND: ("nothing", (0, 0, 0, 0)),
    VEHICLE: ("vehicle", (120, 178, 255, 255)),
    FOUND: ("found", (52, 199, 160, 255)),
    MISSED: ("missed", (232, 72, 85, 255)),
    FALSE_ALARM: ("false alarm", (250, 190, 60, 255)),
    SEVERAL: ("several UAVs", (96, 108, 124, 255)),
}
"""Class → name and RGBA; the colours are those of the report."""
UAV_COLOURS = (
    (230, 230, 230, 255),
    (255, 130, 190, 255),
    (170, 130, 255, 255),
    (90, 190, 255, 255),
    (255, 190, 100, 255),
    (160, 240, 120, 255),
    (255, 120, 90, 255),
    (110, 140, 255, 255),
)


def uav_class(number: int) -> int:
    """Class of the UAV with this number, from 0."""
    return min(FIRST_UAV + number, 255)


def uav_colour(number: int) -> tuple[int, int, int, int]:
    """RGBA of the UAV with this number, from 0."""
    return UAV_COLOURS[number % len(UAV_COLOURS)]


def north_up(cells: NDArray[np.generic]) -> NDArray[np.generic]:
    """An image (nj, ni) of cells (ni, nj): first row northernmost, column = cell along x."""
    return np.ascontiguousarray(np.flipud(cells.T))


def pixels(points: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Positions (..., 2) in the image of a window of points (..., 2 or 3) in metres."""
    x_min, _, _, y_max = window.bounds
    return np.stack(
        [(points[..., 0] - x_min) / window.cell_size, (y_max - points[..., 1]) / window.cell_size], axis=-1
    )


def answer_classes(answered: NDArray[np.bool_], true: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Classes (ni, nj) of an answer against the truth, or of the answer alone where the truth is not known."""
    if true is None:
        return np.where(answered, VEHICLE, GROUND).astype(np.uint8)
    classes = np.full(answered.shape, GROUND, np.uint8)
    classes[answered & true] = FOUND
    classes[true & ~answered] = MISSED
    classes[answered & ~true] = FALSE_ALARM
    return classes


def contributor_classes(dominant: NDArray[np.uint8], numbers: Sequence[int]) -> NDArray[np.uint8]:
    """Classes of an image of bev/contributors; numbers: of the UAV itself and its peers, in the message's order."""
    table = np.full(256, SEVERAL, np.uint8)
    table[0] = GROUND
    for place, number in enumerate(numbers[:255]):
        table[place + 1] = uav_class(number)
    return table[dominant]


def onto(cells: NDArray[np.bool_], window: Window, target: Window) -> NDArray[np.bool_] | None:
    """Cells (ni, nj) of a window on another one, False where it does not reach; None if they do not meet.

    Raises: ValueError for cells of another size.
    """
    if window.cell_size != target.cell_size:
        raise ValueError(f"expected cells of {target.cell_size} m, as before, got {window.cell_size} m")
    i0, j0 = max(window.i0, target.i0), max(window.j0, target.j0)
    i1 = min(window.i0 + window.ni, target.i0 + target.ni)
    j1 = min(window.j0 + window.nj, target.j0 + target.nj)
    if i0 >= i1 or j0 >= j1:
        return None
    common = Window(i0, j0, i1 - i0, j1 - j0, target.cell_size)
    out = np.zeros(target.shape, bool)
    out[target.crop(common)] = cells[window.crop(common)]
    return out


def tile_cells(tiles: NDArray[np.int32], visible: NDArray[np.bool_], window: Window) -> NDArray[np.bool_]:
    """Visible cells (ni, nj) on a window of tiles (M, 2) with cells (M, 16, 16) twice as large as the window's."""
    factor = 2
    out = np.zeros(window.shape, bool)
    side = TILE_CELLS * factor
    for (ti, tj), cells in zip(tiles, visible, strict=True):
        i, j = int(ti) * side - window.i0, int(tj) * side - window.j0
        if 0 <= i <= window.ni - side and 0 <= j <= window.nj - side:
            out[i : i + side, j : j + side] = np.repeat(np.repeat(cells, factor, 0), factor, 1)
    return out


def coverage_classes(visible: Sequence[NDArray[np.bool_]], numbers: Sequence[int]) -> NDArray[np.uint8]:
    """Observers of each cell (ni, nj): the class of the only one, or SEVERAL. At least one map."""
    count = np.sum([v.astype(np.uint8) for v in visible], axis=0)
    classes = np.where(count > 1, SEVERAL, GROUND).astype(np.uint8)
    for cells, number in zip(visible, numbers, strict=True):
        classes[cells & (count == 1)] = uav_class(number)
    return classes
