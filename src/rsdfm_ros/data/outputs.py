"""Answers of the tasks as arrays: detected boxes and predicted trajectories, and how far ahead they reach.

The heads' results, the messages that carry them and the metrics all use these types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import Objects

FUTURE_STEPS = 4
"""Frames predicted beyond the present one, 0.5 s apart."""

HORIZON = 1 + FUTURE_STEPS
"""Instants of a prediction: the present and the futures."""


@dataclass(frozen=True)
class Boxes:
    """Detected boxes in the ``map`` frame over N detections.

    classes (N,) int64 index into CLASSES · scores (N,) in [0, 1] · centres (N, 3) m · sizes (N, 3) m as
    length, width, height · yaws (N,) rad · velocities (N, 2) m/s · ids (N,) over time, 0 for what is not tracked;
    None where nobody tracks.
    """

    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaws: NDArray[np.float64]
    velocities: NDArray[np.float64]
    ids: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: NDArray[np.bool_] | NDArray[np.integer]) -> Boxes:
        """The boxes picked by a boolean mask or an integer index."""
        return Boxes(
            self.classes[index],
            self.scores[index],
            self.centres[index],
            self.sizes[index],
            self.yaws[index],
            self.velocities[index],
            None if self.ids is None else self.ids[index],
        )


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
    """All boxes of `parts`, in order."""
    if not parts:
        return no_boxes()
    return Boxes(
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.centres for p in parts]),
        np.concatenate([p.sizes for p in parts]),
        np.concatenate([p.yaws for p in parts]),
        np.concatenate([p.velocities for p in parts]),
    )


def boxes_of_objects(objects: Objects) -> Boxes:
    """True objects as detections of score 1: what a perfect detector answers."""
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
