"""Features through the dual-branch codec, and through one branch alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.decoding import decode_features
from rsdfm_ros.agent.fusion import Fusion
from rsdfm_ros.agent.interest.demand import combined, demand_for, demand_of
from rsdfm_ros.agent.options import DEFAULTS, AgentOptions
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.sender import Sender
from rsdfm_ros.data.bags.message_sizes import demand_message, read_demand_message
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.methods.base import (
    FeatureMethod,
    decode_parts,
    message_size,
)
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.model.perception import AgentBev
from rsdfm_ros.wire.boxes import MAGIC as BOXES_MAGIC
from rsdfm_ros.wire.boxes import SideBoxes, decode_boxes
from rsdfm_ros.wire.budget import Plan
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.header import MAGIC
from rsdfm_ros.wire.packet import assemble


@dataclass(frozen=True)
class _Heard:
    """The last usable transmission of a sender, and the frame at which it arrived."""

    step: int
    item: Received


class RsdfmPlain(FeatureMethod):
    """The most useful cells of the high band, and where the byte budget allows it the low band."""

    send_boxes = "never"
    sender: type[Sender] = Sender

    def start(self) -> None:
        super().start()
        self._options = AgentOptions(
            budget_bytes=self.budget_bytes,
            max_packet_bytes=self.max_packet_bytes,
            send_boxes=self.send_boxes,
        )
        self._senders: dict[int, Sender] = {}

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        this = self._senders.setdefault(sender, self.sender(self._options))
        this.peers_late = step.late
        other = self.other(step, sender)
        sent = this.send(
            self.perception,
            step.bev(sender),
            step.pose(sender)[1],
            lambda payload, index, count: message_size(self.perception, step, sender, payload),
            lambda: step.side_boxes(sender),
            demand=self.demand(step, sender),
            other_bytes=sum(map(len, other)),
        )
        return step.sent(sender, [*sent.packets, *other], sent.message_bytes + sum(map(len, other)))

    def other(self, step: EvaluationFrame, sender: int) -> list[bytes]:
        """Further serialised messages of the sender at this frame."""
        return []

    def demand(self, step: EvaluationFrame, sender: int) -> NDArray[np.float32] | None:
        """Demand for the cells of a sender (H, W), as Perception.compress takes it: an attacker's own priority."""
        return step.priority(sender)

    def arrived(self, item: Received) -> FeatureFrame:
        """The part of a peer's map that arrived."""
        parts = decode_parts(item, self.perception.fingerprint)
        config = self.perception.config
        return assemble(parts, low_channels=config.low_channels, high_channels=config.high_channels)

    def decode(self, item: Received) -> AgentBev | None:
        return self.concealed(item, None, 0.0)

    def concealed(self, item: Received, before: FeatureFrame | None, gap_s: float) -> AgentBev | None:
        """A peer's map from what arrived, with lost tiles from what it sent gap_s before."""
        now, sent = self.arrived(item), item.sent
        if before is None and len(now.tiles) == 0:
            return None
        return decode_features(self.perception, now, before, gap_s, sent.T_map_camera, sent.covariance).bev


