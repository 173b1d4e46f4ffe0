"""Average precision of detected boxes, and the errors of the boxes that were found.

**Matching.** Within a frame, predictions are taken by falling score (of equal scores the smaller x, then y,
first); each takes the nearest true object that is still free, if the distance of centres (x, y) is below the
threshold, or the one of greatest rotated IoU, if that reaches the threshold. With classes, only objects of
its own class.

**Average precision.** All predictions of the test set are sorted by score together; predictions of exactly
equal score enter together, so that the order of frames and boxes cannot matter. Precision at recall r is
interpolated as the greatest precision at any recall ≥ r, and AP is the exact area under that step curve over
recall 0 to 1 (every point, as in PASCAL VOC since 2010; nuScenes samples 101 points and cuts recall and
precision below 0.1, so figures differ a little). AP is undefined without a true object.

**mAP** is the mean over the classes that have true objects and over the centre distances 0.5, 1, 2 and 4 m.

**By distance.** In a band of distances from the UAV that answers, objects of other bands are ignored, and a prediction
without an object counts in the band in which it lies itself.

**Ignored objects** (in the visible-only variant): a prediction that takes an ignored object counts neither
way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CLASSES, Objects
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.boxes import bev_boxes, rotated_iou

DISTANCES_M: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
IOUS: tuple[float, ...] = (0.3, 0.5, 0.7)
ERROR_DISTANCE_M = 2.0
"""Errors and the class-agnostic AP are taken over matches within this distance of centres."""

BANDS_M: tuple[tuple[float, float], ...] = ((0.0, 30.0), (30.0, 60.0), (60.0, 90.0), (90.0, float("inf")))
"""Distances over ground from the UAV that answers, m, for which AP is given."""

_FALSE, _TRUE, _IGNORED = 0, 1, 2


def ranked(boxes: Boxes) -> Boxes:
    """Boxes by falling score; ties by x, then y, so that the input's order does not matter."""
    return boxes.select(np.lexsort((boxes.centres[:, 1], boxes.centres[:, 0], -boxes.scores)))


