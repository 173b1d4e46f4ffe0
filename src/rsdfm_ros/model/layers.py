"""Small building blocks shared by the encoder, the neck and the heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(c_in: int, c_out: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution (same padding), batch normalisation, ReLU: (B, c_in, H, W) → (B, c_out, H / stride, W / stride)."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut (He et al., 2016); strided or widening through a 1 × 1 shortcut.

    gentle: starts as the shortcut alone, so that it can be put into a network that is trained already.
    """

    def __init__(
        self, c_in: int, c_out: int, *, stride: int = 1, dilation: int = 1, gentle: bool = False
    ) -> None:
        super().__init__()
        self.first = conv_bn(c_in, c_out, stride=stride, dilation=dilation)
        norm = nn.BatchNorm2d(c_out)
        if gentle:
            nn.init.zeros_(norm.weight)
        self.second = nn.Sequential(nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) → (B, c_out, H / stride, W / stride)."""
        out: Tensor = self.activation(self.second(self.first(x)) + self.shortcut(x))
        return out


def per_cell(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The 1 × 1 convolution of x (B, c, H, W) with weight (out, c, 1, 1) and bias (out,): (B, out, H, W).

    It is computed in the memory layout and precision of x: to change them takes several times longer than a convolution
    to few channels. A weight in the layout torch.channels_last would change that of x.
    """
    if x.dtype != weight.dtype:
        return F.conv2d(x, weight, bias)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, weight.flatten(1)[:, :, None, None], bias)


def projection(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Matrix (out, in) and bias (out,) of a 1 × 1 convolution."""
    bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
    return layer.weight[:, :, 0, 0], bias
