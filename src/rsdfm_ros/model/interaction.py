"""Interaction: one fused BEV map from any number of agents (RS-DFM stage 4).

w_j = softmax_j( MLP([B_i, B̂_j, visibility_j, age_j, σ_j]) ),   F = Σ_j w_j B̂_j, per cell, over self and the peers
that see the cell. Self is always in the sum, so a cell that no peer sees comes out exactly as it went in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsdfm_ros.model.config import ModelConfig


class Interaction(nn.Module):
    """Per-cell attention over agents; permutation-invariant in the peers."""

    def __init__(self, config: ModelConfig, hidden: int = 32) -> None:
        super().__init__()
        self.ego = nn.Conv2d(config.channels, hidden, 1)
        self.other = nn.Conv2d(config.channels, hidden, 1, bias=False)
        self.context = nn.Conv2d(3, hidden, 1, bias=False)
        self.weight = nn.Conv2d(hidden, 1, 1)

    def forward(self, maps: Tensor, visible: Tensor, ages_s: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse maps (A, C, H, W), agent 0 being self, → fused (1, C, H, W) and weights (A, 1, H, W).

        visible (A, 1, H, W) bool · ages_s (A,) or (A, 1, H, W) s, 0 for self ·
        sigma (A, 1, H, W) m, position uncertainty.
        """
        logits = self._logits(maps[:1], maps, visible, ages_s, sigma)
        takes_part = visible.clone()
        takes_part[0] = True
        weights = torch.softmax(logits.masked_fill(~takes_part, -torch.inf), dim=0)
        fused = (weights.to(maps.dtype) * maps).sum(dim=0, keepdim=True)
        return fused, weights

    def merge(self, maps: Tensor, visible: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Views of one agent at one instant as one map: merged (1, C, H, W) and weights (A, 1, H, W).

        Arguments as in `forward`. Every view is the ego once and the logits are averaged, so that no order matters; a
        cell is mixed from the views that see it and comes out exactly as it went in where one does; unseen cells are 0.
        """
        ages = maps.new_zeros(len(maps))
        logits = torch.stack([self._logits(ego[None], maps, visible, ages, sigma) for ego in maps]).mean(
            dim=0
        )
        weights = torch.softmax(logits.masked_fill(~visible, -torch.inf), dim=0)
        weights = torch.where(visible.any(dim=0, keepdim=True), weights, 0.0)
        return (weights.to(maps.dtype) * maps).sum(dim=0, keepdim=True), weights

    def _logits(self, ego: Tensor, maps: Tensor, visible: Tensor, ages_s: Tensor, sigma: Tensor) -> Tensor:
        ages_s = ages_s.view(-1, 1, 1, 1).expand_as(sigma) if ages_s.ndim == 1 else ages_s
        context = torch.cat([visible.to(maps.dtype), ages_s, sigma], dim=1)
        hidden = torch.relu(self.ego(ego) + self.other(maps) + self.context(context.to(maps.dtype)))
        logits: Tensor = self.weight(hidden).float()
        return logits
