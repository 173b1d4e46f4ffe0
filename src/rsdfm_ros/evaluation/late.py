"""Late fusion: every UAV detects alone and sends boxes; the ego merges them with its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.frames import HORIZON, Boxes, FramePrediction, Tracks, join_boxes
from rsdfm_ros.evaluation.trajectory import nearest_pairs
from rsdfm_ros.geometry.boxes import bev_boxes, rasterise_boxes, rotated_iou
from rsdfm_ros.geometry.lattice import Window

SEND_SCORE = 0.1
"""Boxes below this score are not sent."""

SAME_IOU = 0.15
SAME_DISTANCE_M = 1.5
"""Two boxes are the same object when they overlap or their centres are near; vehicles do neither."""

LINK_SHARE = 0.3
"""A box belongs to an instance of the ego's map when this share of its cells lies on it."""


def aged(boxes: Boxes, age_s: float) -> Boxes:
    """Boxes moved to the present at constant velocity."""
    centres = boxes.centres.copy()
    centres[:, :2] += boxes.velocities * age_s
    return Boxes(boxes.classes, boxes.scores, centres, boxes.sizes, boxes.yaws, boxes.velocities)


def merge_boxes(parts: Sequence[Boxes]) -> Boxes:
    """One box per object out of the boxes of several agents.

    The best-scored box of each cluster leads and keeps its class, size and yaw; centre and velocity are means
    weighted by score. An object that several agents see is surer: scores combine as 1 − Π(1 − score) over the
    agents, each agent's best box counting once.
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
    leaders, centres, velocities, scores = [], [], [], []
    for n in np.argsort(-boxes.scores, kind="stable"):
        if not free[n]:
            continue
        cluster = np.flatnonzero(free & same[n])
        free[cluster] = False
        weights = boxes.scores[cluster] / boxes.scores[cluster].sum()
        leaders.append(n)
        centres.append(weights @ boxes.centres[cluster])
        velocities.append(weights @ boxes.velocities[cluster])
        best = [boxes.scores[cluster[agents[cluster] == a]].max() for a in np.unique(agents[cluster])]
        scores.append(1.0 - np.prod(1.0 - np.array(best)))
    order = np.argsort(-np.array(scores), kind="stable")
    lead = np.array(leaders)[order]
    return Boxes(
        boxes.classes[lead],
        np.array(scores)[order],
        np.array(centres)[order],
        boxes.sizes[lead],
        boxes.yaws[lead],
        np.array(velocities)[order],
    )


def late_prediction(
    own: FramePrediction, peers: Sequence[Boxes], detection_threshold: float
) -> FramePrediction:
    """The ego's own answer joined with its peers' boxes (moved to the present).

    Merged boxes above the threshold are drawn into the ego's own maps where those are empty, the futures by
    constant velocity. A box that lies on one of the ego's instances is that instance, and is drawn only at steps
    at which the ego's map shows no cell of it. Tracks are the ego's own and those of the new instances.
    """
    assert (
        own.foreground is not None
        and own.ids is not None
        and own.boxes is not None
        and own.tracks is not None
    )
    merged = merge_boxes([own.boxes, *peers])
    sure = merged.select(merged.scores >= detection_threshold)
    ids = own.ids.copy()
    names = link(sure, own.ids[0], own.window)
    for step in range(HORIZON):
        lost = ~np.isin(names, own.ids[step])  # new objects, and the ego's own that its map shows no more
        drawn = _draw(sure.select(lost), names[lost], step, own.window)
        ids[step] = np.where(ids[step] > 0, ids[step], drawn)
    new = names > own.ids.max(initial=0)
    steps = np.arange(HORIZON)[None, :, None] * FRAME_PERIOD_S
    positions = sure.centres[new][:, None, :2] + steps * sure.velocities[new][:, None]
    known = own.tracks
    taken = {n for n, _ in nearest_pairs(positions[:, 0], known.positions[:, 0], 2.0)}
    fresh = np.array([n for n in range(len(positions)) if n not in taken], dtype=np.int64)
    tracks = Tracks(
        np.concatenate([known.ids, names[new][fresh]]),
        np.concatenate([known.positions, positions[fresh]]),
        np.concatenate([known.scores, sure.scores[new][fresh]]),
    )
    return FramePrediction(own.window, own.foreground | (ids[0] > 0), ids, merged, tracks)


def link(boxes: Boxes, ids: NDArray[np.int32], window: Window) -> NDArray[np.int64]:
    """For each box the id of the instance that it lies on, or a new id above all."""
    free = int(ids.max(initial=0)) + 1
    names = np.arange(free, free + len(boxes), dtype=np.int64)
    for n in range(len(boxes)):
        cells = (
            rasterise_boxes(
                [1], boxes.centres[n : n + 1], boxes.sizes[n : n + 1], boxes.yaws[n : n + 1], window
            )
            > 0
        )
        under = np.bincount(ids[cells])
        if len(under) and cells.any():
            under[0] = 0
            best = int(under.argmax())
            if under[best] >= LINK_SHARE * np.count_nonzero(cells):
                names[n] = best
    return names


def _draw(boxes: Boxes, names: NDArray[np.int64], step: int, window: Window) -> NDArray[np.int32]:
    moved = aged(boxes, step * FRAME_PERIOD_S)
    back_to_front = np.argsort(moved.scores, kind="stable")  # the surest box wins a conflict
    moved, order = moved.select(back_to_front), names[back_to_front]
    return rasterise_boxes(order, moved.centres, moved.sizes, moved.yaws, window)
