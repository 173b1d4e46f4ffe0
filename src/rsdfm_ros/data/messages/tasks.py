"""Task outputs and ground truth: messages (from rclpy or from a bag) to arrays; nodes/convert/tasks.py makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CLASSES, Objects
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.geometry.rotations import quaternion_from_yaw, yaw_from_quaternion


def boxes_from_message(message: Any) -> Boxes:
    """Detections of a message. Raises: MessageError unless finite with known classes."""
    items = message.objects
    boxes = Boxes(
        classes=np.array([o.class_id for o in items], np.int64),
        scores=np.array([o.score for o in items], np.float64),
        centres=_points([o.pose.pose.position for o in items]),
        sizes=_points([o.size for o in items]),
        yaws=_yaws(items),
        velocities=_points([o.velocity for o in items])[:, :2],
        ids=np.array([o.id for o in items], np.int64),
    )
    _check_boxes(boxes.classes, boxes.scores, boxes.centres, boxes.sizes, boxes.velocities)
    return boxes


def truth_from_message(message: Any) -> Objects:
    """The true objects. Raises: MessageError unless finite, with known classes and matching sizes."""
    items = message.objects
    visibility = np.asarray(message.visibility, np.float64)
    if len(visibility) != len(items) * len(message.agents):
        raise MessageError("truth_size", f"{len(visibility)} visibilities of {len(items)} objects")
    objects = Objects(
        ids=np.array([o.id for o in items], np.int64),
        classes=np.array([o.class_id for o in items], np.int64),
        centres=_points([o.pose.pose.position for o in items]),
        sizes=_points([o.size for o in items]),
        yaws=_yaws(items),
        velocities=_points([o.velocity for o in items])[:, :2],
        visibility=visibility.reshape(len(items), len(message.agents)),
    )
    _check_boxes(objects.classes, objects.centres, objects.sizes, objects.velocities)
    return objects


def tracks_from_message(message: Any) -> Tracks:
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


def masks_from_message(message: Any, window: Window) -> NDArray[np.int32]:
    """Instance ids (steps, ni, nj) over `window`. Raises: MessageError unless it has that size."""
    ni, nj = window.shape
    wrong = message.encoding != "mono16" or message.width != ni or message.height % nj or message.is_bigendian
    if wrong or len(message.data) != 2 * message.width * message.height:
        raise MessageError(
            "mask_size", f"expected mono16 of {ni} x k·{nj}, got {message.width} x {message.height}"
        )
    image = np.frombuffer(message.data, "<u2").reshape(-1, nj, ni)
    return np.ascontiguousarray(np.flip(image, axis=1).transpose(0, 2, 1)).astype(np.int32)


def percent_from_message(message: Any, window: Window) -> NDArray[np.uint8]:
    """Occupancy (ni, nj) in per cent. Raises: MessageError unless the grid covers exactly `window`."""
    info = message.info
    here = (info.width, info.height, info.origin.position.x, info.origin.position.y)
    if here != (*window.shape, *window.bounds[:2]) or len(message.data) != info.width * info.height:
        raise MessageError("grid_window", f"expected a grid over {window}, got {here}")
    percent = np.frombuffer(message.data, np.int8).reshape(window.nj, window.ni).T
    if percent.min() < 0 or percent.max() > 100:
        raise MessageError("grid_values", "occupancy must lie in 0 to 100")
    return np.ascontiguousarray(percent).astype(np.uint8)


def percent_of(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Occupancy in whole per cent, as an OccupancyGrid carries it.

    Rounded down, so that a threshold of whole per cents means the same before and after.
    """
    percent: NDArray[np.uint8] = np.floor(np.clip(probability, 0.0, 1.0) * 100 + 1e-4).astype(np.uint8)
    return percent


def published_boxes(boxes: Boxes) -> Boxes:
    """Boxes as an ObjectArray delivers them: highest score first, scores in single precision, headings through a
    quaternion."""
    ordered = boxes.select(np.argsort(-np.asarray(boxes.scores), kind="stable"))
    yaws = [yaw_from_quaternion(tuple(map(float, quaternion_from_yaw(float(y))))) for y in ordered.yaws]
    return Boxes(
        np.asarray(ordered.classes, np.int64),
        np.asarray(ordered.scores, np.float32).astype(np.float64),
        np.asarray(ordered.centres, np.float64).reshape(-1, 3),
        np.asarray(ordered.sizes, np.float64).reshape(-1, 3),
        np.array(yaws, np.float64),
        np.asarray(ordered.velocities, np.float64).reshape(-1, 2),
        ordered.ids,
    )


def published_tracks(tracks: Tracks) -> Tracks:
    """Trajectories as a TrajectoryArray delivers them: scores in single precision."""
    return Tracks(
        np.asarray(tracks.ids, np.int64),
        np.asarray(tracks.positions, np.float64).reshape(len(tracks.ids), HORIZON, 2),
        np.asarray(tracks.scores, np.float32).astype(np.float64),
    )


def _points(values: Sequence[object]) -> NDArray[np.float64]:
    return np.array([(v.x, v.y, v.z) for v in values], np.float64).reshape(-1, 3)  # type: ignore[attr-defined]


def _yaws(items: Sequence[Any]) -> NDArray[np.float64]:
    try:
        quaternions = [i.pose.pose.orientation for i in items]
        return np.array([yaw_from_quaternion((q.x, q.y, q.z, q.w)) for q in quaternions], np.float64)
    except ValueError as error:
        raise MessageError("object_orientation", str(error)) from error


def _check_boxes(classes: NDArray[np.int64], *arrays: NDArray[np.float64]) -> None:
    if not all(np.isfinite(a).all() for a in arrays):
        raise MessageError("object_not_finite", "objects must be finite")
    if len(classes) and classes.max() >= len(CLASSES):
        raise MessageError("object_class", f"class {classes.max()} is unknown")
