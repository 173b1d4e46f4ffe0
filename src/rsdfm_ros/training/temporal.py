"""The temporal stage: neck and heads learn on histories of the frozen rest's fused maps, computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.heads.registry import Truth
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import wire_fingerprint
from rsdfm_ros.training.augmentation.geometric import WorldMotion, moved_layout, random_motion
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.feature_file import FeatureFile
from rsdfm_ros.training.features import fused_map, task_features
from rsdfm_ros.training.objective import UncertaintyWeights, loss_names, task_losses
from rsdfm_ros.training.samples import seen_by


class TemporalSamples:
    """Histories of fused maps, computed once and kept on disk, with the truth of the present and the coming frames.

    Every scene is seen in a randomly turned world, in two variants: all agents fused, and one agent alone. A row of
    the file is one frame of one scene in one variant: the fused map and its visibility. share: the window trained on,
    as a share of the model's whole window.
    """

    variants = 2

    def __init__(
        self, folder: Path, dataset: Dataset, model: RSDFM, config: TrainingConfig, share: float = 1.0
    ) -> None:
        self.dataset, self.model, self.config, self.share = dataset, model, config, share
        self.wants_layout = "layout" in needs_of(model.config.heads)
        self.layouts = lru_cache(maxsize=64)(lambda scene: dataset.layout(scene))
        usable = [n for n, scene in enumerate(dataset.scenes) if scene.frames]
        count = min(config.temporal_scenes or len(usable), len(usable))
        self.places = [usable[int(n)] for n in np.linspace(0, len(usable) - 1, count).round()]
        self.scenes = [dataset.scenes[place] for place in self.places]
        self.starts = np.cumsum([0, *(s.frames for s in self.scenes)])
        shape = (self.variants * int(self.starts[-1]), model.config.channels + 1, *model.config.window.shape)
        scenes = ",".join(map(str, self.places))
        key = f"{wire_fingerprint(model):016x} {config.seed} {scenes}"
        self._file = FeatureFile(folder / "features.f16", shape, key)

    def motion(self, variant: int, scene: int) -> WorldMotion:
        """The world motion of a scene in a variant."""
        return random_motion(np.random.default_rng([self.config.seed, 3, variant, scene]), 8.0)

    def agents(self, variant: int, scene: int) -> list[int]:
        """The agents fused, ego first: all of them in even variants, one in odd ones."""
        order = np.random.default_rng([self.config.seed, 4, variant, scene]).permutation(
            len(self.scenes[scene].agents)
        )
        return [int(a) for a in (order if variant % 2 == 0 else order[:1])]

    def draws(self, index: int) -> list[tuple[int, int, int]]:
        """Variant, scene and instant of every sample of the index-th batch, deterministic in (seed, index)."""
        rng = np.random.default_rng([self.config.seed, 5, index])
        drawn = []
        for _ in range(self.config.temporal_batch):
            variant = 0 if rng.random() < 0.7 else 1
            scene = int(rng.integers(len(self.scenes)))
            drawn.append((variant, scene, int(rng.integers(self.scenes[scene].frames))))
        return drawn

    def rows(self, variant: int, scene: int, k: int) -> list[int]:
        """The rows of the history of an instant, newest last; instants before the first frame are left out."""
        start = variant * int(self.starts[-1]) + int(self.starts[scene])
        return [start + k - t for t in reversed(range(self.model.config.history)) if t <= k]

    def fill(
        self,
        device: torch.device,
        steps: int,
        progress: Callable[[int, int], None],
        limit_s: float | None = None,
    ) -> None:
        """Compute the missing rows of `steps` batches; after `limit_s` there are fewer batches, which repeat."""
        batches = [[row for draw in self.draws(n) for row in self.rows(*draw)] for n in range(steps)]
        self.batches = self._file.fill(batches, partial(self._features, device), progress, limit_s)

    def _features(self, device: torch.device, row: int) -> NDArray[np.float16]:
        variant, frame = divmod(row, int(self.starts[-1]))
        scene = int(np.searchsorted(self.starts, frame, side="right")) - 1
        k = frame - int(self.starts[scene])
        loaded = self.dataset.load(self.places[scene], k, agents=self.agents(variant, scene))
        cells = self.config.draw_cells(np.random.default_rng([self.config.seed, 11, row]))
        return fused_map(self.model, device, loaded, self.motion(variant, scene), round(cells * self.share))

    def batch(self, index: int) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
        """The index-th batch: history (B, T, C + 1, H, W), zeros where it begins later, and targets by head."""
        histories, targets = [], []
        model_config = self.model.config
        for variant, scene, k in self.draws(index % self.batches):
            motion = self.motion(variant, scene)
            history = np.zeros((model_config.history, *self._file.array.shape[1:]), np.float16)
            rows = self.rows(variant, scene, k)
            history[-len(rows) :] = self._file.array[rows]
            histories.append(history)
            last = min(self.scenes[scene].frames, k + model_config.horizon + 1)
            objects = [self.dataset.objects(self.places[scene], t) for t in range(k, last)]
            seen = seen_by(objects[0], self.agents(variant, scene))
            layout = self.layouts(self.places[scene]) if self.wants_layout else None
            truth = Truth(tuple(motion.objects(o) for o in objects), seen, moved_layout(layout, motion))
            targets.append({n: self.model.head(n).targets(truth) for n in model_config.heads})
        stacked = {
            n: {k: torch.from_numpy(np.stack([t[n][k] for t in targets])) for k in targets[0][n]}
            for n in targets[0]
        }
        return torch.from_numpy(np.stack(histories)), stacked


class TemporalObjective(nn.Module):
    """Losses of all heads for histories of fused maps; only neck and heads have gradients and running means."""

    def __init__(self, model: RSDFM) -> None:
        super().__init__()
        self.neck, self.heads = model.neck, model.heads
        self._model = (model,)  # not registered: the rest of it stays as it is
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for part in (self.neck, self.heads):
            for parameter in part.parameters():
                parameter.requires_grad_(True)
        self.names = loss_names(model, model.config.heads, temporal=True)
        self.weights = UncertaintyWeights(self.names)

    def forward(
        self, history: Tensor, targets: dict[str, dict[str, Tensor]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts. history (B, T, C + 1, H, W): fused maps with their visibility, oldest first."""
        (model,) = self._model
        features = task_features(self.neck, history)
        parts = task_losses(model, model.config.heads, features, targets, self.names)
        return self.weights(parts), {k: v.detach() for k, v in parts.items()}
