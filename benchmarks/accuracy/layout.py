"""The layout task, a head of its own on the trunk: for models with such a head that the run is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.accuracy.bench import Bench, Case
from benchmarks.accuracy.section import Section
from benchmarks.errors import BenchError
from benchmarks.page import number, table
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.scenes import DatasetScene, refuse_training_data
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.dataset.add_layout import add_layout

METHODS = ("single", "dense", "rsdfm")
FIGURES = (
    ("road", "layout_road_iou"),
    ("road seen", "layout_road_iou_visible"),
    ("building", "layout_building_iou"),
    ("building seen", "layout_building_iou_visible"),
)
NONE_GIVEN = (
    "Not measured: no model with a layout head was given (`--layout-model`; "
    "[the tutorial](tutorials/add_your_own_task.md) makes one)."
)


def run(bench: Bench, store: Store) -> None:
    """One unit per model, named after its weights."""
    for folder in bench.layouts:
        perception = Perception.load(folder)
        if "layout" not in needs_of(perception.plug_ins):
            raise BenchError(f"--layout-model {folder}: the model has no layout head: expected one that has")
        name = str(perception.manifest["weights_sha256"])[:8]
        store.unit(name, lambda p=perception: _evaluate(bench, p))


def _evaluate(bench: Bench, perception: Perception) -> dict[str, Any]:
    scenes = bench.part_scenes()
    refuse_training_data(perception.manifest, [scene.number for scene in scenes])
    scenes = _with_layout(bench, scenes)
    title = "layout"
    rows = bench.evaluate(scenes, {title: Case(METHODS)}, title, bench.sizes.part_egos, perception)[title]
    added = perception.manifest.get("added_heads")
    how = "head on a frozen trunk" if added else "trained as a whole"
    return {"model": perception.config.name, "how": how, "rows": rows}


def _with_layout(bench: Bench, scenes: list[DatasetScene]) -> list[DatasetScene]:
    """The scenes with masks of roads and buildings, which are added where they are not stored yet."""
    if all(scene.layout() is not None for scene in scenes):
        return scenes
    folder = scenes[0].dataset.path

    def add() -> Path:
        add_layout(folder)
        return folder

    bench.made(add)
    return bench.part_scenes()


def tables(content: Content) -> str:
    """A row per model and method."""
    if not content:
        return NONE_GIVEN
    lines = []
    for weights, found in content.items():
        for method in METHODS:
            row = found["rows"][method]
            cells = [number(row.get(key)) for _, key in FIGURES]
            vehicles = number(row.get("iou_long"))
            lines.append([f"{found['model']} {weights}…, {found['how']}", f"`{method}`", *cells, vehicles])
    heads = ["model", "method", *(f"IoU {head}" for head, _ in FIGURES), "vehicles IoU ±50 m"]
    return table(heads, lines)


SECTION = Section("layout", "Layout of roads and buildings", run, tables)
