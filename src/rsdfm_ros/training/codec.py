"""The codec stage: the compression alone learns to keep what the frozen fusion and neck make use of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.training.objective import Batch, peer_places, relative_error, score_loss

#: How much more a cell at an object counts than one of the background.
_FOREGROUND_WEIGHT = 10.0

#: Weights of the losses: error of the task features, of the fused map, of the peers' maps, and of the score.
_WEIGHTS = {"features": 1.0, "distillation": 0.3, "reconstruction": 0.3, "score": 0.5}


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

    def forward(self, batch: Batch, cells: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts when the peers send `cells` high-band cells each."""
        model = self.model
        with torch.no_grad():
            maps, visible, _ = model.map_views(normalise_images(batch.images), batch.K, batch.T_map_camera)
        peers = peer_places(batch.counts)
        sample_of = [b for b, count in enumerate(batch.counts) for _ in range(count)]
        near = F.max_pool2d(batch.foreground, 3, 1, 1)
        weight = 1.0 + (_FOREGROUND_WEIGHT - 1.0) * near
        hat, latents, _ = model.compression.simulate(maps[peers], visible[peers], cells)
        owners = [sample_of[p] for p in peers]
        parts = {
            "reconstruction": relative_error(hat, maps[peers], visible[peers] * weight[owners]),
            "score": score_loss(latents.score, near[owners], visible[peers]),
        }
        received = maps.clone()
        received[peers] = hat.to(maps.dtype)
        sent, whole, seen, start = [], [], [], 0
        for count in batch.counts:
            part = slice(start, start + count)
            args = (visible[part], batch.ages_s[part], batch.sigma[part])
            fused, anybody, _ = model.fuse(received[part], *args)
            with torch.no_grad():
                reference, _, _ = model.fuse(maps[part], *args)
            sent.append(fused)
            whole.append(reference)
            seen.append(anybody)
            start += count
        fused, reference, anybody = torch.cat(sent), torch.cat(whole), torch.cat(seen)
        parts["distillation"] = relative_error(fused, reference, anybody * weight)
        with torch.no_grad():
            target = model.neck(reference, anybody)
        parts["features"] = relative_error(model.neck(fused, anybody), target, anybody * weight)
        total = torch.stack([_WEIGHTS[name] * value for name, value in parts.items()]).sum()
        return total, {k: v.detach() for k, v in parts.items()}
