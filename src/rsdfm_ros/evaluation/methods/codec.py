"""Features through the dual-branch codec, and through one branch alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.prefusion.pose_alignment import View
from rsdfm_ros.agent.prefusion.prepare import PreFusionOptions, prepare
from rsdfm_ros.data.bags.message_sizes import demand_message, demand_of_message
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.methods.base import (
    FeatureMethod,
    decode_parts,
    message_size,
    send_features,
)
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.model.perception import AgentBev
from rsdfm_ros.wire.boxes import MAGIC as BOXES_MAGIC
from rsdfm_ros.wire.boxes import SideBoxes, boxes_within, decode_boxes, encode_boxes, side_boxes
from rsdfm_ros.wire.budget import BudgetController, Plan, apply_plan
from rsdfm_ros.wire.concealment import conceal_loss
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.header import MAGIC
from rsdfm_ros.wire.packet import assemble, encode_frame

MAX_AGE_S = 1.0
"""Frames of a peer older than this are not used; the default of the nodes, too."""


@dataclass(frozen=True)
class _Heard:
    """The last usable transmission of a sender, and the frame at which it arrived."""

    step: int
    item: Received


class RsdfmPlain(FeatureMethod):
    """The most useful cells of the high band, and where the byte budget allows it the low band."""

    def start(self) -> None:
        super().start()
        self._budgets: dict[int, BudgetController] = {}

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        budget = self._budgets.setdefault(sender, BudgetController(self.budget_bytes))
        plan = self.plan(budget)
        frame = apply_plan(self.compress(step, sender, plan), plan)
        packets = encode_frame(frame, fingerprint=self.perception.fingerprint)
        sent = send_features(self.perception, step, sender, packets)
        extra = self.extra(step, sender)
        other = sum(size for _, size in extra)
        budget.sent(sent.message_bytes, len(frame.high_cell), len(frame.tiles), other)
        payloads = [*packets, *(payload for payload, _ in extra)]
        return step.sent(sender, payloads, sent.message_bytes + other)

    def plan(self, budget: BudgetController) -> Plan:
        """Plan that the budget allows."""
        return budget.plan()

    def extra(self, step: EvaluationFrame, sender: int) -> list[tuple[bytes, int]]:
        """Payloads sent beside the features, and the bytes of the messages that carry them."""
        return []

    def compress(self, step: EvaluationFrame, sender: int, plan: Plan) -> FeatureFrame:
        """Compress the sender's map."""
        return self.perception.compress(step.bev(sender), plan.cells, low=plan.low)

    def arrived(self, item: Received) -> FeatureFrame:
        """The part of a peer's map that arrived."""
        parts = decode_parts(item, self.perception.fingerprint)
        config = self.perception.config
        return assemble(parts, low_channels=config.low_channels, high_channels=config.high_channels)

    def decode(self, item: Received) -> AgentBev | None:
        frame = self.arrived(item)
        if len(frame.tiles) == 0:
            return None
        return self.perception.decompress(frame, item.sent.T_map_camera, item.sent.covariance)


