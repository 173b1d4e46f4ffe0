"""High-low frequency decoupled compression of one agent's BEV map (RS-DFM stage 3).

low:  L = AvgPool_8(B) → 1×1 conv C→C_l → integers              every touched 8 × 8 block
high: R = B − Up_8(dec_l(L)) → 1×1 conv C→C_h → integers        only the best cells by a learned score q
decode: B̂ = Up_8(dec_l(ẑ_l)) + fill(scatter(dec_h(ẑ_h)))

Training simulates all of it: rounding is straight-through, and a sent cell's residual carries 1 + q − stop(q), which
is 1 in value and passes the gradient of every loss behind it to the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.model.config import ModelConfig

#: Side of the block that one low-band latent stands for, in feature cells; half a tile.
LOW_BLOCK = 8

SMALLEST_STEP = 1e-6
"""Least step of latents, for channels that are zero everywhere."""


@dataclass(frozen=True)
class Latents:
    """Latents of one map before packing: integer-valued float tensors and their per-channel steps.

    low (V, C_l, H/8, W/8) · high (V, C_h, H, W), only meaningful where sent · steps (V, C, 1, 1) ·
    score (V, 1, H, W) logits of q.
    """

    low: Tensor
    low_step: Tensor
    high: Tensor
    high_step: Tensor
    score: Tensor


@dataclass(frozen=True)
class Simulated:
    """Maps as receivers decode them: decoded (V, C, H, W) · told (V, 1, H, W) bool: the visible cells that were sent ·
    sent (V, 1, H, W) bool: cells whose high band was sent · score (V, 1, H, W) logits of q · high (V, C_h, H, W)
    integers, of which those of the sent cells are transmitted.
    """

    decoded: Tensor
    told: Tensor
    sent: Tensor
    score: Tensor
    high: Tensor


def quantise(x: Tensor, levels: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Round x (V, C, H, W) to integers in ±levels with one step per map and channel; straight-through gradient.

    The step is the largest magnitude (where `mask` (V, 1, H, W) is true) divided by `levels`.
    """
    magnitude = x.detach().abs()
    if mask is not None:
        magnitude = magnitude * mask
    step = (magnitude.amax(dim=(2, 3), keepdim=True) / levels).clamp_min(SMALLEST_STEP)
    scaled = x / step
    rounded = scaled.detach().round().clamp(-levels, levels)
    return scaled + (rounded - scaled).detach(), step


def top_cells(score: Tensor, allowed: Tensor, count: int) -> Tensor:
    """Mask (V, 1, H, W) of the `count` best allowed cells of every map by score; fewer if fewer are allowed."""
    flat = score.detach().masked_fill(~allowed, -torch.inf).flatten(1)
    count = min(count, flat.shape[1])
    mask = torch.zeros_like(flat, dtype=torch.bool)
    if count:
        mask.scatter_(1, flat.topk(count, dim=1).indices, True)
    return mask.view_as(score) & allowed


#: Reduction of the cell priority of the odd cells of the checkerboard: receivers fill them from their neighbours, so
#: that at small budgets the even ones cover twice the area.
_ODD_WORTH = 0.5


def cell_priority(score: Tensor) -> Tensor:
    """Cell priority (V, 1, H, W) in [0, 1] by which cells are selected: q of the logits `score`, less on odd cells."""
    h, w = score.shape[-2:]
    i, j = torch.arange(h, device=score.device)[:, None], torch.arange(w, device=score.device)
    odd = (i + j) % 2 == 1
    return torch.sigmoid(score.float()) * torch.where(odd, _ODD_WORTH, 1.0)


