"""The region of interest: the part of the lattice that is mapped, sent, fused and answered.

A region is a rectangle of whole tiles anywhere on the lattice, at most as large as the model's window. Everything
behind the encoder works on the region alone, and the encoder on the part of the image that shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.wire.limits import Limits

MAX_DISTANCE_M = 1e6
"""Bounds are within 1000 km of the map's origin, whatever the size of a cell."""
MAX_TILE = Limits().max_tile_key
"""Beyond that no packet names a tile."""


class RegionError(RsdfmError):
    """A region of interest that cannot be."""


def check_bounds(bounds_m: Sequence[float]) -> None:
    """RegionError unless bounds are empty, or x_min y_min x_max y_max (m), finite, ordered and near enough."""
    if len(bounds_m) == 0:
        return
    words = "a region of interest is x_min y_min x_max y_max in m"
    if len(bounds_m) != 4 or not all(math.isfinite(b) and abs(b) <= MAX_DISTANCE_M for b in bounds_m):
        raise RegionError(f"{words}, finite and within 1000 km, got {list(bounds_m)}")
    if not (bounds_m[0] < bounds_m[2] and bounds_m[1] < bounds_m[3]):
        raise RegionError(f"{words} with x_min < x_max and y_min < y_max, got {list(bounds_m)}")


def region_of(config: ModelConfig, bounds_m: Sequence[float]) -> Window:
    """Tiles that bounds (x_min, y_min, x_max, y_max in m) touch; empty bounds: the model's own window.

    Raises: RegionError, also if that is larger than the model's window.
    """
    check_bounds(bounds_m)
    if len(bounds_m) == 0:
        return config.window
    side_m = TILE_CELLS * config.cell_size_m
    # A bound on the border of a tile, up to rounding, does not touch the next tile.
    low = [math.floor(b / side_m + 1e-9) for b in bounds_m[:2]]
    high = [math.ceil(b / side_m - 1e-9) for b in bounds_m[2:]]
    tiles = [max(1, h - lo) for lo, h in zip(low, high, strict=True)]
    most = config.window_tiles[2:]
    if tiles[0] > most[0] or tiles[1] > most[1]:
        raise RegionError(
            f"the model maps at most {most[0] * side_m:g} x {most[1] * side_m:g} m; the region {list(bounds_m)} "
            f"touches tiles of {side_m:g} m over {tiles[0] * side_m:g} x {tiles[1] * side_m:g} m: make it smaller"
        )
    i0, j0, ni, nj = (v * TILE_CELLS for v in (*low, *tiles))
    region = Window(i0, j0, ni, nj, config.cell_size_m)
    check_region(config, region)
    return region


def check_region(config: ModelConfig, region: Window) -> None:
    """RegionError unless the region is made of whole tiles of the model's cells and not larger than its window."""
    own = config.window
    whole = all(v % TILE_CELLS == 0 for v in (region.i0, region.j0, region.ni, region.nj))
    if not whole or region.cell_size != own.cell_size or region.ni > own.ni or region.nj > own.nj:
        raise RegionError(
            f"expected whole tiles of {TILE_CELLS} cells of {own.cell_size} m, at most {own.ni} x {own.nj} cells, "
            f"got {region}"
        )
    far = MAX_TILE * TILE_CELLS
    if min(region.i0, region.j0) < -far or max(region.i0 + region.ni, region.j0 + region.nj) > far:
        raise RegionError(
            f"expected a region within {far * own.cell_size / 1000:.0f} km of the map's origin, as far as features are "
            f"sent, got {region}: set up the map frame nearer to the fleet"
        )


def inside_xy(region: Window, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the points (N, 2) in metres that lie in the region."""
    return region.contains(region.cells(xy)).reshape(len(xy))


def crop_detections(found: Detections, region: Window) -> Detections:
    """The boxes whose centres lie in the region."""
    return found.select(inside_xy(region, found.centres[:, :2]))
