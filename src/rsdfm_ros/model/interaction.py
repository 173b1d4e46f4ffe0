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

        visible (A, 1, H, W) bool · ages_s (A,) s, 0 for self · sigma (A, 1, H, W) m, position uncertainty.
        """
        context = torch.cat([visible.to(maps.dtype), ages_s.view(-1, 1, 1, 1).expand_as(sigma), sigma], dim=1)
        hidden = torch.relu(self.ego(maps[:1]) + self.other(maps) + self.context(context.to(maps.dtype)))
        logits = self.weight(hidden).float()
        takes_part = visible.clone()
        takes_part[0] = True
        weights = torch.softmax(logits.masked_fill(~takes_part, -torch.inf), dim=0)
        fused = (weights.to(maps.dtype) * maps).sum(dim=0, keepdim=True)
        return fused, weights
