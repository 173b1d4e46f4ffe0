"""Fused maps to the answers of every task, with ids over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.history import History
from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.agent.tracking import Identities, with_ids
from rsdfm_ros.agent.types import Fused, Shared
from rsdfm_ros.data.outputs import Boxes, Tracks
from rsdfm_ros.model.heads.answers import TaskAnswer

if TYPE_CHECKING:  # torch takes a second to import, and nodes need it only once they are active
    from rsdfm_ros.agent.solo import Solo
    from rsdfm_ros.geometry.box_table import Detections
    from rsdfm_ros.model.heads.segmentation import InstanceMap
    from rsdfm_ros.model.maps import FusedMap
    from rsdfm_ros.model.perception import Perception

COLLABORATIVE, SINGLE = "collaborative", "single"
"""Variants of an answer: with peers, and without."""


class FusedHistory(History[Fused]):
    """The last fused maps of one region: maps of another region start it anew."""

    def add(self, item: Fused) -> tuple[Fused, ...]:
        """The history that ends with `item`."""
        if self._items and self._items[-1].region != item.region:
            self.clear()
        return super().add(item)


@dataclass(frozen=True)
class TaskInput:
    """Fused maps of one variant, newest last. solo: the UAV alone at the newest, None if not known · shared: results
    of other tasks of the instant."""

    variant: str
    stamp_ns: int
    maps: Sequence[FusedMap]
    solo: Solo | None
    shared: Shared

    @classmethod
    def of(cls, variant: str, fused: Sequence[Fused]) -> TaskInput:
        """The input of a variant. fused: instants, newest last; those without this variant are left out."""
        maps = [f.collaborative if variant == COLLABORATIVE else f.single for f in fused]
        now = fused[-1]
        return cls(variant, now.stamp_ns, [m for m in maps if m is not None], now.solo, now.shared)


@dataclass(frozen=True)
class Detection:
    """boxes: all, with ids if there are any, 0 for those that are no objects · objects: boxes that count as objects."""

    boxes: Boxes
    objects: Boxes


@dataclass(frozen=True)
class Segmentation:
    """instances: as segmented · ids (ni, nj) int32: instance ids, over time if there are any."""

    instances: InstanceMap
    ids: NDArray[np.int32]


@dataclass(frozen=True)
class Motion:
    """tracks: predicted motion · ids (steps, ni, nj) int32: instance ids at the present and at the futures."""

    tracks: Tracks
    ids: NDArray[np.int32]


@dataclass(frozen=True)
class TaskAnswers:
    """Answers of all tasks of a model; None for tasks that it does not have."""

    detection: Detection | None
    segmentation: Segmentation | None
    motion: Motion | None
    plug_ins: dict[str, TaskAnswer]


class Tasks:
    """The tasks of one UAV. identities: gives ids over time; None: ids hold for one instant only.

    A model is given to every call, on the region and ground of the maps and with the thresholds in use. id_memory_s:
    time that an unseen object keeps its id.
    """

    def __init__(self, identities: Identities | None = None) -> None:
        self._identities = identities

    def clear(self) -> None:
        """Drop all ids; they are not used again."""
        if self._identities is not None:
            self._identities.clear()

    def detect(
        self, model: Perception, given: TaskInput, id_memory_s: float = DEFAULTS.id_memory_s
    ) -> Detection:
        """3D boxes."""
        alone = _found_alone(model, given)
        found = model.detect(given.maps) if alone is None else alone
        counts = found.scores >= model.thresholds["objects"]
        ids = None
        if self._identities is not None:
            ids = self._identities.of_boxes(
                given.variant, given.stamp_ns, id_memory_s, found.centres, found.velocities, counts
            )
        boxes = Boxes.of(found, ids)
        objects = boxes.select(counts)
        if given.variant == COLLABORATIVE:
            given.shared.objects = objects
        return Detection(boxes, objects)

    def segment(
        self, model: Perception, given: TaskInput, id_memory_s: float = DEFAULTS.id_memory_s
    ) -> Segmentation:
        """Instances seen from above."""
        instances = model.segment(given.maps)
        given.shared.instances[given.variant] = instances
        if self._identities is None:
            return Segmentation(instances, instances.ids)
        ids = self._identities.of_instances(given.variant, given.stamp_ns, id_memory_s, instances.centres)
        return Segmentation(instances, with_ids(instances.ids, ids))

    def predict(
        self, model: Perception, given: TaskInput, id_memory_s: float = DEFAULTS.id_memory_s
    ) -> Motion:
        """Trajectories; instances of the present are those of `segment`, if it was called before."""
        motion = model.predict(given.maps, given.shared.instances.get(given.variant))
        if self._identities is None:
            return Motion(Tracks(motion.tracks, motion.positions, motion.scores), motion.ids)
        ids = self._identities.of_trajectories(given.variant, given.stamp_ns, id_memory_s, motion.positions)
        return Motion(Tracks(ids, motion.positions, motion.scores), with_ids(motion.ids, ids))

    def plug_in(self, model: Perception, name: str, given: TaskInput) -> TaskAnswer:
        """The answer of a plug-in head."""
        return model.answer(name, given.maps)

    def answer(
        self, model: Perception, given: TaskInput, id_memory_s: float = DEFAULTS.id_memory_s
    ) -> TaskAnswers:
        """The answers of all tasks that the model has, one after the other, so that each uses those before it."""
        has = model.config.heads
        return TaskAnswers(
            detection=self.detect(model, given, id_memory_s) if "detection" in has else None,
            segmentation=self.segment(model, given, id_memory_s) if "segmentation" in has else None,
            motion=self.predict(model, given, id_memory_s)
            if {"segmentation", "trajectory"} <= set(has)
            else None,
            plug_ins={name: self.plug_in(model, name, given) for name in model.plug_ins},
        )


def _found_alone(model: Perception, given: TaskInput) -> Detections | None:
    """The detections in the same maps that were computed for the peers, if there are any with the same threshold."""
    solo = given.solo
    if given.variant == COLLABORATIVE or solo is None or not solo.saw(list(given.maps)):
        return None
    same = solo.model.thresholds["detection"] == model.thresholds["detection"]
    return solo.detections() if same else None