def greedy_match(cost: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row of `cost` (P, G) in turn, the free and allowed column of least cost; −1 for none."""
    out = np.full(len(cost), -1, dtype=np.int64)
    rows, columns = np.nonzero(allowed)
    order = np.lexsort((cost[rows, columns], rows))
    used: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if out[row] < 0 and column not in used:
            out[row] = column
            used.add(column)
    return out


def average_precision(scores: NDArray[np.float64], correct: NDArray[np.bool_], n_true: int) -> float | None:
    """Area under the interpolated precision-recall curve; scores, correct (P,); None without true objects."""
    if n_true == 0:
        return None
    if len(scores) == 0:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    tp = np.cumsum(correct[order])[last_of_tie]
    taken = (np.arange(len(scores)) + 1)[last_of_tie]
    recall, precision = tp / n_true, tp / taken
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


@dataclass
class _Curve:
    """Data of one AP: scores and outcomes of all predictions so far, number of true objects."""

    n_true: int = 0
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    outcomes: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, scores: NDArray[np.float64], taken: NDArray[np.int64], counted: NDArray[np.bool_]) -> None:
        outcome = np.full(len(scores), _FALSE, dtype=np.int64)
        hit = taken >= 0
        outcome[hit] = np.where(counted[taken[hit]], _TRUE, _IGNORED)
        self.n_true += int(counted.sum())
        self.scores.append(scores)
        self.outcomes.append(outcome)

    def merge(self, other: _Curve) -> None:
        self.n_true += other.n_true
        self.scores += other.scores
        self.outcomes += other.outcomes

    def value(self) -> float | None:
        scores = np.concatenate(self.scores) if self.scores else np.zeros(0)
        outcomes = np.concatenate(self.outcomes) if self.outcomes else np.zeros(0, dtype=np.int64)
        kept = outcomes != _IGNORED
        return average_precision(scores[kept], outcomes[kept] == _TRUE, self.n_true)


class DetectionAccumulator:
    """Collects matches of frames and gives AP, mAP and errors."""

    def __init__(self) -> None:
        self._class_curves = {(c, d): _Curve() for c in range(len(CLASSES)) for d in DISTANCES_M}
        self._any_curve = _Curve()
        self._iou_curves = {threshold: _Curve() for threshold in IOUS}
        self._band_curves: dict[tuple[float, float], _Curve] = {}
        self._errors: list[NDArray[np.float64]] = []

    def add(
        self,
        boxes: Boxes,
        truth: Objects,
        counted: NDArray[np.bool_] | None = None,
        *,
        ego: NDArray[np.float64] | None = None,
    ) -> None:
        """Add a frame; `counted` (N,) marks the true objects that are not ignored (all, if None); `ego` (2,) m: where
        the UAV that answers is, for AP by distance.
        """
        boxes = ranked(boxes)
        count = np.ones(len(truth), dtype=bool) if counted is None else counted
        offset = boxes.centres[:, None, :2] - truth.centres[None, :, :2]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        near = _match_below(distance, ERROR_DISTANCE_M)
        self._any_curve.add(boxes.scores, near, count)
        if ego is not None:
            self._add_bands(boxes, truth, near, count, ego)
        overlap = rotated_iou(bev_boxes(boxes), bev_boxes(truth))
        for threshold, curve in self._iou_curves.items():
            curve.add(boxes.scores, greedy_match(-overlap, overlap >= threshold), count)
        for c in range(len(CLASSES)):
            mine, theirs = np.flatnonzero(boxes.classes == c), np.flatnonzero(truth.classes == c)
            for d in DISTANCES_M:
                taken = _match_below(distance[np.ix_(mine, theirs)], d)
                self._class_curves[c, d].add(boxes.scores[mine], taken, count[theirs])
                if d == ERROR_DISTANCE_M:
                    hit = taken >= 0
                    hit[hit] &= count[theirs[taken[hit]]]
                    self._errors.append(box_errors(boxes.select(mine[hit]), truth.select(theirs[taken[hit]])))

    def _add_bands(
        self,
        boxes: Boxes,
        truth: Objects,
        taken: NDArray[np.int64],
        counted: NDArray[np.bool_],
        ego: NDArray[np.float64],
    ) -> None:
        box_m = np.linalg.norm(boxes.centres[:, :2] - ego, axis=1)
        true_m = np.linalg.norm(truth.centres[:, :2] - ego, axis=1)
        for low, high in BANDS_M:
            here = counted & (true_m >= low) & (true_m < high)
            # Unmatched predictions count in the band in which they lie.
            kept = (taken >= 0) | ((box_m >= low) & (box_m < high))
            curve = self._band_curves.setdefault((low, high), _Curve())
            curve.add(boxes.scores[kept], taken[kept], here)

    def merge(self, other: DetectionAccumulator) -> None:
        """Add what another accumulator collected."""
        self._any_curve.merge(other._any_curve)
        for band, curve in other._band_curves.items():
            self._band_curves.setdefault(band, _Curve()).merge(curve)
        for key, curve in self._class_curves.items():
            curve.merge(other._class_curves[key])
        for threshold, curve in self._iou_curves.items():
            curve.merge(other._iou_curves[threshold])
        self._errors += other._errors

    def result(self) -> dict[str, float | None]:
        """ap (class-agnostic, 2 m), map, ap_<class>, ap_<d>m (mean of classes), ap_iou_<t>, errors; None:
        undefined.
        """
        values = {key: curve.value() for key, curve in self._class_curves.items()}
        out: dict[str, float | None] = {"ap": self._any_curve.value(), "map": _mean(list(values.values()))}
        for d in DISTANCES_M:
            out[f"ap_{d:g}m"] = _mean([values[c, d] for c in range(len(CLASSES))])
        for c, name in enumerate(CLASSES):
            out[f"ap_{name}"] = _mean([values[c, d] for d in DISTANCES_M])
        for threshold, curve in self._iou_curves.items():
            out[f"ap_iou_{threshold:g}"] = curve.value()
        for (low, high), curve in self._band_curves.items():
            name = f"ap_from_{low:g}m" if high == float("inf") else f"ap_{low:g}_{high:g}m"
            out[name] = curve.value()
        errors = np.concatenate(self._errors) if self._errors else np.zeros((0, 4))
        for n, name in enumerate(
            ("translation_error_m", "scale_error", "yaw_error_rad", "velocity_error_mps")
        ):
            out[name] = float(errors[:, n].mean()) if len(errors) else None
        return out


def box_errors(boxes: Boxes, truth: Objects) -> NDArray[np.float64]:
    """Errors (N, 4) of paired boxes: translation in x, y (m), 1 − IoU of the aligned 3D sizes, yaw (rad),
    velocity (m/s).
    """
    translation = np.linalg.norm(boxes.centres[:, :2] - truth.centres[:, :2], axis=1)
    overlap = np.minimum(boxes.sizes, truth.sizes).prod(axis=1)
    union = boxes.sizes.prod(axis=1) + truth.sizes.prod(axis=1) - overlap
    turn = np.abs((boxes.yaws - truth.yaws + np.pi) % (2 * np.pi) - np.pi)
    speed = np.linalg.norm(boxes.velocities - truth.velocities, axis=1)
    return np.stack([translation, 1.0 - overlap / union, turn, speed], axis=1)


def _match_below(distance: NDArray[np.float64], limit: float) -> NDArray[np.int64]:
    return greedy_match(distance, distance < limit)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [v for v in values if v is not None]
    return float(np.mean(defined)) if defined else None
