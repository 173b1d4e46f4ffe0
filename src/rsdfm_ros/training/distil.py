"""The distil stage: an encoder learns to give the features of another model's larger one."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import WIRE_PARTS, load_model
from rsdfm_ros.training.narrow import narrow_encoder
from rsdfm_ros.training.objective import Batch, relative_error

#: Weight of a cell at an object relative to one of the background.
_FOREGROUND_WEIGHT = 10.0

#: Weights of the losses: error of the pixels' features, divergence of their bins from the teacher's, from the truth,
#: and error of the maps.
_WEIGHTS = {"features": 1.0, "bins": 1.0, "height": 0.2, "maps": 2.0}


def load_teacher(folder: Path, student: RSDFM) -> RSDFM:
    """The model of a folder, as a teacher of `student`. Raises: RsdfmError unless its features mean the same."""
    teacher, _, _ = load_model(folder)
    mine, theirs = student.config.to_dict(), teacher.config.to_dict()
    shared = ("image_height", "image_width", "heights_m", "lift", "depths_m", "max_depth_m", "cell_size_m")
    different = [k for k in (*shared, "subcells", "channels") if mine[k] != theirs[k]]
    if different:
        raise RsdfmError(
            f"--teacher {folder}: expected a model of the same "
            + ", ".join(different)
            + f" as --config, got {[theirs[k] for k in different]} and {[mine[k] for k in different]}"
        )
    return teacher


def start_from_teacher(student: RSDFM, teacher: RSDFM) -> None:
    """Copy what the teacher has behind its encoder up to the fusion, and the most important channels of its encoder."""
    theirs, own = teacher.state_dict(), student.state_dict()
    parts = [part for part in WIRE_PARTS if part != "encoder"]
    fitting = {
        k: v
        for k, v in theirs.items()
        if k.partition(".")[0] in parts and k in own and own[k].shape == v.shape
    }
    student.load_state_dict(fitting, strict=False)
    narrow_encoder(teacher.encoder, student.encoder)


class DistilObjective(nn.Module):
    """Losses of the encoder against a teacher; nothing else has gradients or running means."""

    def __init__(self, model: RSDFM, teacher: RSDFM) -> None:
        super().__init__()
        self.model = model
        self._teacher = (teacher.eval(),)  # no part of what is trained and saved
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in model.encoder.parameters():
            parameter.requires_grad_(True)

    def train(self, mode: bool = True) -> DistilObjective:
        super().train(False)
        self.model.encoder.train(mode)
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts."""
        model, (teacher,) = self.model, self._teacher
        images = normalise_images(batch.images)
        with torch.no_grad():
            window = model.config.window
            target = teacher.map_views(images, batch.K, batch.T_map_camera, window=window)
        found = model.map_views(images, batch.K, batch.T_map_camera)
        wanted = torch.softmax(target.logits.float(), dim=1)
        useful = 1.0 - wanted[:, -1:]  # pixels that belong on the map
        log = F.log_softmax(found.logits.float(), dim=1)
        divergence = (wanted * (wanted.clamp_min(1e-6).log() - log)).sum(dim=1)
        known = batch.height_target.sum(dim=1)
        height = -(batch.height_target * log).sum(dim=1)
        sample_of = [b for b, count in enumerate(batch.counts) for _ in range(count)]
        near = F.max_pool2d(batch.foreground, 3, 1, 1)[sample_of]
        weight = target.visible * (1.0 + (_FOREGROUND_WEIGHT - 1.0) * near)
        parts = {
            "features": relative_error(found.features, target.features, useful),
            "bins": divergence.mean(),
            "height": (height * known).sum() / known.sum().clamp_min(1.0),
            "maps": relative_error(found.maps, target.maps, weight),
        }
        total = torch.stack([_WEIGHTS[name] * value for name, value in parts.items()]).sum()
        return total, {k: v.detach() for k, v in parts.items()}
