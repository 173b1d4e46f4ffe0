"""The ways to collaborate that are compared. A method is one entry in METHODS.

All share encoder, mapping, fusion and heads; only what travels differs. A method object serves one scene: it
may keep a state per sender (a byte budget) and per ego (the history of fused maps).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rsdfm_ros.evaluation.bytes import boxes_of_message, feature_message, object_array_message
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.heads import Thresholds, answer
from rsdfm_ros.evaluation.late import SEND_SCORE, aged, late_prediction
from rsdfm_ros.evaluation.messages import Received, Sent
from rsdfm_ros.evaluation.protocol import HISTORY
from rsdfm_ros.evaluation.step import Step
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.wire.budget import BudgetController
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.header import Band, unpack
from rsdfm_ros.wire.limits import Expected, Limits
from rsdfm_ros.wire.packet import Part, assemble, assemble_dense, decode_packet, encode_frame


class Method(ABC):
    """One way to collaborate, during one scene."""

    def __init__(self, perception: Perception, thresholds: Thresholds, budget_bytes: int) -> None:
        self.perception = perception
        self.thresholds = thresholds
        self.budget_bytes = budget_bytes
        self.start()

    def start(self) -> None:
        """Prepare the state of a scene; nothing by default."""
        return None

    def send(self, step: Step, sender: int) -> Sent | None:
        """What `sender` sends at this frame; None if the method sends nothing. Called once per frame and
        sender.
        """
        return None

    @abstractmethod
    def receive(
        self, step: Step, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        """Take in a frame for `ego`; its answer if the frame is scored. Called for every frame in order."""


class FeatureMethod(Method):
    """Features are exchanged and fused; subclasses say how they travel."""

    def start(self) -> None:
        self._history: dict[int, list[FusedMap]] = {}

    def decode(self, item: Received) -> AgentBev | None:
        """A peer's map from what arrived of it."""
        raise NotImplementedError

    def receive(
        self, step: Step, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        peers: list[AgentBev] = []
        ages: list[float] = []
        for item in inbox:
            bev = self._decoded(item)
            if bev is not None:
                peers.append(bev)
                ages.append(item.age_s)
        fused = self.perception.fuse(step.bev(ego), peers, ages)
        history = [*self._history.get(ego, []), fused][-HISTORY:]
        self._history[ego] = history
        return answer(self.perception, history, self.thresholds) if scored else None

    def _decoded(self, item: Received) -> AgentBev | None:
        if not item.complete:
            return self.decode(item)
        with item.sent.lock:
            if "bev" not in item.sent.decoded:
                item.sent.decoded["bev"] = self.decode(item)
        bev: AgentBev | None = item.sent.decoded["bev"]
        return bev


class Single(FeatureMethod):
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


class Dense(FeatureMethod):
    """Whole feature maps in half precision: the upper bound of the same fusion."""

    def send(self, step: Step, sender: int) -> Sent | None:
        packets = encode_frame(
            self.perception.dense_frame(step.bev(sender)), fingerprint=self.perception.fingerprint
        )
        return _send_features(self.perception, step, sender, packets)

    def decode(self, item: Received) -> AgentBev | None:
        parts = _decode_parts(item, self.perception.fingerprint)
        if not parts:
            return None
        return self.perception.from_dense_frame(
            assemble_dense(parts), item.sent.T_map_camera, item.sent.covariance
        )


class Rsdfm(FeatureMethod):
    """Low band and the most useful cells of the high band, within a byte budget."""

    def start(self) -> None:
        super().start()
        self._budgets: dict[int, BudgetController] = {}

    def send(self, step: Step, sender: int) -> Sent | None:
        budget = self._budgets.setdefault(sender, BudgetController(self.budget_bytes))
        frame = self.perception.compress(step.bev(sender), budget.cells())
        packets = encode_frame(frame, fingerprint=self.perception.fingerprint)
        sent = _send_features(self.perception, step, sender, packets)
        low = sum(len(p) for p in packets if _band(p) is Band.LOW)
        overhead = (sent.message_bytes - sum(map(len, packets))) / max(len(packets), 1)
        low += round(overhead * sum(_band(p) is Band.LOW for p in packets))
        budget.sent(low, sent.message_bytes - low, len(frame.high_cell))
        return sent

    def decode(self, item: Received) -> AgentBev | None:
        parts = _decode_parts(item, self.perception.fingerprint)
        config = self.perception.config
        frame = assemble(parts, low_channels=config.low_channels, high_channels=config.high_channels)
        if len(frame.tiles) == 0:
            return None
        return self.perception.decompress(frame, item.sent.T_map_camera, item.sent.covariance)


@dataclass(frozen=True)
class Entry:
    """A method in the table: how it is made, and a sentence on it."""

    make: Callable[[Perception, Thresholds, int], Method]
    summary: str


METHODS: dict[str, Entry] = {
    "single": Entry(Single, "every UAV alone"),
    "late": Entry(Late, "boxes are exchanged and merged"),
    "dense": Entry(Dense, "whole feature maps in half precision are exchanged and fused"),
    "rsdfm": Entry(Rsdfm, "compressed features within the byte budget are exchanged and fused"),
}


def _send_features(perception: Perception, step: Step, sender: int, packets: Sequence[bytes]) -> Sent:
    T, covariance = step.pose(sender)
    size = sum(
        len(
            feature_message(
                packet,
                agent=step.agents[sender],
                stamp_ns=step.stamp_ns,
                frame=step.index,
                index=n,
                count=len(packets),
                fingerprint=perception.fingerprint,
                T_map_camera=T,
                covariance=covariance,
            )
        )
        for n, packet in enumerate(packets)
    )
    return step.sent(sender, packets, size)


def _decode_parts(item: Received, fingerprint: int) -> list[Part]:
    expected = Expected(fingerprint=fingerprint)
    parts: list[Part] = []
    for payload in item.payloads:
        try:
            parts.append(decode_packet(payload, expected=expected))
        except WireError:
            continue
    return parts


def _band(packet: bytes) -> Band:
    return unpack(memoryview(packet), Limits(), Expected()).band
