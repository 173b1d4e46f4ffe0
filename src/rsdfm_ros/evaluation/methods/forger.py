"""What attackers send in the place of honest UAVs, by the kind of attack of a case."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rsdfm_ros.agent.decoding import decode_features
from rsdfm_ros.agent.sender import packets_of
from rsdfm_ros.evaluation.attacks.erased import erased
from rsdfm_ros.evaluation.attacks.fabricated import (
    agreed_places,
    candidate_places,
    fabricated,
    free_places,
)
from rsdfm_ros.evaluation.attacks.kinds import COLLUDING, ERASED, FABRICATED, MAP_KINDS, OPTIMISED
from rsdfm_ros.evaluation.attacks.maps import AgentMap
from rsdfm_ros.evaluation.attacks.optimised import optimised
from rsdfm_ros.evaluation.attacks.shifted import shift_cells, shifted
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods.base import Method
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.radio import Sent
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.wire.body import FeaturePart
from rsdfm_ros.wire.decode import decode_packet
from rsdfm_ros.wire.faults.attack import COVARIANCE, REPLAYED, SATURATED, SHIFTED, Replay, saturated
from rsdfm_ros.wire.header import MAGIC
from rsdfm_ros.wire.packet import assemble


def false_frame(
    step: EvaluationFrame, window: Window, agents: Sequence[int], disturbance: Disturbance, scene: int
) -> EvaluationFrame:
    """The frame as attackers of a kind that falsifies maps send it; as it is for other kinds. agents: that send."""
    kind, seed = disturbance.attack_kind, disturbance.attack_seed(scene)
    if kind not in MAP_KINDS:
        return step
    seen = {a: _seen(step, a) for a in agents}
    if kind == COLLUDING:
        places = candidate_places(window, seed)
        free = [free_places(m, window, places) for m in seen.values()]
        places = agreed_places(places, np.stack(free)) if free else places[:0]
        return step.falsified({a: fabricated(m, window, places) for a, m in seen.items()})
    make: dict[str, Callable[[int, AgentMap], AgentMap]] = {
        FABRICATED: lambda a, m: fabricated(m, window, candidate_places(window, (*seed, a))),
        ERASED: lambda a, m: erased(m, window),
        SHIFTED: lambda a, m: shifted(m, window, shift_cells(window, (*seed, a))),
    }
    return step.falsified({a: make[kind](a, m) for a, m in seen.items()})


def _seen(step: EvaluationFrame, agent: int) -> AgentMap:
    boxes = step.own(agent).boxes
    assert boxes is not None  # methods.by_name.check_methods
    return AgentMap(step.bev(agent), boxes)


class Forger:
    """The transmissions of attackers that use one method, during one scene. Each agent is asked once per frame."""

    def __init__(self, method: Method, disturbance: Disturbance, scene: int) -> None:
        self._method, self._kind = method, disturbance.attack_kind
        self._seed = disturbance.attack_seed(scene)
        self._replays: dict[int, Replay[Sent]] = {}

    def send(self, step: EvaluationFrame, sender: int) -> Sent | None:
        """What `sender` transmits at a frame of `false_frame`; None if the method sends nothing."""
        sent = self._method.send(step, sender)
        if sent is None:
            return None
        if self._kind == REPLAYED:
            (old,) = self._replays.setdefault(sender, Replay()).packets(step.stamp_ns, sent)
            return replace(old, frame=sent.frame)
        if self._kind == COVARIANCE:
            return replace(sent, covariance=np.zeros((6, 6)))
        if self._kind == SATURATED:
            return _with(sent, [saturated(p) if p.startswith(MAGIC) else p for p in sent.payloads])
        if self._kind == OPTIMISED:
            return self._optimised(step, sent)
        return sent

    def _optimised(self, step: EvaluationFrame, sent: Sent) -> Sent:
        """The transmission with optimised latents; as it is if it has none, as of methods that send features."""
        model = self._method.perception
        parts = [decode_packet(p) for p in sent.payloads if p.startswith(MAGIC)]
        config = model.config
        honest = [p for p in parts if isinstance(p, FeaturePart)]
        if not honest or honest[0].frame.channels != (config.low_channels, config.high_channels):
            return sent
        frame = assemble(honest)
        bev = decode_features(model, frame, None, 0.0, sent.T_map_camera, sent.covariance).bev
        victims = [step.bev(a) for a in range(len(step.agents)) if a != sent.sender and step.sees(a)]
        other = optimised(model, frame, bev, victims, (*self._seed, sent.sender, sent.frame))
        rest = [p for p in sent.payloads if not p.startswith(MAGIC)]
        return _with(sent, [*packets_of(model, other), *rest])


def _with(sent: Sent, payloads: Sequence[bytes]) -> Sent:
    """The transmission with other payloads, of which nothing is decoded yet."""
    return replace(sent, payloads=tuple(payloads), decoded={}, lock=threading.Lock())
