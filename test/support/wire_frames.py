"""Frames for the tests of the wire format, from a seed."""

from __future__ import annotations

import numpy as np

from rsdfm_ros.wire.features import CELLS_PER_TILE, DenseFrame, FeatureFrame, half


def feature_frame(
    seed: int = 0, tiles: int = 12, cells: int = 200, low_channels: int = 16, high_channels: int = 16
) -> FeatureFrame:
    """`tiles` distinct tiles around the origin and `cells` distinct high cells, latents like a trained model's."""
    rng = np.random.default_rng(seed)
    keys = rng.choice(40 * 40, size=tiles, replace=False)
    keys.sort()
    places = rng.choice(tiles * CELLS_PER_TILE, size=min(cells, tiles * CELLS_PER_TILE), replace=False)
    places.sort()
    return FeatureFrame(
        tiles=np.stack([keys // 40 - 20, keys % 40 - 20], axis=1).astype(np.int32),
        low=np.clip(rng.normal(0, 25, (tiles, low_channels, 2, 2)), -127, 127).astype(np.int8),
        low_scale=half(rng.uniform(0.01, 0.1, low_channels)),
        visible=rng.random((tiles, 16, 16)) < 0.7,
        high_tile=(places // CELLS_PER_TILE).astype(np.int32),
        high_cell=(places % CELLS_PER_TILE).astype(np.uint8),
        high=np.clip(rng.normal(0, 25, (len(places), high_channels)), -127, 127).astype(np.int8),
        high_scale=half(rng.uniform(0.01, 0.1, high_channels)),
    )


def dense_frame(seed: int = 0, tiles: int = 5, channels: int = 32) -> DenseFrame:
    """`tiles` tiles in a row, 60 % of their cells visible."""
    rng = np.random.default_rng(seed)
    visible = rng.random((tiles, 16, 16)) < 0.6
    keys = np.stack([np.full(tiles, -3), np.arange(tiles) - 2], axis=1).astype(np.int32)
    values = rng.normal(0, 1, (int(visible.sum()), channels)).astype(np.float16)
    return DenseFrame(keys, visible, values)


def same(a: FeatureFrame | DenseFrame, b: FeatureFrame | DenseFrame) -> bool:
    """Whether every array of two frames is equal in dtype, shape and value."""
    return all(
        getattr(a, name).dtype == getattr(b, name).dtype
        and np.array_equal(getattr(a, name), getattr(b, name))
        for name in a.__dataclass_fields__
    )
