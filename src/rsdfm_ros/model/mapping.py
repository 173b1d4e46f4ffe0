"""Generalised BEV generation: lifting image features onto the lattice along the ground prior.

B = S F with S[cell(X_k(p)), p] += α_k(p): one sparse matrix product per view, no D-fold copy of the features.
On the CPU S is a compressed-sparse-column matrix whose columns (pixels) hold D entries each, so that building it
needs no sort; on other devices the product is an `index_add`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor

from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.terrain import terrain_depths

_HORIZON_MARGIN = 0.02

IMAGE_STEP = 32
"""Sides of the encoder's images are multiples of this."""
IMAGE_MARGIN = 32
"""Pixels around the part of an image that shows a region: what the encoder sees around it, mostly."""
_SAMPLE_STRIDE = 8
"""Distance in pixels of the rays by which that part is found."""


def lift_cells(
    config: ModelConfig,
    size: tuple[int, int],
    stride: int,
    K: Tensor,
    T_map_camera: Tensor,
    ground: Ground,
    window: Window,
) -> Tensor:
    """Flat cell index (V, N, D) int32 in `window` of every pixel and bin; ni·nj stands for "nowhere".

    K (V, 3, 3) for images of `size` (h, w) and T_map_camera (V, 4, 4), both float64; N = (h / stride)(w / stride).
    Equations: geometry/ground.py, whose NumPy functions the tests compare this with.
    """
    h, w = size
    device = K.device
    u = (torch.arange(w // stride, device=device, dtype=torch.float32) + 0.5) * stride
    v = (torch.arange(h // stride, device=device, dtype=torch.float32) + 0.5) * stride
    vv, uu = torch.meshgrid(v, u, indexing="ij")
    pixels = torch.stack([uu.reshape(-1), vv.reshape(-1), torch.ones_like(uu).reshape(-1)])
    # Never in bfloat16, which autocast would choose: its three digits shift cells by half a metre and more.
    with torch.autocast(device.type, enabled=False):
        rays = (T_map_camera[:, :3, :3] @ torch.linalg.inv(K)).to(torch.float32) @ pixels  # (V, 3, N)
    # Shift into the window in double precision: map coordinates may be large.
    origin = torch.tensor([window.i0, window.j0], device=device, dtype=torch.float64) * window.cell_size
    start = (T_map_camera[:, :2, 3] - origin).to(torch.float32) / window.cell_size
    step = rays[:, :2] / window.cell_size
    nowhere = float(window.ni * window.nj)
    cells = torch.empty((*rays.shape[::2], len(config.bins)), device=device, dtype=torch.int32)
    # One bin at a time: every step then works on arrays that stay in the cache. Without comparisons, which take several
    # times longer than arithmetic: a cell beyond the window is at least one cell away from its nearest one inside.
    for k, depth in enumerate(_bin_depths(config, rays, T_map_camera, ground)):
        i = (depth * step[:, 0]).add_(start[:, :1]).floor_()
        j = (depth * step[:, 1]).add_(start[:, 1:]).floor_()
        near_i, near_j = i.clamp(0, window.ni - 1), j.clamp(0, window.nj - 1)
        beyond = i.sub_(near_i).abs_().add_(j.sub_(near_j).abs_())
        index = near_j.add_(near_i, alpha=window.nj).add_(beyond, alpha=nowhere)
        cells[..., k] = index.nan_to_num_(nan=nowhere).clamp_(max=nowhere)  # NaN where there is no depth
    return cells


def image_part(
    config: ModelConfig,
    size: tuple[int, int],
    K: Tensor,
    T_map_camera: Tensor,
    ground: Ground,
    window: Window,
) -> tuple[slice, slice] | None:
    """Rows and columns of an image that show `window`, with a margin around; None if none do.

    K (3, 3) for images of `size` (h, w) and T_map_camera (4, 4), both float64. Both sides are multiples of IMAGE_STEP,
    as the encoder needs them.
    """
    cells = lift_cells(config, size, _SAMPLE_STRIDE, K[None], T_map_camera[None], ground, window)[0]
    shown = (cells < window.ni * window.nj).any(dim=1)
    shown = shown.view(size[0] // _SAMPLE_STRIDE, size[1] // _SAMPLE_STRIDE)
    if not bool(shown.any()):
        return None
    spans = []
    for length, dim in zip(size, (1, 0), strict=True):
        there = shown.any(dim=dim).nonzero()[:, 0] * _SAMPLE_STRIDE
        first = max(0, int(there[0]) - IMAGE_MARGIN) // IMAGE_STEP * IMAGE_STEP
        last = min(length, -(-(int(there[-1]) + _SAMPLE_STRIDE + IMAGE_MARGIN) // IMAGE_STEP) * IMAGE_STEP)
        spans.append(slice(first, last))
    return spans[0], spans[1]


def _bin_depths(config: ModelConfig, rays: Tensor, T_map_camera: Tensor, ground: Ground) -> Iterator[Tensor]:
    """Depth (V, N) along the rays (V, 3, N) of one bin after the other; NaN where there is none."""
    if config.lift == "absolute":
        for bin_m in config.bins:
            yield torch.full_like(rays[:, 0], bin_m if bin_m <= config.max_depth_m else torch.nan)
        return
    if isinstance(ground, HeightGrid):
        yield from terrain_depths(
            ground, rays, T_map_camera, config.bins, config.max_depth_m, _HORIZON_MARGIN
        )
        return
    normal = torch.tensor(ground.normal, device=rays.device, dtype=torch.float32)
    descent = -(normal[:, None] * rays).sum(dim=1)
    centre = T_map_camera[:, :3, 3]
    height = (centre @ normal.double() - ground.offset).to(torch.float32)[:, None]  # (V, 1)
    to_ground = height / descent
    reached = (descent > _HORIZON_MARGIN) & (height > 0) & (to_ground <= config.max_depth_m)
    to_ground = to_ground.where(reached, torch.nan)
    bins = torch.tensor(config.bins, device=rays.device)
    shares = (1.0 - bins / height).where(bins < height, torch.nan)  # (V, D)
    for k in range(len(bins)):
        yield to_ground * shares[:, k, None]


class _SparseLift(torch.autograd.Function):
    """out[v, c] = Σ_{(p, k): cells[v, p, k] = c} α[v, p, k] · f[v, p], with exact gradients to α and f."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, alpha: Tensor, cells: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(features, alpha, cells)
        views, n, d = cells.shape
        if features.device.type != "cpu":
            out = features.new_zeros(views, count + 1, features.shape[2])
            for v in range(views):
                terms = (alpha[v, :, :, None] * features[v, :, None]).flatten(0, 1)
                out[v].index_add_(0, cells[v].reshape(-1), terms)
            return out[:, :count]
        indptr = np.arange(0, n * d + 1, d, dtype=np.int32)
        lifted = []
        for v in range(views):
            entries = (alpha[v].detach().numpy().ravel(), cells[v].numpy().ravel(), indptr)
            S = scipy.sparse.csc_matrix(entries, shape=(count + 1, n), copy=False)
            lifted.append(torch.from_numpy(S @ features[v].detach().numpy())[:count])
        return lifted[0][None] if views == 1 else torch.stack(lifted)  # one map is not copied

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        features, alpha, cells = ctx.saved_tensors
        grad_f, grad_alpha = torch.empty_like(features), torch.empty_like(alpha)
        padded = F.pad(grads[0][0], (0, 0, 0, 1))  # the row of "nowhere" has no gradient
        gathered = padded.new_empty(cells[0].numel(), padded.shape[1])
        for v, grad in enumerate(grads[0]):
            padded[:-1] = grad
            grad_f[v] = F.embedding_bag(cells[v], padded, per_sample_weights=alpha[v], mode="sum")
            torch.index_select(padded, 0, cells[v].reshape(-1), out=gathered)
            torch.bmm(
                gathered.view(*cells[v].shape, -1), features[v, :, :, None], out=grad_alpha[v, :, :, None]
            )
        return grad_f, grad_alpha, None, None


def lift(features: Tensor, alpha: Tensor, cells: Tensor, window: Window) -> Tensor:
    """Lift views: features (V, N, c), α (V, N, D), cells (V, N, D) → (V, ni, nj, c + 1) float32.

    The first c are the sums per cell, the last is the mass Σα.
    """
    with_mass = F.pad(features.float(), (0, 1), value=1.0)
    out = _SparseLift.apply(with_mass, alpha.float().contiguous(), cells, window.ni * window.nj)  # type: ignore[no-untyped-call]
    return out.view(len(cells), window.ni, window.nj, -1)  # type: ignore[no-any-return]


class _NeighbourMean(torch.autograd.Function):
    """See :func:`mean_with_neighbours`; a function of its own, because autograd would keep ten maps of this size."""

    @staticmethod
    def forward(ctx: Any, lifted: Tensor, weight: float, floor: float) -> Tensor:
        ctx.weight = weight
        mass = lifted[..., -1:]
        out = _box_mean(lifted)
        torch.add(lifted, out, alpha=weight, out=out)
        total = out[..., -1:] + floor
        out /= total
        out[..., -1:] = torch.log1p(mass)
        ctx.save_for_backward(out, total, mass)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        given = grads[0]
        out, total, mass = ctx.saved_tensors
        result = torch.empty_like(out)
        for v in range(len(out)):  # one view at a time stays in the cache
            grad = given[v] / total[v]
            grad[..., -1] = -torch.einsum("...c,...c->...", grad[..., :-1], out[v, ..., :-1])
            torch.add(grad, _box_mean(grad[None])[0], alpha=ctx.weight, out=result[v])
            result[v, ..., -1:] += given[v, ..., -1:] / (1.0 + mass[v])
        return result, None, None


def _box_mean(x: Tensor) -> Tensor:
    """Mean over 5 × 5 cells of (V, H, W, c), zeros beyond the edge. Symmetric: its own adjoint."""
    if x.device.type != "cpu":
        return F.avg_pool2d(x.permute(0, 3, 1, 2), 5, 1, 2).permute(0, 2, 3, 1)
    out = torch.empty_like(x)
    for source, target in zip(x.detach().numpy(), out.numpy(), strict=True):
        cv2.boxFilter(source, -1, (5, 5), dst=target, borderType=cv2.BORDER_CONSTANT)
    return out


def mean_with_neighbours(lifted: Tensor, weight: float = 0.15, floor: float = 0.05) -> Tensor:
    """Mass-weighted mean feature per cell, in which cells with little mass are filled from their 5 × 5 neighbourhood,
    and log(1 + mass).

    lifted (V, H, W, c + 1): sums and mass → (V, H, W, c + 1): means and density. Far from the camera pixels are
    wider than cells and leave holes; `weight` of the neighbourhood's mean fills them, and hardly changes cells that
    hold pixels of their own.
    """
    return _NeighbourMean.apply(lifted, weight, floor)  # type: ignore[no-any-return,no-untyped-call]


def seen_cells(mass: Tensor, factor: int, least: float) -> Tensor:
    """Feature cells (V, H, W) bool with at least `least` mass in or next to their factor × factor finer cells.

    mass (V, f·H, f·W). Every finer cell counts with the largest mass of its 3 × 3 neighbourhood.
    """
    near = mass
    for dim in (1, 2):  # separately: torch's pooling is slow on a single channel
        n = near.shape[dim]
        padded = torch.cat([near.narrow(dim, 0, 1), near, near.narrow(dim, n - 1, 1)], dim)
        near = torch.maximum(torch.maximum(padded.narrow(dim, 0, n), near), padded.narrow(dim, 2, n))
    return F.avg_pool2d(near, factor) > least
