"""Poses that are off; the attacker sends them as exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.geometry.rotations import rotation_vector

OFF_M, OFF_DEG = 2.0, 2.0
"""Error of the pose: horizontally in a direction, and about the vertical, of every UAV by itself."""


def misplaced(frame: WorldFrame, seed: Sequence[int]) -> WorldFrame:
    """The frame with all poses OFF_M and OFF_DEG off, the same error for a UAV and seed in every frame; images and
    covariances as they are."""
    return replace(
        frame,
        views=tuple(
            replace(v, T_map_camera=_off(v.T_map_camera, [*seed, frame.agents.index(v.agent)]))
            for v in frame.views
        ),
    )


def _off(T_map_camera: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    rng = np.random.default_rng(list(seed))
    direction, turn = rng.uniform(-math.pi, math.pi), rng.choice([-1.0, 1.0]) * math.radians(OFF_DEG)
    out = T_map_camera.copy()
    out[:3, :3] = rotation_vector(np.array([0.0, 0.0, turn])) @ T_map_camera[:3, :3]
    out[:2, 3] += OFF_M * np.array([math.cos(direction), math.sin(direction)])
    return out
