"""Maps as rows, one per cell, for work on some of the cells."""

from __future__ import annotations

from torch import Tensor, nn


def rows_of(features: Tensor) -> Tensor:
    """Features (C, H, W) as rows (H·W, C); not copied if the channels of a cell are neighbours in memory."""
    return features.permute(1, 2, 0).reshape(-1, features.shape[0])


def map_of(rows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Rows (H·W, C) as features (C, H, W); the same memory."""
    return rows.view(*shape, -1).permute(2, 0, 1)


def projection(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Matrix and bias of a 1 × 1 convolution."""
    bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
    return layer.weight[:, :, 0, 0], bias
