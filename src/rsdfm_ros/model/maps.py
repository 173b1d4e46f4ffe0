"""Bird's-eye-view maps of agents and fleets, and their tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.geometry.lattice import TILE_CELLS


@dataclass(frozen=True)
class AgentBev:
    """One agent's map on the model's window: features (C, H, W), visible (H, W) bool, sigma (H, W) m.

    lag_s (H, W) s: additional age of cells that were taken from an earlier map (loss concealment); None for 0.
    """

    features: Tensor
    visible: Tensor
    sigma: Tensor
    lag_s: Tensor | None = None


@dataclass(frozen=True)
class FusedMap:
    """Input of the task heads: features (C, H, W), visible (H, W) bool: seen by any agent, and

    contributors: number of agents fused, ego included · shares (A,): mean weight of every agent over the seen cells ·
    dominant (H, W) uint8, only on request: 0 unseen, 1 the ego weighs most there, 1 + k the k-th peer does.
    """

    features: Tensor
    visible: Tensor
    contributors: int = 1
    shares: tuple[float, ...] = field(default=(1.0,))
    dominant: Tensor | None = None


def to_tiles(x: Tensor, side: int = TILE_CELLS) -> Tensor:
    """(C, H, W) → (tiles, C, side, side), tiles in lexicographic order; side is 2 for the low band's blocks."""
    c, h, w = x.shape
    return x.reshape(c, h // side, side, w // side, side).permute(1, 3, 0, 2, 4).flatten(0, 1)


def tile_view(x: NDArray[Any]) -> NDArray[Any]:
    """A view (H / 16, 16, W / 16, 16) of an array (H, W)."""
    return x.reshape(x.shape[0] // TILE_CELLS, TILE_CELLS, x.shape[1] // TILE_CELLS, TILE_CELLS)


def as_int8(x: Tensor) -> NDArray[np.int8]:
    """Rounded and clipped to ±127."""
    return x.float().round().clamp(-127, 127).to(torch.int8).cpu().numpy()


def rows_of(features: Tensor) -> Tensor:
    """Features (C, H, W) as rows (H·W, C), for work on some of the cells; not copied if the channels of a cell are
    neighbours in memory."""
    return features.permute(1, 2, 0).reshape(-1, features.shape[0])


def map_of(rows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Rows (H·W, C) as features (C, H, W); the same memory."""
    return rows.view(*shape, -1).permute(2, 0, 1)
