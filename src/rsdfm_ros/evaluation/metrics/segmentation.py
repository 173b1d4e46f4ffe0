"""Segmentation and panoptic quality of bird's-eye-view maps: IoU, PQ, VPQ.

PQ = (sum of IoU over true positives) / (TP + FP / 2 + FN / 2) (Kirillov et al., "Panoptic Segmentation",
2019). A predicted and a true instance match when their IoU exceeds 0.5, which makes the matching unique.

VPQ extends it over the present and the futures: an instance that was matched to one predicted id and is later
matched to another is an id switch; it adds one FN and one FP, no TP and no IoU, and the new id is expected
from then on (the definition used by FIERY and DHD). TP, FP, FN and IoU are summed over all steps and frames
before the division. An instance that the edge of the area cuts is compared by the part inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATCH_IOU = 0.5


@dataclass
class CellCounts:
    """Counts of cells: the accumulator of the segmentation IoU."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def add(
        self, predicted: NDArray[np.bool_], true: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
    ) -> None:
        """Count the cells of one frame, leaving out the ignored ones."""
        if ignored is not None:
            predicted, true = predicted & ~ignored, true & ~ignored
        tp = int(np.count_nonzero(predicted & true))
        self.tp += tp
        self.fp += int(np.count_nonzero(predicted)) - tp
        self.fn += int(np.count_nonzero(true)) - tp

    def merge(self, other: CellCounts) -> None:
        """Add what another accumulator counted."""
        self.tp, self.fp, self.fn = self.tp + other.tp, self.fp + other.fp, self.fn + other.fn

    @property
    def iou(self) -> float | None:
        """TP / (TP + FP + FN); None when there was neither truth nor prediction."""
        total = self.tp + self.fp + self.fn
        return self.tp / total if total else None


@dataclass
class PanopticCounts:
    """Counts of instances: the accumulator of PQ and VPQ."""

    iou_sum: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0
    switches: int = 0

    def add_still(self, predicted: NDArray[np.int32], true: NDArray[np.int32]) -> None:
        """Count one instant, ids (ni, nj): the PQ of a frame."""
        self.add_sequence(predicted[None], true[None])

    def add_sequence(self, predicted: NDArray[np.int32], true: NDArray[np.int32]) -> None:
        """Count consecutive instants, ids (T, ni, nj): the VPQ of a frame and its futures."""
        expected: dict[int, int] = {}
        for now_predicted, now_true in zip(predicted, true, strict=True):
            matches, n_predicted, n_true = match_instances(now_predicted, now_true)
            self.fp += n_predicted - len(matches)
            self.fn += n_true - len(matches)
            for true_id, predicted_id, iou in matches:
                if expected.get(true_id, predicted_id) != predicted_id:
                    self.switches += 1
                    self.fp += 1
                    self.fn += 1
                else:
                    self.tp += 1
                    self.iou_sum += iou
                expected[true_id] = predicted_id

    def merge(self, other: PanopticCounts) -> None:
        """Add what another accumulator counted."""
        self.iou_sum += other.iou_sum
        self.tp, self.fp, self.fn = self.tp + other.tp, self.fp + other.fp, self.fn + other.fn
        self.switches += other.switches

    @property
    def quality(self) -> float | None:
        """PQ or VPQ; None when there was neither truth nor prediction."""
        total = self.tp + (self.fp + self.fn) / 2
        return self.iou_sum / total if total else None


def match_instances(
    predicted: NDArray[np.int32], true: NDArray[np.int32]
) -> tuple[list[tuple[int, int, float]], int, int]:
    """Matches (true id, predicted id, IoU > 0.5) of two id maps, and the numbers of predicted and of true
    instances.
    """
    cells = (predicted > 0) | (true > 0)
    p, t = predicted[cells].astype(np.int64), true[cells].astype(np.int64)
    p_ids, p_index, p_areas = np.unique(p, return_inverse=True, return_counts=True)
    t_ids, t_index, t_areas = np.unique(t, return_inverse=True, return_counts=True)
    pairs, overlaps = np.unique(t_index * len(p_ids) + p_index, return_counts=True)
    ti, pi = pairs // max(len(p_ids), 1), pairs % max(len(p_ids), 1)
    iou = overlaps / (t_areas[ti] + p_areas[pi] - overlaps)
    good = (t_ids[ti] > 0) & (p_ids[pi] > 0) & (iou > MATCH_IOU)
    matches = [
        (int(t_ids[a]), int(p_ids[b]), float(v))
        for a, b, v in zip(ti[good], pi[good], iou[good], strict=True)
    ]
    return matches, int((p_ids > 0).sum()), int((t_ids > 0).sum())
