"""Training samples: a few agents' views of one instant, augmented, with the targets of heights and heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.geometry.camera import scaled_intrinsics, viewing_rays
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.encoder import ENCODER_STRIDE
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.heads.registry import Truth
from rsdfm_ros.training.augmentation.geometric import WorldMotion, moved_layout, perturb_pose, random_motion
from rsdfm_ros.training.augmentation.photometric import colour_jitter, photometric
from rsdfm_ros.training.box_heights import box_heights
from rsdfm_ros.training.config import TrainingConfig

#: An agent sees an object when at least this share of its silhouette is visible.
SEEN_SHARE = 0.1


@dataclass(frozen=True)
class Sample:
    """V views of one instant, those of the ego first; agents with several cameras have several views, one by one.

    images (V, h, w, 3) uint8 · K (V, 3, 3), T_map_camera (V, 4, 4), covariance (V, 6, 6) float64, as the receiver knows
    them · ages_s (V,) · heights (V, h/2, w/2) float32 m, true height of each pixel's surface point, NaN where unknown
    or nothing · truth for the heads · agents (V,) int64: which agent took the view, 0 the ego.
    """

    images: NDArray[np.uint8]
    K: NDArray[np.float64]
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]
    ages_s: NDArray[np.float32]
    heights: NDArray[np.float32]
    truth: Truth
    agents: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def resize_view(view: CameraView, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The image at (height, width) = `size` and the intrinsics that belong to it."""
    image = np.asarray(cv2.resize(view.image, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)
    return image, scaled_intrinsics(view.K, view.image.shape[:2], size)


def pixel_heights(view: CameraView, size: tuple[int, int]) -> NDArray[np.float32]:
    """Height (m) above z = 0 of the surface seen at the centres of an image grid of `size`; NaN where depth is
    unknown."""
    assert view.depth is not None
    depth = view.depth
    v = ((np.arange(size[0]) + 0.5) * depth.shape[0] / size[0]).astype(int)
    u = ((np.arange(size[1]) + 0.5) * depth.shape[1] / size[1]).astype(int)
    d = depth[np.ix_(v, u)]
    pixels = np.stack(np.meshgrid(u + 0.5, v + 0.5), axis=-1)
    rays = viewing_rays(pixels, view.K, view.T_map_camera)
    return np.where(d > 0, view.T_map_camera[2, 3] + d * rays[..., 2], np.nan).astype(np.float32)


def seen_by(objects: Objects, agents: Sequence[int]) -> NDArray[np.bool_]:
    """Whether any of the agents (column indices) sees each object."""
    visible: NDArray[np.bool_] = (objects.visibility[:, list(agents)] >= SEEN_SHARE).any(axis=1)
    return visible


def agent_count(rng: np.random.Generator, config: TrainingConfig, total: int) -> int:
    """Number of the `total` agents that are fused, drawn by `agents_weights`."""
    weights = np.array(config.agents_weights[:total])
    if weights.any():
        return 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
    return total  # all weighted numbers exceed the agents of this scene: take all


class TrunkSampler:
    """Draws augmented samples of single instants, deterministic in (seed, index)."""

    def __init__(self, dataset: Dataset, model: ModelConfig, config: TrainingConfig) -> None:
        self.dataset, self.model, self.config = dataset, model, config
        self.wants_layout = "layout" in needs_of(model.heads)
        self.layouts = lru_cache(maxsize=64)(lambda scene: dataset.layout(scene))
        self.frames = [
            (s, k)
            for s, scene in enumerate(dataset.scenes)
            for k in range(scene.frames)
            if self._present(s, k)
        ]

    def __len__(self) -> int:
        return len(self.frames)

    def frame_of(self, index: int) -> tuple[int, int]:
        """(scene, frame) of the index-th draw: a fresh random order in every pass over the data."""
        epoch, place = divmod(index, len(self.frames))
        order = np.random.default_rng([self.config.seed, 1, epoch]).permutation(len(self.frames))
        return self.frames[order[place]]

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.config.seed, 2, index])
        scene, k = self.frame_of(index)
        info = self.dataset.scenes[scene]
        present = self._present(scene, k)
        total = len(present)
        count = agent_count(rng, self.config, total)
        agents = [present[int(a)] for a in rng.permutation(total)[:count]]
        delays = [0] + [int(k > 0 and rng.random() < self.config.delay_share) for _ in agents[1:]]
        motion = random_motion(rng, self.config.translate_m)
        noise = 0.0
        if rng.random() < self.config.pose_noise_share:
            noise = float(rng.uniform(0.1, 1.0))
        views, ages, owners = [], [], []
        for place, (agent, delay) in enumerate(zip(agents, delays, strict=True)):
            frame = self.dataset.load(scene, k - delay, depth=info.depth, agents=[agent])
            if not frame.views:  # without earlier images: take the present ones
                delay, frame = 0, self.dataset.load(scene, k, depth=info.depth, agents=[agent])
            seen = frame.objects.select(frame.objects.visibility[:, agent] >= SEEN_SHARE)
            for view in frame.views:
                views.append(self._view(view, seen, motion, noise, rng))
                ages.append(0.5 * delay)
                owners.append(place)
        objects = self.dataset.objects(scene, k)
        layout = self.layouts(scene) if self.wants_layout else None
        truth = Truth((motion.objects(objects),), seen_by(objects, agents), moved_layout(layout, motion))
        return Sample(
            images=np.stack([self._photographed(v[0], index, n) for n, v in enumerate(views)]),
            K=np.stack([v[1] for v in views]),
            T_map_camera=np.stack([v[2] for v in views]),
            covariance=np.stack([v[3] for v in views]),
            ages_s=np.array(ages, np.float32),
            heights=np.stack([v[4] for v in views]),
            truth=truth,
            agents=np.array(owners, np.int64),
        )

    def _photographed(self, image: NDArray[np.uint8], index: int, view: int) -> NDArray[np.uint8]:
        """The image after photometric augmentation, whose draws are apart: without it everything else is the same."""
        if self.config.photometric is None:
            return image
        rng = np.random.default_rng([self.config.seed, 12, index, view])
        return photometric(image, self.config.photometric, rng)

    def _present(self, scene: int, k: int) -> list[int]:
        """The agents that have an image of frame k."""
        if isinstance(self.dataset, Dataset):
            return [a for a, images in enumerate(self.dataset.images(scene, k)) if images]
        return list(range(len(self.dataset.scenes[scene].agents)))

    def _view(
        self, view: CameraView, seen: Objects, motion: WorldMotion, noise: float, rng: np.random.Generator
    ) -> tuple[Any, ...]:
        size = (self.model.image_height, self.model.image_width)
        image, K = resize_view(view, size)
        grid = (size[0] // ENCODER_STRIDE, size[1] // ENCODER_STRIDE)
        heights = box_heights(view, seen, grid) if view.depth is None else pixel_heights(view, grid)
        if motion.mirror:
            image, heights = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(heights[:, ::-1])
        pose, covariance = motion.camera(view.T_map_camera), np.zeros((6, 6))
        if noise:
            sigma_rad = float(np.deg2rad(self.config.pose_noise_deg * noise))
            pose, covariance = perturb_pose(pose, rng, self.config.pose_noise_m * noise, sigma_rad)
        return colour_jitter(image, rng), motion.intrinsics(K, size[1]), pose, covariance, heights
