"""Objects that move."""

from __future__ import annotations

import dataclasses

import numpy as np

from rsdfm_ros.data.frame import Objects


def traffic(n: int = 6, seed: int = 0) -> Objects:
    """Vehicles on a coarse grid, so that none touches another."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid([-18.0, -2.0, 14.0], [-15.0, 9.0]), -1).reshape(-1, 2)[:n]
    centres = np.concatenate([places + rng.uniform(-2, 2, places.shape), np.full((n, 1), 0.8)], 1)
    yaws = rng.uniform(-np.pi, np.pi, n)
    speed = rng.uniform(0, 8, n)
    return Objects(
        ids=np.arange(11, 11 + n),
        classes=rng.integers(0, 4, n),
        centres=centres,
        sizes=np.stack([rng.uniform(4, 8, n), rng.uniform(1.8, 2.5, n), rng.uniform(1.5, 3, n)], 1),
        yaws=yaws,
        velocities=np.stack([speed * np.cos(yaws), speed * np.sin(yaws)], 1),
        visibility=np.ones((n, 2)),
    )


def moved(objects: Objects, seconds: float) -> Objects:
    centres = objects.centres.copy()
    centres[:, :2] += objects.velocities * seconds
    return dataclasses.replace(objects, centres=centres)
