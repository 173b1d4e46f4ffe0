"""Answers of the tasks as arrays: detected boxes and predicted trajectories, and how far ahead they reach.

The heads' results, the messages that carry them and the metrics all use these types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.geometry.box_table import Detections

FUTURE_STEPS = 4
"""Frames predicted beyond the present one, 0.5 s apart."""

HORIZON = 1 + FUTURE_STEPS
"""Instants of a prediction: the present and the futures."""


@dataclass(frozen=True)
class Boxes(Detections):
    """Detections with ids (N,) over time, 0 for untracked boxes; None without a tracker."""

    ids: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, found: Detections, ids: NDArray[np.int64] | None = None) -> Boxes:
        """Detections of any kind, with ids if they are known."""
        return cls(found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities, ids)


def no_boxes() -> Boxes:
    """An empty set of detections."""
    return Boxes(
        np.zeros(0, dtype=np.int64),
        np.zeros(0),
        np.zeros((0, 3)),
        np.zeros((0, 3)),
        np.zeros(0),
        np.zeros((0, 2)),
    )


def join_boxes(parts: Sequence[Boxes]) -> Boxes:
    """All boxes of `parts`, in order; without ids, which each tracker gives out on its own."""
    return Boxes.join([replace(part, ids=None) for part in parts]) if parts else no_boxes()


def boxes_of_objects(objects: Objects) -> Boxes:
    """True objects as detections of score 1, as of a perfect detector."""
    return Boxes(
        objects.classes,
        np.ones(len(objects)),
        objects.centres,
        objects.sizes,
        objects.yaws,
        objects.velocities,
    )


@dataclass(frozen=True)
class Tracks:
    """Predicted motion of N objects: ids (N,) as in the instance maps of the same answer · positions (N, 5, 2) m,
    present first · scores (N,)."""

    ids: NDArray[np.int64]
    positions: NDArray[np.float64]
    scores: NDArray[np.float64]
