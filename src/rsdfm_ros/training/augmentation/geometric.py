"""Exact augmentation: turning, mirroring and shifting the world with everything in it; pose noise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.geometry.rotations import rotation_vector, transform, wrap_angle

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WorldMotion:
    """A new world frame: mirror the y axis or not, turn by `yaw` rad about z, shift by (x, y) m."""

    yaw: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: bool = False

    @property
    def matrix(self) -> Array:
        """(4, 4) from the old to the new frame; improper when mirroring."""
        T = transform(rotation_vector([0.0, 0.0, self.yaw]), [*self.shift, 0.0])
        return T @ np.diag([1.0, -1.0, 1.0, 1.0]) if self.mirror else T

    def camera(self, T_map_camera: Array) -> Array:
        """Pose of the camera whose image, flipped left to right if mirroring, shows the new world."""
        flip = np.diag([-1.0, 1.0, 1.0, 1.0]) if self.mirror else np.eye(4)
        return np.asarray(self.matrix @ T_map_camera @ flip)

    def intrinsics(self, K: Array, width: int) -> Array:
        """K (3, 3) of the image that :meth:`camera` refers to."""
        if not self.mirror:
            return K
        flipped = K.copy()
        flipped[0, 2] = width - K[0, 2]
        flipped[0, 1] = -K[0, 1]
        return flipped

    def objects(self, objects: Objects) -> Objects:
        """The boxes in the new frame."""
        M = self.matrix
        yaws = -objects.yaws if self.mirror else objects.yaws
        return dataclasses.replace(
            objects,
            centres=objects.centres @ M[:3, :3].T + M[:3, 3],
            yaws=wrap_angle(yaws + self.yaw),
            velocities=objects.velocities @ M[:2, :2].T,
        )


def moved_layout(layout: LayoutMap | None, motion: WorldMotion) -> LayoutMap | None:
    """A layout, where there is one, in the new frame."""
    return None if layout is None else layout.moved(motion.matrix)


def random_motion(rng: np.random.Generator, translate_m: float) -> WorldMotion:
    """Any heading, mirrored half of the time, shifted by up to `translate_m` along both axes."""
    shift = rng.uniform(-translate_m, translate_m, 2)
    return WorldMotion(
        float(rng.uniform(-np.pi, np.pi)), (float(shift[0]), float(shift[1])), bool(rng.random() < 0.5)
    )


def perturb_pose(
    T_map_camera: Array, rng: np.random.Generator, sigma_m: float, sigma_rad: float
) -> tuple[Array, Array]:
    """A pose with Gaussian error and the covariance (6, 6) of that error (x y z, then rotation about map axes)."""
    noisy = T_map_camera.copy()
    noisy[:3, :3] = rotation_vector(rng.normal(0.0, sigma_rad, 3)) @ T_map_camera[:3, :3]
    noisy[:3, 3] += rng.normal(0.0, sigma_m, 3)
    return noisy, np.diag([sigma_m**2] * 3 + [sigma_rad**2] * 3)
