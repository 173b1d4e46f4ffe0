"""The byte budget over a mission: sent bytes of every UAV against its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import drawing
from benchmarks.accuracy.bench import Bench, Case, settings_of
from benchmarks.accuracy.section import Section
from benchmarks.page import Bar, number, table
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.methods import METHODS
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame, OwnHistories
from rsdfm_ros.evaluation.report.progress import frame_bar
from rsdfm_ros.evaluation.scenes import DatasetScene
from rsdfm_ros.evaluation.session import worker_pool

BUDGETS = (2_000, 2_500, 5_000, 10_000, 18_000, 25_000, 50_000)
METHOD_NAMES = ("rsdfm", "rsdfm-ondemand")
SETTLED = 10
"""Frames from which the running mean has to be on target."""


def run(bench: Bench, store: Store) -> None:
    """One unit per scene: the bytes of every frame of every UAV, by method and budget."""
    scenes = bench.missions()
    for scene in scenes:
        store.unit(f"seed {scene.number}", lambda s=scene: _sent(bench, s))


def _sent(bench: Bench, scene: DatasetScene) -> dict[str, Any]:
    """Bytes by method, budget and UAV, of every frame; nothing is received."""
    settings = settings_of(bench.perception, Case(()), 1)
    senders = {
        (name, budget): METHODS[name].make(bench.perception, settings.thresholds, budget)
        for name in METHOD_NAMES
        for budget in BUDGETS
    }
    solo = OwnHistories()
    found: dict[tuple[str, int], list[list[int]]] = {key: [[] for _ in range(scene.uavs)] for key in senders}

    def fly(step: EvaluationFrame, agent: int) -> None:
        step.encode(agent)
        for key, sender in senders.items():
            sent = sender.send(step, agent)
            found[key][agent].append(0 if sent is None else sent.message_bytes)

    torch.set_num_threads(1)  # several UAVs side by side instead
    with frame_bar() as bar, worker_pool() as pool:
        for k in bar.track(range(scene.frames), description=f"seed {scene.number}"):
            frame, disturbance = scene.load(k), settings.disturbance
            step = EvaluationFrame(
                bench.perception, settings.thresholds, frame, scene.number, disturbance, solo
            )
            list(pool.map(partial(fly, step), range(scene.uavs)))
    return {name: {str(b): found[name, b] for b in BUDGETS} for name in METHOD_NAMES}


def missions(content: Content, method: str, budget: int) -> np.ndarray:
    """(missions, frames) bytes of every UAV in every scene."""
    return np.array([uav for scene in content.values() for uav in scene[method][str(budget)]], np.float64)


def off_target(sent: np.ndarray, budget: int) -> tuple[float, float]:
    """The largest deviation from the target of any mission's mean, and of its running mean from frame SETTLED on."""
    means = np.cumsum(sent, axis=1) / np.arange(1, sent.shape[1] + 1)
    running = means[:, min(SETTLED, sent.shape[1]) - 1 :]
    return float(np.abs(means[:, -1] / budget - 1).max()), float(np.abs(running / budget - 1).max())


def tables(content: Content) -> str:
    """Deviations by method and budget."""
    lines = []
    for method in METHOD_NAMES:
        for budget in BUDGETS:
            sent = missions(content, method, budget)
            mean, running = off_target(sent, budget)
            cells = [number(sent.mean() / 1000, 2), f"{100 * mean:.1f} %", f"{100 * running:.1f} %"]
            lines.append([f"`{method}`", f"{budget / 1000:g}", *cells, number(sent.max() / budget, 2)])
    heads = [
        "method",
        "budget, kB",
        "mean, kB",
        "worst mission",
        f"worst running mean from frame {SETTLED}",
        "largest frame / budget",
    ]
    return table(heads, lines)


def figures(content: Content, folder: Path) -> Mapping[str, str]:
    """Running means of all missions."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for budget in BUDGETS:
        sent = missions(content, METHOD_NAMES[0], budget)
        means = np.cumsum(sent, axis=1) / np.arange(1, sent.shape[1] + 1) / budget
        worst = np.abs(means - 1).max(axis=0)
        lines[f"{budget / 1000:g} kB"] = [(float(k + 1), float(v)) for k, v in enumerate(worst)]
    panel = drawing.Panel("frame", "worst |running mean / budget − 1|", lines, {"5 %": 0.05})
    drawing.write([panel], folder / "bench_budget.svg")
    return {"bench_budget.svg": f"How far the running mean of any UAV is off its budget ({METHOD_NAMES[0]})"}


def bars(content: Content) -> Sequence[Bar]:
    """Within 5 % over a mission, at every budget."""
    if not content:
        return (Bar("bytes of a mission off the budget", None, 0.05, False),)
    worst = max(off_target(missions(content, m, b), b)[0] for m in METHOD_NAMES for b in BUDGETS)
    return (Bar("bytes of a mission off the budget, worst of all", worst, 0.05, False),)


SECTION = Section("budget", "The byte budget over a mission", run, tables, figures, bars, sizes="mission")
