"""Late fusion: every UAV detects alone and sends boxes; the ego merges them with its own and draws the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks, join_boxes
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.metrics.trajectory import PAIR_DISTANCE_M, nearest_pairs
from rsdfm_ros.geometry.boxes import bev_boxes, rasterise_boxes, rotated_iou
from rsdfm_ros.geometry.lattice import Window

SEND_SCORE = 0.1
"""Boxes below this score are not sent."""

SAME_IOU = 0.15
SAME_DISTANCE_M = 1.5
"""Two boxes are the same object when they overlap or their centres are near, as those of different vehicles never
do."""


def compensate_latency(boxes: Boxes, age_s: float) -> Boxes:
    """Boxes moved to the present at constant velocity."""
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * age_s
    return replace(boxes, centres=centres)


def merge_boxes(parts: Sequence[Boxes]) -> Boxes:
    """One box per object out of the boxes of several agents, best score first.

    The best-scored box that is left leads a cluster of all that are the same object. Centre, size and velocity are
    means weighted by score; the axis is the weighted mean of the axes, its front and the class are those with the
    largest sum of scores. An object that several agents see gets a higher score: scores combine as 1 − Π(1 − score)
    over the agents, each agent's best box counting once.
    """
    boxes = join_boxes(parts)
    agents = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    if len(boxes) == 0:
        return boxes
    offset = boxes.centres[:, None, :2] - boxes.centres[None, :, :2]
    near = np.hypot(offset[..., 0], offset[..., 1]) < SAME_DISTANCE_M
    rows = bev_boxes(boxes)
    same = near | (rotated_iou(rows, rows) > SAME_IOU)
    free = np.ones(len(boxes), dtype=bool)
    merged = []
    for n in np.argsort(-boxes.scores, kind="stable"):
        if free[n]:
            cluster = np.flatnonzero(free & same[n])
            free[cluster] = False
            merged.append(_as_one(boxes.select(cluster), agents[cluster]))
    together = join_boxes(merged)
    return together.select(np.argsort(-together.scores, kind="stable"))


def _as_one(boxes: Boxes, agents: NDArray[np.int64]) -> Boxes:
    """The merged box of several boxes of an object."""
    weights = boxes.scores / boxes.scores.sum()
    best = [boxes.scores[agents == a].max() for a in np.unique(agents)]
    return Boxes(
        np.array([np.bincount(boxes.classes, weights=weights).argmax()]),
        np.array([1.0 - np.prod(1.0 - np.array(best))]),
        (weights @ boxes.centres)[None],
        (weights @ boxes.sizes)[None],
        np.array([mean_heading(boxes.yaws, weights)]),
        (weights @ boxes.velocities)[None],
    )


def mean_heading(yaws: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The heading (rad) on the weighted mean axis, in the direction of the larger weight: headings that are turned by
    half a circle agree on the axis."""
    axis = 0.5 * np.arctan2(weights @ np.sin(2 * yaws), weights @ np.cos(2 * yaws))
    return float(axis if weights @ np.cos(yaws - axis) >= 0 else axis + np.pi)


def corrected_boxes(boxes: Boxes, before: NDArray[np.float64], after: NDArray[np.float64]) -> Boxes:
    """Boxes seen from the pose `before` (T_map_camera, 4 × 4) as the same pixels show them from the pose `after`: every
    centre goes where its ray, turned and shifted, meets the ground, at z = 0."""
    turn = after[:3, :3] @ before[:3, :3].T
    centres = boxes.centres.copy()
    rays = (centres * [1.0, 1.0, 0.0] - before[:3, 3]) @ turn.T
    down = np.minimum(rays[:, 2], -1e-3)  # a rotation beyond the horizon: far away, but finite
    centres[:, :2] = after[:2, 3] - rays[:, :2] * (after[2, 3] / down)[:, None]
    return replace(boxes, centres=centres, yaws=boxes.yaws + np.arctan2(turn[1, 0], turn[0, 0]))


def predicted_positions(boxes: Boxes, own: FramePrediction) -> NDArray[np.float64]:
    """Positions (N, 5, 2) of the boxes at the present and at the futures: from the ego's own track of an object where
    it has one, else at constant velocity."""
    assert own.tracks is not None
    ways = np.arange(HORIZON)[None, :, None] * FRAME_PERIOD_S * boxes.velocities[:, None]
    known = own.tracks.positions
    for box, track in nearest_pairs(boxes.centres[:, :2], known[:, 0], PAIR_DISTANCE_M):
        ways[box] = known[track] - known[track, :1]
    return np.asarray(boxes.centres[:, None, :2] + ways)


def late_prediction(own: FramePrediction, parts: Sequence[Boxes], threshold: float) -> FramePrediction:
    """The answer from the boxes of all agents, the ego's own among them, all moved to the present.

    Merged boxes above the threshold are the instances, drawn at the present and at the futures: a segmentation of the
    ego alone would not contain the objects that only its peers see.
    """
    merged = merge_boxes(parts)
    confident = merged.select(merged.scores >= threshold)
    positions, names = predicted_positions(confident, own), np.arange(1, len(confident) + 1)
    ids = np.stack([draw(confident, names, positions[:, step], own.window) for step in range(HORIZON)])
    return FramePrediction(own.window, ids[0] > 0, ids, merged, Tracks(names, positions, confident.scores))


def draw(
    boxes: Boxes, names: NDArray[np.int64], centres: NDArray[np.float64], window: Window
) -> NDArray[np.int32]:
    """The names (N,) of boxes on the cells that they cover when their centres are at `centres` (N, 2); the box with the
    highest score wins a conflict."""
    back_to_front = np.argsort(boxes.scores, kind="stable")
    there, order = boxes.select(back_to_front), names[back_to_front]
    return rasterise_boxes(order, centres[back_to_front], there.sizes, there.yaws, window)
