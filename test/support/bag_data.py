"""Small bags for the tests: two UAVs that fly over a plane, images of noise, truth of three cars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.topic_map import POINT
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame

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


def frame(k: int, images: bool = True) -> WorldFrame:
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
    return WorldFrame(k, k * STEP_NS, views if images else (), objects)


def make_bag(
    folder: Path, frames: int = 4, *, truth: int = 4, storage: str = "mcap", max_bytes: int = 0
) -> Path:
    """A bag of `frames` frames, and of the truth of `truth` further ones."""
    with BagWriter(folder, storage=storage, max_bytes=max_bytes) as writer:
        for k in range(frames):
            write_frames(writer, [shifted(frame(k))], AGENTS)
            writer.flush()  # a chunk per frame: damage then hits some and not all
        for k in range(frames, frames + truth):
            write_frames(writer, [shifted(frame(k, images=False))], AGENTS)
    return folder


def with_heights(bag: Path, folder: Path, heights: Mapping[str, Sequence[tuple[float, float]]]) -> Path:
    """The same bag with heights of the ground on ground/height: by UAV, (s after the first instant, m).

    They are recorded after everything else of their time, as encoder_node tells them.
    """
    store = typestore()
    header, time, point = (
        store.types[t]
        for t in ("std_msgs/msg/Header", "builtin_interfaces/msg/Time", "geometry_msgs/msg/Point")
    )
    with open_bag(bag) as opened, BagWriter(folder) as writer:
        records = [(m.log_ns, m.topic, m.type_name, m.raw) for m in opened.messages()]
        for uav, values in heights.items():
            for after_s, z in values:
                ns = START_NS + round(after_s * 1e9)
                stamp = time(sec=ns // 10**9, nanosec=ns % 10**9)
                message = store.types[POINT](header(stamp=stamp, frame_id="map"), point(0.0, 0.0, z))
                raw = bytes(store.serialize_cdr(message, POINT))
                records.append((ns + 400_000_000, f"/{uav}/ground/height", POINT, raw))
        for log_ns, topic, kind, raw in sorted(records, key=lambda r: r[0]):
            writer.write(topic, kind, log_ns, raw)
    return folder


def shifted(f: WorldFrame) -> WorldFrame:
    """With stamps that count from START_NS."""
    return WorldFrame(f.index, f.stamp_ns + START_NS, f.views, f.objects)


def only_file(folder: Path, suffix: str = ".mcap") -> Path:
    """The one storage file of a bag."""
    (path,) = folder.glob(f"*{suffix}")
    return path
