"""The temporal stage: heads that need a history learn on the frozen trunk's task features, computed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.device import autocast_arguments
from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.heads.registry import Truth
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import state_fingerprint
from rsdfm_ros.training.augment import WorldMotion, random_motion
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.objective import UncertaintyWeights
from rsdfm_ros.training.samples import resize_view, seen_by

#: High-band cells that peers send while the features are computed.
_CELLS = 800


class FeatureCache:
    """Task features of every frame of a dataset, as one float16 array on disk (frames, C, H, W).

    Every scene is seen in a randomly turned world; in `variants` of them: all agents fused, and one agent alone.
    """

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        config: ModelConfig,
        seed: int,
        *,
        variants: int = 2,
        scenes: int = 0,
    ) -> None:
        self.dataset, self.config, self.seed = dataset, config, seed
        total = len(dataset.scenes)
        count = min(scenes or total, total)
        self.places = [int(n) for n in np.linspace(0, total - 1, count).round()]
        self.scenes = [dataset.scenes[place] for place in self.places]
        self.variants = variants
        self.starts = np.cumsum([0, *(s.frames for s in self.scenes)])
        self.path = folder / "features.f16"
        self.done_path = folder / "features.done"
        self.shape = (variants, int(self.starts[-1]), config.channels, *config.window.shape)
        self._array: np.memmap[Any, np.dtype[np.float16]] | None = None

    def motion(self, variant: int, scene: int) -> WorldMotion:
        """The world motion of a scene in a variant."""
        return random_motion(np.random.default_rng([self.seed, 3, variant, scene]), 8.0)

    def agents(self, variant: int, scene: int) -> list[int]:
        """The agents fused, ego first: all of them in even variants, one in odd ones."""
        order = np.random.default_rng([self.seed, 4, variant, scene]).permutation(
            len(self.scenes[scene].agents)
        )
        return [int(a) for a in (order if variant % 2 == 0 else order[:1])]

    @property
    def array(self) -> np.memmap[Any, np.dtype[np.float16]]:
        """The features, memory-mapped."""
        if self._array is None:
            mode = "r+" if self.path.is_file() else "w+"
            self._array = np.memmap(self.path, np.float16, mode, shape=self.shape)
        return self._array

    def fill(self, model: RSDFM, device: torch.device, progress: Callable[[int, int], None]) -> None:
        """Compute what is missing; resumes scene by scene, and starts afresh for another trunk or shape."""
        trunk = f"{state_fingerprint(model):016x}"
        done = set(self.done_path.read_text().split()) if self.done_path.is_file() else set()
        size = self.path.stat().st_size if self.path.is_file() else 0
        if trunk not in done or size != 2 * int(np.prod(self.shape)):
            self.path.unlink(missing_ok=True)
            done = {trunk}
        total = self.variants * len(self.scenes)
        for variant in range(self.variants):
            for scene in range(len(self.scenes)):
                key = f"{variant}:{scene}"
                if key not in done:
                    for k in range(self.scenes[scene].frames):
                        features = self._features(model, device, variant, scene, k)
                        self.array[variant, self.starts[scene] + k] = features
                    self.array.flush()
                    done.add(key)
                    self.done_path.write_text("\n".join(sorted(done)))
                progress(len(done) - 1, total)

    def _features(self, model: RSDFM, device: torch.device, variant: int, scene: int, k: int) -> np.ndarray:
        motion, agents = self.motion(variant, scene), self.agents(variant, scene)
        frame = self.dataset.load(self.places[scene], k, agents=agents)
        if not frame.views:  # every picture of this instant is missing
            return np.zeros(self.shape[2:], np.float16)
        images, intrinsics, poses = [], [], []
        for view in frame.views:
            image, K = resize_view(view, (self.config.image_height, self.config.image_width))
            images.append(np.ascontiguousarray(image[:, ::-1]) if motion.mirror else image)
            intrinsics.append(motion.intrinsics(K, image.shape[1]))
            poses.append(motion.camera(view.T_map_camera))
        with torch.inference_mode(), torch.autocast(**autocast_arguments(device)):
            maps, visible, _ = model.map_views(
                normalise_images(torch.from_numpy(np.stack(images)).to(device)),
                torch.from_numpy(np.stack(intrinsics)).to(device),
                torch.from_numpy(np.stack(poses)).to(device),
            )
            own = max(1, len(frame.views_of(frame.agents[0])))  # views of the ego do not travel
            if len(frame.views) > own:
                hat = model.compression.simulate(maps[own:], visible[own:], _CELLS).decoded
                maps = torch.cat([maps[:own], hat.to(maps.dtype)])
            zeros = torch.zeros(len(frame.views), 1, *maps.shape[2:], device=device)
            fused, seen, _ = model.fuse(maps, visible, torch.zeros(len(frame.views), device=device), zeros)
            features = model.neck(fused, seen)
        return features[0].clamp(-6e4, 6e4).to(torch.float16).cpu().numpy()


class TemporalSampler:
    """Histories of cached features with the truth of the present and the coming frames."""

    def __init__(self, cache: FeatureCache, model: RSDFM, config: TrainingConfig) -> None:
        self.cache, self.model, self.config = cache, model, config
        self.scenes = cache.scenes

    def batch(self, index: int) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
        """The index-th batch: history (B, T, C, H, W) and targets by head, deterministic in (seed, index)."""
        rng = np.random.default_rng([self.config.seed, 5, index])
        histories, targets = [], []
        model_config = self.model.config
        for _ in range(self.config.temporal_batch):
            variant = 0 if rng.random() < 0.7 else 1
            scene = int(rng.integers(len(self.scenes)))
            k = int(rng.integers(self.scenes[scene].frames))
            motion, start = self.cache.motion(variant, scene), int(self.cache.starts[scene])
            frames = [start + max(0, k - t) for t in reversed(range(model_config.history))]
            histories.append(np.stack([self.cache.array[variant, f] for f in frames]))
            last = min(self.scenes[scene].frames, k + model_config.horizon + 1)
            objects = [self.cache.dataset.objects(self.cache.places[scene], t) for t in range(k, last)]
            seen = seen_by(objects[0], self.cache.agents(variant, scene))
            truth = Truth(tuple(motion.objects(o) for o in objects), seen)
            targets.append({n: self.model.head(n).targets(truth) for n in temporal_heads(self.model)})
        stacked = {
            n: {k: torch.from_numpy(np.stack([t[n][k] for t in targets])) for k in targets[0][n]}
            for n in targets[0]
        }
        return torch.from_numpy(np.stack(histories)), stacked


def temporal_heads(model: RSDFM) -> list[str]:
    """Names of the heads of which something is trained on sequences."""
    return [n for n in model.config.heads if model.head(n).temporal or model.head(n).temporal_modules]


class TemporalObjective(nn.Module):
    """Losses of the temporal heads on a frozen trunk; only their temporal parts have gradients and running means."""

    def __init__(self, model: RSDFM) -> None:
        super().__init__()
        self.names = temporal_heads(model)
        self.heads = nn.ModuleDict({n: model.head(n) for n in self.names})
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for part in self.trained_parts():
            for parameter in part.parameters():
                parameter.requires_grad_(True)
        self.weights = UncertaintyWeights(
            [
                "detection.velocity",
                *(f"segmentation.{k}" for k in ("mask", "iou", "offset")),
                *(f"trajectory.{k}" for k in ("mask", "iou", "flow", "shift")),
            ]
        )

    def trained_parts(self) -> list[nn.Module]:
        """The modules that this stage trains."""
        parts: list[nn.Module] = []
        for name in self.names:
            head = self.heads[name]
            if head.temporal:
                parts.append(head)
            else:
                parts += [getattr(head, m) for m in head.temporal_modules]  # type: ignore[union-attr]
        return parts

    def train(self, mode: bool = True) -> TemporalObjective:
        super().train(False)
        for part in self.trained_parts():
            part.train(mode)
        return self

    def forward(
        self, history: Tensor, targets: dict[str, dict[str, Tensor]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts."""
        parts: dict[str, Tensor] = {}
        for name in self.names:
            head = self.heads[name]
            losses = head.losses(head(history), targets[name])  # type: ignore[operator]
            wanted = losses if head.temporal else {k: losses[k] for k in head.temporal_losses}  # type: ignore[union-attr]
            parts |= {f"{name}.{k}": v for k, v in wanted.items()}
        return self.weights(parts), {k: v.detach() for k, v in parts.items()}
