"""Every UAV alone, and every UAV alone with boxes exchanged afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.methods.base import Method, message_size
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.late_fusion import (
    SEND_SCORE,
    compensate_latency,
    corrected_boxes,
    late_prediction,
)
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.geometry.alignment import Sighting, align
from rsdfm_ros.wire.boxes import decode_boxes, encode_boxes


class Single(Method):
    """No collaboration."""

    def receive(
        self, step: EvaluationFrame, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        return step.own(ego) if scored else None


class Late(Method):
    """Boxes only, 16 bytes each, with the correction of poses that the feature methods have: boxes of all agents are
    aligned, then merged."""

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        boxes = step.own(sender).boxes
        assert boxes is not None
        payload = boxes_payload(boxes)
        return step.sent(sender, [payload], message_size(self.perception, step, sender, payload))

    def receive(
        self, step: EvaluationFrame, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        if not scored:
            return None
        own = step.own(ego)
        assert own.boxes is not None
        poses = [step.pose(ego), *((item.sent.T_map_camera, item.sent.covariance) for item in inbox)]
        parts = [
            own.boxes,
            *(compensate_latency(Boxes.of(decode_boxes(i.payloads[0])), i.age_s) for i in inbox),
        ]
        if inbox and any(covariance.any() for _, covariance in poses):
            seen = [
                Sighting(b, T[:3, 3], covariance) for b, (T, covariance) in zip(parts, poses, strict=True)
            ]
            parts = [
                corrected_boxes(b, T, correction.pose(T))
                for b, (T, _), correction in zip(parts, poses, align(seen), strict=True)
            ]
        return late_prediction(own, parts, self.thresholds.detection) if inbox else own


def boxes_payload(boxes: Boxes) -> bytes:
    """Payload of an agent's boxes: those of at least SEND_SCORE are sent."""
    return encode_boxes(boxes.select(boxes.scores >= SEND_SCORE))
