"""Features and boxes together: what fused features say of an object, and boxes where they say too little.

At small budgets features of few objects fit, but a box takes 16 bytes. A box says where an object ends, which features
blur; features say of near cells what no box of one agent knows. So each decides where it is better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.evaluation.frames import HORIZON, Boxes, FramePrediction, Tracks, join_boxes
from rsdfm_ros.evaluation.late import SAME_DISTANCE_M, SAME_IOU, draw, merge_boxes, moved_on
from rsdfm_ros.evaluation.trajectory import PAIR_DISTANCE_M, nearest_pairs
from rsdfm_ros.geometry.boxes import bev_boxes, rotated_iou

UNKNOWN_TO_FEATURES = 0.6
"""Mean foreground probability below which features do not know the object of a box."""

IN_A_BOX, OUTSIDE = 0.15, 0.85
"""Foreground probability from which a cell is a vehicle's, where a box says so too, and where none does."""

LINK_SHARE = 0.3
"""A box belongs to an instance when this share of its cells lies on it."""


def joined(answer: FramePrediction, merged: Boxes, threshold: float) -> FramePrediction:
    """The answer from fused features, completed and sharpened by the merged boxes of all agents (merge_boxes).

    A box above the threshold that the features do not know is drawn whole; a known one tells which cells are believed.
    Instances keep their ids, a box on none of them is a new one; at the futures boxes are drawn, and what instances
    without a box show. Detections are the means of both where both know an object.
    """
    assert answer.probability is not None and answer.ids is not None and answer.boxes is not None
    sure = merged.select(merged.scores >= threshold)
    places, window, probability = np.arange(1, len(sure) + 1), answer.window, answer.probability
    positions = moved_on(sure, answer)
    covers = draw(sure, places, positions[:, 0], window)
    unknown = _mean_under(probability, covers, len(sure)) < UNKNOWN_TO_FEATURES
    whole = np.concatenate([[False], unknown])[covers]
    foreground = whole | (probability >= np.where(covers > 0, IN_A_BOX, OUTSIDE))
    names = link(covers, answer.ids[0], len(sure))
    ids = answer.ids.copy()
    ids[0] = _filled(ids[0], np.concatenate([[0], names])[covers], foreground)
    alive = np.setdiff1d(ids[0], names)
    for step in range(1, HORIZON):
        drawn = draw(sure, names, positions[:, step], window)
        ids[step] = np.where(drawn > 0, drawn, np.where(np.isin(ids[step], alive), ids[step], 0))
    new = names > answer.ids.max(initial=0)
    fresh = sure.select(new)
    return replace(
        answer,
        foreground=foreground,
        ids=ids,
        boxes=_completed(answer.boxes, merged),
        tracks=_more_tracks(answer, names[new], positions[new], fresh.scores),
        probability=None,
    )


def link(covers: NDArray[np.int32], ids: NDArray[np.int32], boxes: int) -> NDArray[np.int64]:
    """For each of the boxes, drawn as 1 … `boxes` in `covers`, the id of the instance that it lies on, or a new id
    above all."""
    free = int(ids.max(initial=0)) + 1
    names = np.arange(free, free + boxes, dtype=np.int64)
    under = covers > 0
    pairs, counts = np.unique(covers[under].astype(np.int64) * free + ids[under], return_counts=True)
    sizes = np.bincount(covers[under], minlength=boxes + 1)
    for pair, count in sorted(zip(pairs.tolist(), counts.tolist(), strict=True), key=lambda pc: pc[1]):
        box, instance = divmod(pair, free)
        if instance and count >= LINK_SHARE * sizes[box]:
            names[box - 1] = instance  # the largest share comes last
    return names


def _filled(
    ids: NDArray[np.int32], named: NDArray[np.int64], foreground: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Ids on the foreground: those of the features, and where they have none those of the boxes."""
    return np.where(foreground, np.where(ids > 0, ids, named), 0).astype(np.int32)


def _mean_under(
    probability: NDArray[np.float32], covers: NDArray[np.int32], boxes: int
) -> NDArray[np.float64]:
    flat = covers.ravel()
    cells = np.bincount(flat, minlength=boxes + 1)[1:]
    return np.asarray(np.bincount(flat, probability.ravel(), boxes + 1)[1:] / np.maximum(cells, 1))


def _completed(found: Boxes, merged: Boxes) -> Boxes:
    """The merged boxes, each averaged with the box of the features for the same object, and at half their score the
    boxes of the features that nobody else knows."""
    if not len(found) or not len(merged):
        return join_boxes([merged, replace(found, scores=0.5 * found.scores)])
    offset = merged.centres[:, None, :2] - found.centres[None, :, :2]
    near = np.hypot(offset[..., 0], offset[..., 1]) < SAME_DISTANCE_M
    same = near | (rotated_iou(bev_boxes(merged), bev_boxes(found)) > SAME_IOU)
    partner = np.where(same, found.scores[None], -1.0).argmax(axis=1)
    both = np.flatnonzero(same.any(axis=1))
    pairs = [merge_boxes([merged.select(np.array([n])), found.select(partner[n : n + 1])]) for n in both]
    single = replace(found, scores=0.5 * found.scores).select(~same.any(axis=0))
    return join_boxes([*pairs, merged.select(~same.any(axis=1)), single])


def _more_tracks(
    answer: FramePrediction,
    names: NDArray[np.int64],
    positions: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> Tracks:
    known = answer.tracks
    assert known is not None
    taken = {n for n, _ in nearest_pairs(positions[:, 0], known.positions[:, 0], PAIR_DISTANCE_M)}
    fresh = np.array([n for n in range(len(positions)) if n not in taken], dtype=np.int64)
    return Tracks(
        np.concatenate([known.ids, names[fresh]]),
        np.concatenate([known.positions, positions[fresh]]),
        np.concatenate([known.scores, scores[fresh]]),
    )