class Compression(nn.Module):
    """The trained part: projections of both bands, the score and the width of the fill kernel."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, low, high = config.channels, config.low_channels, config.high_channels
        self.levels = config.quantisation_levels
        self.radius = config.fill_radius
        self.low_encode = nn.Conv2d(c, low, 1)
        self.low_decode = nn.Conv2d(low, c, 1)
        self.high_encode = nn.Conv2d(c, high, 1)
        self.high_decode = nn.Conv2d(high, c, 1, bias=False)
        self.score = nn.Sequential(nn.Conv2d(c + 1, 32, 1), nn.ReLU(inplace=True), nn.Conv2d(32, 1, 3, 1, 1))
        self.log_decay = nn.Parameter(torch.zeros(()))  # log λ of exp(−λ² r²)

    def encode(self, bev: Tensor, visible: Tensor, *, low: bool = True) -> Latents:
        """Compress maps bev (V, C, H, W), zero where not visible (V, 1, H, W) bool; without `low` that band is zero."""
        coarse, low_step = quantise(self.low_encode(F.avg_pool2d(bev, LOW_BLOCK)), self.levels)
        coarse = coarse if low else torch.zeros_like(coarse)
        # high_encode(B − Up(dec_l(ẑ))) with the linear part of the low band taken at its own resolution.
        known = F.conv2d(self.low_decode(coarse * low_step), self.high_encode.weight)
        known = F.interpolate(known, scale_factor=float(LOW_BLOCK), mode="nearest")
        high, high_step = quantise(self.high_encode(bev) - known, self.levels, visible)
        return Latents(coarse, low_step, high, high_step, self.score_of(bev, visible))

    def score_of(self, bev: Tensor, visible: Tensor) -> Tensor:
        """Logits (V, 1, H, W) of the score q."""
        score: Tensor = self.score(torch.cat([bev, visible.to(bev.dtype)], dim=1))
        return score

    def decode(self, low: Tensor, high: Tensor, sent: Tensor, visible: Tensor) -> Tensor:
        """Maps B̂ (V, C, H, W) from dequantised low (V, C_l, H/8, W/8) and high (V, C_h, H, W) bands.

        sent, visible (V, 1, H, W) bool: the cells whose high band arrived, and the cells the sender saw.
        """
        # dec_h is linear and the same for every cell, so spreading the few latent channels first is the same.
        residual = self.high_decode(self.fill(high * sent, sent))
        blocks = F.interpolate(self.low_decode(low), scale_factor=float(LOW_BLOCK), mode="nearest")
        decoded: Tensor = (blocks + residual) * visible
        return decoded

    @torch.inference_mode()
    def decoder(self) -> Tensor:
        """The decoder as one matrix (C, C_l + C_h + 1): low band, high band and 1 of a cell → its features."""
        low, high = self.low_decode, self.high_decode
        assert low.bias is not None
        return torch.cat([low.weight[..., 0, 0], high.weight[..., 0, 0], low.bias[:, None]], dim=1)

    def fill(self, x: Tensor, sent: Tensor) -> Tensor:
        """Spread sent cells of x (V, C, H, W) to unsent neighbours: Σ k x / max(Σ k, 1), k = exp(−λ² r²)."""
        axis = self.fill_axis().to(x.dtype)
        channels = x.shape[1]
        mass = sent.to(x.dtype)
        stacked = torch.cat([x * mass, mass], dim=1)
        rows = axis.view(1, 1, -1, 1).expand(channels + 1, 1, -1, 1)
        columns = axis.view(1, 1, 1, -1).expand(channels + 1, 1, 1, -1)
        spread = F.conv2d(stacked, rows, padding=(self.radius, 0), groups=channels + 1)
        spread = F.conv2d(spread, columns, padding=(0, self.radius), groups=channels + 1)
        return torch.where(sent, x, spread[:, :-1] / spread[:, -1:].clamp_min(1.0))

    def fill_axis(self) -> Tensor:
        """The fill kernel along one axis (2 radius + 1,): it is separable, exp(−λ²(i² + j²))."""
        r = torch.arange(-self.radius, self.radius + 1, device=self.log_decay.device)
        return torch.exp(-(self.log_decay.exp() ** 2) * r**2)

    def simulate(
        self,
        bev: Tensor,
        visible: Tensor,
        count: int,
        *,
        low: bool = True,
        coarseness: tuple[int, int] = (1, 1),
    ) -> Simulated:
        """Encode and decode as in operation, differentiably.

        bev (V, C, H, W), visible (V, 1, H, W) bool, count: cells sent of each map. low: whether the low band is sent;
        without it only tiles with a sent cell do. coarseness: latents of the low and of the high band are rounded to
        multiples of so many steps (wire.budget.coarsened).
        """
        latents = self.encode(bev, visible, low=low)
        sent = top_cells(cell_priority(latents.score), visible, count)
        q = torch.sigmoid(latents.score)
        gate = 1.0 + (q - q.detach())  # exactly 1 in value, in half precision too
        coarse, fine = (
            _coarser(z, by) for z, by in zip((latents.low, latents.high), coarseness, strict=True)
        )
        told = visible if low else visible & _tiles_with(sent)
        decoded = self.decode(
            coarse * latents.low_step * coarseness[0],
            fine * latents.high_step * (gate * coarseness[1]),
            sent,
            told,
        )
        return Simulated(decoded, told, sent, latents.score, fine)


def _coarser(z: Tensor, by: int) -> Tensor:
    """Integers z in units of `by`, rounded; straight-through gradient."""
    scaled = z / by
    return scaled + (scaled.round() - scaled).detach()


def _tiles_with(sent: Tensor) -> Tensor:
    """Mask (V, 1, H, W) of the tiles that hold a sent cell."""
    whole = F.max_pool2d(sent.float(), TILE_CELLS)
    return F.interpolate(whole, scale_factor=float(TILE_CELLS), mode="nearest") > 0
