"""The BEV neck: a small U-Net that turns the fused map into the features that every task head reads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.layers import ResidualBlock, conv_bn


class Neck(nn.Module):
    """Fused map and its visibility → task features, at the lattice's resolution."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c1, c2, c4 = config.neck_widths
        self.enter = conv_bn(config.channels + 1, c1)
        self.down2 = nn.Sequential(ResidualBlock(c1, c2, stride=2), ResidualBlock(c2, c2))
        self.down4 = ResidualBlock(c2, c4, stride=2, dilation=1)
        self.up4 = nn.Conv2d(c4, c2, 1)
        self.merge2 = conv_bn(c2, c2)
        self.up2 = nn.Conv2d(c2, c1, 1)
        self.merge1 = conv_bn(c1, config.channels)
        self.finish = ResidualBlock(config.channels, config.channels, gentle=True)

    def forward(self, fused: Tensor, visible: Tensor) -> Tensor:
        """fused (B, C, H, W), visible (B, 1, H, W) bool → (B, C, H, W); H and W multiples of 4."""
        x1 = self.enter(torch.cat([fused, visible.to(fused.dtype)], dim=1))
        x2 = self.down2(x1)
        x4 = self.up4(self.down4(x2))
        x2 = self.merge2(x2 + F.interpolate(x4, scale_factor=2.0, mode="bilinear", align_corners=False))
        up = F.interpolate(self.up2(x2), scale_factor=2.0, mode="bilinear", align_corners=False)
        out: Tensor = self.finish(self.merge1(x1 + up))
        return out
