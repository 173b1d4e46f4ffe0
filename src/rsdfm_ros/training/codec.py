"""The codec stage: only the compression is trained, for the frozen fusion and neck."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.training.objective import Batch, peer_places, relative_error, score_loss
from rsdfm_ros.wire.budget import BudgetConfig

#: Weight of a cell at an object relative to one of the background.
_FOREGROUND_WEIGHT = 10.0

#: Weights of the losses: error of the task features, of the fused map, of the peers' maps, of the score, and bits.
_WEIGHTS = {"features": 1.0, "distillation": 0.3, "reconstruction": 0.3, "score": 0.5, "rate": 0.03}

#: Up to so many cells: probabilities that the low band is sent and that latents are coarsened (see wire.budget).
_HABITS = ((600, 0.2, 0.8), (1500, 0.8, 0.5), (1 << 31, 1.0, 0.1))


def draw_habit(rng: np.random.Generator, cells: int) -> tuple[bool, tuple[int, int]]:
    """Draw how `cells` cells per map are sent, as at small and large budgets: with the low band or without, and the
    coarseness of both bands."""
    low, coarse = next((low, coarse) for most, low, coarse in _HABITS if cells <= most)
    return bool(rng.random() < low), BudgetConfig.small_coarseness if rng.random() < coarse else (1, 1)


def bits(z: Tensor, sent: Tensor) -> Tensor:
    """Approximate bits per latent of z (V, C, H, W) where sent (V, 1, H, W): the entropy of a rounded Laplace
    distribution with the mean magnitude of its map and channel, log2(1 + 2e·E|z|); mean over maps and channels."""
    mass = sent.to(z.dtype)
    mean = (z.abs() * mass).sum(dim=(2, 3)) / mass.sum(dim=(2, 3)).clamp_min(1.0)
    return torch.log2(1.0 + 2.0 * math.e * mean).mean()


class CodecObjective(nn.Module):
    """Losses of the compression for a batch; nothing else has gradients or running means."""

    def __init__(self, model: RSDFM) -> None:
        super().__init__()
        self.model = model
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in model.compression.parameters():
            parameter.requires_grad_(True)

    def train(self, mode: bool = True) -> CodecObjective:
        super().train(False)
        self.model.compression.train(mode)
        return self

    def forward(
        self, batch: Batch, cells: int, low: bool, coarseness: tuple[int, int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts when the peers send `cells` high-band cells each, with or without the low band, and
        latents rounded to multiples of `coarseness` steps."""
        model = self.model
        with torch.no_grad():
            maps, visible, *_ = model.map_views(normalise_images(batch.images), batch.K, batch.T_map_camera)
        peers = peer_places(batch.counts)
        sample_of = [b for b, count in enumerate(batch.counts) for _ in range(count)]
        near = F.max_pool2d(batch.foreground, 3, 1, 1)
        weight = 1.0 + (_FOREGROUND_WEIGHT - 1.0) * near
        simulated = model.compression.simulate(
            maps[peers], visible[peers], cells, low=low, coarseness=coarseness
        )
        hat, told = simulated.decoded, simulated.told
        owners = [sample_of[p] for p in peers]
        parts = {
            "reconstruction": relative_error(hat, maps[peers], told * weight[owners]),
            "score": score_loss(simulated.score, near[owners], visible[peers]),
            "rate": bits(simulated.high, simulated.sent),
        }
        received, known = maps.clone(), visible.clone()
        received[peers], known[peers] = hat.to(maps.dtype), told
        sent, heard, whole, seen, start = [], [], [], [], 0
        for count in batch.counts:
            part = slice(start, start + count)
            ages_s, sigma = batch.ages_s[part], batch.sigma[part]
            fused, known_here, _ = model.fuse(received[part], known[part], ages_s, sigma)
            with torch.no_grad():
                reference, anybody, _ = model.fuse(maps[part], visible[part], ages_s, sigma)
            sent.append(fused)
            heard.append(known_here)
            whole.append(reference)
            seen.append(anybody)
            start += count
        fused, reference, anybody = torch.cat(sent), torch.cat(whole), torch.cat(seen)
        parts["distillation"] = relative_error(fused, reference, anybody * weight)
        with torch.no_grad():
            target = model.neck(reference, anybody).cells
        parts["features"] = relative_error(
            model.neck(fused, torch.cat(heard)).cells, target, anybody * weight
        )
        counted = [
            name for name in parts if name != "rate" or coarseness != (1, 1)
        ]  # large budgets need no bit loss
        total = torch.stack([_WEIGHTS[name] * parts[name] for name in counted]).sum()
        return total, {k: v.detach() for k, v in parts.items()}
