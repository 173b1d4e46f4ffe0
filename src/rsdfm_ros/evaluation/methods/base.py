"""The interface of collaboration methods, and the base of all that exchange features.

A method object serves one scene: it may keep a state per sender (a byte budget) and per ego (the history of fused
maps).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from rsdfm_ros.agent.fusion import Fusion
from rsdfm_ros.agent.options import DEFAULTS, NO_PRE_FUSION
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.methods.answers import Thresholds, answer
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Received, Sent
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.wire.boxes import SideBoxes
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.limits import Expected
from rsdfm_ros.wire.packet import Part, decode_packet


class Method(ABC):
    """One way to collaborate, during one scene."""

    def __init__(
        self,
        perception: Perception,
        thresholds: Thresholds,
        budget_bytes: int,
        max_packet_bytes: int = DEFAULTS.max_packet_bytes,
    ) -> None:
        self.perception = perception
        self.thresholds = thresholds
        self.budget_bytes, self.max_packet_bytes = budget_bytes, max_packet_bytes
        self.start()

    def start(self) -> None:
        """Prepare the state of a scene; nothing by default."""
        return None

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        """The transmission of `sender` at this frame; None if the method sends nothing. Called once per frame and
        sender.
        """
        return None

    @abstractmethod
    def receive(
        self, step: EvaluationFrame, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        """Take in a frame for `ego`; its answer if the frame is scored. Called for every frame in order."""


class FeatureMethod(Method):
    """Features are exchanged and fused; subclasses encode and decode them, and choose their `fusion`."""

    def start(self) -> None:
        self._fusions: dict[int, Fusion] = {}  # by ego
        self._history: dict[int, list[FusedMap]] = {}

    def fusion(self) -> Fusion:
        """Fusion of the maps: without preparation, by the trained interaction."""
        return Fusion(NO_PRE_FUSION)

    def decode(self, item: Received) -> AgentBev | None:
        """A peer's map from what arrived of it."""
        raise NotImplementedError

    def receive(
        self, step: EvaluationFrame, ego: int, inbox: Sequence[Received], scored: bool
    ) -> FramePrediction | None:
        own = View(step.bev(ego), *step.pose(ego), name=step.agents[ego], stamp_ns=step.stamp_ns)
        peers = self.views(step, ego, inbox)
        fusion = self._fusions.setdefault(ego, self.fusion())
        fused = fusion.fuse(self.perception, own, peers, lambda: step.side_boxes(ego)).map
        history = [*self._history.get(ego, []), fused][-self.perception.config.history :]
        self._history[ego] = history
        return answer(self.perception, history, self.thresholds) if scored else None

    def views(self, step: EvaluationFrame, ego: int, inbox: Sequence[Received]) -> list[View]:
        """The maps of the peers, as far as they arrived."""
        found = ((item, self._decoded(item)) for item in inbox)
        return [self.view(step, item, bev, item.age_s) for item, bev in found if bev is not None]

    def view(self, step: EvaluationFrame, item: Received, bev: AgentBev, age_s: float) -> View:
        """A peer's map with its pose, boxes and age."""
        sent, name = item.sent, step.agents[item.sent.sender]
        return View(bev, sent.T_map_camera, sent.covariance, self.boxes(item), age_s, name)

    def boxes(self, item: Received) -> SideBoxes | None:
        """A peer's boxes, where they are sent beside the features."""
        return None

    def _decoded(self, item: Received) -> AgentBev | None:
        if not item.complete:
            return self.decode(item)
        with item.sent.lock:
            if "bev" not in item.sent.decoded:
                item.sent.decoded["bev"] = self.decode(item)
        bev: AgentBev | None = item.sent.decoded["bev"]
        return bev


def send_features(
    perception: Perception, step: EvaluationFrame, sender: int, packets: Sequence[bytes]
) -> Sent:
    """The transmission of one sender at this frame, with the size of the serialised FeaturePackets."""
    return step.sent(sender, packets, sum(message_size(perception, step, sender, p) for p in packets))


def message_size(perception: Perception, step: EvaluationFrame, sender: int, payload: bytes) -> int:
    """Bytes of the serialised FeaturePacket that carries a payload."""
    T, covariance = step.pose(sender)
    message = feature_message(
        payload,
        agent=step.agents[sender],
        stamp_ns=step.stamp_ns,
        frame=step.index,
        index=0,
        count=1,
        fingerprint=perception.fingerprint,
        T_map_camera=T,
        covariance=covariance,
    )
    return len(message)


def decode_parts(item: Received, fingerprint: int) -> list[Part]:
    """The packets that arrived and can be used."""
    expected = Expected(fingerprint=fingerprint)
    parts: list[Part] = []
    for payload in item.payloads:
        try:
            parts.append(decode_packet(payload, expected=expected))
        except WireError:
            continue
    return parts
