"""Loss concealment: tiles of lost packets are taken from the sender's previous frame.

Most of a scene stands still, and maps of all instants lie on one lattice: half a second later the tiles of the previous
frame still help much more than unknown ones. The map marks its older tiles, and the fusion gives them less weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.wire.features import FeatureFrame, tile_keys


@dataclass(frozen=True)
class Concealed:
    """A frame with some tiles of the frame before.

    stale (M,) bool: which · stale_s: the time by which they are older than the rest.
    """

    frame: FeatureFrame
    stale: NDArray[np.bool_]
    stale_s: float = 0.0


def conceal_loss(now: FeatureFrame, before: FeatureFrame | None, gap_s: float) -> Concealed:
    """Fill the missing tiles of `now`, of which not all packets arrived, from `before`, which is gap_s older.

    Taken from `before` are the tiles that `now` lacks. Every frame has scales of its own: the tiles are rounded to
    those of `now`, or keeps its own if nothing arrived.
    """
    fresh = np.zeros(len(now.tiles), bool)
    if before is None or len(before.tiles) == 0 or not _alike(now, before):
        return Concealed(now, fresh)
    taken = before.rows(~np.isin(tile_keys(before.tiles), tile_keys(now.tiles)))
    if len(now.tiles) == 0:
        return Concealed(taken, np.ones(len(taken.tiles), bool), gap_s)
    taken = _in_scales_of(now, taken)
    frame = FeatureFrame.joined([taken, now])
    return Concealed(frame, np.isin(tile_keys(frame.tiles), tile_keys(taken.tiles)), gap_s)


def _alike(now: FeatureFrame, before: FeatureFrame) -> bool:
    """Whether both have the same channels."""
    return now.channels == before.channels


def _in_scales_of(now: FeatureFrame, before: FeatureFrame) -> FeatureFrame:
    """`before` with the scales of `now`; its own for the low band if `now` comes without."""
    low, low_scale = before.low, before.low_scale
    if now.has_low:
        low, low_scale = _rescaled(low, low_scale, now.low_scale), now.low_scale
    high = _rescaled(before.high, before.high_scale, now.high_scale)
    return replace(before, low=low, low_scale=low_scale, high=high, high_scale=now.high_scale)


def _rescaled(
    latents: NDArray[np.int8], was: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.int8]:
    """Latents (n, C, …) of scale `was` (C,) to the nearest integer in ±127 of another scale (C,)."""
    ratio = np.minimum(was.astype(np.float64) / scale, 127.0)  # scales are untrusted: 0 · ∞ is NaN
    columns = ratio.reshape(-1, *(1,) * (latents.ndim - 2))
    return np.clip(np.rint(latents * columns), -127, 127).astype(np.int8)
