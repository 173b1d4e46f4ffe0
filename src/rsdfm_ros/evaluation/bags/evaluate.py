"""Evaluates a recorded flight: accuracy where the bag has ground truth, and in any case bytes, rates and agreement."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.order.pending import InstantInputs
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import TopicMap
from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.bags.agreement import Agreement
from rsdfm_ros.evaluation.bags.answers import EngineOptions, UavAnswer
from rsdfm_ros.evaluation.bags.engine import Engine
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.mission import METHOD_OF, Mission
from rsdfm_ros.evaluation.session import worker_count
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.shipped import shipped
from rsdfm_ros.words import counted

TRUTH_PATIENCE_NS = 10_000_000_000
"""Longest wait for truth that comes later than its images."""


@dataclass
class _Uav:
    """Counts of one UAV over the bag."""

    stamps_ns: list[int] = field(default_factory=list)
    bytes: int = 0
    packets: int = 0
    peers: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    corrected: int = 0
    status: dict[str, Any] | None = None


@dataclass
class BagEvaluation:
    """The running evaluation of a bag; `advance` with every instant, then `result`."""

    bag: Bag
    topic_map: TopicMap
    perception: Perception
    options: EngineOptions
    sensors: Sensors
    pool: ThreadPoolExecutor

    def __post_init__(self) -> None:
        percent = round(100 * Thresholds.of(self.perception).segmentation)
        window = self.perception.output_window
        self.percent = percent
        self.engine = Engine(self.perception, self.sensors, self.options, self.pool)
        self.mission = Mission(self.sensors.uavs, window, percent, wants_future=True)
        self.agreement = Agreement(window, percent, self.perception.thresholds["objects"])
        self.uavs = {name: _Uav() for name in self.sensors.uavs}
        self.instants = self.truths = self.unjudged = 0

    def advance(self, instant: InstantInputs) -> None:
        """Compute the answers of an instant and score what can be scored."""
        for message in instant.truths:
            self._truth(message)
        for uav, status in instant.statuses:
            if status.frames_processed:
                self.uavs[uav].status = _status_of(status)
        if not instant.images:
            return
        answers = self.engine.step(instant)
        self.instants += bool(answers)
        self.agreement.add(answers)
        for answer in answers:
            self._keep(answer, instant.stamp_ns)
        self.mission.close(instant.stamp_ns)
        self.mission.advance()
        self.unjudged += self.mission.forget(instant.stamp_ns - TRUTH_PATIENCE_NS)

    def result(self) -> dict[str, Any]:
        """protocol, results (as `rsdfm evaluate`; empty without truth), and further facts of the flight."""
        self.mission.advance(final=True)
        self.unjudged += self.mission.forget(2**63)
        judged = self.mission.scored_instants
        missing = self._missing(judged)
        return {
            "protocol": self._protocol(),
            "results": self.mission.results() if judged else [],
            "agents": {name: self._agent(name, judged) for name in self.sensors.uavs},
            "agreement": {METHOD_OF[v]: figures for v, figures in self.agreement.result().items()},
            "missing": missing,
            "left_out": [
                {
                    "where": where,
                    "reason": reason,
                    "count": count,
                    "first": self.sensors.reasons[where, reason],
                }
                for (where, reason), count in sorted(self.sensors.rejects.items())
            ],
            "doubts": [f"{where}: {text}" for (where, _), text in sorted(self.sensors.doubts.items())],
            "packets_refused": dict(sorted(self.engine.rejects.items())),
            "type_differences": list(self.bag.types.differences),
            "damage": list(self.bag.damage),
        }

    def _truth(self, message: Any) -> None:
        try:
            objects = task_messages.truth_from_message(message)
            ns = stamp_ns(message.header.stamp)
        except MessageError as error:
            self.sensors.reject(self.topic_map.ground_truth, error.reason, str(error))
            return
        instant = self.mission.at(ns)
        instant.frame, instant.agents, instant.truth = int(message.frame), tuple(message.agents), objects
        self.truths += 1

    def _keep(self, answer: UavAnswer, ns: int) -> None:
        instant, uav = self.mission.at(ns), self.uavs[answer.uav]
        for variant, content in answer.answers.items():
            instant.answers[answer.uav, variant] = content
        instant.contributors[answer.uav] = answer.contributors
        if answer.packets:
            instant.bytes_sent[answer.uav] = answer.sent_bytes
            instant.packets_sent[answer.uav] = answer.packets
        uav.stamps_ns.append(ns)
        uav.bytes += answer.sent_bytes
        uav.packets += answer.packets
        uav.peers += len(answer.contributors) - 1
        uav.left_out.update(answer.left_out.values())
        uav.corrected += answer.uav in answer.corrected

    def _agent(self, name: str, judged: int) -> dict[str, Any]:
        uav = self.uavs[name]
        frames = len(uav.stamps_ns)
        span_s = (uav.stamps_ns[-1] - uav.stamps_ns[0]) / 1e9 if frames > 1 else None
        out: dict[str, Any] = {
            "frames": frames,
            "images": self.sensors.images[name],
            "rate_hz": (frames - 1) / span_s if span_s else None,
            "bytes_per_frame": uav.bytes / frames if frames else None,
            "packets_per_frame": uav.packets / frames if frames else None,
            "mbit_per_s": uav.bytes * 8e-6 * (frames - 1) / frames / span_s if span_s else None,
            "peers_fused_mean": uav.peers / frames if frames else None,
            "peers_left_out": dict(sorted(uav.left_out.items())),
            "poses_corrected": uav.corrected,
            "recorded_status": uav.status,
        }
        if judged:
            for variant, method in METHOD_OF.items():
                out[method] = self.mission.agent_result(name, variant)
        return out

    def _missing(self, judged: int) -> list[str]:
        missing = []
        if not self.truths:
            missing.append("no ground truth: there is no accuracy, only agreement, rates and bytes")
        elif not judged:
            missing.append(
                "no instant could be scored: that needs truth of its own stamp and of the two seconds after it"
            )
        elif self.unjudged:
            missing.append(f"{counted(self.unjudged, 'instant')} without truth of that stamp, not scored")
        missing += [f"{n}: no usable image" for n, u in self.uavs.items() if not u.stamps_ns]
        missing += [
            f"{n}: no status was recorded, so no latency is known"
            for n, u in self.uavs.items()
            if not u.status
        ]
        return missing

    def _protocol(self) -> dict[str, Any]:
        window = self.perception.output_window
        return {
            "kind": "bag",
            "bag": str(self.bag.path),
            "storage": self.bag.storage,
            "map": self.topic_map.name,
            "model_fingerprint": f"{self.perception.fingerprint:016x}",
            "uavs": list(self.sensors.uavs),
            "instants": self.instants,
            "instants_judged": self.mission.scored_instants,
            "features": "recorded" if self.options.recorded_features else "computed from the images",
            "foreground_percent": self.percent,
            "cell_size_m": window.cell_size,
            "bounds_m": list(window.bounds),
            "answers_missing": self.mission.missing_answers,
            "packets_lost": self.engine.packets_lost,
            "bytes": "serialised FeaturePacket messages per frame and UAV",
            **self.options.protocol(),
        }


def evaluate_bag(
    bag: Bag,
    topic_map: TopicMap,
    perception: Perception,
    options: EngineOptions,
    on_instant: Callable[[InstantInputs, Sensors], None] = lambda instant, sensors: None,
) -> dict[str, Any]:
    """The result of a whole bag. on_instant: called after every instant. Raises: BagError without any UAV."""
    sensors = Sensors(bag, topic_map, features=options.recorded_features)
    if not sensors.uavs:
        raise BagError(
            bag.path,
            f"the map {topic_map.name!r} finds no UAV in it",
            "`rsdfm bag info` shows the topics; write a map for them (docs/bags.md)",
        )
    # Several UAVs side by side, each on one thread, as in the fleet: sums then come in the same order.
    torch.set_num_threads(1)
    with ThreadPoolExecutor(worker_count()) as pool:
        evaluation = BagEvaluation(bag, topic_map, perception, options, sensors, pool)
        for instant in sensors.instants():
            evaluation.advance(instant)
            on_instant(instant, sensors)
        return evaluation.result()


def load_perception(source: str, device: str = "cpu", engine: str = "auto") -> Perception:
    """A model folder, or ``random:<model configuration>[:<seed>]`` for untrained weights, which torch runs.

    Raises: RsdfmError.
    """
    if source.startswith("random:"):
        path, _, seed = source.removeprefix("random:").partition(":")
        return Perception.random(load_model_config(path), seed=int(seed or 0))
    if not shipped(source).is_dir():
        raise RsdfmError(f"no model at {source!r}: give a folder with manifest.yaml and weights.safetensors")
    return Perception.load(source, device, engine)


def _finite(value: float) -> float | None:
    """A recorded figure, None where it is no number: JSON has no other word for that."""
    return float(value) if math.isfinite(value) else None


def _status_of(status: Any) -> dict[str, Any]:
    """The recorded status of a UAV: latencies are those of the machine that it flew on."""
    return {
        "frames_processed": int(status.frames_processed),
        "frames_dropped": int(status.frames_dropped),
        "rate_hz": _finite(status.rate_hz),
        "latency_median_ms": _finite(1e3 * float(status.latency_median_s)),
        "latency_p95_ms": _finite(1e3 * float(status.latency_p95_s)),
        "bytes_sent": int(status.bytes_sent),
        "packets_lost": int(status.packets_lost),
        "packets_rejected": int(status.packets_rejected),
    }
