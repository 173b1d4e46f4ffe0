"""Mounting errors of cameras from common objects of many instants: recovered, with honest uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.mounting import MountSighting, solve_mounts
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, rotation_vector

BOX_SIGMA_M = 0.3


def camera_at(x: float, y: float, heading: float) -> np.ndarray:
    """At 30 m, looking down by 45° along the heading."""
    T = np.eye(4)
    T[:3, :3] = rotation_vector([0, 0, heading]) @ rotation_vector([0, np.deg2rad(45), 0]) @ R_BODY_OPTICAL
    T[:3, 3] = [x, y, 30.0]
    return T


def sighting(
    xy: np.ndarray, T: np.ndarray, mount: np.ndarray, rng: np.random.Generator, pose_sigma_deg: float = 0.1
) -> MountSighting:
    """Objects as placed by an agent that does not know that its camera is turned by `mount`, nor by how much its pose
    is off at this instant."""
    sigma = np.deg2rad(pose_sigma_deg)
    noise = rng.normal(0.0, sigma, 3)
    R_true = rotation_vector(noise) @ T[:3, :3] @ rotation_vector(mount)
    seen = np.column_stack([xy + rng.normal(0.0, BOX_SIGMA_M, xy.shape), np.zeros(len(xy))])
    rays = (seen - T[:3, 3]) @ R_true @ T[:3, :3].T
    placed = T[:3, 3] - rays * (30.0 / rays[:, 2:])
    n = len(xy)
    boxes = Detections(
        np.zeros(n, np.int64),
        np.full(n, 0.9),
        np.column_stack([placed[:, :2], np.full(n, 0.8)]),
        np.tile([4.5, 1.9, 1.6], (n, 1)),
        np.zeros(n),
        np.zeros((n, 2)),
    )
    covariance = np.diag([1e-4, 1e-4, 1e-4, sigma**2, sigma**2, sigma**2])
    return MountSighting(boxes, T[:3, 3], covariance, T[:3, :3])


def flight(mounts: dict[str, np.ndarray], seed: int, instants: int = 40) -> list[dict[str, MountSighting]]:
    """Two UAVs on opposite sides of 20 vehicles, with headings that change."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(instants):
        xy = rng.uniform(-18, 18, (20, 2))
        turn = 0.5 * np.sin(0.4 * k)
        poses = {"uav1": camera_at(-30, 0, turn), "uav2": camera_at(0, -30, np.pi / 2 - turn)}
        out.append({name: sighting(xy, T, mounts[name], rng) for name, T in poses.items()})
    return out


@pytest.mark.parametrize("seed", range(3))
def test_one_degree_is_recovered_within_a_seventh(seed: int) -> None:
    mount = np.zeros(3)
    mount[seed] = np.deg2rad(1.0)
    found = solve_mounts(flight({"uav1": mount, "uav2": np.zeros(3)}, seed))
    wrong = np.rad2deg(found["uav1"].rotation - mount)
    assert np.abs(wrong).max() < 0.15, wrong
    assert np.abs(np.rad2deg(found["uav2"].rotation)).max() < 0.15
    for name, expected in (("uav1", mount), ("uav2", np.zeros(3))):
        assert (np.abs(found[name].rotation - expected) < 4.5 * found[name].sigma).all()
        assert found[name].sigma.max() < np.deg2rad(0.1) and found[name].matches > 300


def test_uncertainty_grows_where_less_is_seen() -> None:
    none = {"uav1": np.zeros(3), "uav2": np.zeros(3)}
    long, short = solve_mounts(flight(none, 1)), solve_mounts(flight(none, 1, instants=3))
    assert (short["uav1"].sigma > 2 * long["uav1"].sigma).all()


def test_a_uav_alone_learns_nothing() -> None:
    alone = [{"uav1": instant["uav1"]} for instant in flight({"uav1": np.zeros(3), "uav2": np.zeros(3)}, 2)]
    found = solve_mounts(alone)["uav1"]
    assert not found.rotation.any() and found.matches == 0 and np.rad2deg(found.sigma).min() > 2.9
