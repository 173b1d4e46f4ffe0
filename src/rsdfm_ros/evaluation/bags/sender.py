"""The sender of encoder_node without nodes: the packets of an image within the byte budget, and boxes beside them."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.agent.inbox import Envelope
from rsdfm_ros.agent.packets import envelope_of
from rsdfm_ros.agent.solo import Solo
from rsdfm_ros.data.bags.message_sizes import FRAME_ID, feature_message
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.evaluation.bags.answers import EngineOptions
from rsdfm_ros.model.perception import AgentBev, Perception
from rsdfm_ros.wire.boxes import boxes_within, encode_boxes
from rsdfm_ros.wire.budget import BudgetConfig, BudgetController, apply_plan
from rsdfm_ros.wire.packet import encode_frame


@dataclass(frozen=True)
class Sent:
    """Packets that a UAV sends for one image: sizes are those of the serialised messages."""

    envelopes: tuple[tuple[Envelope, bytes], ...]
    bytes: int


class Sender:
    """The sender of one UAV. peers_late: at its last instant it fused an older frame of any peer."""

    def __init__(self, name: str, perception: Perception, options: EngineOptions) -> None:
        self.peers_late = False
        self._name, self._perception, self._options = name, perception, options
        self._budget = BudgetController(BudgetConfig(target_bytes_per_frame=options.budget_bytes))
        self._frame = 0

    def send(self, bev: AgentBev, view: CameraView, stamp_ns: int, solo: Solo) -> Sent:
        """The packets of an image. view: the one whose pose is sent."""
        model, frame = self._perception, self._frame
        self._frame += 1
        plan = self._budget.plan()
        features = apply_plan(model.compress(bev, plan.cells, low=plan.low), plan)
        packets = encode_frame(features, self._options.max_packet_bytes, fingerprint=model.fingerprint)
        of_features = len(packets)
        boxes = solo.boxes() if packets and self._sends_boxes(view) else None
        if boxes is not None:
            packets = [*packets, encode_boxes(boxes, boxes_within(self._options.budget_bytes))]
        envelopes, sizes = [], []
        for index, payload in enumerate(packets):
            raw = feature_message(
                payload,
                agent=self._name,
                stamp_ns=stamp_ns,
                frame=frame % 2**32,
                index=index,
                count=len(packets),
                fingerprint=model.fingerprint,
                T_map_camera=view.T_map_camera,
                covariance=view.covariance,
            )
            sizes.append(len(raw))
            envelopes.append((self._envelope(raw), payload))
        self._budget.sent(
            sum(sizes[:of_features]), len(features.high_cell), len(features.tiles), sum(sizes[of_features:])
        )
        return Sent(tuple(envelopes), sum(sizes))

    def _sends_boxes(self, view: CameraView) -> bool:
        wanted = self._options.send_boxes
        needed = wanted == "auto" and (bool(view.covariance.any()) or self.peers_late)
        return needed or wanted == "always"

    def _envelope(self, raw: bytes) -> Envelope:
        """Through the bytes, as a receiver sees it: a pose changes in the last bits on its way as a quaternion."""
        message = typestore().deserialize_cdr(raw, FEATURES)
        return envelope_of(message, topic_agent=self._name, frame_id=FRAME_ID)
