"""The assembled RS-DFM network: encoder → mapping → compression → interaction → neck → heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.compression import Compression
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.encoder import ENCODER_STRIDE, Encoder
from rsdfm_ros.model.heads.lookup import build_head
from rsdfm_ros.model.heads.registry import Head
from rsdfm_ros.model.interaction import Interaction
from rsdfm_ros.model.mapping import lift, lift_cells, mean_with_neighbours, seen_cells
from rsdfm_ros.model.neck import Neck

#: A cell counts as seen when this much probability mass fell in or next to it.
VISIBLE_MASS = 0.05


class ViewMaps(NamedTuple):
    """Maps of V views: maps (V, C, H, W) float32, zero where unseen · visible (V, 1, H, W) bool · logits
    (V, D + 1, h/2, w/2) of the bins of the lift · features (V, c, h/2, w/2) that were lifted."""

    maps: Tensor
    visible: Tensor
    logits: Tensor
    features: Tensor


class RSDFM(nn.Module):
    """The network; :mod:`rsdfm_ros.model.perception` wraps it for use on one agent."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.embed = nn.Sequential(
            nn.Conv2d(config.channels + config.subcells**2, config.channels, 1, bias=False),
            nn.BatchNorm2d(config.channels),
            nn.ReLU(inplace=True),
        )
        self.compression = Compression(config)
        self.interaction = Interaction(config)
        self.neck = Neck(config)
        self.heads = nn.ModuleDict({name: build_head(name, config) for name in config.heads})

    def head(self, name: str) -> Head:
        """The head of that name."""
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def map_views(
        self,
        images: Tensor,
        K: Tensor,
        T_map_camera: Tensor,
        *,
        ground: Ground = GroundPlane(),
        window: Window | None = None,
    ) -> ViewMaps:
        """Stages 1 and 2: views → BEV maps on the lattice.

        images (V, 3, h, w) normalised · K (V, 3, 3) float64 for that size · T_map_camera (V, 4, 4) float64.
        """
        features, logits = self.encoder(images)
        maps, visible = self.lift_views(features, logits, K, T_map_camera, ground=ground, window=window)
        return ViewMaps(maps, visible, logits, features)

    def lift_views(
        self,
        features: Tensor,
        logits: Tensor,
        K: Tensor,
        T_map_camera: Tensor,
        *,
        ground: Ground = GroundPlane(),
        window: Window | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Stage 2: the encoder's outputs → maps and visible, as in ViewMaps."""
        cfg = self.config
        fine = (window or cfg.window).refined(cfg.subcells)
        size = (ENCODER_STRIDE * int(features.shape[2]), ENCODER_STRIDE * int(features.shape[3]))
        cells = lift_cells(cfg, size, ENCODER_STRIDE, K, T_map_camera, ground, fine)
        alpha = torch.softmax(logits.float(), dim=1)[:, :-1].flatten(2).transpose(1, 2)  # (V, N, D)
        lifted = lift(features.permute(0, 2, 3, 1).flatten(1, 2), alpha, cells, fine)
        visible = seen_cells(lifted[..., -1].detach(), cfg.subcells, VISIBLE_MASS)[:, None]
        return self._embedded(mean_with_neighbours(lifted).permute(0, 3, 1, 2)).float() * visible, visible

    def _embedded(self, x: Tensor) -> Tensor:
        """The layers `embed` on features of finer cells (V, c + 1, s·H, s·W), which are channels of the 1 × 1
        convolution: one strided convolution on them. Without gradients the norm is folded into it."""
        conv, norm, activation = self.embed
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        s, weight = self.config.subcells, conv.weight
        if self.training or torch.is_grad_enabled():
            out: Tensor = norm(F.conv2d(x, weight.view(len(weight), -1, s, s), stride=s))
        else:
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None and variance is not None
            weight, bias = fuse_conv_bn_weights(
                weight, None, mean, variance, norm.eps, norm.weight, norm.bias
            )
            out = F.conv2d(x, weight.view(len(weight), -1, s, s), bias, stride=s)
        out = activation(out)
        return out

    def fuse(
        self, maps: Tensor, visible: Tensor, ages_s: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Stage 4 for one ego (agent 0): fused (1, C, H, W), seen by any agent (1, 1, H, W), weights (A, 1, H, W)."""
        fused, weights = self.interaction(maps, visible, ages_s, sigma)
        return fused, visible.any(dim=0, keepdim=True), weights
