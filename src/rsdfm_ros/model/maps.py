"""Bird's-eye-view maps of agents and fleets, and their tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.geometry.lattice import TILE_CELLS

if TYPE_CHECKING:
    from rsdfm_ros.model.compression import Compression


@dataclass(frozen=True, eq=False)
class LatentMap:
    """A received map in the latents of the codec: rows (n, C_l + C_h + 1) of the visible cells, in their order.

    rows: both bands and 1, which codec.decoder() takes to features · visible (H, W) bool · cells (n,): the visible ones
    among the H·W of the map. What is linear in the features is computed from the few latents.
    """

    rows: Tensor
    visible: Tensor
    cells: Tensor
    codec: Compression

    @cached_property
    def features(self) -> Tensor:
        """Features (C, H, W), zero where not visible."""
        with torch.inference_mode():
            told = self.rows @ self.codec.decoder().T
            rows = told.new_zeros(self.visible.numel(), told.shape[1]).index_copy_(0, self.cells, told)
            return map_of(rows, (self.visible.shape[0], self.visible.shape[1]))

    @cached_property
    def places(self) -> Tensor:
        """(H·W,) the row of every visible cell; of no meaning for other cells."""
        return self.visible.flatten().cumsum(0) - 1


@dataclass(frozen=True)
class AgentBev:
    """One agent's map on the model's window: content, visible (H, W) bool, sigma (H, W) m.

    content: features (C, H, W), or latents, whose features are computed when they are asked for ·
    lag_s (H, W) s: additional age of cells that were taken from an earlier map (loss concealment); None for 0.
    """

    content: Tensor | LatentMap
    visible: Tensor
    sigma: Tensor
    lag_s: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """Features (C, H, W)."""
        return self.content if isinstance(self.content, Tensor) else self.content.features

    @property
    def latents(self) -> LatentMap | None:
        """The latents of the visible cells, if the content is latents of just these cells."""
        if isinstance(self.content, LatentMap) and self.content.visible is self.visible:
            return self.content
        return None

    @property
    def values(self) -> Tensor:
        """All values of the content, of features or latents."""
        return self.content if isinstance(self.content, Tensor) else self.content.rows


@dataclass(frozen=True)
class FusedMap:
    """Own and peers' features as one map: features (C, H, W), visible (H, W) bool: seen by any agent, and

    contributors: number of agents fused, ego included · shares (A,): mean weight of every agent over the seen cells ·
    dominant (H, W) uint8, only on request: 0 unseen, 1 the ego weighs most there, 1 + k the k-th peer does · computed:
    results of the neck for this map, kept by Perception, so that all tasks share them.
    """

    features: Tensor
    visible: Tensor
    contributors: int = 1
    shares: tuple[float, ...] = field(default=(1.0,))
    dominant: Tensor | None = None
    computed: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


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
