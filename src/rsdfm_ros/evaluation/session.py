"""Runs methods over scenes and collects the figures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.tracking import Tracker, velocities_along
from rsdfm_ros.data.frame import FRAME_PERIOD_S, Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.outputs import HORIZON
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth, truth_of
from rsdfm_ros.evaluation.methods import METHODS, Method
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.frame_cache import FrameCache
from rsdfm_ros.evaluation.methods.radio import RadioChannel, Sent, Traffic
from rsdfm_ros.evaluation.metrics.accumulator import (
    MAIN_AREA,
    MetricAccumulator,
    Result,
    figures_by_area,
    within,
)
from rsdfm_ros.evaluation.metrics.id_metrics import IdentityScore
from rsdfm_ros.evaluation.protocol import scored_frames
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.waiting import uninterrupted


class SceneSource(Protocol):
    """A scene to evaluate: its number of frames, and each frame with the views of the agents in use."""

    @property
    def number(self) -> int:
        """Number of the scene: its seed, or its place in the dataset."""

    @property
    def frames(self) -> int:
        """Number of frames."""

    def ground(self) -> Ground | None:
        """The ground of the scene, where it is not that of the model."""

    def load(self, k: int) -> WorldFrame:
        """Frame k with images."""

    def objects(self, k: int) -> Objects:
        """The objects of frame k."""

    def layout(self) -> LayoutMap | None:
        """The static layout of the scene, where that is known; asked for when a task of the model needs it."""

    def earlier(self, k: int, lead_s: float) -> WorldFrame | None:
        """The scene `lead_s` before frame k, None before its beginning; RsdfmError where that is not known."""


@dataclass
class MethodScore:
    """Figures of one method: an accumulator per area, the traffic, and ids over time.

    The score of one ego in one scene also holds its tracker.
    """

    areas: dict[str, MetricAccumulator]
    traffic: Traffic
    identity: IdentityScore = field(default_factory=IdentityScore)
    tracker: Tracker = field(default_factory=Tracker)

    @classmethod
    def empty(cls, areas: dict[str, Window]) -> MethodScore:
        """Nothing counted yet."""
        return cls({name: MetricAccumulator(area) for name, area in areas.items()}, Traffic())

    def merge(self, other: MethodScore) -> None:
        """Add what another score counted."""
        for name, accumulator in self.areas.items():
            accumulator.merge(other.areas[name])
        self.traffic.merge(other.traffic)
        self.identity.merge(other.identity)

    def follow(
        self, prediction: FramePrediction, truth: FrameTruth, seen: NDArray[np.bool_], stamp_ns: int
    ) -> None:
        """Give the objects of the next frame ids over time, and compare these with the true ones in the main area."""
        if prediction.tracks is None or MAIN_AREA not in self.areas:
            return
        positions, area = prediction.tracks.positions, self.areas[MAIN_AREA].area
        ids = self.tracker.update(stamp_ns, positions[:, 0], velocities_along(positions))
        mine, theirs = within(positions[:, 0], area), within(truth.objects.centres, area)
        self.identity.add(
            ids[mine],
            positions[mine, 0],
            truth.objects.ids[theirs],
            truth.objects.centres[theirs, :2],
            seen[theirs],
        )

    def result(self) -> Result:
        """Figures by area (metrics.figures_by_area), of ids over time, and of the traffic."""
        return {
            **figures_by_area(self.areas),
            **self.identity.result(),
            **self.traffic.result(FRAME_PERIOD_S),
        }


@dataclass(frozen=True)
class Settings:
    """Settings of a run beside the data."""

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
    return evaluate_cases(perception, scene, [settings], pool, on_frame, watch)[0]


def evaluate_cases(
    perception: Perception,
    scene: SceneSource,
    cases: Sequence[Settings],
    pool: ThreadPoolExecutor,
    on_frame: Callable[[], None] = lambda: None,
    watch: Watch | None = None,
) -> list[dict[str, MethodScore]]:
    """As :func:`evaluate_scene` for several cases in one pass over the scene, with the same figures.

    Images are read and encoded once for all cases in which the UAVs believe in the same poses.
    """
    terrain = scene.ground()
    perception = perception if terrain is None else perception.on_ground(terrain)
    frame_cache = FrameCache(perception, scene, pool)
    runs = [_Run(perception, scene, settings, pool, frame_cache) for settings in cases]
    scored = scored_frames(scene.frames)
    layout = scene.layout() if "layout" in needs_of(perception.plug_ins) else None
    loading = pool.submit(scene.load, 0)
    for k in range(scored.stop):
        frame = loading.result()
        if k + 1 < scored.stop:
            loading = pool.submit(scene.load, k + 1)
        truth = None
        if k in scored:
            objects = [scene.objects(k + n) for n in range(HORIZON)]
            truth = truth_of(objects, perception.output_window, layout)
        frame_cache.add(k, frame)
        jobs = [job for run in runs for job in run.frame(k, truth, watch)]
        for job in jobs:
            job.result()
        on_frame()
    return [run.result() for run in runs]


class _Run:
    """One case during one scene: its methods, their radio and their scores."""

    def __init__(
        self,
        perception: Perception,
        scene: SceneSource,
        settings: Settings,
        pool: ThreadPoolExecutor,
        frame_cache: FrameCache,
    ) -> None:
        self._settings, self._pool, self._sights = settings, pool, frame_cache
        self._methods = make_methods(perception, settings)
        forge = bool(settings.disturbance.attackers)
        self._forgers = make_methods(perception, settings) if forge else {}
        self._channels = {name: RadioChannel(settings.disturbance, scene.number) for name in self._methods}
        self._scores = {
            name: [MethodScore.empty(settings.areas) for _ in range(settings.egos)] for name in self._methods
        }

    def frame(self, k: int, truth: FrameTruth | None, watch: Watch | None) -> list[Future[None]]:
        """All agents send; the jobs in which the egos receive and answer."""
        step = self._sights.step(self._settings)
        assert step is not None
        for name, (sent, false) in self._send().items():
            self._channels[name].send(k, sent, false)
            for message in sent if truth is not None else []:
                self._scores[name][0].traffic.add(message)
        jobs: list[Future[None]] = []
        for name, method in self._methods.items():
            for ego in range(len(step.agents))[: self._settings.egos]:
                score = self._scores[name][ego]
                jobs.append(
                    self._pool.submit(
                        _one, method, self._channels[name], step, k, ego, truth, score, name, watch
                    )
                )
        return jobs

    def result(self) -> dict[str, MethodScore]:
        """Figures by method, of all egos together."""
        return {name: _merged(parts, self._settings) for name, parts in self._scores.items()}

    def _send(self) -> dict[str, tuple[list[Sent], list[Sent]]]:
        """Messages, and the false ones of attackers, by method. Staggered peers see the scene earlier than the ego."""
        lead_s = self._settings.disturbance.lead_s
        step = self._sights.step(self._settings, lead_s)
        if step is None:
            return {name: ([], []) for name in self._methods}
        false_step = self._sights.step(self._settings, lead_s, false=True) if self._forgers else None
        agents = [a for a in range(len(step.agents)) if step.sees(a)]
        out: dict[str, tuple[list[Sent], list[Sent]]] = {}
        for name, method in self._methods.items():
            sent = [s for s in self._pool.map(partial(method.send, step), agents) if s is not None]
            false: list[Sent] = []
            if false_step is not None:
                forge = partial(self._forgers[name].send, false_step)
                false = [s for s in self._pool.map(forge, agents) if s is not None]
            out[name] = (sent, false)
        return out


def make_methods(perception: Perception, settings: Settings) -> dict[str, Method]:
    """Fresh methods for a scene."""
    return {
        name: METHODS[name].make(perception, settings.thresholds, settings.budget_bytes)
        for name in settings.methods
    }


def _one(
    method: Method,
    channel: RadioChannel,
    step: EvaluationFrame,
    k: int,
    ego: int,
    truth: FrameTruth | None,
    score: MethodScore,
    name: str,
    watch: Watch | None,
) -> None:
    inbox = channel.receive(k, ego, len(step.agents))
    prediction = method.receive(step, ego, inbox, truth is not None)
    if prediction is None or truth is None:
        return
    used = [ego] if name == "single" else [ego, *(item.sent.sender for item in inbox)]
    visible = truth.visible_to(used)
    for accumulator in score.areas.values():
        accumulator.add(prediction, truth, visible, step.position(ego))
    score.follow(prediction, truth, visible, step.stamp_ns)
    if watch is not None:
        watch(name, ego, k, prediction, truth)


def _merged(parts: Sequence[MethodScore], settings: Settings) -> MethodScore:
    total = MethodScore.empty(settings.areas)
    for part in parts:
        total.merge(part)
    return total


def worker_count() -> int:
    """Threads to use: one per core that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def worker_pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for `worker_count` jobs at a time; after an error or Ctrl-C jobs that wait are dropped."""
    pool = ThreadPoolExecutor(worker_count())
    try:
        yield pool
    finally:
        with uninterrupted():
            pool.shutdown(cancel_futures=True)
