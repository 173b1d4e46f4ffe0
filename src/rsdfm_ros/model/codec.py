"""The codec of one map in operation: what model/compression.py computes for whole maps, on the cells that matter.

A map is taken as rows: features (cells, C) of the window, one cell after the other. Only the rows of visible cells are
encoded and decoded, and values spread from sent cells alone. The results are those of Compression.encode and
Compression.decode up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rsdfm_ros.model.compression import LOW_BLOCK, SMALLEST_STEP, Compression
from rsdfm_ros.model.layers import projection
from rsdfm_ros.model.maps import LatentMap, rows_of


@dataclass(frozen=True)
class Encoded:
    """One map before cells are chosen.

    low (C_l, H/8, W/8): integers · low_step (C_l,) · high (C_h, n): latents of the visible cells, neither divided by
    their steps nor rounded · high_step (C_h,) · score (H, W): logits of q.
    """

    low: Tensor
    low_step: Tensor
    high: Tensor
    high_step: Tensor
    score: Tensor


def encode(codec: Compression, features: Tensor, visible: Tensor, *, low: bool = True) -> Encoded:
    """Compress a map (C, H, W), zero where not visible (H, W) bool; without `low` that band is zero, its steps 1."""
    cells = visible.flatten().nonzero()[:, 0]
    rows = rows_of(features).index_select(0, cells)
    coarse, low_step = _low_band(codec, rows, cells, visible.shape, low)
    # The high band is of the difference from what the low band tells, which is its bias at least.
    inverse, told = projection(codec.low_decode)
    weight, bias = projection(codec.high_encode)
    high = (weight @ rows.T).sub_((weight @ told - bias)[:, None])
    if low:
        known = (weight @ inverse) @ (coarse * low_step[:, None, None]).flatten(1)
        high -= known.index_select(1, _block_of(cells, visible.shape))
    high_step = _step(high, codec.levels)
    return Encoded(coarse, low_step, high, high_step, _score(codec, rows, cells, visible.shape))


def score(codec: Compression, features: Tensor, visible: Tensor) -> Tensor:
    """Logits (H, W) of the score q of a map (C, H, W), zero where not visible (H, W) bool."""
    cells = visible.flatten().nonzero()[:, 0]
    return _score(codec, rows_of(features).index_select(0, cells), cells, visible.shape)


def decode(
    codec: Compression,
    low: Tensor,
    high: NDArray[np.float32],
    sent: NDArray[np.int64],
    visible: Tensor,
) -> LatentMap:
    """The map B̂ from dequantised bands: low (C_l, H/8, W/8), and high (k, C_h) of the cells `sent` (k,), indices into
    the H·W cells of the map; of the cells visible (H, W) bool."""
    cells = visible.flatten().nonzero()[:, 0]
    coarse = rows_of(low).index_select(0, _block_of(cells, visible.shape))
    spread = _spread(codec, high, sent, cells, visible.shape)
    rows = coarse.new_empty(len(cells), coarse.shape[1] + spread.shape[1])
    rows[:, : coarse.shape[1]] = coarse
    torch.div(spread, spread[:, -1:].clamp_min(1.0), out=rows[:, coarse.shape[1] :])
    rows[:, -1] = 1.0
    return LatentMap(rows, visible, cells, codec)


def _low_band(
    codec: Compression, rows: Tensor, cells: Tensor, shape: torch.Size, present: bool
) -> tuple[Tensor, Tensor]:
    """Integers (C_l, H/8, W/8) and steps (C_l,) of the low band."""
    h, w = shape[0] // LOW_BLOCK, shape[1] // LOW_BLOCK
    weight, bias = projection(codec.low_encode)
    if not present:
        return rows.new_zeros(len(weight), h, w), rows.new_ones(len(weight))
    # The projection is linear: its few channels are averaged instead of the features.
    dense = rows.new_zeros(shape.numel(), len(weight)).index_copy_(0, cells, F.linear(rows, weight))
    mean = dense.view(h, LOW_BLOCK, w, LOW_BLOCK, -1).mean(dim=(1, 3)) + bias
    step = _step(mean.flatten(0, 1).T, codec.levels)
    levels = float(codec.levels)
    return (mean / step).round().clamp(-levels, levels).permute(2, 0, 1), step


def _score(codec: Compression, rows: Tensor, cells: Tensor, shape: torch.Size) -> Tensor:
    """See `score`. The 3 × 3 convolution to one channel is nine products per cell, which its neighbours add up."""
    first, second = codec.score[0], codec.score[2]
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d) and second.bias is not None
    weight, bias = projection(first)
    taps = second.weight[0].flatten(1).T  # (9, channels)
    hidden = F.linear(rows, weight[:, :-1], bias + weight[:, -1]).relu_()
    h, w = shape
    padded = rows.new_zeros(h + 2, w + 2, 9)
    padded[1:-1, 1:-1] = taps @ torch.relu(bias)  # of cells that are not visible
    places = (cells // w + 1) * (w + 2) + cells % w + 1
    padded.view(-1, 9).index_copy_(0, places, F.linear(hidden, taps))
    out = second.bias.expand(h, w).clone()
    for k in range(9):
        out += padded[k // 3 : k // 3 + h, k % 3 : k % 3 + w, k]
    return out


def _spread(
    codec: Compression, high: NDArray[np.float32], sent: NDArray[np.int64], cells: Tensor, shape: torch.Size
) -> Tensor:
    """Sums (n, C_h + 1) in the cells (n,) of the latents of sent cells and of their mass, with the kernel of
    Compression.fill: one sparse product with a column per sent cell."""
    r = codec.radius
    axis = codec.fill_axis().detach().cpu().numpy()
    width = shape[1] + 2 * r
    steps = np.arange(2 * r + 1)
    offsets = (steps[:, None] * width + steps).ravel().astype(np.int32)
    corners = (sent // shape[1] * width + sent % shape[1]).astype(np.int32)
    size, n = len(offsets), len(sent)
    entries = (
        np.tile(np.outer(axis, axis).ravel(), n),
        (corners[:, None] + offsets).ravel(),
        np.arange(0, size * n + 1, size, dtype=np.int32),
    )
    kernel = scipy.sparse.csc_matrix(entries, shape=((shape[0] + 2 * r) * width, n), copy=False)
    spread = kernel @ np.concatenate([high, np.ones((n, 1), np.float32)], axis=1)
    own = corners + offsets[size // 2]
    spread[own, :-1], spread[own, -1] = high, 1.0  # sent cells keep what was sent
    places = cells + torch.div(cells, shape[1], rounding_mode="floor") * (2 * r) + r * width + r
    return torch.from_numpy(spread).to(cells.device).index_select(0, places)


def _block_of(cells: Tensor, shape: torch.Size) -> Tensor:
    """The low block (n,) of cells (n,)."""
    h, w = shape[0] // LOW_BLOCK, shape[1] // LOW_BLOCK
    blocks = torch.arange(h * w, device=cells.device).view(h, 1, w, 1)
    return blocks.expand(h, LOW_BLOCK, w, LOW_BLOCK).flatten().index_select(0, cells)


def _step(values: Tensor, levels: int) -> Tensor:
    """Steps (C,) of latents (C, n); see compression.quantise."""
    most = values.abs().amax(dim=1) if values.shape[1] else values.new_zeros(len(values))
    return (most / levels).clamp_min(SMALLEST_STEP)
