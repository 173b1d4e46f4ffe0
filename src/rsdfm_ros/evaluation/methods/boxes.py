"""Features with boxes that always travel along and stand in for what the features cannot carry."""

from __future__ import annotations

from collections.abc import Sequence

from rsdfm_ros.evaluation.frames import Boxes, FramePrediction
from rsdfm_ros.evaluation.joined import joined
from rsdfm_ros.evaluation.late import corrected_boxes, merge_boxes
from rsdfm_ros.evaluation.messages import Received
from rsdfm_ros.evaluation.methods.alone import boxes_of, boxes_payload
from rsdfm_ros.evaluation.methods.base import message_size
from rsdfm_ros.evaluation.methods.codec import Rsdfm
from rsdfm_ros.evaluation.step import Step
from rsdfm_ros.model.agreement import View


class RsdfmBoxes(Rsdfm):
    """As :class:`Rsdfm`; the boxes of believed peers complete what the fused features say (joined.py)."""

    def start(self) -> None:
        super().start()
        self._found: dict[int, list[Boxes]] = {}

    def extra(self, step: Step, sender: int) -> list[tuple[bytes, int]]:
        boxes = step.own(sender).boxes
        assert boxes is not None
        payload = boxes_payload(boxes)
        return [(payload, message_size(self.perception, step, sender, payload))]

    def prepare(self, step: Step, ego: int, own: View, peers: list[View]) -> tuple[View, list[View]]:
        before = {view.name: view.T_map_camera for view in (own, *peers)}
        own, peers = super().prepare(step, ego, own, peers)
        mine = step.own(ego).boxes
        assert mine is not None
        found = [(own, mine), *((p, boxes_of(p.boxes)) for p in peers if p.boxes is not None)]
        self._found[ego] = [corrected_boxes(b, before[v.name], v.T_map_camera) for v, b in found]
        return own, peers

    def receive(
        self, step: Step, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        self._found[ego] = []
        answer = super().receive(step, ego, inbox, scored)
        found = self._found[ego]
        if answer is None or len(found) < 2:
            return answer
        return joined(answer, merge_boxes(found), self.thresholds.detection)
