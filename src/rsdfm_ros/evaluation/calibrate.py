"""Chooses the decision thresholds of a model on validation scenes, never on test scenes.

Segmentation: the foreground probability with the best IoU of `rsdfm` over ±50 m. Objects: the box score with
the best F1 of merged (late) boxes at 2 m. The caller writes them into the model's manifest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.metrics.accumulator import within
from rsdfm_ros.evaluation.metrics.detection import greedy_match, ranked
from rsdfm_ros.evaluation.protocol import AREAS
from rsdfm_ros.evaluation.scene_source import SceneSource
from rsdfm_ros.evaluation.session import evaluate_scene
from rsdfm_ros.evaluation.settings import Settings
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.perception import Perception

SEGMENTATION_GRID: NDArray[np.float64] = np.round(np.arange(0.25, 0.751, 0.025), 3)
METHODS = ("late", "rsdfm")
"""Methods that are evaluated: merged boxes for one threshold, fused maps for the other."""
OBJECT_GRID: NDArray[np.float64] = np.round(np.arange(0.1, 0.81, 0.05), 3)


@dataclass
class Sweep:
    """Counts over a grid of thresholds."""

    grid: NDArray[np.float64]
    tp: NDArray[np.int64] = field(init=False)
    fp: NDArray[np.int64] = field(init=False)
    fn: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.tp, self.fp, self.fn = (np.zeros(len(self.grid), dtype=np.int64) for _ in range(3))

    def add(self, scores: NDArray[np.float64], correct: NDArray[np.bool_], n_true: int) -> None:
        """Add predictions (P,) with their scores and whether they are right, of n_true right answers."""
        above = scores[None] >= self.grid[:, None]
        tp = (above & correct[None]).sum(axis=1)
        self.tp += tp
        self.fp += above.sum(axis=1) - tp
        self.fn += n_true - tp

    @property
    def iou(self) -> NDArray[np.float64]:
        """TP / (TP + FP + FN) per threshold."""
        return np.asarray(self.tp / np.maximum(self.tp + self.fp + self.fn, 1))

    @property
    def f1(self) -> NDArray[np.float64]:
        """2 TP / (2 TP + FP + FN) per threshold."""
        return np.asarray(2 * self.tp / np.maximum(2 * self.tp + self.fp + self.fn, 1))

    def best(self, quality: NDArray[np.float64]) -> tuple[float, float]:
        """Threshold and quality at the best place of the grid."""
        n = int(np.argmax(quality))
        return float(self.grid[n]), float(quality[n])


@dataclass(frozen=True)
class Calibration:
    """The chosen thresholds, and the quality at every threshold that was tried."""

    thresholds: Thresholds
    iou: float
    f1: float
    iou_by_threshold: dict[float, float]
    f1_by_threshold: dict[float, float]

    def describe(self) -> str:
        """A sentence for the terminal."""
        return (
            f"thresholds: segmentation {self.thresholds.segmentation:g} (IoU ±50 m {self.iou:.3f}), "
            f"objects {self.thresholds.detection:g} (F1 of merged boxes at 2 m {self.f1:.3f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `thresholds` is what goes into the manifest."""
        return {
            "thresholds": {
                "segmentation": self.thresholds.segmentation,
                "objects": self.thresholds.detection,
            },
            "iou_by_threshold": {f"{k:g}": v for k, v in self.iou_by_threshold.items()},
            "f1_by_threshold": {f"{k:g}": v for k, v in self.f1_by_threshold.items()},
        }


def calibrate(
    perception: Perception,
    scenes: Sequence[SceneSource],
    budget_bytes: int,
    pool: ThreadPoolExecutor,
    on_frame: Callable[[], None] = lambda: None,
    area: Window | None = None,
) -> Calibration:
    """Sweep both thresholds over validation scenes with two UAVs as egos."""
    area = area or AREAS["long"]
    cells, objects = Sweep(SEGMENTATION_GRID), Sweep(OBJECT_GRID)
    lock = threading.Lock()

    def watch(method: str, ego: int, frame: int, prediction: FramePrediction, truth: FrameTruth) -> None:
        if method == "rsdfm" and prediction.probability is not None:
            probability = prediction.probability[prediction.window.crop(area)].ravel()
            true = (truth.ids[0][truth.window.crop(area)] > 0).ravel()
            candidates = probability >= SEGMENTATION_GRID[0]
            with lock:
                cells.add(probability[candidates], true[candidates], int(true.sum()))
        if method == "late" and prediction.boxes is not None:
            boxes = ranked(prediction.boxes.select(within(prediction.boxes.centres, area)))
            correct, n_true = _right(boxes, truth, area)
            with lock:
                objects.add(boxes.scores, correct, n_true)

    settings = Settings(METHODS, 2, budget_bytes, Thresholds.of(perception), Disturbance(), {})
    for scene in scenes:
        evaluate_scene(perception, scene, settings, pool, on_frame, watch)
    segmentation, iou = cells.best(cells.iou)
    score, f1 = objects.best(objects.f1)
    return Calibration(
        Thresholds(segmentation, score),
        iou,
        f1,
        dict(zip(cells.grid.tolist(), cells.iou.tolist(), strict=True)),
        dict(zip(objects.grid.tolist(), objects.f1.tolist(), strict=True)),
    )


def _right(boxes: Boxes, truth: FrameTruth, area: Window) -> tuple[NDArray[np.bool_], int]:
    centres = truth.objects.centres[within(truth.objects.centres, area)]
    offset = boxes.centres[:, None, :2] - centres[None, :, :2]
    distance = np.hypot(offset[..., 0], offset[..., 1])
    return greedy_match(distance, distance < 2.0) >= 0, len(centres)
