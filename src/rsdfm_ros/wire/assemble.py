"""Parts back to a frame: lost packets mean unknown tiles, never a failure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.wire.body import DensePart, FeaturePart, Part
from rsdfm_ros.wire.errors import InconsistentParts
from rsdfm_ros.wire.features import LOW_SIDE, DenseFrame, FeatureFrame, tile_keys


def assemble(parts: Iterable[Part], *, low_channels: int = 0, high_channels: int = 0) -> FeatureFrame:
    """The frame of the parts that arrived, in any order. low_channels, high_channels: sizes used if nothing did.

    Raises: InconsistentParts if the parts cannot be of one frame.
    """
    every = list(parts)
    found = [p.frame for p in every if isinstance(p, FeaturePart)]
    if len(found) < len(every):
        raise InconsistentParts("a dense part among compressed ones")
    if not found:
        return _no_features(low_channels, high_channels)
    for frame in found[1:]:
        check_scales(found[0], frame)
    _check(every, found)
    return FeatureFrame.joined(found)


def assemble_dense(parts: Iterable[Part], *, channels: int = 0) -> DenseFrame:
    """The dense frame of the parts that arrived, in any order; `channels` is used if none did.

    Raises: InconsistentParts if the parts cannot be of one frame.
    """
    every = [p for p in parts if isinstance(p, DensePart)]
    found = [p.frame for p in every]
    if not found:
        cells = np.empty((0, TILE_CELLS, TILE_CELLS), np.bool_)
        return DenseFrame(np.empty((0, 2), np.int32), cells, np.empty((0, channels), np.float16))
    if len({f.values.shape[1] for f in found}) > 1:
        raise InconsistentParts("dense parts of different channel counts")
    _check(every, found)
    return DenseFrame.joined(found)


def check_scales(first: FeatureFrame, frame: FeatureFrame) -> None:
    """Raise InconsistentParts unless the scales of two parts are the same, as they are within an image."""
    if not (
        np.array_equal(first.low_scale, frame.low_scale)
        and np.array_equal(first.high_scale, frame.high_scale)
    ):
        raise InconsistentParts("parts with different scales")


def _check(parts: Sequence[Part], frames: Sequence[FeatureFrame] | Sequence[DenseFrame]) -> None:
    """Raise unless the parts are of one model and have no tile in common."""
    if len({p.fingerprint for p in parts}) > 1:
        raise InconsistentParts("parts of different models")
    keys = tile_keys(np.concatenate([f.tiles for f in frames]))
    if len(np.unique(keys)) != len(keys):
        raise InconsistentParts("a tile came in two parts")


def _no_features(low_channels: int, high_channels: int) -> FeatureFrame:
    return FeatureFrame(
        tiles=np.empty((0, 2), np.int32),
        low=np.empty((0, low_channels, LOW_SIDE, LOW_SIDE), np.int8),
        low_scale=np.ones(low_channels, np.float32),
        visible=np.empty((0, TILE_CELLS, TILE_CELLS), np.bool_),
        high_tile=np.empty(0, np.int32),
        high_cell=np.empty(0, np.uint8),
        high=np.empty((0, high_channels), np.int8),
        high_scale=np.ones(high_channels, np.float32),
    )
