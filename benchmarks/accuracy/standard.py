"""The standard split: every method, undisturbed."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.bench import Bench, Case, Rows
from benchmarks.accuracy.page import number, table
from benchmarks.accuracy.section import Bar, Content, Section, Store
from rsdfm_ros.evaluation.methods import METHODS

GROUPS = (
    ("single", "late", "dense", "rsdfm"),
    ("single", "rsdfm-boxes", "rsdfm-ondemand", "where2comm", "dhd"),
    ("single", "dense-mean", "dense-max", "dhd-25", "low-only", "high-only"),
)
"""What is evaluated together: an interruption costs at most one of these."""

FIGURES = (
    ("IoU ±50 m", "iou_long", 3),
    ("IoU ±25 m", "iou_short", 3),
    ("IoU seen", "iou_visible_long", 3),
    ("PQ", "pq_long", 3),
    ("VPQ ±50 m", "vpq_long", 3),
    ("mAP", "map", 3),
    ("AP 2 m", "ap", 3),
    ("AP IoU 0.5", "ap_iou_0.5", 3),
    ("ADE m", "ade", 2),
)


def run(bench: Bench, store: Store) -> None:
    """One unit per group of methods."""
    scenes = bench.standard_scenes()
    for n, methods in enumerate(GROUPS):
        title = f"standard split {n + 1}/{len(GROUPS)}"
        store.unit(title, lambda m=methods, t=title: bench.evaluate(scenes, {"all": Case(m)}, t)["all"])


def rows(content: Content) -> Rows:
    """All methods of all groups, in the order of METHODS."""
    found = {name: row for group in content.values() for name, row in group.items()}
    return {name: found[name] for name in METHODS if name in found}


def tables(content: Content) -> str:
    """One row per method."""
    heads = ["method", *(head for head, _, _ in FIGURES), "kB/frame", "Mbit/s"]
    lines = []
    for name, row in rows(content).items():
        size, rate = row["bytes_per_frame"], row["mbit_per_s"]
        cells = [number(row.get(key), digits) for _, key, digits in FIGURES]
        lines.append([f"`{name}`", *cells, number(None if size is None else size / 1000, 1), number(rate, 2)])
    return table(heads, lines)


def bars(content: Content) -> Sequence[Bar]:
    """What the shipped model has to reach together."""
    row = rows(content).get("rsdfm", {})
    return (
        Bar("`rsdfm`, IoU ±50 m", row.get("iou_long"), 0.82),
        Bar("`rsdfm`, VPQ ±50 m", row.get("vpq_long"), 0.65),
        Bar("`rsdfm`, mAP", row.get("map"), 0.70),
    )


SECTION = Section("standard", "Standard test split", run, tables, bars=bars, part=False)
