"""A world without a renderer, for data sets."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, transform
from rsdfm_ros.sim.dataset import simulate


class FakeWorld:
    """Random images of nothing, a pure function of seed and frame."""

    def __init__(self, seed: int, uavs: int) -> None:
        self.seed = seed
        self.uavs = uavs

    def frame(self, k: int, *, depth: bool = False, ids: bool = False) -> WorldFrame:
        random = np.random.default_rng((self.seed, k))
        T = transform(R_BODY_OPTICAL, [0.0, 0.0, 40.0])
        K = intrinsics_from_fov(32, 24, 1.3)
        views = tuple(
            CameraView(
                f"uav{a + 1}",
                random.integers(0, 256, (24, 32, 3), dtype=np.uint8),
                K,
                T,
                depth=np.ones((24, 32), np.float32) if depth else None,
            )
            for a in range(self.uavs)
        )
        one = np.ones(1)
        objects = Objects(
            np.array([5]),
            np.array([1]),
            np.array([[1.0 * k, 2, 0.8]]),
            np.array([[4.0, 2, 1.6]]),
            one,
            np.array([[2.0, 0]]),
            np.full((1, self.uavs), 0.5),
        )
        return WorldFrame(k, k * 500_000_000, views, objects)

    def layout_map(self) -> None:
        return None

    def dem(self) -> None:
        return None

    def about(self) -> dict[str, str]:
        return {"style": "fake", "weather": "none"}

    def close(self) -> None:
        pass


def fake_world(seed: int, uavs: int) -> FakeWorld:
    return FakeWorld(seed, uavs)


def arguments(out: Path, *options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    defaults = ["--scenes", "3", "--seed", "100", "--uavs", "2", "--frames", "4", "--jobs", "1"]
    return parser.parse_args(["--out", str(out), *defaults, *options])
