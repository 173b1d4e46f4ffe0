"""All metrics of one evaluation area, accumulated frame by frame, offline and online alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth
from rsdfm_ros.evaluation.metrics.detection import DetectionAccumulator
from rsdfm_ros.evaluation.metrics.ratios import Ratios
from rsdfm_ros.evaluation.metrics.segmentation import CellCounts, PanopticCounts
from rsdfm_ros.evaluation.metrics.trajectory import TrajectoryErrors
from rsdfm_ros.geometry.lattice import Window

Result = dict[str, float | None]


class MetricAccumulator:
    """Scores predictions within one area; `area` is a window of cells that lies inside the windows of what is
    added.

    Cells count inside the area. True objects, detections and tracks count when their (present) centre lies in
    it.
    """

    def __init__(self, area: Window) -> None:
        self.area = area
        self.frames = 0
        self._cells = CellCounts()
        self._visible_cells = CellCounts()
        self._still = PanopticCounts()
        self._sequence = PanopticCounts()
        self._detection = DetectionAccumulator()
        self._visible_detection = DetectionAccumulator()
        self._trajectory = TrajectoryErrors()
        self._tasks = Ratios()
        self._has_visible = False

    def add(
        self,
        prediction: FramePrediction,
        truth: FrameTruth,
        visible: NDArray[np.bool_] | None = None,
        ego: NDArray[np.float64] | None = None,
    ) -> None:
        """Add one frame; `visible` (N,) marks the true objects seen by an agent in use, for the visible-only
        variant; `ego` (2,) is the position of the answering UAV, m, for AP by distance.
        """
        self.frames += 1
        self._tasks.add_answers(prediction, truth, self.area, visible)
        self._has_visible |= visible is not None
        here = prediction.window.crop(self.area)
        true_ids = truth.ids[(slice(None), *truth.window.crop(self.area))]
        if prediction.foreground is not None:
            predicted = prediction.foreground[here]
            self._cells.add(predicted, true_ids[0] > 0)
            if visible is not None:
                hidden = np.isin(true_ids[0], truth.objects.ids[~visible])
                self._visible_cells.add(predicted, true_ids[0] > 0, ignored=hidden)
        if prediction.ids is not None:
            predicted_ids = prediction.ids[(slice(None), *here)]
            self._still.add_still(predicted_ids[0], true_ids[0])
            if truth.has_futures:
                self._sequence.add_sequence(predicted_ids, true_ids)
        inside = within(truth.objects.centres, self.area)
        if prediction.boxes is not None:
            boxes = prediction.boxes.select(within(prediction.boxes.centres, self.area))
            objects = truth.objects.select(inside)
            self._detection.add(boxes, objects, ego=ego)
            if visible is not None:
                self._visible_detection.add(boxes, objects, counted=visible[inside])
        if prediction.tracks is not None and truth.has_futures:
            tracks = prediction.tracks.positions
            self._trajectory.add(tracks[within(tracks[:, 0], self.area)], truth.positions[inside])

    def merge(self, other: MetricAccumulator) -> None:
        """Add another accumulator of the same area, e.g. of another scene or agent."""
        if other.area != self.area:
            raise ValueError(f"areas differ: {self.area} and {other.area}")
        self.frames += other.frames
        self._cells.merge(other._cells)
        self._visible_cells.merge(other._visible_cells)
        self._still.merge(other._still)
        self._sequence.merge(other._sequence)
        self._detection.merge(other._detection)
        self._visible_detection.merge(other._visible_detection)
        self._trajectory.merge(other._trajectory)
        self._tasks.merge(other._tasks)
        self._has_visible |= other._has_visible

    def result(self) -> Result:
        """All figures so far; None where undefined. `*_visible` are the visible-only variants."""
        out: Result = {
            "iou": self._cells.iou,
            "pq": self._still.quality,
            "vpq": self._sequence.quality,
            "id_switches": float(self._sequence.switches),
        }
        out.update(self._detection.result())
        out.update(self._trajectory.result())
        out.update(self._tasks.result())
        if self._has_visible:
            seen = self._visible_detection.result()
            out["iou_visible"] = self._visible_cells.iou
            out["ap_visible"], out["map_visible"] = seen["ap"], seen["map"]
        return out


def frame_iou(foreground: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    """Segmentation IoU of a single frame over the given cells, for live display."""
    counts = CellCounts()
    counts.add(foreground, true)
    return counts.iou


def frame_ap(boxes: Boxes, truth: FrameTruth, area: Window) -> float | None:
    """Class-agnostic AP at 2 m of a single frame within `area`, for live display."""
    accumulator = DetectionAccumulator()
    inside = truth.objects.select(within(truth.objects.centres, area))
    accumulator.add(boxes.select(within(boxes.centres, area)), inside)
    return accumulator.result()["ap"]


def within(centres: NDArray[np.float64], area: Window) -> NDArray[np.bool_]:
    """Mask of the centres (N, 2 or more columns) in metres that lie in the area."""
    x_min, y_min, x_max, y_max = area.bounds
    x, y = centres[:, 0], centres[:, 1]
    return np.asarray((x >= x_min) & (x < x_max) & (y >= y_min) & (y < y_max))


MAIN_AREA = "long"
BY_AREA = ("iou", "pq", "vpq", "iou_visible", "id_switches")
"""Figures whose keys in results always carry the name of their area."""


def figures_by_area(areas: Mapping[str, MetricAccumulator]) -> Result:
    """The figures of all areas: cell and instance figures with the area's name (iou_long …); box and track figures of
    the main area under their own names, of other areas with the area's name."""
    out: Result = {}
    for area, accumulator in areas.items():
        for key, value in accumulator.result().items():
            named = key in BY_AREA or area != MAIN_AREA
            out[f"{key}_{area}" if named else key] = value
    return out
