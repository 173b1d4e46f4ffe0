"""Task outputs and ground truth between arrays and messages.

Pictures for people (instance_mask, future_masks) are stored north up: column = cell along x, first row = northernmost.
OccupancyGrid keeps ROS's own order: row = cell along y, from the origin upwards.
"""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from rsdfm_ros.data.frame import CLASSES, Objects
from rsdfm_ros.evaluation.frames import HORIZON, Boxes, Tracks
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.rotations import quaternion_from_yaw, yaw_from_quaternion
from rsdfm_ros.msg import GroundTruth, Object3D, ObjectArray, Trajectory, TrajectoryArray
from rsdfm_ros.nodes.convert import MessageError, time_of

STEP_S = 0.5
MAX_ID = 65_535


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


def boxes_from_message(message: ObjectArray) -> Boxes:
    """Detections of a message. Raises: MessageError unless finite with known classes."""
    items = message.objects
    boxes = Boxes(
        classes=np.array([o.class_id for o in items], np.int64),
        scores=np.array([o.score for o in items], np.float64),
        centres=_points([o.pose.position for o in items]),
        sizes=_points([o.size for o in items]),
        yaws=_yaws(items),
        velocities=_points([o.velocity for o in items])[:, :2],
    )
    _check_boxes(boxes.classes, boxes.scores, boxes.centres, boxes.sizes, boxes.velocities)
    return boxes


def truth_to_message(
    objects: Objects, *, agents: Sequence[str], frame: int, ns: int, frame_id: str
) -> GroundTruth:
    """The true objects of an instant."""
    message = GroundTruth(frame=frame, agents=list(agents))
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    for row in range(len(objects)):
        item = _object(objects, row)
        item.score, item.id = 1.0, int(objects.ids[row])
        message.objects.append(item)
    message.visibility = array.array("f", np.asarray(objects.visibility, np.float32).ravel().tolist())
    return message


def truth_from_message(message: GroundTruth) -> Objects:
    """The true objects. Raises: MessageError unless finite, with known classes and matching sizes."""
    items = message.objects
    visibility = np.asarray(message.visibility, np.float64)
    if len(visibility) != len(items) * len(message.agents):
        raise MessageError("truth_size", f"{len(visibility)} visibilities of {len(items)} objects")
    objects = Objects(
        ids=np.array([o.id for o in items], np.int64),
        classes=np.array([o.class_id for o in items], np.int64),
        centres=_points([o.pose.position for o in items]),
        sizes=_points([o.size for o in items]),
        yaws=_yaws(items),
        velocities=_points([o.velocity for o in items])[:, :2],
        visibility=visibility.reshape(len(items), len(message.agents)),
    )
    _check_boxes(objects.classes, objects.centres, objects.sizes, objects.velocities)
    return objects


def tracks_to_message(tracks: Tracks, *, agent: str, frame: int, ns: int, frame_id: str) -> TrajectoryArray:
    """Predicted motions; positions lie on the ground (z = 0)."""
    message = TrajectoryArray(agent=agent, frame=frame % 2**32)
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    for row in range(len(tracks.ids)):
        item = Trajectory(id=int(tracks.ids[row]), score=float(tracks.scores[row]))
        steps = tracks.positions[row]
        item.positions = [_point(float(x), float(y)) for x, y in steps]
        item.time_offsets_s = [STEP_S * k for k in range(len(steps))]
        message.trajectories.append(item)
    return message


def tracks_from_message(message: TrajectoryArray) -> Tracks:
    """Predicted motions over the evaluation's horizon. Raises: MessageError unless finite and of that length."""
    items = message.trajectories
    wrong = {len(t.positions) for t in items} - {HORIZON}
    if wrong:
        raise MessageError(
            "tracks_length", f"expected trajectories of {HORIZON} positions, got {sorted(wrong)}"
        )
    positions = np.array([[(p.x, p.y) for p in t.positions] for t in items], np.float64)
    positions = positions.reshape(len(items), HORIZON, 2)
    if not np.isfinite(positions).all():
        raise MessageError("tracks_not_finite", "trajectories must be finite")
    ids = np.array([t.id for t in items], np.int64)
    return Tracks(ids, positions, np.array([t.score for t in items], np.float64))


