"""Worlds without a renderer, for data sets; worker processes import them from here."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

import numpy as np

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap, layout_of_rectangles
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, transform
from rsdfm_ros.sim.dataset import simulate_command


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


def failing_world(seed: int, uavs: int) -> FakeWorld:
    if seed == 101:
        raise RuntimeError("no graphics here")
    return FakeWorld(seed, uavs)


class DyingWorld(FakeWorld):
    """Takes its process down in the middle of a scene."""

    def frame(self, k: int, *, depth: bool = False, ids: bool = False) -> WorldFrame:
        if k == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().frame(k, depth=depth, ids=ids)


def dying_world(seed: int, uavs: int) -> FakeWorld:
    return DyingWorld(seed, uavs) if seed == 101 else FakeWorld(seed, uavs)


class WaitingWorld(FakeWorld):
    """Waits for the signal that ends its process."""

    def frame(self, k: int, *, depth: bool = False, ids: bool = False) -> WorldFrame:
        if k == 2:
            signal.pause()
        return super().frame(k, depth=depth, ids=ids)


def waiting_world(seed: int, uavs: int) -> FakeWorld:
    return WaitingWorld(seed, uavs) if seed == 101 else FakeWorld(seed, uavs)


def environment_world(seed: int, uavs: int) -> FakeWorld:
    if os.environ.get("LP_NUM_THREADS") != "1":
        raise RuntimeError("the environment of a renderer is not set")
    return FakeWorld(seed, uavs)


class BuiltWorld(FakeWorld):
    """Has a layout, see :func:`small_layout`."""

    def layout_map(self) -> LayoutMap | None:  # type: ignore[override]
        return small_layout(self.seed)


def built_world(seed: int, uavs: int) -> BuiltWorld:
    return BuiltWorld(seed, uavs)


def small_layout(seed: int = 0, record: object = None) -> LayoutMap:
    """Something that is alike under no turn and no mirror."""
    return layout_of_rectangles({"road": [(-8, -1, 8, 1 + seed % 3)], "building": [(2, 1, 5, 7)]}, 8.0, 0.5)


def arguments(out: Path, *options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulate_command.add_arguments(parser)
    defaults = ["--scenes", "3", "--seed", "100", "--uavs", "2", "--frames", "4", "--jobs", "1"]
    return parser.parse_args(["--out", str(out), *defaults, *options])
