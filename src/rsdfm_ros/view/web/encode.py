"""Arrays as plain lists of numbers for the page: maps as run lengths, boxes and tracks as rows."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.view.sink import BOX_SCORE

MAX_ROWS = 500
"""Boxes or tracks of one answer that are kept, the surest first: a lattice has room for fewer vehicles."""
MAX_RUNS = 20_000
"""Run lengths of one map: more are noise, and are not kept."""
JPEG_QUALITY = 75
MAX_IMAGE_SIDE = 640
"""Larger images are reduced to this longest side, pixels."""


def runs(cells: NDArray[np.bool_]) -> list[int] | None:
    """Lengths of the runs of a map (ni, nj) in C order, alternating, those of False first; None for noise."""
    flat = np.ascontiguousarray(cells).ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if len(edges) > MAX_RUNS:
        return None
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *lengths] if flat.size and flat[0] else list(lengths)


def value_runs(values: NDArray[np.uint8]) -> str | None:
    """Runs of a map (ni, nj) in C order, in base64: the value of each as a byte, then the length of each as four,
    little-endian; None for noise."""
    flat = np.ascontiguousarray(values).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    if 2 * len(starts) > MAX_RUNS:
        return None
    lengths = np.diff(np.concatenate([starts, [flat.size]])).astype("<u4")
    return base64.b64encode(flat[starts].tobytes() + lengths.tobytes()).decode()


def box_rows(boxes: Boxes) -> list[list[float]]:
    """class, score, x, y, z, length, width, height, yaw, vx, vy, id of sure detections, the surest first."""
    order = np.argsort(-boxes.scores, kind="stable")[:MAX_ROWS]
    b = boxes.select(order[boxes.scores[order] >= BOX_SCORE])
    ids = np.zeros(len(b)) if b.ids is None else b.ids
    table = np.column_stack([b.classes, b.scores, b.centres, b.sizes, b.yaws, b.velocities, ids])
    return _rounded(table, 2)


def object_rows(objects: Objects) -> list[list[float]]:
    """The same of true objects, and the share that each UAV sees of it, behind."""
    o = objects
    table = np.column_stack(
        [o.classes, np.ones(len(o)), o.centres, o.sizes, o.yaws, o.velocities, o.ids, o.visibility]
    )
    return _rounded(table[:MAX_ROWS], 2)


def track_rows(positions: NDArray[np.float64], ids: Sequence[int]) -> list[list[float]]:
    """id (0 for none), then x and y of each position. positions: (n, t, 2)."""
    kept = np.asarray(positions, np.float64)[:MAX_ROWS]
    flat = kept.reshape(len(kept), math.prod(kept.shape[1:]))  # -1 is not known of none
    known = np.zeros(len(flat)) if len(ids) < len(flat) else np.asarray(ids[: len(flat)], np.float64)
    return _rounded(np.column_stack([known, flat]), 1)


def camera_facts(view: CameraView) -> dict[str, list[float]]:
    """K (9 values), T_map_camera (12, row by row) and size (height, width) of a camera."""
    return {
        "K": [round(float(v), 3) for v in view.K.ravel()],
        "T": [round(float(v), 5) for v in view.T_map_camera[:3].ravel()],
        "size": list(view.image.shape[:2]),
    }


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) RGB as JPEG, not larger than a page can use."""
    longest = max(image.shape[:2])
    if longest > MAX_IMAGE_SIDE:
        step = MAX_IMAGE_SIDE / longest
        image = np.asarray(cv2.resize(image, None, fx=step, fy=step, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes() if done else b""


def _rounded(table: NDArray[np.float64], digits: int) -> list[list[float]]:
    finite = table[np.isfinite(table).all(axis=1)]
    return list(np.round(finite, digits).tolist())
