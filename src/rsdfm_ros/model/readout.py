"""Fused maps to the answers of the tasks: the neck once per history, then every head that is asked for."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.model.exchange import Exchange
from rsdfm_ros.model.heads.detection import DetectionHead
from rsdfm_ros.model.heads.registry import Head, TaskAnswer, plug_ins
from rsdfm_ros.model.heads.segmentation import InstanceMap, SegmentationHead
from rsdfm_ros.model.heads.trajectory import Prediction, TrajectoryHead
from rsdfm_ros.model.maps import FusedMap
from rsdfm_ros.model.neck import Look, TaskFeatures
from rsdfm_ros.model.region import crop_detections


class Readout(Exchange):
    """A loaded model on a window of the lattice, with the answers of its heads; a base of Perception."""

    @torch.inference_mode()
    def detect(self, history: Sequence[FusedMap]) -> Detections:
        """3D boxes in the map frame from a history of fused maps, newest last.

        The network knows heights above the ground; the ground's own height at the middle of a box is added to its z.
        """
        head = self._head("detection")
        assert isinstance(head, DetectionHead)
        threshold, window = self.thresholds["detection"], self.window
        found = head.decode(self._outputs(head, history), threshold=threshold, window=window)
        on_ground = found.centres.copy()
        on_ground[:, 2] += self.ground.elevation(on_ground[:, :2])
        found = replace(found, centres=on_ground)
        return crop_detections(found, window)

    @torch.inference_mode()
    def segment(self, history: Sequence[FusedMap]) -> InstanceMap:
        """Instances on the output window."""
        head = self._head("segmentation")
        assert isinstance(head, SegmentationHead)
        threshold = self.thresholds["segmentation"]
        return head.decode(self._outputs(head, history), threshold=threshold, window=self.output_window)

    @torch.inference_mode()
    def foreground(self, history: Sequence[FusedMap]) -> Tensor:
        """Foreground logit (H, W) of each cell: the highest one of its cells on the output window."""
        logit = self._outputs(self._head("segmentation"), history)["logit"].float()
        return F.max_pool2d(logit, 2)[0, 0]

    @torch.inference_mode()
    def predict(self, history: Sequence[FusedMap], present: InstanceMap | None = None) -> Prediction:
        """Instances now and at the coming steps; `present` saves segmenting the newest map again."""
        head = self._head("trajectory")
        assert isinstance(head, TrajectoryHead)
        now = present if present is not None else self.segment(history)
        threshold = self.thresholds["trajectory"]
        return head.decode(self._outputs(head, history), now, threshold=threshold, window=self.output_window)

    @property
    def plug_ins(self) -> tuple[str, ...]:
        """The tasks of this model beside detection, segmentation and trajectories."""
        return plug_ins(self.config.heads)

    @torch.inference_mode()
    def answer(self, name: str, history: Sequence[FusedMap]) -> TaskAnswer:
        """The answer of a plug-in head to a history of fused maps, newest last, for the region."""
        head = self._head(name)
        visible = history[-1].visible.cpu().numpy() if history else np.zeros(self.window.shape, np.bool_)
        return head.answer(self._outputs(head, history), visible, self.window, self.window)

    @torch.inference_mode()
    def objectness(self, history: Sequence[FusedMap]) -> Tensor:
        """Objectness of each cell (H, W) in [0, 1]: the detector's confidence in an object of any class."""
        heat = self._outputs(self._head("detection"), history)["heat"]
        return torch.sigmoid(heat.float())[0].amax(dim=0)

    def _head(self, name: str) -> Head:
        if name not in self.model.heads:
            raise RsdfmError(f"this model has no {name} head; it has {', '.join(self.model.heads)}")
        return self.model.head(name)

    @torch.inference_mode()
    def task_features(self, history: Sequence[FusedMap]) -> TaskFeatures:
        """Features that the heads read, from a history of fused maps, newest last; computed once per history."""
        if not history:
            raise RsdfmError("a task head needs at least one fused map")
        newest, length = history[-1], self.config.history - 1
        before = tuple(history[:-1])[-length:] if length else ()
        known = newest.computed.get("features")
        if known is not None and len(known[0]) == len(before) and all(map(operator.is_, known[0], before)):
            return known[1]  # type: ignore[no-any-return]
        for older in before:  # only their memories are used again
            older.computed.pop("features", None)
        fused, visible = newest.features[None], newest.visible[None, None]
        look = self._look(newest)
        known_memories = [*(self._memory(m) for m in before), look.memory]
        missing = [torch.zeros_like(look.memory)] * (length - len(before))
        cells, motion = self.runtime.cells(
            look.near, look.wide, torch.cat([*missing, *known_memories], dim=1)
        )
        features = TaskFeatures(cells, motion, fused, visible, self.runtime.fine)
        newest.computed["memory"] = look.memory
        newest.computed["features"] = (before, features)
        return features

    def _look(self, fused: FusedMap) -> Look:
        """A map by itself; one in which nothing is visible is remembered as missing, as in training."""
        look = self.runtime.look(fused.features[None], fused.visible[None, None])
        return look if bool(fused.visible.any()) else look._replace(memory=torch.zeros_like(look.memory))

    def _memory(self, fused: FusedMap) -> Tensor:
        """What the neck keeps of a map, (1, memory_channels, H/2, W/2); computed once."""
        if "memory" not in fused.computed:
            fused.computed["memory"] = self._look(fused).memory
        return fused.computed["memory"]  # type: ignore[no-any-return]

    def _outputs(self, head: Head, history: Sequence[FusedMap]) -> dict[str, Tensor]:
        return self.runtime.head(head, self.task_features(history))
