"""Every UAV alone, and every UAV alone with boxes exchanged afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from rsdfm_ros.evaluation.bytes import boxes_of_message, object_array_message
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.late import SEND_SCORE, aged, late_prediction
from rsdfm_ros.evaluation.messages import Received, Sent
from rsdfm_ros.evaluation.methods.base import Method
from rsdfm_ros.evaluation.step import Step


class Single(Method):
    """No collaboration."""

    def receive(
        self, step: Step, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        return step.own(ego) if scored else None


class Late(Method):
    """Boxes only, merged by suppression of duplicates."""

    def send(self, step: Step, sender: int) -> Sent | None:
        boxes = step.own(sender).boxes
        assert boxes is not None
        boxes = boxes.select(boxes.scores >= SEND_SCORE)
        payload = object_array_message(
            boxes, agent=step.agents[sender], stamp_ns=step.stamp_ns, frame=step.index
        )
        return step.sent(sender, [payload], len(payload))

    def receive(
        self, step: Step, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        if not scored:
            return None
        peers = [aged(boxes_of_message(item.payloads[0]), item.age_s) for item in inbox]
        return late_prediction(step.own(ego), peers, self.thresholds.detection)
