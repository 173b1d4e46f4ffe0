"""Cameras for tests."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from rsdfm_ros.geometry.rotations import (
    R_BODY_OPTICAL,
    transform,
)


def oblique_camera(height: float = 50.0, pitch_deg: float = 45.0, yaw: float = 0.3) -> np.ndarray:
    """A camera above the origin that looks `pitch_deg` below the horizon along heading `yaw`."""
    R = Rotation.from_euler("ZY", [yaw, np.deg2rad(pitch_deg)]).as_matrix() @ R_BODY_OPTICAL
    return transform(R, [3.0, -4.0, height])


def pixel_grid(height: int, width: int, stride: int = 1) -> np.ndarray:
    """Pixel coordinates (height // stride, width // stride, 2) of the centres of stride × stride blocks."""
    u = (np.arange(width // stride) + 0.5) * stride
    v = (np.arange(height // stride) + 0.5) * stride
    return np.stack(np.meshgrid(u, v), axis=-1)
