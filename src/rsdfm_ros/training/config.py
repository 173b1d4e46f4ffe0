"""The typed configuration of a training run: the `training:` section of a model's YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.settings import Builder
from rsdfm_ros.shipped import shipped
from rsdfm_ros.training.augmentation.photometric import PhotometricConfig
from rsdfm_ros.yaml_file import YamlError, read_yaml


class TrainingConfigError(RsdfmError):
    """A training configuration that cannot be used."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of training; each field is documented below it."""

    seed: int = 0
    batch_frames: int = 2
    steps: int = 6000
    """Optimiser steps of the trunk stage; a `--minutes` limit shortens the schedule in proportion."""
    distil_steps: int = 0
    """Optimiser steps of the stage before, with a `--teacher`: the encoder learns to give the teacher's features."""
    temporal_steps: int = 1500
    """Optimiser steps of the stage that trains neck and heads on histories of fused maps, on the frozen rest."""
    temporal_batch: int = 4
    temporal_scenes: int = 0
    """Number of scenes that the stage uses, spread over all of them; 0 means all."""
    codec_steps: int = 0
    """Optimiser steps of the last stage, which tunes the compression alone on the frozen rest."""
    codec_rate: float = 1e-3
    """Peak learning rate of that stage."""
    head_samples: int = 400
    """Samples of cached features on which `--head` trains a plug-in."""
    head_scenes: int = 0
    """Number of scenes that they come from, the first ones; 0 means all."""
    head_steps: int = 500
    """Optimiser steps of `--head`."""
    head_batch: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    """Share of the schedule with a rising learning rate."""
    window_tiles: tuple[int, int, int, int] = (-3, -3, 6, 6)
    """The window trained on; smaller than the model's, moved about by the augmentation."""
    agents_weights: tuple[float, ...] = (0.25, 0.15, 0.15, 0.45)
    """Weights of fusing 1, 2, 3, … agents."""
    codec_from: float = 0.33
    """Share of the schedule after which peers' maps go through the compression."""
    codec_share: float = 0.7
    """Share of the samples in which they do so from then on."""
    cells_min: int = 150
    cells_max: int = 2500
    """Range of the number of high-band cells sent, drawn log-uniformly, for the model's whole window."""
    pose_noise_share: float = 0.35
    pose_noise_m: float = 0.6
    pose_noise_deg: float = 0.6
    delay_share: float = 0.1
    tile_drop_share: float = 0.3
    tile_drop: float = 0.25
    translate_m: float = 10.0
    photometric: PhotometricConfig | None = None
    """Photometric augmentation of the trunk's images; none unless a mapping is given, `{}` for its defaults."""

    def __post_init__(self) -> None:
        if (
            min(self.batch_frames, self.steps, self.temporal_batch) < 1
            or min(self.head_samples, self.head_steps, self.head_batch) < 1
            or min(self.distil_steps, self.temporal_steps, self.codec_steps) < 0
        ):
            raise TrainingConfigError("batch sizes and steps must be positive")
        if not (self.learning_rate > 0 and self.codec_rate > 0 and 0 <= self.warmup < 1):
            raise TrainingConfigError(
                "learning_rate and codec_rate must be positive, warmup from 0 to below 1"
            )
        if self.seed < 0:
            raise TrainingConfigError(f"seed {self.seed}: expected a number from 0 on")
        if not self.agents_weights or min(self.agents_weights) < 0 or sum(self.agents_weights) <= 0:
            raise TrainingConfigError("agents_weights must be non-negative and not all zero")
        if not 0 < self.cells_min <= self.cells_max:
            raise TrainingConfigError("cells_min and cells_max must satisfy 0 < cells_min ≤ cells_max")

    def draw_cells(self, rng: np.random.Generator) -> int:
        """High-band cells to send: log-uniform in the configured range, for the model's whole window."""
        return round(float(np.exp(rng.uniform(np.log(self.cells_min), np.log(self.cells_max)))))


BUILDER = Builder(
    TrainingConfigError,
    "a training configuration",
    prefix="training setting ",
    noun="training settings",
    lenient=True,
)


def load_training_config(path: str | Path) -> TrainingConfig:
    """The `training:` section of a YAML file; what it does not name keeps its default."""
    try:
        values = (read_yaml(shipped(path)) or {}).get("training") or {}
    except (OSError, YamlError, AttributeError) as error:
        raise TrainingConfigError(
            f"cannot read the training configuration {path}: {reason(error)}"
        ) from error
    return BUILDER.build(TrainingConfig, values)
