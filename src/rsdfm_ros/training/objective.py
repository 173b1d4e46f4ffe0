"""Objective of the trunk stage: task losses, mapping losses, and compression losses that do not reach the tasks."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.camera import viewing_rays
from rsdfm_ros.geometry.ground import position_sigma
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.encoder import ENCODER_STRIDE, normalise_images
from rsdfm_ros.model.neck import TaskFeatures
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.training.samples import Sample


@dataclass
class Batch:
    """Samples as tensors. counts: agents per sample; per-agent tensors are concatenated over the samples.

    images (V, h, w, 3) uint8 · K, T_map_camera float64 · sigma (V, 1, H, W) m · ages_s (V,) · height_target
    (V, D + 1, h/2, w/2) probabilities, zero where unknown · foreground (B, 1, H, W) · heads: targets by head.
    """

    counts: list[int]
    images: Tensor
    K: Tensor
    T_map_camera: Tensor
    sigma: Tensor
    ages_s: Tensor
    height_target: Tensor
    foreground: Tensor
    heads: dict[str, dict[str, Tensor]]

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        move = {k: v.to(device, non_blocking=True) for k, v in vars(self).items() if isinstance(v, Tensor)}
        heads = {n: {k: v.to(device, non_blocking=True) for k, v in t.items()} for n, t in self.heads.items()}
        return Batch(counts=self.counts, heads=heads, **move)


def height_distribution(heights: np.ndarray, bins: Sequence[float]) -> np.ndarray:
    """Soft targets (V, D + 1, h, w) of true heights (V, h, w): shared by the two nearest bins; last is "nothing".

    Heights above the top bin by more than half of the last step are "nothing"; NaN gives zeros.
    """
    edges = np.asarray(bins, np.float32)
    top = edges[-1] + 0.5 * (edges[-1] - edges[-2])
    known = np.isfinite(heights)
    h = np.where(known, heights, 0.0).clip(0.0, None)
    upper = np.searchsorted(edges, h).clip(1, len(edges) - 1)
    share = ((h - edges[upper - 1]) / (edges[upper] - edges[upper - 1])).clip(0.0, 1.0)
    out = np.zeros((heights.shape[0], len(edges) + 1, *heights.shape[1:]), np.float32)
    inside = known & (h <= top)
    np.put_along_axis(out, (upper - 1)[:, None], (inside * (1.0 - share))[:, None], axis=1)
    np.put_along_axis(out, upper[:, None], (inside * share)[:, None], axis=1)
    out[:, -1] = known & (h > top)
    return out


def lift_target(sample: Sample, config: ModelConfig) -> np.ndarray:
    """Soft targets (V, D + 1, h, w) of the encoder's bins: heights, or depths for the absolute lift.

    Depths follow from the heights along the rays. Both lifts assign pixels above the top height to "nothing".
    """
    by_height = height_distribution(sample.heights, config.heights_m)
    if config.lift == "relative":
        return by_height
    rows, columns = sample.heights.shape[1:]
    grid = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1) * ENCODER_STRIDE
    depths = np.full_like(sample.heights, np.nan)
    for v, (K, T) in enumerate(zip(sample.K, sample.T_map_camera, strict=True)):
        descent = -viewing_rays(grid, K, T)[..., 2]
        down = descent > 1e-3
        depths[v] = np.where(down, (T[2, 3] - sample.heights[v]) / np.where(down, descent, 1.0), np.nan)
    nothing = by_height[:, -1:] > 0
    out = height_distribution(np.where(nothing[:, 0], np.nan, depths), config.depths_m)
    out[:, -1:] += nothing
    return out


def sigma_maps(sample: Sample, window: Window) -> np.ndarray:
    """Position uncertainty (A, 1, ni, nj) float32 in metres of every agent's map."""
    out = np.zeros((len(sample.images), 1, *window.shape), np.float32)
    for a, covariance in enumerate(sample.covariance):
        if covariance.any():
            xy = window.centres()
            ground = np.concatenate([xy, np.zeros_like(xy[..., :1])], axis=-1)
            out[a, 0] = position_sigma(ground, sample.T_map_camera[a, :3, 3], covariance)
    return out.clip(0.0, 5.0)


