"""The image encoder: a light residual backbone with a feature pyramid, features and height logits on top."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.layers import ResidualBlock, conv_bn

#: Stride of the encoder's outputs: pyramid level at stride 4, unfolded once by a pixel shuffle.
ENCODER_STRIDE = 2


class Encoder(nn.Module):
    """Image → per-pixel features and a distribution over relative-depth bins.

    The last of the D + 1 bins means "nothing that belongs on the map" (sky, roofs, crowns above the top bin).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c2, c4, c8, c16 = config.encoder_widths
        p = config.pyramid_channels
        self.feature_channels = config.channels // config.subcells**2
        self.bins = len(config.bins)
        self.stem = nn.Sequential(conv_bn(3, c2, stride=2), conv_bn(c2, c4, stride=2))
        self.level4 = ResidualBlock(c4, c4)
        self.level8 = nn.Sequential(ResidualBlock(c4, c8, stride=2), ResidualBlock(c8, c8))
        self.level16 = nn.Sequential(ResidualBlock(c8, c16, stride=2), ResidualBlock(c16, c16, dilation=2))
        self.lateral4 = nn.Conv2d(c4, p, 1)
        self.lateral8 = nn.Conv2d(c8, p, 1)
        self.lateral16 = nn.Conv2d(c16, p, 1)
        self.smooth = conv_bn(p, p)
        blocks, single = divmod(config.pyramid_convolutions - 1, 2)
        self.sharpen = nn.Sequential(
            *(ResidualBlock(p, p, gentle=True) for _ in range(blocks)),
            *(conv_bn(p, p) for _ in range(single)),
        )
        self.features = nn.Conv2d(p, 4 * self.feature_channels, 1)
        self.logits = nn.Conv2d(p, 4 * (self.bins + 1), 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (V, 3, H, W), normalised → features (V, c, H/2, W/2) and logits (V, D + 1, H/2, W/2)."""
        x4 = self.level4(self.stem(images))
        x8 = self.level8(x4)
        x16 = self.level16(x8)
        p8 = self.lateral8(x8) + F.interpolate(self.lateral16(x16), scale_factor=2.0, mode="nearest")
        p4 = self.lateral4(x4) + F.interpolate(p8, scale_factor=2.0, mode="nearest")
        p4 = self.sharpen(self.smooth(p4))
        return F.pixel_shuffle(self.features(p4), 2), F.pixel_shuffle(self.logits(p4), 2)


def normalise_images(images: Tensor) -> Tensor:
    """RGB uint8 (V, H, W, 3) → float (V, 3, H, W), channels_last, roughly zero mean and unit variance."""
    x = images.permute(0, 3, 1, 2).to(torch.float32)
    return ((x - 110.0) / 60.0).contiguous(memory_format=torch.channels_last)
