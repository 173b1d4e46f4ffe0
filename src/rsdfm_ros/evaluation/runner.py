"""Runs methods over scenes and collects the figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from rsdfm_ros.data.frame import FRAME_PERIOD_S, Objects, WorldFrame
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import HORIZON, FramePrediction, FrameTruth, truth_of
from rsdfm_ros.evaluation.heads import Thresholds
from rsdfm_ros.evaluation.messages import Air, Sent, Traffic
from rsdfm_ros.evaluation.methods import METHODS, Method
from rsdfm_ros.evaluation.metrics import MetricAccumulator, Result, figures_by_area
from rsdfm_ros.evaluation.protocol import scored_frames
from rsdfm_ros.evaluation.step import SoloHistory, Step, mirrored
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.perception import Perception


class SceneSource(Protocol):
    """A scene to evaluate: its number of frames, and each frame with the views of the agents in use."""

    @property
    def number(self) -> int:
        """What distinguishes the scene: its seed, or its place in the dataset."""

    @property
    def frames(self) -> int:
        """How many frames there are."""

    def ground(self) -> Ground | None:
        """The ground of the scene, where it is not that of the model."""

    def load(self, k: int) -> WorldFrame:
        """Frame k with pictures."""

    def objects(self, k: int) -> Objects:
        """The objects of frame k."""

    def earlier(self, k: int, lead_s: float) -> WorldFrame | None:
        """The scene `lead_s` before frame k, None before its beginning; RsdfmError where that is not known."""


@dataclass
class MethodScore:
    """Figures of one method: an accumulator per area, and the traffic."""

    areas: dict[str, MetricAccumulator]
    traffic: Traffic

    @classmethod
    def empty(cls, areas: dict[str, Window]) -> MethodScore:
        """Nothing counted yet."""
        return cls({name: MetricAccumulator(area) for name, area in areas.items()}, Traffic())

    def merge(self, other: MethodScore) -> None:
        """Add what another score counted."""
        for name, accumulator in self.areas.items():
            accumulator.merge(other.areas[name])
        self.traffic.merge(other.traffic)

    def result(self) -> Result:
        """Figures by area (metrics.figures_by_area) and the traffic."""
        return {**figures_by_area(self.areas), **self.traffic.result(FRAME_PERIOD_S)}


@dataclass(frozen=True)
class Settings:
    """What a run needs beside the data."""

    methods: tuple[str, ...]
    egos: int
    budget_bytes: int
    thresholds: Thresholds
    disturbance: Disturbance
    areas: dict[str, Window]


Watch = Callable[[str, int, int, FramePrediction, FrameTruth], None]
"""Called with method, ego, frame number, prediction and truth of every scored frame, from worker threads."""


def evaluate_scene(
    perception: Perception,
    scene: SceneSource,
    settings: Settings,
    pool: ThreadPoolExecutor,
    on_frame: Callable[[], None] = lambda: None,
    watch: Watch | None = None,
) -> dict[str, MethodScore]:
    """Figures of every method over one scene, on its terrain if it has one; `on_frame` is called after each frame."""
    terrain = scene.ground()
    perception = perception if terrain is None else perception.on_ground(terrain)
    methods = make_methods(perception, settings)
    disturbance = settings.disturbance
    senders = _Senders(perception, settings, pool, methods)
    airs = {name: Air(disturbance, scene.number) for name in methods}
    scores: dict[str, list[MethodScore]] = {}
    solo = SoloHistory()
    scored = scored_frames(scene.frames)
    loading = pool.submit(scene.load, 0)
    for k in range(scored.stop):
        frame = loading.result()
        if k + 1 < scored.stop:
            loading = pool.submit(scene.load, k + 1)
        step = Step(perception, settings.thresholds, frame, scene.number, disturbance, solo)
        agents = range(len(frame.agents))
        list(pool.map(step.encode, agents))
        for name, (sent, false) in senders.send(scene, k, frame, step).items():
            airs[name].send(k, sent, false)
            _count(scores, settings, name, sent if k in scored else [])
        truth = None
        if k in scored:
            truth = truth_of([scene.objects(k + n) for n in range(HORIZON)], perception.output_window)
        jobs: list[Future[None]] = []
        for name, method in methods.items():
            for ego in agents[: settings.egos]:
                score = scores[name][ego]
                jobs.append(pool.submit(_one, method, airs[name], step, k, ego, truth, score, name, watch))
        for job in jobs:
            job.result()
        on_frame()
    return {name: _merged(parts, settings) for name, parts in scores.items()}


class _Senders:
    """What all agents send at each frame: by every method, and a second time, false, where there are attackers."""

    def __init__(
        self,
        perception: Perception,
        settings: Settings,
        pool: ThreadPoolExecutor,
        methods: dict[str, Method],
    ) -> None:
        self._perception, self._settings, self._pool = perception, settings, pool
        self._methods, self._forgers = methods, dict[str, Method]()
        if settings.disturbance.attackers:
            self._forgers = make_methods(perception, settings)
        self._early, self._false = SoloHistory(), SoloHistory()

    def send(
        self, scene: SceneSource, k: int, frame: WorldFrame, step: Step
    ) -> dict[str, tuple[list[Sent], list[Sent]]]:
        """Messages and false messages by method. Staggered peers see the scene earlier than the ego."""
        lead_s = self._settings.disturbance.lead_s
        if lead_s:
            earlier = scene.earlier(k, lead_s)
            if earlier is None:
                return {name: ([], []) for name in self._methods}
            frame, step = earlier, self._step(scene, earlier, self._early)
        false_step = self._step(scene, mirrored(frame), self._false) if self._forgers else step
        agents = [a for a in range(len(frame.agents)) if step.sees(a)]
        out: dict[str, tuple[list[Sent], list[Sent]]] = {}
        for name, method in self._methods.items():
            sent = [s for s in self._pool.map(partial(method.send, step), agents) if s is not None]
            false: list[Sent] = []
            if name in self._forgers:
                forge = partial(self._forgers[name].send, false_step)
                false = [s for s in self._pool.map(forge, agents) if s is not None]
            out[name] = (sent, false)
        return out

    def _step(self, scene: SceneSource, frame: WorldFrame, solo: SoloHistory) -> Step:
        s = self._settings
        step = Step(self._perception, s.thresholds, frame, scene.number, s.disturbance, solo)
        list(self._pool.map(step.encode, range(len(frame.agents))))
        return step


def make_methods(perception: Perception, settings: Settings) -> dict[str, Method]:
    """Fresh methods for a scene."""
    return {
        name: METHODS[name].make(perception, settings.thresholds, settings.budget_bytes)
        for name in settings.methods
    }


def _one(
    method: Method,
    air: Air,
    step: Step,
    k: int,
    ego: int,
    truth: FrameTruth | None,
    score: MethodScore,
    name: str,
    watch: Watch | None,
) -> None:
    inbox = air.receive(k, ego, len(step.agents))
    prediction = method.receive(step, ego, inbox, truth is not None)
    if prediction is None or truth is None:
        return
    used = [ego] if name == "single" else [ego, *(item.sent.sender for item in inbox)]
    visible = truth.visible_to(used)
    for accumulator in score.areas.values():
        accumulator.add(prediction, truth, visible)
    if watch is not None:
        watch(name, ego, k, prediction, truth)


def _count(scores: dict[str, list[MethodScore]], settings: Settings, name: str, sent: Sequence[Sent]) -> None:
    parts = scores.setdefault(name, [MethodScore.empty(settings.areas) for _ in range(settings.egos)])
    for message in sent:
        parts[0].traffic.add(message)


def _merged(parts: Sequence[MethodScore], settings: Settings) -> MethodScore:
    total = MethodScore.empty(settings.areas)
    for part in parts:
        total.merge(part)
    return total


def worker_count() -> int:
    """Threads to use: one per core that this process may use."""
    return len(os.sched_getaffinity(0))
