"""Small bags for the tests: two UAVs that fly over a plane, pictures of noise, truth of three cars."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame

TINY = Path(__file__).parents[1] / "integration" / "tiny.yaml"
SIZE = (64, 96)
AGENTS = ("uav1", "uav2")
STEP_NS = 500_000_000
START_NS = 10_000_000_000


def camera_pose(agent: int, k: int) -> np.ndarray:
    """T_map_camera of a camera at 30 m that looks down by 50° towards the origin."""
    heading, pitch = np.pi * agent, np.deg2rad(50)
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = [-20 * np.cos(heading), -20 * np.sin(heading), 30 + 0.5 * k]
    return T


def frame(k: int, pictures: bool = True) -> WorldFrame:
    """Frame k; later ones have truth only."""
    rng = np.random.default_rng(k)
    K = np.array([[60.0, 0, SIZE[1] / 2], [0, 60.0, SIZE[0] / 2], [0, 0, 1]])
    views = tuple(
        CameraView(
            name, rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8), K, camera_pose(n, k), np.eye(6) * 1e-4
        )
        for n, name in enumerate(AGENTS)
    )
    centres = np.array([[-6.0 + k, 2.0, 0.8], [5.0, -4.0 - k, 0.8], [8.0, 8.0, 1.2]])
    objects = Objects(
        ids=np.array([1, 2, 3]),
        classes=np.array([0, 0, 2]),
        centres=centres,
        sizes=np.array([[4.5, 1.9, 1.6], [4.5, 1.9, 1.6], [8.0, 2.5, 2.4]]),
        yaws=np.array([0.0, -np.pi / 2, 0.3]),
        velocities=np.array([[2.0, 0.0], [0.0, -2.0], [0.0, 0.0]]),
        visibility=np.full((3, len(AGENTS)), 0.8),
    )
    return WorldFrame(k, k * STEP_NS, views if pictures else (), objects)


def make_bag(
    folder: Path, frames: int = 4, *, truth: int = 4, storage: str = "mcap", max_bytes: int = 0
) -> Path:
    """A bag of `frames` frames, and of the truth of `truth` further ones."""
    with BagWriter(folder, storage=storage, max_bytes=max_bytes) as writer:
        for k in range(frames):
            write_frames(writer, [shifted(frame(k))], AGENTS)
            writer.flush()  # a chunk per frame: damage then hits some and not all
        for k in range(frames, frames + truth):
            write_frames(writer, [shifted(frame(k, pictures=False))], AGENTS)
    return folder


def shifted(f: WorldFrame) -> WorldFrame:
    """With stamps that count from START_NS."""
    return WorldFrame(f.index, f.stamp_ns + START_NS, f.views, f.objects)


def only_file(folder: Path, suffix: str = ".mcap") -> Path:
    """The one storage file of a bag."""
    (path,) = folder.glob(f"*{suffix}")
    return path