def collate(samples: Sequence[Sample], model: RSDFM, heads: Sequence[str]) -> Batch:
    """Samples → one batch with the targets of the heads, for the window of `model`."""
    config = model.config
    targets = {n: [model.head(n).targets(s.truth) for s in samples] for n in heads}
    foreground = [rasterise(s.truth.objects[0], config.window) > 0 for s in samples]
    return Batch(
        counts=[len(s.images) for s in samples],
        images=torch.from_numpy(np.concatenate([s.images for s in samples])),
        K=torch.from_numpy(np.concatenate([s.K for s in samples])),
        T_map_camera=torch.from_numpy(np.concatenate([s.T_map_camera for s in samples])),
        sigma=torch.from_numpy(np.concatenate([sigma_maps(s, config.window) for s in samples])),
        ages_s=torch.from_numpy(np.concatenate([s.ages_s for s in samples])),
        height_target=torch.from_numpy(np.concatenate([lift_target(s, config) for s in samples])),
        foreground=torch.from_numpy(np.stack(foreground)[:, None].astype(np.float32)),
        heads={
            n: {k: torch.from_numpy(np.stack([t[k] for t in per])) for k in per[0]}
            for n, per in targets.items()
        },
    )


class UncertaintyWeights(nn.Module):
    """Σ ½ e^{−s} ℓ + ½ s with a learned s per loss (Kendall et al., 2018)."""

    def __init__(self, names: Sequence[str], initial: dict[str, float] | None = None) -> None:
        super().__init__()
        start = {n: float(np.log(1.0 / w)) for n, w in (initial or {}).items()}
        self.log_variance = nn.ParameterDict(
            {n.replace(".", "_"): nn.Parameter(torch.tensor(start.get(n, 0.0))) for n in names}
        )

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        total: Tensor = torch.zeros((), device=next(iter(losses.values())).device)
        for name, loss in losses.items():
            s = self.log_variance[name.replace(".", "_")].clamp(-4.0, 4.0)
            total = total + 0.5 * torch.exp(-s) * loss + 0.5 * s
        return total


def loss_names(model: RSDFM, heads: Sequence[str], *, temporal: bool) -> list[str]:
    """Names `head.loss` of the losses of these heads; without `temporal` those that single instants can teach."""
    return [
        f"{name}.{loss}"
        for name in heads
        for loss in model.head(name).loss_names
        if temporal or loss not in model.head(name).temporal_losses
    ]


def instant_heads(model: RSDFM) -> list[str]:
    """Names of the heads that have losses which single instants can teach."""
    return [n for n in model.config.heads if loss_names(model, [n], temporal=False)]


def task_losses(
    model: RSDFM,
    heads: Sequence[str],
    features: TaskFeatures,
    targets: dict[str, dict[str, Tensor]],
    wanted: Container[str],
) -> dict[str, Tensor]:
    """The losses of these heads by name, as far as they are `wanted`."""
    found: dict[str, Tensor] = {}
    for name in heads:
        head = model.head(name)
        losses = head.losses(head(features), targets[name])
        found |= {f"{name}.{k}": v for k, v in losses.items() if f"{name}.{k}" in wanted}
    return found


#: Fixed weights of the auxiliary losses: they must not outweigh the tasks.
AUXILIARY = {"height": 0.4, "reconstruction": 0.3, "distillation": 0.3, "score": 0.2}