def masks_to_message(ids: NDArray[np.int32], ns: int, frame_id: str) -> Image:
    """mono16 picture of instance ids (ni, nj), or of several (steps, ni, nj) one below the other."""
    stack = ids[None] if ids.ndim == 2 else ids
    if stack.size and not 0 <= int(stack.min()) <= int(stack.max()) <= MAX_ID:
        raise ValueError(f"instance ids must lie in 0…{MAX_ID}")
    picture = np.flip(stack.transpose(0, 2, 1), axis=1).reshape(-1, stack.shape[1])
    message = Image(height=picture.shape[0], width=picture.shape[1], encoding="mono16")
    message.step = 2 * picture.shape[1]
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    message.data = array.array("B", np.ascontiguousarray(picture).astype("<u2").tobytes())
    return message


def masks_from_message(message: Image, window: Window) -> NDArray[np.int32]:
    """Instance ids (steps, ni, nj) over `window`. Raises: MessageError unless it has that size."""
    ni, nj = window.shape
    wrong = message.encoding != "mono16" or message.width != ni or message.height % nj or message.is_bigendian
    if wrong or len(message.data) != 2 * message.width * message.height:
        raise MessageError(
            "mask_size", f"expected mono16 of {ni} x k·{nj}, got {message.width} x {message.height}"
        )
    picture = np.frombuffer(message.data, "<u2").reshape(-1, nj, ni)
    return np.ascontiguousarray(np.flip(picture, axis=1).transpose(0, 2, 1)).astype(np.int32)


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
    # Rounded down, so that a threshold of whole per cents means the same before and after.
    percent = np.floor(np.clip(probability, 0.0, 1.0) * 100 + 1e-4).astype(np.int8)
    message.data = array.array("b", np.ascontiguousarray(percent.T).tobytes())
    return message


def percent_from_message(message: OccupancyGrid, window: Window) -> NDArray[np.uint8]:
    """Occupancy (ni, nj) in per cent. Raises: MessageError unless the grid covers exactly `window`."""
    info = message.info
    here = (info.width, info.height, info.origin.position.x, info.origin.position.y)
    if here != (*window.shape, *window.bounds[:2]) or len(message.data) != info.width * info.height:
        raise MessageError("grid_window", f"expected a grid over {window}, got {here}")
    percent = np.frombuffer(message.data, np.int8).reshape(window.nj, window.ni).T
    if percent.min() < 0 or percent.max() > 100:
        raise MessageError("grid_values", "occupancy must lie in 0 to 100")
    return np.ascontiguousarray(percent).astype(np.uint8)


def _object(boxes: Boxes | Objects, row: int) -> Object3D:
    item = Object3D(class_id=int(boxes.classes[row]))
    p, o = item.pose.position, item.pose.orientation
    p.x, p.y, p.z = (float(v) for v in boxes.centres[row])
    o.x, o.y, o.z, o.w = (float(v) for v in quaternion_from_yaw(float(boxes.yaws[row])))
    item.size.x, item.size.y, item.size.z = (float(v) for v in boxes.sizes[row])
    item.velocity.x, item.velocity.y = (float(v) for v in boxes.velocities[row])
    return item


def _point(x: float, y: float) -> Point:
    return Point(x=x, y=y, z=0.0)


def _points(values: Sequence[object]) -> NDArray[np.float64]:
    return np.array([(v.x, v.y, v.z) for v in values], np.float64).reshape(-1, 3)  # type: ignore[attr-defined]


def _yaws(items: Sequence[Object3D]) -> NDArray[np.float64]:
    try:
        quaternions = [i.pose.orientation for i in items]
        return np.array([yaw_from_quaternion((q.x, q.y, q.z, q.w)) for q in quaternions], np.float64)
    except ValueError as error:
        raise MessageError("object_orientation", str(error)) from error


def _check_boxes(classes: NDArray[np.int64], *arrays: NDArray[np.float64]) -> None:
    if not all(np.isfinite(a).all() for a in arrays):
        raise MessageError("object_not_finite", "objects must be finite")
    if len(classes) and classes.max() >= len(CLASSES):
        raise MessageError("object_class", f"class {classes.max()} is unknown")
