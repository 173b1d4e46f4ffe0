"""The codec in operation gives what Compression computes for whole maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsdfm_ros.model import codec
from rsdfm_ros.model.compression import LOW_BLOCK, Compression, quantise, top_cells
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.maps import rows_of

CONFIG = ModelConfig("test", channels=16, low_channels=4, high_channels=8, window_tiles=(0, 0, 3, 2))
SHAPE = (48, 32)
ATOL = 1e-5
"""Rounding of float32 in sums of another order, for values of about 1."""


@pytest.fixture
def compression() -> Compression:
    torch.manual_seed(0)
    return Compression(CONFIG).eval().requires_grad_(False)


def seen(kind: str) -> torch.Tensor:
    visible = torch.zeros(SHAPE, dtype=torch.bool)
    if kind == "everywhere":
        visible[:] = True
    elif kind == "scattered":
        visible = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)) > 0.4
    elif kind == "corner":
        visible[40:, :7] = True
    return visible


KINDS = ["everywhere", "scattered", "corner", "nothing"]


def bev(kind: str, *, channels_last: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    visible = seen(kind)
    features = torch.randn(SHAPE[0], SHAPE[1], 16, generator=torch.Generator().manual_seed(2)).permute(
        2, 0, 1
    )
    features = features * visible
    return features if channels_last else features.contiguous(), visible


@pytest.mark.parametrize("low", [True, False], ids=["low", "no low"])
@pytest.mark.parametrize("kind", KINDS)
def test_encoding_visible_cells_is_encoding_the_map(compression: Compression, kind: str, low: bool) -> None:
    features, visible = bev(kind)
    found = codec.encode(compression, features, visible, low=low)
    expected = compression.encode(features[None], visible[None, None], low=low)
    torch.testing.assert_close(found.score, expected.score[0, 0], atol=ATOL, rtol=0)
    if not visible.any():
        assert found.high.shape == (8, 0)
        return
    torch.testing.assert_close(found.high_step, expected.high_step[0, :, 0, 0], atol=ATOL, rtol=0)
    steps = (found.high / found.high_step[:, None]).round()
    difference = (steps - expected.high[0][:, visible]).abs()
    assert difference.max() <= 1 and (difference > 0).float().mean() < 1e-3  # halves may round either way
    if low:
        torch.testing.assert_close(found.low_step, expected.low_step[0, :, 0, 0], atol=ATOL, rtol=0)
        assert ((found.low - expected.low[0]).abs() > 0).float().mean() < 1e-2
    else:
        assert not found.low.any() and (found.low_step == 1).all()


@pytest.mark.parametrize("with_low", [True, False], ids=["low", "no low"])
@pytest.mark.parametrize("count", [0, 1, 90, 5000])
@pytest.mark.parametrize("kind", KINDS)
def test_decoding_visible_cells_is_decoding_the_map(
    compression: Compression, kind: str, count: int, with_low: bool
) -> None:
    features, visible = bev(kind)
    latents = compression.encode(features[None], visible[None, None], low=with_low)
    sent = top_cells(latents.score, visible[None, None], count)
    low, high = latents.low * latents.low_step, latents.high * latents.high_step
    expected = compression.decode(low, high, sent, visible[None, None])[0]
    cells = sent.flatten().nonzero()[:, 0]
    values = high[0].flatten(1)[:, cells].T.contiguous().numpy()
    found = codec.decode(compression, low[0], values, cells.numpy(), visible).features
    torch.testing.assert_close(found, expected, atol=ATOL, rtol=0)
    assert found.shape == (16, *SHAPE) and not found[:, ~visible].any()


def test_any_layout_in_memory_is_compressed(compression: Compression) -> None:
    near, visible = bev("scattered")
    apart, _ = bev("scattered", channels_last=False)
    one, other = (codec.encode(compression, f, visible) for f in (near, apart))
    torch.testing.assert_close(one.high, other.high, atol=ATOL, rtol=0)
    assert torch.equal(codec.score(compression, apart, visible), other.score)
    assert rows_of(near).data_ptr() == near.data_ptr(), "the layout of maps in operation is not copied"


def test_channels_without_content_have_the_smallest_step(compression: Compression) -> None:
    features, visible = torch.zeros(16, *SHAPE), seen("everywhere")
    compression.low_decode.bias.zero_()
    compression.high_encode.bias.zero_()
    compression.low_encode.bias.zero_()
    found = codec.encode(compression, features, visible)
    _, step = quantise(torch.zeros(1, 8, *SHAPE), compression.levels)
    assert torch.equal(found.high_step, step[0, :, 0, 0])
    assert found.low.shape == (4, SHAPE[0] // LOW_BLOCK, SHAPE[1] // LOW_BLOCK) and not found.low.any()
    assert np.isfinite(found.score.numpy()).all()
