"""The standard split: the main methods undisturbed, every UAV as ego in turn."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.bench import Bench, Case, Rows
from benchmarks.accuracy.section import Section
from benchmarks.page import Bar, number, table
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.methods import METHODS

MAIN = ("single", "late", "dense", "rsdfm")
UNIT = "standard split"

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
    """One unit: all is evaluated in one pass."""
    store.unit(UNIT, lambda: bench.evaluate(bench.standard_scenes(), {UNIT: Case(MAIN)}, UNIT)[UNIT])


def rows(content: Content) -> Rows:
    """All methods of all units, in the order of METHODS."""
    found = {name: row for unit in content.values() for name, row in unit.items()}
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
    """Bars that the shipped model has to reach together."""
    row = rows(content).get("rsdfm", {})
    return (
        Bar("`rsdfm`, IoU ±50 m", row.get("iou_long"), 0.82),
        Bar("`rsdfm`, VPQ ±50 m", row.get("vpq_long"), 0.65),
        Bar("`rsdfm`, mAP", row.get("map"), 0.70),
    )


SECTION = Section("standard", "Standard test split", run, tables, bars=bars, sizes="")
