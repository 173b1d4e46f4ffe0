"""Generalisation of the mapping: benchmarks/generalisation.py with small sizes, as a section of the page."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import drawing, generalisation
from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.section import Section
from benchmarks.errors import BenchError
from benchmarks.page import number, table
from benchmarks.protocol import UAVS
from benchmarks.store import Content, Store
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import TEST_SEEDS_FROM, SimConfig

POINTS: dict[str, tuple[str, ...]] = {
    "altitude": ("20", "45", "80", "100", "20–100"),
    "pitch": ("30", "50", "70"),
    "fov": ("50", "75", "100"),
    "size": ("240×136", "480×270", "960×540"),
}
"""Of generalisation.AXES, what is measured."""
FIXED_HEIGHT_M = 50.0
LIFTS = "lifts"
"""Begins the names of units that compare the two models of --lift-models."""
NO_LIFTS = (
    "The relative lift against the absolute one is not measured: no two models that differ in it alone were given "
    "(`--lift-models RELATIVE ABSOLUTE`; [mapping.md](mapping.md#how-far-it-carries) makes them)."
)
FIGURES = (
    ("IoU", "iou_long", 3),
    ("AP 2 m", "ap", 3),
    ("position m", "position_error_m", 2),
    ("height m", "height_mae_m", 2),
)

DRAWN = {"iou_long": "IoU, UAVs together", "position_error_m": "position error (m)"}


def run(bench: Bench, store: Store) -> None:
    """One unit per point of the study, and one more per point for the lifts."""
    compare(bench, store, [bench.model], "")
    if bench.lifts:
        if len(bench.lifts) != 2:
            raise BenchError(f"--lift-models: expected two folders, got {len(bench.lifts)}")
        compare(bench, store, bench.lifts, LIFTS)


def compare(bench: Bench, store: Store, folders: Sequence[Path], prefix: str) -> None:
    """The study with every variant of some models."""
    sizes = bench.sizes
    seeds = range(TEST_SEEDS_FROM, TEST_SEEDS_FROM + sizes.study_scenes)
    models = generalisation.compared(folders, FIXED_HEIGHT_M, seeds)
    if prefix:
        _same(store, models)
    known: dict[SimConfig, dict[str, Any]] = {}  # several axes pass through the standard world

    def measured(config: SimConfig) -> dict[str, Any]:
        if config not in known:
            scenes = [generalisation.RenderedScene(s, UAVS, config, sizes.study_frames) for s in seeds]
            known[config] = generalisation.evaluate_point(models, scenes, sizes.study_egos)
        return known[config]

    for axis, values in POINTS.items():
        configs = dict(generalisation.AXES[axis].points)
        for value in values:
            name = f"{prefix} {axis} {value}".strip()
            if name not in store.units:
                print(f"  {name}", file=sys.stderr)
            store.unit(name, partial(measured, configs[value]))


def _same(store: Store, models: Mapping[str, Perception]) -> None:
    """Raises: BenchError if the file compares the lifts of other models."""
    now = {name: f"{model.fingerprint:016x}" for name, model in models.items()}
    known = store.unit(f"{LIFTS} models", lambda: now)
    if known != now:
        raise BenchError(f"{store.path} compares other --lift-models: give another --out, or delete it")


def points(content: Content, axis: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Rows by variant of every measured value of an axis."""
    found = {v: content.get(f"{prefix} {axis} {v}".strip()) for v in POINTS[axis]}
    return {value: rows for value, rows in found.items() if rows}


def tables(content: Content) -> str:
    """A table per axis for the model, then one for the lifts."""
    out = [
        f"UAVs together (`dense`), with the true height of every camera and with {FIXED_HEIGHT_M:g} m assumed for all. "
        "Position: error on the map of the pixels of objects; height: mean absolute error of pixels."
    ]
    out += [_table(axis, points(content, axis)) for axis in POINTS]
    lifts = [_table(axis, points(content, axis, LIFTS)) for axis in POINTS]
    if any(lifts):
        out.append("Two small models that differ in their lift alone, trained alike:")
        out += lifts
    else:
        out.append(NO_LIFTS)
    return "\n\n".join(part for part in out if part)


def _table(axis: str, rows_by_value: Mapping[str, Mapping[str, Any]]) -> str:
    if not rows_by_value:
        return ""
    variants = list(next(iter(rows_by_value.values())))
    columns = [
        (variant, head, key, digits)
        for head, key, digits in FIGURES
        for variant in variants
        if key != "height_mae_m" or not variant.endswith("fixed height")
    ]
    names = {v: v.removeprefix("ablation_") for v in variants}
    heads = [generalisation.AXES[axis].label, *(f"{head}, {names[v]}" for v, head, _, _ in columns)]
    lines = [
        [value, *(number(rows[variant][key], digits) for variant, _, key, digits in columns)]
        for value, rows in rows_by_value.items()
    ]
    return table(heads, lines)


def figures(content: Content, folder: Path) -> Mapping[str, str]:
    """IoU and position error, a panel per axis."""
    found = {}
    for prefix, name, caption in (
        (
            "",
            "bench_carrying.svg",
            "IoU and position error over altitude, pitch, field of view, image size",
        ),
        (LIFTS, "bench_lifts.svg", "The same of a relative and an absolute lift"),
    ):
        axes = {axis: rows for axis in POINTS if (rows := points(content, axis, prefix))}
        if axes:
            panels = [_panel(axis, rows, key) for key in DRAWN for axis, rows in axes.items()]
            drawing.write(panels, folder / name, per_row=len(axes))
            found[name] = caption
    return found


def _panel(axis: str, rows_by_value: Mapping[str, Mapping[str, Any]], key: str) -> drawing.Panel:
    variants = list(next(iter(rows_by_value.values())))
    lines = {
        variant: [
            (float(n), value)
            for n, rows in enumerate(rows_by_value.values())
            if (value := rows[variant][key]) is not None
        ]
        for variant in variants
    }
    label = generalisation.AXES[axis].label
    return drawing.Panel(label, DRAWN[key], lines, ticks=list(rows_by_value), from_zero=True)


SECTION = Section("carrying", "How far the mapping carries", run, tables, figures, sizes="study")
