"""The BEV neck: a small U-Net over the fused map of the present and what is kept of those before it.

All tasks and the whole history go through it once; the heads are readers of its output. Most of its work is done on
cells of 2 and 4 times the lattice's size: with the settings of config/model/nano.yaml 1.2 of its 1.3 GMAC per frame
(128 × 128 cells) lie there, at the 3 × 3 convolution on whole cells, and at the one on half cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.layers import ResidualBlock, conv_bn


@dataclass
class TaskFeatures:
    """Input of the task heads.

    cells (B, task_channels, H, W) on the feature lattice · fused (B, C, H, W), visible (B, 1, H, W) bool: the newest
    fused map as it entered the neck, for tasks that the neck was not trained for · refine: makes `fine` of `cells`.
    """

    cells: Tensor
    fused: Tensor
    visible: Tensor
    refine: Callable[[Tensor], Tensor]

    @cached_property
    def fine(self) -> Tensor:
        """Features (B, fine_channels, 2H, 2W) on the output lattice, computed when a head reads them first."""
        return self.refine(self.cells)


class Neck(nn.Module):
    """Fused maps → task features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c1, c2, c4 = config.neck_widths
        self.past_channels = (config.history - 1) * config.memory_channels
        self.keep = nn.Sequential(
            nn.Conv2d(config.channels + 1, config.memory_channels, 1), nn.ReLU(inplace=True)
        )
        self.enter = conv_bn(config.channels + 1 + self.past_channels, c1, kernel=1)
        self.down2 = nn.Sequential(ResidualBlock(4 * c1, c2), ResidualBlock(c2, c2))
        self.down4 = nn.Sequential(ResidualBlock(4 * c2, c4), ResidualBlock(c4, c4))
        self.up4 = nn.Conv2d(c4, 4 * c2, 1)
        self.merge2 = conv_bn(c2, c2)
        self.up2 = nn.Conv2d(c2, 4 * c1, 1)
        self.merge1 = conv_bn(c1, config.task_channels)
        self.expand = nn.Sequential(
            nn.Conv2d(config.task_channels, 4 * config.fine_channels, 1, bias=False),
            nn.BatchNorm2d(4 * config.fine_channels),
            nn.ReLU(inplace=True),
        )
        self.refine = conv_bn(config.fine_channels, config.fine_channels)

    def memory(self, fused: Tensor, visible: Tensor) -> Tensor:
        """Part of a fused map that is kept for later instants: (B, C, H, W), (B, 1, H, W) bool →
        (B, memory_channels, H, W), not negative. Instants that are missing are zeros."""
        out: Tensor = self.keep(torch.cat([fused, visible.to(fused.dtype)], dim=1))
        return out

    def no_past(self, fused: Tensor) -> Tensor:
        """Memories of a history that begins with `fused` (B, C, H, W)."""
        return fused.new_zeros(fused.shape[0], self.past_channels, *fused.shape[2:])

    def cells(self, fused: Tensor, visible: Tensor, past: Tensor) -> Tensor:
        """Task features on the feature lattice (B, task_channels, H, W); H and W multiples of 4.

        fused (B, C, H, W), visible (B, 1, H, W) bool · past (B, (history − 1) · memory_channels, H, W): the memories of
        the instants before, oldest first.
        """
        x1 = self.enter(torch.cat([fused, visible.to(fused.dtype), past.to(fused.dtype)], dim=1))
        x2 = self.down2(F.pixel_unshuffle(x1, 2))
        x4 = self.down4(F.pixel_unshuffle(x2, 2))
        x2 = self.merge2(x2 + F.pixel_shuffle(self.up4(x4), 2))
        out: Tensor = self.merge1(x1 + F.pixel_shuffle(self.up2(x2), 2))
        return out

    def fine(self, cells: Tensor) -> Tensor:
        """Task features on the output lattice (B, fine_channels, 2H, 2W)."""
        out: Tensor = self.refine(F.pixel_shuffle(self.expand(cells), 2))
        return out

    def forward(self, fused: Tensor, visible: Tensor, past: Tensor | None = None) -> TaskFeatures:
        """Task features; arguments as in `cells`, no `past` for the first instant of a history."""
        cells = self.cells(fused, visible, self.no_past(fused) if past is None else past)
        return TaskFeatures(cells, fused, visible, self.fine)
