"""Uneven ground: its effect, and the gain of an elevation model over an assumed level plane."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.bench import Bench, Case
from benchmarks.accuracy.section import Section
from benchmarks.page import number, table
from benchmarks.protocol import UAVS
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.mapping import rendered
from rsdfm_ros.evaluation.metrics.mapping import MappingScore, mapping_scores
from rsdfm_ros.evaluation.scenes import DatasetScene, simulated_as
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.sim.config import TERRAINS

METHODS = ("single", "late", "rsdfm")
DEM, PLANE = "elevation model", "level plane"
HALF_M = 50.0
"""The plane lies at the mean height of the ground within this of the middle, in x and y."""
STRIDE = 4
"""Every fourth frame is scored pixel by pixel."""


@dataclasses.dataclass(frozen=True)
class OnPlane(DatasetScene):
    """A scene whose UAVs take the ground to be level."""

    def ground(self) -> Ground | None:  # type: ignore[override]
        """The plane at the mean height of the true ground."""
        return level(super().ground())

    @classmethod
    def of(cls, scene: DatasetScene) -> OnPlane:
        """The same scene with that assumption."""
        return cls(scene.dataset, scene.place, scene.uavs, scene.frames, scene.live)


def level(ground: HeightGrid | None) -> GroundPlane:
    """The level plane at the mean height of a ground around the middle of the map; z = 0 where there is none."""
    if ground is None:
        return GroundPlane()
    axis = np.arange(-HALF_M, HALF_M + 1.0, 2.0)
    return GroundPlane(offset=float(ground.elevation(np.stack(np.meshgrid(axis, axis), axis=-1)).mean()))


def run(bench: Bench, store: Store) -> None:
    """One unit per terrain."""
    for name in TERRAINS:
        store.unit(name, lambda n=name: _evaluate(bench, n))


def _evaluate(bench: Bench, name: str) -> dict[str, Any]:
    """Figures by assumed ground; on flat ground both are the same."""
    flat = name == TERRAINS[0]
    scenes = bench.world() if flat else bench.world("--terrain", name)
    beliefs: dict[str, Sequence[DatasetScene]] = {DEM: scenes}
    if not flat:
        beliefs[PLANE] = [OnPlane.of(scene) for scene in scenes]
    mapped = _mapping(bench, scenes)
    out: dict[str, Any] = {}
    for belief, seen in beliefs.items():
        title = f"{name}, {belief}"
        rows = bench.evaluate(seen, {title: Case(METHODS)}, title, bench.sizes.world_egos)[title]
        out[belief] = {"rows": rows, "mapping": mapped[belief]}
    return out


def _mapping(bench: Bench, scenes: Sequence[DatasetScene]) -> dict[str, Any]:
    """Errors of the places of pixels with both assumptions, against rendered depth."""
    scores = {DEM: MappingScore(), PLANE: MappingScore()}
    for scene in scenes:
        truth = scene.ground() or GroundPlane()
        compared = {
            DEM: bench.perception.on_ground(truth),
            PLANE: bench.perception.on_ground(level(scene.ground())),
        }
        config = simulated_as(scene.dataset.path)
        _, frames = rendered(scene.number, UAVS, config, range(0, scene.frames, STRIDE))
        for belief, score in mapping_scores(compared, frames, truth).items():
            scores[belief].merge(score)
    return {belief: score.result() for belief, score in scores.items()}


def tables(content: Content) -> str:
    """A row per terrain and assumed ground."""
    heads = [
        "ground",
        "assumed",
        *(f"IoU `{m}`" for m in METHODS),
        "VPQ `rsdfm`",
        "mAP `rsdfm`",
        "position error m",
    ]
    lines = []
    for name, beliefs in content.items():
        for belief, found in beliefs.items():
            rows = found["rows"]
            shown = "level" if len(beliefs) == 1 else belief
            ours = rows["rsdfm"]
            cells = [number(rows[m]["iou_long"]) for m in METHODS]
            cells += [number(ours["vpq_long"]), number(ours["map"])]
            lines.append([name, shown, *cells, number(found["mapping"]["position_error_m"], 2)])
    return table(heads, lines)


SECTION = Section("terrain", "Uneven ground", run, tables, sizes="world")
