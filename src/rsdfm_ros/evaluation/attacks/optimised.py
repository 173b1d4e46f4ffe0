"""White box: latents optimised by gradient against fusion, neck and segmentation head.

Projected gradient ascent (Madry et al., 2018) on the error of the segmentation that victims make of their own map and
that of the attacker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.geometry.lattice import TILE_CELLS
from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.features import LOW_SIDE, FeatureFrame

STEPS = 10
STEP, REACH = 0.2, 0.5
"""Length of a step, and largest change of a latent, as shares of the largest latent of its channel in the frame."""


def optimised(
    model: Perception,
    frame: FeatureFrame,
    sent: AgentBev,
    victims: Sequence[AgentBev],
    seed: Sequence[int],
    steps: int = STEPS,
) -> FeatureFrame:
    """The frame with other latents, such that victims segment badly what they fuse of their own map and this one.

    sent: what receivers decode of the frame, whose tiles lie in the model's window · victims: their own maps, each used
    for some of the steps. No latent changes by more than REACH, or leaves the range that its channel has in the frame.
    The first step starts at random signs of the largest changes, which is also the result of no steps.
    """
    rng = np.random.default_rng(list(seed))
    with torch.inference_mode(False), torch.enable_grad():
        fleet = _Fleet.of(model, frame, sent, victims)
        bands = [_Band.of(frame.high, model.device), _Band.of(frame.low, model.device)]
        truth = [fleet.logit(n, [b.middle for b in bands]).detach() > 0 for n in range(len(victims))]
        latents = [band.at_a_corner(rng) for band in bands]
        for k in range(steps if victims else 0):
            free = [z.detach().requires_grad_() for z in latents]
            n = k % len(victims)
            slopes = torch.autograd.grad(_error(fleet.logit(n, free), truth[n]), free)
            latents = [
                band.within(z.detach() + STEP * band.most * slope.sign())
                for band, z, slope in zip(bands, free, slopes, strict=True)
            ]
    high, low = (z.round().to(torch.int8).cpu().numpy() for z in latents)
    return replace(frame, high=high, low=low)


@dataclass(frozen=True)
class _Band:
    """Latents of one band (n, C, …): middle: the honest ones · most (1, C, …): the largest of every channel."""

    middle: Tensor
    most: Tensor

    @classmethod
    def of(cls, latents: NDArray[np.int8], device: torch.device) -> _Band:
        middle = torch.from_numpy(latents.astype(np.float32)).to(device)
        others = (0, *range(2, middle.ndim))
        most = middle.abs().amax(dim=others, keepdim=True) if len(middle) else middle.new_zeros(1)
        return cls(middle, most)

    def at_a_corner(self, rng: np.random.Generator) -> Tensor:
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], tuple(self.middle.shape)).astype(np.float32))
        return self.within(self.middle + REACH * self.most * signs.to(self.middle.device))

    def within(self, latents: Tensor) -> Tensor:
        low = torch.maximum(self.middle - REACH * self.most, -self.most)
        high = torch.minimum(self.middle + REACH * self.most, self.most)
        return torch.minimum(torch.maximum(latents, low), high)


@dataclass(frozen=True)
class _Fleet:
    """The attacker's frame on the model's window, and the victims' maps.

    tiles: rows (M,) and columns (M,) · cells (n,): indices of the sent cells · scales: of the high and the low band ·
    sent, visible, sigma (1, 1, H, W).
    """

    model: Perception
    tiles: tuple[Tensor, Tensor]
    cells: Tensor
    scales: tuple[Tensor, Tensor]
    sent: Tensor
    visible: Tensor
    sigma: Tensor
    victims: tuple[AgentBev, ...]

    @classmethod
    def of(
        cls, model: Perception, frame: FeatureFrame, sent: AgentBev, victims: Sequence[AgentBev]
    ) -> _Fleet:
        window, device = model.window, model.device
        i, j = (frame.tiles.astype(np.int64) - np.array([window.i0, window.j0]) // TILE_CELLS).T
        cell = frame.high_cell.astype(np.int64)
        at_i = i[frame.high_tile] * TILE_CELLS + cell // TILE_CELLS
        at_j = j[frame.high_tile] * TILE_CELLS + cell % TILE_CELLS
        cells = torch.from_numpy(at_i * window.nj + at_j).to(device)
        told = torch.zeros(window.ni * window.nj, dtype=torch.bool, device=device)
        told[cells] = True
        return cls(
            model,
            (torch.from_numpy(i).to(device), torch.from_numpy(j).to(device)),
            cells,
            (_tensor(frame.high_scale, device), _tensor(frame.low_scale, device)),
            told.view(1, 1, *window.shape),
            sent.visible.clone()[None, None],
            sent.sigma.clone()[None, None],
            tuple(AgentBev(v.features.clone(), v.visible.clone(), v.sigma.clone()) for v in victims),
        )

    def decoded(self, latents: Sequence[Tensor]) -> Tensor:
        """The map (1, C, H, W) of latents of the high and the low band, as Perception.decompress makes it."""
        (high, low), window = latents, self.model.window
        rows, columns = window.ni // TILE_CELLS, window.nj // TILE_CELLS
        coarse = low.new_zeros(low.shape[1], rows, LOW_SIDE, columns, LOW_SIDE)
        coarse[:, self.tiles[0], :, self.tiles[1]] = low * self.scales[1][:, None, None]
        fine = high.new_zeros(high.shape[1], window.ni * window.nj)
        fine[:, self.cells] = (high * self.scales[0]).T
        codec = self.model.model.compression
        return codec.decode(
            coarse.flatten(3, 4).flatten(1, 2)[None], fine.view(1, -1, *window.shape), self.sent, self.visible
        )

    def logit(self, victim: int, latents: Sequence[Tensor]) -> Tensor:
        """Foreground logits of a victim, of its own map and the attacker's."""
        own, network = self.victims[victim], self.model.model
        maps = torch.cat([own.features[None], self.decoded(latents)])
        visible = torch.cat([own.visible[None, None], self.visible])
        sigma = torch.cat([own.sigma[None, None], self.sigma])
        fused, seen, _ = network.fuse(maps, visible, maps.new_zeros(2), sigma)
        logit: Tensor = network.head("segmentation")(network.neck(fused, seen))["logit"]
        return logit


def _error(logit: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, of vehicles and of everything else in equal parts."""
    each = F.binary_cross_entropy_with_logits(logit, truth.to(logit.dtype), reduction="none")
    return each[truth].sum() / truth.sum().clamp_min(1) + each[~truth].mean()


def _tensor(values: NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(values.copy()).to(device)