class Rsdfm(RsdfmPlain):
    """As :class:`RsdfmPlain`, with pose alignment and latency compensation by boxes, which are sent beside the features
    while a pose is uncertain or messages are late; with the consistency check, which leaves out peers that contradict
    the ego's map; and with loss concealment from earlier frames."""

    def start(self) -> None:
        super().start()
        self._heard: dict[int, dict[int, _Heard]] = {}  # by receiver and sender; receivers run side by side

    def views(self, step: EvaluationFrame, ego: int, inbox: Sequence[Received]) -> list[View]:
        heard_by_ego = self._heard.setdefault(ego, {})
        here = {item.sent.sender for item in inbox}
        views = [self._recalling(step, heard_by_ego, item) for item in inbox]
        for sender, heard in heard_by_ego.items():
            age_s = heard.item.age_s + (step.index - heard.step) * FRAME_PERIOD_S
            if sender not in here and age_s <= MAX_AGE_S:
                bev = self._decoded(heard.item)
                views.append(None if bev is None else self.view(step, heard.item, bev, age_s))
        return [view for view in views if view is not None]

    def _recalling(self, step: EvaluationFrame, heard: dict[int, _Heard], item: Received) -> View | None:
        """A peer's map of this instant, its lost tiles from an earlier frame."""
        sent, before = item.sent, heard.get(item.sent.sender)
        if before is not None and step.index - before.step > round(MAX_AGE_S / FRAME_PERIOD_S):
            before = None
        frame = self.arrived(item) if before is None or not item.complete else None
        if frame is None or len(frame.tiles):
            heard[sent.sender] = _Heard(step.index, item)
        if frame is None or before is None:
            bev = self._decoded(item)
        else:
            gap_s = (sent.frame - before.item.sent.frame) * FRAME_PERIOD_S
            found = conceal_loss(frame, self.arrived(before.item), gap_s)
            bev = self.perception.decompress(
                found.frame, sent.T_map_camera, sent.covariance, stale=found.stale, stale_s=found.stale_s
            )
        return None if bev is None else self.view(step, item, bev, item.age_s)

    def extra(self, step: EvaluationFrame, sender: int) -> list[tuple[bytes, int]]:
        _, covariance = step.pose(sender)
        if not (covariance.any() or step.late):
            return []
        boxes = step.own(sender).boxes
        assert boxes is not None
        payload = encode_boxes(side_boxes(boxes), boxes_within(self.budget_bytes))
        return [(payload, message_size(self.perception, step, sender, payload))]

    def boxes(self, item: Received) -> SideBoxes | None:
        for payload in item.payloads:
            if payload.startswith(BOXES_MAGIC):
                with contextlib.suppress(WireError):
                    return decode_boxes(payload)
        return None

    def prepare(
        self, step: EvaluationFrame, ego: int, own: View, peers: list[View]
    ) -> tuple[View, list[View]]:
        def mine() -> SideBoxes:
            boxes = step.own(ego).boxes
            assert boxes is not None
            return side_boxes(boxes)

        care = PreFusionOptions(resemblance=self.perception.thresholds["resemblance"])
        model = self.perception
        ready = prepare(own, peers, model.window, care, mine, ground=model.ground)
        return ready.own, list(ready.peers)


class LowOnly(RsdfmPlain):
    """The low band alone."""

    def plan(self, budget: BudgetController) -> Plan:
        return replace(budget.plan(), cells=0, low=True)


class HighOnly(RsdfmPlain):
    """The high band alone, of the map itself instead of the residual."""

    def plan(self, budget: BudgetController) -> Plan:
        return replace(budget.plan(), low=False)


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

    def compress(self, step: EvaluationFrame, sender: int, plan: Plan) -> FeatureFrame:
        asked = list(self._known.get(sender, {}).values())
        demand = np.maximum.reduce(asked) if asked else None
        return self.perception.compress(step.bev(sender), plan.cells, demand, low=plan.low)

    def extra(self, step: EvaluationFrame, sender: int) -> list[tuple[bytes, int]]:
        tiles, values = self.perception.demand(step.bev(sender))
        message = demand_message(
            tiles,
            values,
            agent=step.agents[sender],
            stamp_ns=step.stamp_ns,
            frame=step.index,
            fingerprint=self.perception.fingerprint,
            cell_size=self.perception.window.cell_size,
        )
        every = math.ceil(len(message) / (DEMAND_SHARE * self.budget_bytes))
        demand = [] if (step.index + sender) % every else [(message, len(message))]
        return [*super().extra(step, sender), *demand]

    def receive(
        self, step: EvaluationFrame, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        known = self._known.setdefault(ego, {})
        for item in inbox:
            for payload in item.payloads:
                if not payload.startswith((MAGIC, BOXES_MAGIC)):
                    known[item.sent.sender] = self.perception.demand_map(*demand_of_message(payload))
        return super().receive(step, ego, inbox, scored)
