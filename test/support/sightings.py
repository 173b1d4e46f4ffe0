"""Objects as several cameras with uncertain poses see them."""

from __future__ import annotations

import numpy as np

from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, rotation_vector, transform


def covariance(sigma_m: float, sigma_deg: float) -> np.ndarray:
    return np.diag([sigma_m**2] * 3 + [np.deg2rad(sigma_deg) ** 2] * 3)


def scattered(rng: np.random.Generator, count: int = 30) -> np.ndarray:
    """Vehicles at least 5 m apart within ±45 m."""
    found: list[np.ndarray] = []
    while len(found) < count:
        point = rng.uniform(-45, 45, 2)
        if all(np.hypot(*(point - other)) > 5.0 for other in found):
            found.append(point)
    return np.array(found)


def camera(n: int) -> np.ndarray:
    """Pose of a camera 50 m up that looks 45° down at the origin."""
    yaw = 1.6 * n
    R = rotation_vector([0.0, 0.0, yaw]) @ rotation_vector([0.0, np.pi / 4, 0.0]) @ R_BODY_OPTICAL
    return transform(R, [-50.0 * np.cos(yaw), -50.0 * np.sin(yaw), 50.0])


def seen_with(xy: np.ndarray, T_true: np.ndarray, T_believed: np.ndarray) -> np.ndarray:
    """Ground points (N, 2) as placed by an agent with a wrong pose: exact, not linearised."""
    points = np.column_stack([xy, np.zeros(len(xy))])
    rays = (points - T_true[:3, 3]) @ T_true[:3, :3] @ T_believed[:3, :3].T
    return T_believed[:2, 3] + rays[:, :2] * (-T_believed[2, 3] / rays[:, 2])[:, None]


def noisy_pose(T: np.ndarray, rng: np.random.Generator, sigma_m: float, sigma_deg: float) -> np.ndarray:
    out = T.copy()
    out[:3, :3] = rotation_vector(rng.normal(0.0, np.deg2rad(sigma_deg), 3)) @ T[:3, :3]
    out[:3, 3] += rng.normal(0.0, sigma_m, 3)
    return out


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(-1).mean()))
