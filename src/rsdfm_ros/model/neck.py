"""The BEV neck: a small U-Net over the fused map of the present and what is kept of those before it.

All tasks and the whole history go through it once; the heads are readers of its output. It first looks at the present
map alone, so that what is kept of an instant never has to be computed again, and then joins the instants on cells of
twice the lattice's size, where a vehicle at 50 km/h moves by three cells in half a second. Most objects stand still, so
that motion is learned late where it shares its way with everything else: it has a short branch of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.layers import ResidualBlock, conv_bn


class Look(NamedTuple):
    """The present map alone: near (B, c1, H, W), wide (B, c2, H/2, W/2), and memory (B, memory_channels, H/2, W/2), not
    negative, which is kept for the instants after it."""

    near: Tensor
    wide: Tensor
    memory: Tensor


@dataclass
class TaskFeatures:
    """Input of the task heads.

    cells (B, task_channels, H, W) on the feature lattice · motion (B, motion_channels, H/2, W/2): motion between the
    instants of the history, on cells of twice the size · fused (B, C, H, W), visible (B, 1, H, W) bool: the newest
    fused map as it entered the neck, for tasks that the neck was not trained for · refine: makes `fine` of `cells`.
    """

    cells: Tensor
    motion: Tensor
    fused: Tensor
    visible: Tensor
    refine: Callable[[Tensor], Tensor]

    @cached_property
    def fine(self) -> Tensor:
        """Features (B, fine_channels, 2H, 2W) on the output lattice, computed when a head reads them first."""
        return self.refine(self.cells)


class Neck(nn.Module):
    """Fused maps → task features. H and W are multiples of 4."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c1, c2, c4 = config.neck_widths
        self.past_channels = (config.history - 1) * config.memory_channels
        self.enter = conv_bn(config.channels + 1, c1, kernel=1)
        self.down2 = nn.Sequential(ResidualBlock(4 * c1, c2), ResidualBlock(c2, c2))
        self.keep = nn.Sequential(nn.Conv2d(c2, config.memory_channels, 1), nn.ReLU(inplace=True))
        moving = config.motion_channels
        self.motion = nn.Sequential(
            conv_bn(config.history * config.memory_channels, moving),
            conv_bn(moving, moving, dilation=2),
            conv_bn(moving, moving),
        )
        self.join = conv_bn(c2 + moving, c2)
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

    def look(self, fused: Tensor, visible: Tensor) -> Look:
        """The newest map by itself. fused (B, C, H, W), visible (B, 1, H, W) bool."""
        near = self._enter(fused, visible.to(fused.dtype))
        wide = self.down2(F.pixel_unshuffle(near, 2))
        return Look(near, wide, self.keep(wide))

    def _enter(self, fused: Tensor, visible: Tensor) -> Tensor:
        """The layers `enter` on the channels of both, without a copy of all of them."""
        conv, *rest = self.enter
        assert isinstance(conv, nn.Conv2d)
        x = F.conv2d(fused, conv.weight[:, :-1], conv.bias) + visible * conv.weight[:, -1:].squeeze(1)
        for layer in rest:
            x = layer(x)
        return x

    def no_past(self, wide: Tensor) -> Tensor:
        """Memories of a history that begins now: (B, (history − 1) · memory_channels, H/2, W/2) of zeros."""
        return wide.new_zeros(wide.shape[0], self.past_channels, *wide.shape[2:])

    def cells(self, near: Tensor, wide: Tensor, memories: Tensor) -> tuple[Tensor, Tensor]:
        """Task features `cells` and `motion`, see TaskFeatures.

        near, wide: of the newest map · memories (B, history · memory_channels, H/2, W/2): those of the history, oldest
        first, the last one of the newest map; zeros for instants that are missing.
        """
        motion = self.motion(memories.to(wide.dtype))
        x2 = self.join(torch.cat([wide, motion], dim=1))
        x4 = self.down4(F.pixel_unshuffle(x2, 2))
        x2 = self.merge2(x2 + F.pixel_shuffle(self.up4(x4), 2))
        return self.merge1(near + F.pixel_shuffle(self.up2(x2), 2)), motion

    def fine(self, cells: Tensor) -> Tensor:
        """Task features on the output lattice (B, fine_channels, 2H, 2W)."""
        out: Tensor = self.refine(F.pixel_shuffle(self.expand(cells), 2))
        return out

    def forward(self, fused: Tensor, visible: Tensor, past: Tensor | None = None) -> TaskFeatures:
        """Task features. past (B, (history − 1) · memory_channels, H/2, W/2): memories of the instants before, oldest
        first; None for the first instant of a history."""
        near, wide, memory = self.look(fused, visible)
        past = self.no_past(wide) if past is None else past
        cells, motion = self.cells(near, wide, torch.cat([past.to(memory.dtype), memory], dim=1))
        return TaskFeatures(cells, motion, fused, visible, self.fine)
