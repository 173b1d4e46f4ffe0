"""Fused maps of a frozen model: several agents' views fused for one ego."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.encoder import normalise_images
from rsdfm_ros.model.engine.device import autocast_arguments
from rsdfm_ros.model.heads.registry import Head, Truth
from rsdfm_ros.model.neck import Neck, TaskFeatures
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import trunk_fingerprint
from rsdfm_ros.training.augmentation.geometric import WorldMotion, moved_layout, random_motion
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.feature_file import FeatureFile
from rsdfm_ros.training.samples import agent_count, resize_view, seen_by


@torch.inference_mode()
def fused_map(
    model: RSDFM, device: torch.device, frame: WorldFrame, motion: WorldMotion, cells: int
) -> NDArray[np.float16]:
    """Fused map and its visibility (C + 1, H, W) when the first agent of a frame fuses all of its agents, in a moved
    world.

    cells: high-band cells that each peer sends. Zeros where no agent has an image.
    """
    config = model.config
    if not frame.views:
        return np.zeros((config.channels + 1, *config.window.shape), np.float16)
    images, intrinsics, poses = [], [], []
    for view in frame.views:
        image, K = resize_view(view, (config.image_height, config.image_width))
        images.append(np.ascontiguousarray(image[:, ::-1]) if motion.mirror else image)
        intrinsics.append(motion.intrinsics(K, image.shape[1]))
        poses.append(motion.camera(view.T_map_camera))
    with torch.autocast(**autocast_arguments(device)):
        maps, visible, *_ = model.map_views(
            normalise_images(torch.from_numpy(np.stack(images)).to(device)),
            torch.from_numpy(np.stack(intrinsics)).to(device),
            torch.from_numpy(np.stack(poses)).to(device),
        )
        own = max(1, len(frame.views_of(frame.agents[0])))  # views of the ego are not sent
        if len(frame.views) > own:
            hat = model.compression.simulate(maps[own:], visible[own:], cells).decoded
            maps = torch.cat([maps[:own], hat.to(maps.dtype)])
        calm = torch.zeros(len(frame.views), 1, *maps.shape[2:], device=device)
        fused, seen, _ = model.fuse(maps, visible, torch.zeros(len(frame.views), device=device), calm)
    both = torch.cat([fused[0].float(), seen[0].float()])
    return both.clamp(-6e4, 6e4).to(torch.float16).cpu().numpy()  # type: ignore[no-any-return]


def task_features(neck: Neck, history: Tensor) -> TaskFeatures:
    """Features that heads read from histories (B, T, C + 1, H, W) of fused maps with their visibility, oldest first.

    T from 1 to the model's history; instants of which nothing is visible count as missing.
    """
    maps, visible = history[:, :, :-1], history[:, :, -1:] > 0.5
    b, t = maps.shape[:2]
    near, wide, memories = neck.look(maps.flatten(0, 1), visible.flatten(0, 1))
    memories = memories * visible.flatten(0, 1).flatten(1).any(dim=1)[:, None, None, None]
    near, wide = (x.unflatten(0, (b, t))[:, -1] for x in (near, wide))
    known = memories.unflatten(0, (b, t)).flatten(1, 2)
    missing = neck.no_past(wide)[:, known.shape[1] - memories.shape[1] :].to(known.dtype)
    cells, motion = neck.cells(near, wide, torch.cat([missing, known], dim=1))
    return TaskFeatures(cells, motion, maps[:, -1], visible[:, -1], neck.fine)


class HeadSamples:
    """Training samples of one head: fused maps of the frozen trunk, computed once and kept on disk, with their truth.

    Sample n is a pure function of the seed and n: a scene, an instant, an ego with some peers, and a world turned,
    mirrored and shifted at random. Heads that read features of a history get the last maps, others the present one.

    model: of the window trained on · share: its share of the whole window.
    """

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        model: ModelConfig,
        head: Head,
        config: TrainingConfig,
        share: float = 1.0,
    ) -> None:
        self.dataset, self.model, self.head, self.config, self.share = dataset, model, head, config, share
        self.length = model.history if head.temporal else 1
        self.shape = (config.head_samples, self.length, model.channels + 1, *model.window.shape)
        self._path = folder / "head_features.f16"
        self._layout = lru_cache(maxsize=64)(lambda scene: dataset.layout(scene))
        scenes = dataset.scenes[: config.head_scenes or None]
        self.scenes = [s for s, scene in enumerate(scenes) if scene.frames]

    def draw(self, n: int) -> tuple[int, int, list[int], WorldMotion, int]:
        """Scene, instant, agents with the ego first, motion of the world, and cells that a peer sends."""
        c = self.config
        rng = np.random.default_rng([c.seed, 8, n])
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        info = self.dataset.scenes[scene]
        agents = rng.permutation(len(info.agents))[: agent_count(rng, c, len(info.agents))]
        motion = random_motion(rng, c.translate_m)
        cells = round(c.draw_cells(rng) * self.share)
        return scene, int(rng.integers(info.frames)), [int(a) for a in agents], motion, cells

    def truth(self, n: int) -> Truth:
        """The truth of sample n, in its moved world."""
        scene, k, agents, motion, _ = self.draw(n)
        last = min(self.dataset.scenes[scene].frames, k + self.model.horizon + 1)
        objects = [self.dataset.objects(scene, t) for t in range(k, last)]
        layout = self._layout(scene) if "layout" in self.head.needs else None
        seen = seen_by(objects[0], agents)
        return Truth(tuple(motion.objects(o) for o in objects), seen, moved_layout(layout, motion))

    def rows(self, index: int) -> list[int]:
        """The samples of the index-th batch, deterministic in (seed, index)."""
        rng = np.random.default_rng([self.config.seed, 9, index])
        return [int(n) for n in rng.integers(self.config.head_samples, size=self.config.head_batch)]

    def fill(
        self,
        model: RSDFM,
        device: torch.device,
        steps: int,
        progress: Callable[[int, int], None],
        limit_s: float | None = None,
    ) -> None:
        """Compute the missing rows of `steps` batches; after `limit_s` there are fewer batches, which repeat."""
        key = f"{trunk_fingerprint(model):016x} {self.config.seed} {len(self.scenes)}"
        self._file = FeatureFile(self._path, self.shape, key)
        batches = [self.rows(index) for index in range(steps)]
        self.batches = self._file.fill(batches, partial(self._features, model, device), progress, limit_s)

    def _features(self, model: RSDFM, device: torch.device, n: int) -> NDArray[np.float16]:
        scene, k, agents, motion, cells = self.draw(n)
        instants = [max(0, k - t) for t in reversed(range(self.length))]
        frames = [self.dataset.load(scene, t, agents=agents) for t in instants]
        return np.stack([fused_map(model, device, frame, motion, cells) for frame in frames])

    def batch(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The index-th batch: history (B, T, C + 1, H, W) and targets of the head."""
        chosen = self.rows(index % self.batches)
        targets = [self.head.targets(self.truth(n)) for n in chosen]
        stacked = {k: torch.from_numpy(np.stack([t[k] for t in targets])) for k in targets[0]}
        return torch.from_numpy(np.stack([self._file.array[n] for n in chosen])), stacked
