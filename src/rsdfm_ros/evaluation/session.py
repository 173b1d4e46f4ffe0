"""Runs methods over scenes: the UAVs of every frame send, the egos receive and answer, and the answers are scored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import torch

from rsdfm_ros.data.outputs import HORIZON
from rsdfm_ros.evaluation.frames import FramePrediction, FrameTruth, truth_of
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.evaluation.methods.base import Method
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame
from rsdfm_ros.evaluation.methods.forger import Forger, false_frame
from rsdfm_ros.evaluation.methods.frame_cache import FrameCache
from rsdfm_ros.evaluation.methods.radio import RadioChannel, Sent
from rsdfm_ros.evaluation.protocol import scored_frames
from rsdfm_ros.evaluation.scene_source import SceneSource
from rsdfm_ros.evaluation.scenes import DatasetScene
from rsdfm_ros.evaluation.scores import MethodScore, merge_scores, merged
from rsdfm_ros.evaluation.settings import Settings
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.waiting import uninterrupted

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

    Images are read and encoded once for all cases in which the UAVs use the same poses.
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
            objects = [scene.objects(k + n) for n in range(min(HORIZON, scene.frames - k))]
            truth = truth_of(objects, perception.output_window, layout)
        frame_cache.advance(k, frame)
        jobs = [job for run in runs for job in run.frame(k, truth, watch)]
        for job in jobs:
            job.result()
        on_frame()
    return [run.result() for run in runs]


def evaluate_scenes(
    perception: Perception,
    scenes: Sequence[DatasetScene],
    cases: Sequence[Settings],
    on_frame: Callable[[], None] = lambda: None,
) -> list[dict[str, MethodScore]]:
    """As :func:`evaluate_cases` over several scenes, which are closed; torch then computes on one thread."""
    totals: list[dict[str, MethodScore]] = [{} for _ in cases]
    torch.set_num_threads(1)  # several agents and methods run side by side instead
    with worker_pool() as pool:
        for scene in scenes:
            scores = evaluate_cases(perception, scene, cases, pool, on_frame)
            for total, case in zip(totals, scores, strict=True):
                merge_scores(total, case)
            scene.close()
    return totals


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
        self._settings, self._pool, self._frame_cache = settings, pool, frame_cache
        self._methods = make_methods(perception, settings)
        self._window, self._scene = perception.window, scene.number
        forging = make_methods(perception, settings) if settings.disturbance.attackers else {}
        self._forgers = {
            name: Forger(method, settings.disturbance, scene.number) for name, method in forging.items()
        }
        self._channels = {name: RadioChannel(settings.disturbance, scene.number) for name in self._methods}
        self._scores = {
            name: [MethodScore.empty(settings.areas) for _ in range(settings.egos)] for name in self._methods
        }

    def frame(self, k: int, truth: FrameTruth | None, watch: Watch | None) -> list[Future[None]]:
        """Send the messages of all agents; returns the jobs in which the egos receive and answer."""
        step = self._evaluation_frame()
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
        return {name: merged(parts, self._settings.areas) for name, parts in self._scores.items()}

    def _evaluation_frame(self, lead_s: float = 0.0, *, false: bool = False) -> EvaluationFrame | None:
        settings = self._settings
        return self._frame_cache.frame(settings.thresholds, settings.disturbance, lead_s, false=false)

    def _send(self) -> dict[str, tuple[list[Sent], list[Sent]]]:
        """Messages, and the false ones of attackers, by method. Staggered peers see the scene earlier than the ego."""
        lead_s = self._settings.disturbance.lead_s
        step = self._evaluation_frame(lead_s)
        if step is None:
            return {name: ([], []) for name in self._methods}
        agents = [a for a in range(len(step.agents)) if step.sees(a)]
        false_step = self._evaluation_frame(lead_s, false=True) if self._forgers else None
        attackers = [a for a in agents if a in self._attackers(len(step.agents))]
        if false_step is not None:
            disturbance = self._settings.disturbance
            false_step = false_frame(false_step, self._window, attackers, disturbance, self._scene)
        out: dict[str, tuple[list[Sent], list[Sent]]] = {}
        for name, method in self._methods.items():
            sent = [s for s in self._pool.map(partial(method.send, step), agents) if s is not None]
            false: list[Sent] = []
            if false_step is not None:
                forge = partial(self._forgers[name].send, false_step)
                false = [s for s in self._pool.map(forge, attackers) if s is not None]
            out[name] = (sent, false)
        return out

    def _attackers(self, fleet: int) -> set[int]:
        """The UAVs of a fleet that attack an ego that is scored."""
        disturbance, egos = self._settings.disturbance, self._settings.egos
        return {attacker for ego in range(egos) for attacker in disturbance.false(fleet, ego)}


def make_methods(perception: Perception, settings: Settings) -> dict[str, Method]:
    """Fresh methods for a scene."""
    return {
        name: METHODS[name].make(
            perception, settings.thresholds, settings.budget_bytes, settings.max_packet_bytes
        )
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