class Rsdfm(RsdfmPlain):
    """As :class:`RsdfmPlain`, with pose alignment and latency compensation by boxes, which are sent beside the features
    while a pose is uncertain or messages are late; with the consistency check, which leaves out peers that contradict
    the ego's map; and with loss concealment from earlier frames."""

    send_boxes = DEFAULTS.send_boxes

    def fusion(self) -> Fusion:
        return Fusion(DEFAULTS.pre_fusion(self.perception.thresholds))

    def start(self) -> None:
        super().start()
        self._heard: dict[int, dict[int, _Heard]] = {}  # by receiver and sender; receivers run side by side

    def views(self, step: EvaluationFrame, ego: int, inbox: Sequence[Received]) -> list[View]:
        heard_by_ego = self._heard.setdefault(ego, {})
        here = {item.sent.sender for item in inbox}
        views = [self._view_of(step, heard_by_ego, item) for item in inbox]
        for sender, heard in heard_by_ego.items():
            age_s = heard.item.age_s + (step.index - heard.step) * FRAME_PERIOD_S
            if sender not in here and age_s <= DEFAULTS.max_age_s:
                bev = self._decoded(heard.item)
                views.append(None if bev is None else self.view(step, heard.item, bev, age_s))
        return [view for view in views if view is not None]

    def _view_of(self, step: EvaluationFrame, heard: dict[int, _Heard], item: Received) -> View | None:
        """A peer's map of this instant, its lost tiles from an earlier frame."""
        sent, before = item.sent, heard.get(item.sent.sender)
        if before is not None and step.index - before.step > round(DEFAULTS.max_age_s / FRAME_PERIOD_S):
            before = None
        frame = self.arrived(item) if before is None or not item.complete else None
        if frame is None or len(frame.tiles):
            heard[sent.sender] = _Heard(step.index, item)
        if frame is None or before is None:
            bev = self._decoded(item)
        else:
            gap_s = (sent.frame - before.item.sent.frame) * FRAME_PERIOD_S
            bev = self.concealed(item, self.arrived(before.item), gap_s)
        return None if bev is None else self.view(step, item, bev, item.age_s)

    def boxes(self, item: Received) -> SideBoxes | None:
        for payload in item.payloads:
            if payload.startswith(BOXES_MAGIC):
                with contextlib.suppress(WireError):
                    return decode_boxes(payload)
        return None


class _LowSender(Sender):
    def plan(self) -> Plan:
        return replace(super().plan(), cells=0, low=True)


class _HighSender(Sender):
    def plan(self) -> Plan:
        return replace(super().plan(), low=False)


class LowOnly(RsdfmPlain):
    """The low band alone."""

    sender = _LowSender


class HighOnly(RsdfmPlain):
    """The high band alone, of the map itself instead of the residual."""

    sender = _HighSender


DEMAND_SHARE = 0.1
"""Largest share of a budget for demand maps; the demand of a receiver changes slowly."""


class RsdfmOnDemand(Rsdfm):
    """A UAV sends the cells first that its peers are unsure of: cells rank by (1 − q_i) q_j, the greatest over the
    receivers i.

    Every UAV's messages end with a DemandMap, at small budgets not in every frame; receivers use it from the next frame
    on, and its bytes count.
    """

    def start(self) -> None:
        super().start()
        self._known: dict[int, dict[int, NDArray[np.float32]]] = {}

    def demand(self, step: EvaluationFrame, sender: int) -> NDArray[np.float32] | None:
        own = super().demand(step, sender)
        return combined(self._known.get(sender, {}).values()) if own is None else own

    def other(self, step: EvaluationFrame, sender: int) -> list[bytes]:
        wanted = demand_for(self.perception, step.bev(sender))
        message = demand_message(
            wanted.tiles,
            wanted.blocks,
            agent=step.agents[sender],
            stamp_ns=step.stamp_ns,
            frame=step.index,
            fingerprint=self.perception.fingerprint,
            cell_size=self.perception.window.cell_size,
        )
        every = math.ceil(len(message) / (DEMAND_SHARE * self.budget_bytes))
        return [] if (step.index + sender) % every else [message]

    def receive(
        self, step: EvaluationFrame, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        known = self._known.setdefault(ego, {})
        for item in inbox:
            for payload in item.payloads:
                if not payload.startswith((MAGIC, BOXES_MAGIC)):
                    wanted = demand_of(
                        read_demand_message(payload),
                        topic_agent=step.agents[item.sent.sender],
                        frame_id=FRAME_ID,
                        cell_size=self.perception.window.cell_size,
                        fingerprint=self.perception.fingerprint,
                    )
                    known[item.sent.sender] = self.perception.demand_map(wanted.tiles, wanted.blocks)
        return super().receive(step, ego, inbox, scored)
