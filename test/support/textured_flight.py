"""Bags of UAVs over textured level ground, whose images are drawn exactly where poses say, at times of their own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, quaternion_from_matrix, rotation_vector
from support.geo_bags import header, write

SIZE = (120, 160)
K = np.array([[140.0, 0, 80], [0, 140.0, 60], [0, 0, 1]])
START_NS = 100 * 10**9
PIXELS_PER_M = 4.0
_SIDE_M = 400.0


def texture(seed: int = 0) -> np.ndarray:
    """Grey ground with detail at several scales, _SIDE_M a side around the origin."""
    rng = np.random.default_rng(seed)
    n = round(_SIDE_M * PIXELS_PER_M)
    out = np.zeros((n, n), np.float32)
    for cells, weight in ((n // 3, 40.0), (n // 8, 60.0), (n // 30, 50.0)):
        out += weight * cv2.resize(
            rng.random((cells, cells), np.float32), (n, n), interpolation=cv2.INTER_CUBIC
        )
    return np.clip(out + 30, 0, 255).astype(np.uint8)


def pose(t: float, *, lively: bool = True) -> np.ndarray:
    """T_map_camera at t seconds: 30 m up, looking down by 60°; yaw, pitch and speed vary unless not `lively`."""
    a = 1.0 if lively else 0.0
    yaw = 0.1 * t + a * (0.25 * np.sin(1.7 * t) + 0.1 * np.sin(3.1 * t + 1))
    pitch = np.deg2rad(60) + a * 0.06 * np.sin(2.3 * t + 0.4)
    R = rotation_vector([0, 0, yaw]) @ rotation_vector([0, pitch, 0]) @ R_BODY_OPTICAL
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = [3.0 * t + a * 2 * np.sin(0.9 * t), a * 3 * np.cos(0.7 * t), 30 + a * np.sin(0.5 * t)]
    return T


def draw(T: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """(H, W, 3) image of level ground from a camera."""
    n = len(ground)
    # Columns and rows of the texture to the map and on to pixels, whose first centre is at 0 in OpenCV.
    A = np.array([[1 / PIXELS_PER_M, 0, -_SIDE_M / 2], [0, 1 / PIXELS_PER_M, -_SIDE_M / 2], [0, 0, 1]])
    R, p = T[:3, :3].T, T[:3, 3]
    H = K @ np.stack([R[:, 0], R[:, 1], -R @ p], axis=1) @ A
    H = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]]) @ H
    grey = cv2.warpPerspective(ground, H, SIZE[::-1], flags=cv2.INTER_LINEAR)
    assert n
    return np.repeat(grey[..., None], 3, axis=2)


def make_flight(
    folder: Path,
    *,
    offset_s: float = 0.0,
    seconds: float = 12.0,
    image_hz: float = 10.0,
    pose_hz: float = 50.0,
    lively: bool = True,
    agents: tuple[str, ...] = ("uav1",),
) -> Path:
    """A bag whose images were exposed offset_s after their stamps, as of a camera that stamps too early."""
    ground = texture()
    empty = Objects(
        ids=np.zeros(0, np.int64),
        classes=np.zeros(0, np.int64),
        centres=np.zeros((0, 3)),
        sizes=np.zeros((0, 3)),
        yaws=np.zeros(0),
        velocities=np.zeros((0, 2)),
        visibility=np.zeros((0, len(agents))),
    )
    records = []
    for k in range(round(seconds * image_hz)):
        records.append((k / image_hz, True))
    for k in range(round(-0.6 * pose_hz), round((seconds + 0.6) * pose_hz)):
        records.append((k / pose_hz, False))
    with BagWriter(folder) as writer:
        for t, is_image in sorted(records):
            ns = START_NS + round(t * 1e9)
            for agent in agents:
                if not is_image:
                    _write_pose(writer, agent, ns, pose(t, lively=lively))
                    continue
                image = draw(pose(t + offset_s, lively=lively), ground)
                view = CameraView(agent, image, K, pose(t, lively=lively), np.eye(6) * 1e-4)
                write_frames(_WithoutPoses(writer), [WorldFrame(0, ns, (view,), empty)], agents)
    return folder


class _WithoutPoses:
    """A writer that leaves out poses: they have times of their own here."""

    def __init__(self, writer: BagWriter) -> None:
        self._writer = writer

    def write(self, topic: str, kind: str, ns: int, raw: bytes) -> None:
        if not topic.endswith("/pose"):
            self._writer.write(topic, kind, ns, raw)


def _write_pose(writer: BagWriter, agent: str, ns: int, T: np.ndarray) -> None:
    t = typestore().types
    x, y, z, w = (float(v) for v in quaternion_from_matrix(T[:3, :3]))
    message = t["geometry_msgs/msg/PoseWithCovarianceStamped"](
        header=header(ns, "map"),
        pose=t["geometry_msgs/msg/PoseWithCovariance"](
            pose=t["geometry_msgs/msg/Pose"](
                position=t["geometry_msgs/msg/Point"](*(float(v) for v in T[:3, 3])),
                orientation=t["geometry_msgs/msg/Quaternion"](x, y, z, w),
            ),
            covariance=np.eye(6).ravel() * 1e-4,
        ),
    )
    write(writer, f"/{agent}/pose", ns, message)
