"""What a lost packet took away is looked up in the sender's picture before.

Most of a scene stands still, and maps of all instants lie on one lattice: half a second later the tiles of the picture
before are worth much more than nothing. The map says which of its tiles are older: the fusion trusts them less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.features import FeatureFrame


@dataclass(frozen=True)
class Recalled:
    """A frame of which some tiles are those of the picture before.

    stale (M,) bool: which · stale_s: by how much they are older than the rest.
    """

    frame: FeatureFrame
    stale: NDArray[np.bool_]
    stale_s: float = 0.0


def recall(now: FeatureFrame, before: FeatureFrame | None, gap_s: float) -> Recalled:
    """`now`, of which not all packets arrived, made up for by `before`, which is gap_s older.

    Taken from `before` are the tiles that `now` lacks, and those of which it has lost the high band: `before` has cells
    there and `now` has none. Every picture has scales of its own: what is taken is rounded to those of `now`, or keeps
    its own in a band of which nothing arrived.
    """
    if before is None or len(before.tiles) == 0 or not _alike(now, before):
        return Recalled(now, np.zeros(len(now.tiles), bool))
    before = _in_scales_of(now, before)
    here, there = _keys(now.tiles), _keys(before.tiles)
    now_full, was_full = _full(now), _full(before)
    wanted = ~np.isin(there, here) | (was_full & ~np.isin(there, here[now_full]))
    kept = ~np.isin(here, there[wanted])
    parts = (_rows(now, kept), _rows(before, wanted))
    keys = np.concatenate([here[kept], there[wanted]])
    order = np.argsort(keys, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    row = place[np.concatenate([parts[0].high_tile, parts[1].high_tile + len(parts[0].tiles)])]
    cell = np.concatenate([p.high_cell for p in parts])
    sorted_cells = np.lexsort((cell, row))
    frame = FeatureFrame(
        tiles=np.concatenate([p.tiles for p in parts])[order],
        low=np.concatenate([p.low for p in parts])[order],
        low_scale=before.low_scale,
        visible=np.concatenate([p.visible for p in parts])[order],
        high_tile=row[sorted_cells].astype(np.int32),
        high_cell=cell[sorted_cells],
        high=np.concatenate([p.high for p in parts])[sorted_cells],
        high_scale=before.high_scale,
    )
    return Recalled(frame, (np.arange(len(order)) >= kept.sum())[order], gap_s)


def _alike(now: FeatureFrame, before: FeatureFrame) -> bool:
    """Whether both have the same channels."""
    return now.high.shape[1:] == before.high.shape[1:] and now.low.shape[1:] == before.low.shape[1:]


def _in_scales_of(now: FeatureFrame, before: FeatureFrame) -> FeatureFrame:
    """`before` with the scales of every band of which `now` has anything."""
    low, high = before.low, before.high
    low_scale, high_scale = before.low_scale, before.high_scale
    if len(now.tiles):
        low, low_scale = _rescaled(low, low_scale, now.low_scale), now.low_scale
    if len(now.high):
        high, high_scale = _rescaled(high, high_scale, now.high_scale), now.high_scale
    return replace(before, low=low, low_scale=low_scale, high=high, high_scale=high_scale)


def _rescaled(
    latents: NDArray[np.int8], was: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.int8]:
    """Latents (n, C, …) of scale `was` (C,) to the nearest integer in ±127 of another scale (C,)."""
    ratio = np.minimum(was.astype(np.float64) / scale, 127.0)  # senders choose scales: 0 · ∞ is no number
    columns = ratio.reshape(-1, *(1,) * (latents.ndim - 2))
    return np.clip(np.rint(latents * columns), -127, 127).astype(np.int8)


def _full(frame: FeatureFrame) -> NDArray[np.bool_]:
    """Which tiles (M,) have cells of the high band."""
    out = np.zeros(len(frame.tiles), bool)
    out[frame.high_tile] = True
    return out


def _rows(frame: FeatureFrame, wanted: NDArray[np.bool_]) -> FeatureFrame:
    """The wanted tiles (M,) of a frame."""
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
