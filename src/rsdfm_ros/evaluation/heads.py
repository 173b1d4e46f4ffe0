"""From fused maps to an answer: all three tasks, in the form that the metrics take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsdfm_ros.evaluation.frames import Boxes, FramePrediction, Tracks
from rsdfm_ros.model.perception import FusedMap, Perception


@dataclass(frozen=True)
class Thresholds:
    """Chosen on validation scenes and stored in the model's manifest: foreground probability of a vehicle
    cell, and the score from which a box counts as an object (where a decision is needed; AP uses all
    scores)."""

    segmentation: float = 0.5
    detection: float = 0.3

    @classmethod
    def of(cls, perception: Perception) -> Thresholds:
        """The thresholds of a model's manifest: `segmentation`, and `objects` for boxes."""
        known = perception.thresholds
        return cls(known.get("segmentation", cls.segmentation), known.get("objects", cls.detection))


def answer(perception: Perception, history: Sequence[FusedMap], thresholds: Thresholds) -> FramePrediction:
    """Segment, predict and detect from the last fused maps (newest last)."""
    instances = perception.segment(history)
    motion = perception.predict(history, instances)
    found = perception.detect(history)
    return FramePrediction(
        window=perception.output_window,
        foreground=np.asarray(instances.probability >= thresholds.segmentation),
        ids=motion.ids,
        boxes=Boxes(found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities),
        tracks=Tracks(motion.tracks, motion.positions, motion.scores),
        probability=instances.probability,
    )