class TrunkObjective(nn.Module):
    """All losses of the trunk stage for a batch. With `frozen_encoder` the encoder and its running means stay."""

    def __init__(self, model: RSDFM, heads: Sequence[str], *, frozen_encoder: bool = False) -> None:
        super().__init__()
        self.model, self.heads = model, list(heads)
        self.names = loss_names(model, heads, temporal=False)
        self.weights = UncertaintyWeights(self.names)
        self.frozen_encoder = frozen_encoder
        model.requires_grad_(True)  # the distil stage before leaves it to the encoder alone
        model.encoder.requires_grad_(not frozen_encoder)

    def train(self, mode: bool = True) -> TrunkObjective:
        super().train(mode)
        self.model.encoder.train(mode and not self.frozen_encoder)
        return self

    def forward(self, batch: Batch, cells: int, tile_drop: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts; `cells` high-band cells per map go to the peers, 0 sends maps uncompressed."""
        model = self.model
        maps, visible, logits, _ = model.map_views(
            normalise_images(batch.images), batch.K, batch.T_map_camera
        )
        known = batch.height_target.sum(dim=1)
        cross_entropy = -(batch.height_target * F.log_softmax(logits.float(), dim=1)).sum(dim=1)
        parts = {"height": (cross_entropy * known).sum() / known.sum().clamp_min(1.0)}
        peers = peer_places(batch.counts)
        sent_maps, sent_visible = maps, visible
        if cells and peers:
            sent_maps, parts_codec = self._compress(maps, visible, batch, peers, cells)
            parts |= parts_codec
        if tile_drop and peers:
            sent_visible = visible.clone()
            sent_visible[peers] &= _random_tiles(sent_visible[peers], tile_drop)
        fused, seen, start = [], [], 0
        distillation = []
        for count in batch.counts:
            part = slice(start, start + count)
            args = (sent_visible[part], batch.ages_s[part], batch.sigma[part])
            one, one_seen, _ = model.fuse(sent_maps[part], *args)
            if cells and count > 1:
                with torch.no_grad():
                    reference, _, _ = model.fuse(maps[part].detach(), *args)
                distillation.append(relative_error(one, reference, one_seen))
            fused.append(one)
            seen.append(one_seen)
            start += count
        if distillation:
            parts["distillation"] = torch.stack(distillation).mean()
        features = model.neck(torch.cat(fused), torch.cat(seen))
        tasks = task_losses(model, self.heads, features, batch.heads, self.names)
        total = self.weights(tasks)
        for name, value in parts.items():
            total = total + AUXILIARY[name] * value
        return total, {k: v.detach() for k, v in (tasks | parts).items()}

    def _compress(
        self, maps: Tensor, visible: Tensor, batch: Batch, peers: list[int], cells: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        simulated = self.model.compression.simulate(maps[peers], visible[peers], cells)
        sample_of = [b for b, count in enumerate(batch.counts) for _ in range(count)]
        foreground = batch.foreground[[sample_of[p] for p in peers]]
        foreground = F.max_pool2d(foreground, 3, 1, 1)
        parts = {
            "reconstruction": relative_error(simulated.decoded, maps[peers].detach(), visible[peers]),
            "score": score_loss(simulated.score, foreground, visible[peers]),
        }
        merged = maps.clone()
        merged[peers] = simulated.decoded.to(maps.dtype)
        return merged, parts


def peer_places(counts: Sequence[int]) -> list[int]:
    """Rows of the per-agent tensors that are not the ego of their sample."""
    starts = np.cumsum([0, *counts])
    return [int(s) + a for s, count in zip(starts, counts, strict=False) for a in range(1, count)]


def _random_tiles(visible: Tensor, share: float) -> Tensor:
    """Mask (V, 1, H, W) that drops random 16 × 16 tiles."""
    v, _, h, w = visible.shape
    keep = torch.rand(v, 1, h // 16, w // 16, device=visible.device) >= share
    return keep.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)


def score_loss(score: Tensor, foreground: Tensor, visible: Tensor) -> Tensor:
    """Cross-entropy of the score's logits against the cells of objects, over the cells that the sender sees."""
    loss = F.binary_cross_entropy_with_logits(score.float(), foreground, reduction="none")
    mask = visible.float()
    return (loss * mask).sum() / mask.sum().clamp_min(1.0)


def relative_error(x: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Squared error over masked cells relative to the reference's mean square."""
    m = mask.float()
    error = ((x.float() - reference.float()) ** 2 * m).sum()
    return error / ((reference.float() ** 2 * m).sum() + 1.0)
