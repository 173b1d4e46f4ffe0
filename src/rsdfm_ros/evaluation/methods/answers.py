"""From fused maps to an answer: all tasks that the model has, in the form that the metrics take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsdfm_ros.data.outputs import Boxes, Tracks
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.model.heads.detection import Detections
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


def boxes_of(found: Detections) -> Boxes:
    """Detections as the metrics take them."""
    return Boxes(found.classes, found.scores, found.centres, found.sizes, found.yaws, found.velocities)


def answer(perception: Perception, history: Sequence[FusedMap], thresholds: Thresholds) -> FramePrediction:
    """Segment, predict, detect and do what else the model can, from the last fused maps (newest last)."""
    tasks = perception.config.heads
    instances = perception.segment(history) if "segmentation" in tasks else None
    motion = (
        perception.predict(history, instances) if instances is not None and "trajectory" in tasks else None
    )
    found = perception.detect(history) if "detection" in tasks else None
    return FramePrediction(
        window=perception.output_window,
        foreground=None if instances is None else instances.probability >= thresholds.segmentation,
        ids=None if motion is None else motion.ids,
        boxes=None if found is None else boxes_of(found),
        tracks=None if motion is None else Tracks(motion.tracks, motion.positions, motion.scores),
        probability=None if instances is None else instances.probability,
        answers={name: perception.answer(name, history) for name in perception.plug_ins},
    )
