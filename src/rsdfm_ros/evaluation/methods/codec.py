"""Features through the dual-branch codec, and what each of its branches carries alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.evaluation.bytes import demand_message, demand_of_message
from rsdfm_ros.evaluation.frames import Boxes, FramePrediction
from rsdfm_ros.evaluation.messages import Received, Sent
from rsdfm_ros.evaluation.methods.base import (
    FeatureMethod,
    band,
    decode_parts,
    message_size,
    send_features,
)
from rsdfm_ros.evaluation.step import Step
from rsdfm_ros.model.agreement import View, agreed, believable, to_present
from rsdfm_ros.model.perception import AgentBev
from rsdfm_ros.wire.boxes import MAGIC as BOXES_MAGIC
from rsdfm_ros.wire.boxes import SideBoxes, decode_boxes, encode_boxes
from rsdfm_ros.wire.budget import BudgetController, fitted
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.header import MAGIC, Band
from rsdfm_ros.wire.packet import assemble, encode_frame

SIDE_SCORE = 0.3
"""Boxes below this score do not travel beside features."""


def side_boxes(boxes: Boxes) -> SideBoxes:
    """Detections as the side message carries them."""
    return SideBoxes(boxes.classes, boxes.scores, boxes.centres, boxes.sizes, boxes.yaws, boxes.velocities)


class RsdfmPlain(FeatureMethod):
    """Low band and the most useful cells of the high band, within a byte budget."""

    def start(self) -> None:
        super().start()
        self._budgets: dict[int, BudgetController] = {}

    def send(self, step: Step, sender: int) -> Sent | None:
        budget = self._budgets.setdefault(sender, BudgetController(self.budget_bytes))
        plan = budget.plan()
        frame = fitted(self.compress(step, sender, plan.cells), plan)
        packets = encode_frame(frame, fingerprint=self.perception.fingerprint)
        sent = send_features(self.perception, step, sender, packets)
        low = sum(len(p) for p in packets if band(p) is Band.LOW)
        overhead = (sent.message_bytes - sum(map(len, packets))) / max(len(packets), 1)
        low += round(overhead * sum(band(p) is Band.LOW for p in packets))
        high, extra = sent.message_bytes - low, self.extra(step, sender)
        other = sum(size for _, size in extra)
        budget.sent(low, high, len(frame.high_cell), tiles=len(frame.tiles), other_bytes=other)
        return step.sent(sender, [*packets, *(payload for payload, _ in extra)], low + high + other)

    def extra(self, step: Step, sender: int) -> list[tuple[bytes, int]]:
        """What is sent beside the features: payloads, and the bytes of the messages that carry them."""
        return []

    def compress(self, step: Step, sender: int, cells: int) -> FeatureFrame:
        """What the sender sends of its map."""
        return self.perception.compress(step.bev(sender), cells)

    def decode(self, item: Received) -> AgentBev | None:
        parts = decode_parts(item, self.perception.fingerprint)
        config = self.perception.config
        frame = assemble(parts, low_channels=config.low_channels, high_channels=config.high_channels)
        if len(frame.tiles) == 0:
            return None
        return self.perception.decompress(frame, item.sent.T_map_camera, item.sent.covariance)


class Rsdfm(RsdfmPlain):
    """As :class:`RsdfmPlain`, and poses are corrected and delays made up for by boxes, which travel beside the features
    while a pose is uncertain or messages are late; peers that contradict what the ego sees are left out."""

    def extra(self, step: Step, sender: int) -> list[tuple[bytes, int]]:
        _, covariance = step.pose(sender)
        if not (covariance.any() or step.late):
            return []
        boxes = step.own(sender).boxes
        assert boxes is not None
        payload = encode_boxes(side_boxes(boxes.select(boxes.scores >= SIDE_SCORE)))
        return [(payload, message_size(self.perception, step, sender, payload))]

    def boxes(self, item: Received) -> SideBoxes | None:
        for payload in item.payloads:
            if payload.startswith(BOXES_MAGIC):
                with contextlib.suppress(WireError):
                    return decode_boxes(payload)
        return None

    def prepare(self, step: Step, ego: int, own: View, peers: list[View]) -> tuple[View, list[View]]:
        window = self.perception.window
        peers = [to_present(p, window) for p in peers]
        if any(v.covariance.any() for v in (own, *peers)):
            mine = step.own(ego).boxes
            assert mine is not None
            own, peers, _ = agreed(replace(own, boxes=side_boxes(mine)), peers, window)
        return own, believable(own, peers, self.perception.thresholds["resemblance"])


class LowOnly(RsdfmPlain):
    """The low band alone."""

    def compress(self, step: Step, sender: int, cells: int) -> FeatureFrame:
        return self.perception.compress(step.bev(sender), 0)


class HighOnly(RsdfmPlain):
    """The high band alone, of the map itself instead of the residual; the low band travels as zeros (which cost next
    to nothing), because it says which cells were seen."""

    def compress(self, step: Step, sender: int, cells: int) -> FeatureFrame:
        return self.perception.compress(step.bev(sender), cells, low=False)


DEMAND_SHARE = 0.1
"""Most of a budget that demand may take; what a receiver is unsure of changes slowly."""


class RsdfmOnDemand(Rsdfm):
    """A UAV sends first what its peers are unsure of: cells rank by (1 − q_i) q_j, the greatest over the receivers i.

    Every UAV's messages end with a DemandMap, at small budgets not in every frame; it is known to those that receive it
    from the next frame on, and its bytes count.
    """

    def start(self) -> None:
        super().start()
        self._known: dict[int, dict[int, NDArray[np.float32]]] = {}

    def compress(self, step: Step, sender: int, cells: int) -> FeatureFrame:
        asked = list(self._known.get(sender, {}).values())
        demand = np.maximum.reduce(asked) if asked else None
        return self.perception.compress(step.bev(sender), cells, demand)

    def extra(self, step: Step, sender: int) -> list[tuple[bytes, int]]:
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
        self, step: Step, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        known = self._known.setdefault(ego, {})
        for item in inbox:
            for payload in item.payloads:
                if not payload.startswith((MAGIC, BOXES_MAGIC)):
                    known[item.sent.sender] = self.perception.demand_map(*demand_of_message(payload))
        return super().receive(step, ego, inbox, scored)
