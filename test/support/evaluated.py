"""A data set and an untrained model to be evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.store import save_model

SEED = 9000


def make_frame(k: int, uavs: int) -> WorldFrame:
    objects = Objects(
        ids=np.array([1, 2]),
        classes=np.array([0, 3]),
        centres=np.array([[-10.0 + k, 5.0, 0.8], [20.0, -7.0, 1.6]]),
        sizes=np.array([[4.5, 1.9, 1.6], [11.0, 2.5, 3.2]]),
        yaws=np.array([0.0, 1.0]),
        velocities=np.array([[2.0, 0.0], [0.0, 0.0]]),
        visibility=np.ones((2, uavs)),
    )
    K = np.array([[40.0, 0.0, 32.0], [0.0, 40.0, 32.0], [0.0, 0.0, 1.0]])
    views = []
    for a in range(uavs):
        T = np.eye(4)
        T[:3, :3] = np.diag([1.0, -1.0, -1.0])
        T[:3, 3] = [10.0 * a, 0.0, 50.0]
        image = np.random.default_rng([k, a]).integers(0, 255, (64, 64, 3)).astype(np.uint8)
        views.append(CameraView(f"uav{a + 1}", image, K, T))
    return WorldFrame(k, k * 500_000_000, tuple(views), objects)


def save_tiny_model(folder: Path, seeds: Sequence[int]) -> Path:
    """A small untrained model whose manifest lists these seeds as training data."""
    config = ModelConfig(
        name="tiny",
        image_height=64,
        image_width=64,
        heights_m=(0.0, 1.5),
        channels=4,
        encoder_widths=(8, 8, 8, 8),
        low_channels=4,
        high_channels=4,
        pyramid_channels=8,
        neck_widths=(4, 4, 4),
        memory_channels=4,
        motion_channels=8,
        task_channels=8,
        fine_channels=4,
    )
    about = {"training": {"data": {"seeds": list(seeds)}}}
    return save_model(folder, Perception.random(config).model, about)
