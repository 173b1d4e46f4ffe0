"""Images and tracks for views: made only while there is a subscriber.

Images are north up: first row northernmost, column = cell along x, like instance_mask.
"""

from __future__ import annotations

import array
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.boxes import bev_corners
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.nodes.convert.sensors import fill_pose, time_of

UNSEEN, SEEN = (11, 13, 17), (44, 51, 61)
HOT = (250, 190, 60)
OUTLINE = (255, 255, 255)
SCALE = 4
"""Pixels of the debug image per output cell."""
TRACK_POSES = 600
"""Poses of a UAV's track: five minutes at 2 Hz."""
TRACK_GAP_NS = 10_000_000_000
"""After a longer gap, or a step back in time, a track starts anew."""


def contributors_to_message(dominant: NDArray[np.uint8], ns: int, frame_id: str) -> Image:
    """mono8 image of the largest weight in every cell (ni, nj): 0 unseen, 1 the UAV itself, 1 + k its k-th peer."""
    image = np.ascontiguousarray(np.flipud(dominant.T))
    message = Image(height=image.shape[0], width=image.shape[1], encoding="mono8", step=image.shape[1])
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    message.data = array.array("B", image.tobytes())
    return message


def bev_image(
    ids: NDArray[np.int32],
    probability: NDArray[np.float32],
    visible: NDArray[np.bool_],
    boxes: Boxes | None,
    window: Window,
) -> NDArray[np.uint8]:
    """RGB image (SCALE nj, SCALE ni, 3): unseen cells dark, seen ones grey, probability of a vehicle towards yellow,
    one colour per instance, boxes as white outlines with a line to their front.

    ids, probability (ni, nj) on `window` · visible (ni / f, nj / f) on a window with cells f times as large.
    """
    factor = ids.shape[0] // visible.shape[0]
    seen = np.repeat(np.repeat(visible, factor, axis=0), factor, axis=1)[..., None]
    weight = np.clip(probability, 0.0, 1.0)[..., None]
    colours = np.where(seen, SEEN, UNSEEN) * (1.0 - weight) + np.array(HOT) * weight
    inside = ids > 0
    colours[inside] = instance_colours(ids[inside])
    image = np.flipud(colours.transpose(1, 0, 2)).astype(np.uint8)
    image = np.repeat(np.repeat(image, SCALE, axis=0), SCALE, axis=1)
    if boxes is not None and len(boxes):
        image = np.ascontiguousarray(image)
        x_min, _, _, y_max = window.bounds
        scale = SCALE / window.cell_size
        corners = bev_corners(boxes.centres, boxes.sizes, boxes.yaws)
        front = corners[:, [0, 3]].mean(axis=1)
        middle = np.asarray(boxes.centres)[:, :2]
        for outline, nose in zip(corners, np.stack([middle, front], axis=1), strict=True):
            for points, closed in ((outline, True), (nose, False)):
                pixels = np.stack([(points[:, 0] - x_min) * scale, (y_max - points[:, 1]) * scale], axis=-1)
                pixels = np.clip(pixels, -32_000, 32_000)
                cv2.polylines(image, [np.round(pixels).astype(np.int32)], closed, OUTLINE, 1)
    return image


def instance_colours(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    """RGB (N, 3) of ids (N,): far apart for successive ids, never dark."""
    if len(ids) == 0:
        return np.zeros((0, 3), dtype=np.uint8)
    hue = (np.asarray(ids, dtype=np.float64) * 0.618034) % 1.0
    hsv = np.stack([hue * 179, np.full_like(hue, 150), np.full_like(hue, 240)], axis=-1)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0], dtype=np.uint8)


class CameraTrack:
    """Track of a UAV's camera: the last poses, for nav_msgs/Path."""

    def __init__(self, frame_id: str) -> None:
        self._frame_id = frame_id
        self._poses: deque[tuple[int, NDArray[np.float64]]] = deque(maxlen=TRACK_POSES)

    def add(self, T_map_camera: NDArray[np.float64], ns: int) -> None:
        """Append a pose (4, 4)."""
        if self._poses and not 0 <= ns - self._poses[-1][0] <= TRACK_GAP_NS:
            self._poses.clear()
        self._poses.append((ns, T_map_camera.copy()))

    def clear(self) -> None:
        """Forget everything."""
        self._poses.clear()

    def message(self) -> Path:
        """The track, oldest pose first, stamped as its newest pose."""
        return path_message(list(self._poses), self._frame_id)


def path_message(poses: Sequence[tuple[int, NDArray[np.float64]]], frame_id: str) -> Path:
    """nav_msgs/Path of stamps (ns) and poses (4, 4)."""
    message = Path()
    message.header.frame_id = frame_id
    for ns, T in poses:
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = time_of(ns), frame_id
        fill_pose(pose.pose, T)
        message.poses.append(pose)
    if poses:
        message.header.stamp = message.poses[-1].header.stamp
    return message
