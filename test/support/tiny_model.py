"""A model that computes fast, and an image for it."""

from __future__ import annotations

import numpy as np

from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.model.config import ModelConfig
from support.cameras import oblique_camera

CONFIG = ModelConfig(
    "test",
    image_height=64,
    image_width=96,
    window_tiles=(-2, -2, 4, 4),
    channels=16,
    low_channels=4,
    high_channels=4,
    encoder_widths=(8, 8, 8, 8),
    pyramid_channels=8,
    neck_widths=(8, 8, 8),
    memory_channels=4,
    motion_channels=8,
    task_channels=8,
    fine_channels=4,
)


K = intrinsics_from_fov(96, 64, 1.4)


def view(seed: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(seed).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    return image, oblique_camera(35.0, 50.0, 1.5 * seed)
