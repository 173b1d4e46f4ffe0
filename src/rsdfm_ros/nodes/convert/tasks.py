"""Task outputs and ground truth between arrays and messages.

Images for views (instance_mask, future_masks) are stored north up: column = cell along x, first row = northernmost.
OccupancyGrid keeps ROS's own order: row = cell along y, from the origin upwards.
"""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from rsdfm_ros.agent.tracking import MAX_ID
from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.tasks import percent_of
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.rotations import quaternion_from_yaw
from rsdfm_ros.msg import GroundTruth, Object3D, ObjectArray
from rsdfm_ros.nodes.convert.sensors import time_of


def boxes_to_message(
    boxes: Boxes, *, agent: str, frame: int, ns: int, frame_id: str, contributors: Sequence[str]
) -> ObjectArray:
    """Detections, highest score first."""
    message = ObjectArray(agent=agent, frame=frame % 2**32)
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    names = list(contributors)
    for row in np.argsort(-np.asarray(boxes.scores), kind="stable"):
        item = _object(boxes, int(row))
        item.score, item.contributors = float(boxes.scores[row]), names
        message.objects.append(item)
    return message


def truth_to_message(
    objects: Objects, *, agents: Sequence[str], frame: int, ns: int, frame_id: str
) -> GroundTruth:
    """The true objects of an instant."""
    message = GroundTruth(frame=frame, agents=list(agents))
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    for row in range(len(objects)):
        item = _object(objects, row)
        item.score = 1.0
        message.objects.append(item)
    message.visibility = array.array("f", np.asarray(objects.visibility, np.float32).ravel().tolist())
    return message


def masks_to_message(ids: NDArray[np.int32], ns: int, frame_id: str) -> Image:
    """mono16 image of instance ids (ni, nj), or of several (steps, ni, nj) one below the other.

    Raises: MessageError when an id does not fit.
    """
    stack = ids[None] if ids.ndim == 2 else ids
    if stack.size and not 0 <= int(stack.min()) <= int(stack.max()) <= MAX_ID:
        raise MessageError(
            "mask_ids",
            f"instance ids of a mono16 mask must lie in 0…{MAX_ID}, got {stack.min()}…{stack.max()}",
        )
    image = np.flip(stack.transpose(0, 2, 1), axis=1).reshape(-1, stack.shape[1])
    message = Image(height=image.shape[0], width=image.shape[1], encoding="mono16")
    message.step = 2 * image.shape[1]
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    message.data = array.array("B", np.ascontiguousarray(image).astype("<u2").tobytes())
    return message


def grid_to_message(
    probability: NDArray[np.float32], window: Window, ns: int, frame_id: str
) -> OccupancyGrid:
    """Probability (ni, nj) in 0…1 as occupancy in per cent."""
    message = OccupancyGrid()
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    info = message.info
    info.map_load_time, info.resolution = time_of(ns), float(window.cell_size)
    info.width, info.height = window.shape
    info.origin.position.x, info.origin.position.y = window.bounds[:2]
    info.origin.orientation.w = 1.0
    message.data = array.array("b", np.ascontiguousarray(percent_of(probability).T).tobytes())
    return message


def _object(boxes: Boxes | Objects, row: int) -> Object3D:
    item = Object3D(class_id=int(boxes.classes[row]))
    if boxes.ids is not None:
        item.id = int(boxes.ids[row])
    p, o = item.pose.pose.position, item.pose.pose.orientation
    p.x, p.y, p.z = (float(v) for v in boxes.centres[row])
    o.x, o.y, o.z, o.w = (float(v) for v in quaternion_from_yaw(float(boxes.yaws[row])))
    item.size.x, item.size.y, item.size.z = (float(v) for v in boxes.sizes[row])
    item.velocity.x, item.velocity.y = (float(v) for v in boxes.velocities[row])
    return item
