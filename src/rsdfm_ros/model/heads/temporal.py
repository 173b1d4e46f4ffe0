"""Temporal features of a history of maps at the full resolution of the lattice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.layers import ResidualBlock, conv_bn


class HistoryBranch(nn.Module):
    """Branch over a history for every cell, moving or not: (B, T, C, H, W) → (B, width, H, W).

    The cameras move between the maps, so that several maps of one place hold more information than the newest alone.
    """

    def __init__(self, channels: int, history: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            conv_bn(history * channels, width, kernel=1),
            ResidualBlock(width, width),
            ResidualBlock(width, width, dilation=2),
        )

    def forward(self, history: Tensor) -> Tensor:
        out: Tensor = self.mix(history.flatten(1, 2))
        return out


class Revision(nn.Module):
    """Corrects an answer that was read off the newest map by what the whole history shows.

    Starts at zero: an untrained revision changes nothing.
    """

    def __init__(self, channels: int, history: int, fine: int, outputs: int, width: int = 48) -> None:
        super().__init__()
        self.past = HistoryBranch(channels, history, width)
        self.expand = nn.Sequential(nn.Conv2d(width, 4 * fine, 1, bias=False), nn.BatchNorm2d(4 * fine))
        self.join = conv_bn(2 * fine, fine)
        self.out = nn.Conv2d(fine, outputs, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, history: Tensor, fine: Tensor) -> Tensor:
        """history (B, T, C, H, W), fine (B, fine, 2H, 2W) from the newest map → corrections (B, outputs, 2H, 2W)."""
        past = torch.relu(F.pixel_shuffle(self.expand(self.past(history)), 2))
        out: Tensor = self.out(self.join(torch.cat([fine, past.to(fine.dtype)], dim=1)))
        return out
