"""What a lost packet took away is looked up in the sender's picture before.

Most of a scene stands still, and maps of all instants lie on one lattice: half a second later the tiles of the picture
before are worth much more than nothing. They are fused as a further map of the same sender, with their own age.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.features import FeatureFrame


def lost_tiles(now: FeatureFrame, before: FeatureFrame) -> FeatureFrame | None:
    """The tiles of `before` that `now`, of which not all packets arrived, does not make up for; None if there is none.

    Those are the tiles that `now` lacks, and those of which `before` has high-band cells and `now` has none.
    """
    here, now_high = _keys(now.tiles), np.zeros(len(now.tiles), bool)
    now_high[now.high_tile] = True
    there, had_high = _keys(before.tiles), np.zeros(len(before.tiles), bool)
    had_high[before.high_tile] = True
    present = np.isin(there, here)
    full = np.isin(there, here[now_high])
    return _rows(before, ~present | (had_high & ~full))


def _rows(frame: FeatureFrame, wanted: NDArray[np.bool_]) -> FeatureFrame | None:
    """The wanted tiles (M,) of a frame."""
    if not wanted.any():
        return None
    place = np.cumsum(wanted) - 1
    cells = wanted[frame.high_tile]
    return FeatureFrame(
        tiles=frame.tiles[wanted],
        low=frame.low[wanted],
        low_scale=frame.low_scale,
        visible=frame.visible[wanted],
        high_tile=place[frame.high_tile[cells]].astype(np.int32),
        high_cell=frame.high_cell[cells],
        high=frame.high[cells],
        high_scale=frame.high_scale,
    )


def _keys(tiles: NDArray[np.int32]) -> NDArray[np.int64]:
    return tiles[:, 0].astype(np.int64) * (1 << 32) + tiles[:, 1].astype(np.int64)
