"""Prediction and truth of one frame, as structures of arrays.

The command line and the online evaluator node fill these and hand them to
:class:`rsdfm_ros.evaluation.metrics.accumulator.MetricAccumulator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.heads.answers import TaskAnswer

VISIBLE_FROM = 0.1
"""An object is visible to an agent that sees at least this share of its silhouette."""


@dataclass(frozen=True)
class FramePrediction:
    """One agent's answer for one frame; parts that were not computed are None and are not scored.

    window: the cells of the maps · foreground (ni, nj) bool, vehicle cells of the present · ids (5, ni, nj)
    int32 instance ids at the present and at 4 futures, 0 for none, the same id for the same object · boxes,
    tracks: see there.
    """

    window: Window
    foreground: NDArray[np.bool_] | None = None
    ids: NDArray[np.int32] | None = None
    boxes: Boxes | None = None
    tracks: Tracks | None = None
    probability: NDArray[np.float32] | None = None
    """Foreground probability (ni, nj), from which `foreground` was thresholded; not scored."""
    answers: Mapping[str, TaskAnswer] = field(default_factory=dict)
    """Answers of plug-in tasks, by name."""


@dataclass(frozen=True)
class FrameTruth:
    """The truth of one frame: object ids (5, ni, nj) int32 on `window` at the present and 4 futures, the
    present objects, their positions (N, 5, 2) m (NaN once an object has left the world), the objects at all five
    instants, and the static layout, where a task needs it. Without known futures: ids (1, ni, nj), one instant, and
    positions that are NaN after the present."""

    window: Window
    ids: NDArray[np.int32]
    objects: Objects
    positions: NDArray[np.float64]
    frames: tuple[Objects, ...] = ()
    layout: LayoutMap | None = None

    def visible_to(self, agents: Sequence[int]) -> NDArray[np.bool_]:
        """Mask of the objects (N,) that at least one of the agents (columns of Objects.visibility) sees."""
        seen = self.objects.visibility[:, list(agents)] >= VISIBLE_FROM
        return np.asarray(seen.any(axis=1))

    @property
    def has_futures(self) -> bool:
        """Whether the futures are known."""
        return len(self.ids) == HORIZON


def truth_of(objects: Sequence[Objects], window: Window, layout: LayoutMap | None = None) -> FrameTruth:
    """Truth from the objects at the present frame and the 4 following ones, or of the present alone; ValueError for
    another number of frames.
    """
    if len(objects) not in (1, HORIZON):
        raise ValueError(f"the truth of a frame needs 1 or {HORIZON} consecutive frames, got {len(objects)}")
    present = objects[0]
    positions = np.full((len(present), HORIZON, 2), np.nan)
    for step, later in enumerate(objects):
        _, here, there = np.intersect1d(present.ids, later.ids, return_indices=True)
        positions[here, step] = later.centres[there, :2]
    ids = np.stack([rasterise(o, window) for o in objects])
    return FrameTruth(window, ids, present, positions, tuple(objects), layout)
