"""Networks made ready for inference: batch norms folded into convolutions, weights in the precision and memory layout
that the device computes fastest with."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def for_inference(module: Network, dtype: torch.dtype) -> Network:
    """A copy of a trained network that gives the same up to rounding, in several times less time on a CPU; it cannot be
    trained. Its inputs are of `dtype`, best in the layout torch.channels_last, in which the maps of agents are."""
    ready = copy.deepcopy(module).eval().requires_grad_(False)
    for part in list(ready.modules()):
        if isinstance(part, nn.Sequential):
            _fold(part)
    ready.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ready


def _fold(layers: nn.Sequential) -> None:
    """Fold every batch norm behind a convolution into it."""
    for n in range(len(layers) - 1):
        conv, norm = layers[n], layers[n + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[n], layers[n + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
