"""Fused maps to an answer in the form of the metrics' input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsdfm_ros.agent.tasks import COLLABORATIVE, TaskInput, Tasks
from rsdfm_ros.agent.types import Shared
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.model.perception import FusedMap, Perception
from rsdfm_ros.model.thresholds import DEFAULT_THRESHOLDS


@dataclass(frozen=True)
class Thresholds:
    """Chosen on validation scenes and stored in the model's manifest: foreground probability of a vehicle
    cell, and the score from which a box counts as an object (where a decision is needed; AP uses all
    scores)."""

    segmentation: float = DEFAULT_THRESHOLDS["segmentation"]
    detection: float = DEFAULT_THRESHOLDS["objects"]

    @classmethod
    def of(cls, perception: Perception) -> Thresholds:
        """The thresholds of a model's manifest: `segmentation`, and `objects` for boxes."""
        known = perception.thresholds
        return cls(known.get("segmentation", cls.segmentation), known.get("objects", cls.detection))


def answer(perception: Perception, history: Sequence[FusedMap], thresholds: Thresholds) -> FramePrediction:
    """The answers of all tasks of the model, from the last fused maps (newest last), with ids of one instant."""
    found = Tasks().answer(perception, TaskInput(COLLABORATIVE, 0, history, None, Shared()))
    instances = None if found.segmentation is None else found.segmentation.instances
    motion = found.motion
    return FramePrediction(
        window=perception.output_window,
        foreground=None if instances is None else instances.probability >= thresholds.segmentation,
        ids=None if motion is None else motion.ids,
        boxes=None if found.detection is None else found.detection.boxes,
        tracks=None if motion is None else motion.tracks,
        probability=None if instances is None else instances.probability,
        answers=found.plug_ins,
    )
