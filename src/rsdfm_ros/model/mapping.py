"""Generalised BEV generation: lifting image features onto the lattice along the ground prior.

B = S F with S[cell(X_k(p)), p] += α_k(p): one sparse matrix product per view, no D-fold copy of the features.
On the CPU S is a compressed-sparse-column matrix whose columns (pixels) hold D entries each, so that building it
needs no sort; on other devices the product is an `index_add`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor

from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig

_HORIZON_MARGIN = 0.02


def lift_cells(
    config: ModelConfig,
    size: tuple[int, int],
    stride: int,
    K: Tensor,
    T_map_camera: Tensor,
    plane: GroundPlane,
    window: Window,
) -> Tensor:
    """Flat cell index (V, N, D) int32 in `window` of every pixel and bin; ni·nj stands for "nowhere".

    K (V, 3, 3) for images of `size` (h, w) and T_map_camera (V, 4, 4), both float64; N = (h / stride)(w / stride).
    Equations: geometry/ground.py, whose NumPy functions the tests compare this with.
    """
    device = K.device
    h, w = size
    u = (torch.arange(w // stride, device=device, dtype=torch.float32) + 0.5) * stride
    v = (torch.arange(h // stride, device=device, dtype=torch.float32) + 0.5) * stride
    vv, uu = torch.meshgrid(v, u, indexing="ij")
    pixels = torch.stack([uu.reshape(-1), vv.reshape(-1), torch.ones_like(uu).reshape(-1)], dim=-1)
    directions = (T_map_camera[:, :3, :3] @ torch.linalg.inv(K)).to(torch.float32)
    rays = pixels @ directions.transpose(1, 2)  # (V, N, 3)
    bins = torch.tensor(config.bins, device=device, dtype=torch.float32)
    normal = torch.tensor(plane.normal, device=device, dtype=torch.float32)
    descent = -(rays @ normal)
    if config.lift == "relative":
        centre = T_map_camera[:, :3, 3]
        height = (centre @ normal.double() - plane.offset).to(torch.float32)[:, None]  # (V, 1)
        below = (descent > _HORIZON_MARGIN) & (height > 0)
        ground = height / torch.where(below, descent, torch.ones_like(descent))
        valid = (below & (ground <= config.max_depth_m))[..., None] & (bins < height[..., None])
        depth = ground[..., None] * (1.0 - bins / height.clamp_min(1e-3)[..., None])
    else:
        depth = bins.expand(*descent.shape, len(bins))
        valid = (depth <= config.max_depth_m).clone()
    # Shift into the window in double precision: map coordinates may be large.
    origin = torch.tensor([window.i0, window.j0], device=device, dtype=torch.float64) * window.cell_size
    start = (T_map_camera[:, :2, 3] - origin).to(torch.float32) / window.cell_size
    step = rays[..., :2] / window.cell_size
    i = torch.floor(start[:, None, None, 0] + depth * step[..., 0:1])
    j = torch.floor(start[:, None, None, 1] + depth * step[..., 1:2])
    valid &= (i >= 0) & (i < window.ni) & (j >= 0) & (j < window.nj)
    return torch.where(valid, i * window.nj + j, float(window.ni * window.nj)).to(torch.int32)


class _SparseLift(torch.autograd.Function):
    """out[c] = Σ_{(p, k): cells[p, k] = c} α[p, k] · f[p] for one view, with exact gradients to α and f."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, alpha: Tensor, cells: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(features, alpha, cells)
        if features.device.type == "cpu":
            n, d = cells.shape
            indptr = np.arange(0, n * d + 1, d, dtype=np.int32)
            entries = (alpha.detach().numpy().ravel(), cells.numpy().ravel(), indptr)
            S = scipy.sparse.csc_matrix(entries, shape=(count + 1, n), copy=False)
            return torch.from_numpy(S @ features.detach().numpy())[:count]
        out = features.new_zeros(count + 1, features.shape[1])
        out.index_add_(0, cells.reshape(-1), (alpha[..., None] * features[:, None]).flatten(0, 1))
        return out[:count]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        features, alpha, cells = ctx.saved_tensors
        padded = F.pad(grads[0].contiguous(), (0, 0, 0, 1))  # the row of "nowhere" has no gradient
        grad_f = F.embedding_bag(cells, padded, per_sample_weights=alpha, mode="sum")
        gathered = padded.index_select(0, cells.reshape(-1)).view(*cells.shape, -1)
        grad_alpha = torch.bmm(gathered, features[:, :, None]).squeeze(-1)
        return grad_f, grad_alpha, None, None


def lift(features: Tensor, alpha: Tensor, cells: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Lift one view: features (N, c), α (N, D), cells (N, D) → sums (c, ni, nj) and mass Σα (ni, nj), float32."""
    with_mass = torch.cat([features, torch.ones_like(features[:, :1])], dim=1).float().contiguous()
    out = _SparseLift.apply(with_mass, alpha.float().contiguous(), cells, window.ni * window.nj)  # type: ignore[no-untyped-call]
    grid = out.t().reshape(-1, window.ni, window.nj)
    return grid[:-1], grid[-1]


def mean_with_neighbours(sums: Tensor, mass: Tensor, weight: float = 0.15, floor: float = 0.05) -> Tensor:
    """Mass-weighted mean feature per cell, in which thin cells lean on their 5 × 5 neighbourhood.

    sums (V, c, H, W), mass (V, 1, H, W) → (V, c, H, W). Far from the camera pixels are wider than cells and leave
    holes; `weight` of the neighbourhood's mean fills them, and hardly changes cells that hold pixels of their own.
    """
    around = F.avg_pool2d(torch.cat([sums, mass], dim=1), 5, 1, 2) * weight
    return (sums + around[:, :-1]) / (mass + around[:, -1:] + floor)


def fold_subcells(x: Tensor, factor: int) -> Tensor:
    """(V, c, f·H, f·W) → (V, c·f², H, W): the finer cells of a feature cell become channels."""
    return F.pixel_unshuffle(x, factor)
