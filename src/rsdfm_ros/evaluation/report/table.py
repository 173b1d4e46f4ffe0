"""The table of methods that `rsdfm evaluate` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rsdfm_ros.model.heads.lookup import head_names
from rsdfm_ros.model.heads.registry import plug_ins

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("IoU ±50 m", "iou_long", ".3f"),
    ("IoU ±25 m", "iou_short", ".3f"),
    ("IoU seen", "iou_visible_long", ".3f"),
    ("PQ", "pq_long", ".3f"),
    ("VPQ ±50 m", "vpq_long", ".3f"),
    ("VPQ ±25 m", "vpq_short", ".3f"),
    ("mAP", "map", ".3f"),
    ("AP 2 m", "ap", ".3f"),
    ("ADE m", "ade", ".2f"),
    ("FDE m", "fde", ".2f"),
    ("IDF1", "idf1", ".3f"),
    ("ids kept", "ids_kept", ".3f"),
    ("kB/frame", "bytes_per_frame", "kB"),
    ("packets", "packets_per_frame", ".1f"),
)
"""Heading, key of the result, format (kB divides by 1000)."""

NOTE = (
    "IoU, PQ, VPQ, mAP, AP: 0 to 1, higher is better. IoU seen: only objects that a UAV in use sees. "
    "ADE, FDE: mean and final error of 2 s trajectories. "
    "IDF1, ids kept: ids over time, and through occlusions of 1 to 3 s. "
    "kB/frame: serialised ROS messages that each UAV sends per frame."
)


def format_value(value: float | None, spec: str) -> str:
    """A figure as the table shows it; a dash where it is undefined."""
    if value is None:
        return "–"
    return f"{value / 1000:.1f}" if spec == "kB" else format(value, spec)


def task_rows(results: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Rows for the figures of plug-in tasks that results hold: those of the main area, over all cells."""
    prefixes = tuple(f"{name}_" for name in plug_ins(head_names()))
    left_out = ("_visible", "_short")
    keys = dict.fromkeys(key for row in results for key in row)
    return [
        (key.replace("_", " "), key, ".3f")
        for key in keys
        if key.startswith(prefixes) and not key.endswith(left_out)
    ]


def print_table(
    results: Sequence[dict[str, Any]], console: Console, title: str = "Held-out scenes, mean over all UAVs"
) -> None:
    """Print one column per method."""
    console.print(f"\n{title}", highlight=False)
    table = Table()
    table.add_column("")
    for row in results:
        table.add_column(row["method"], justify="right")
    for heading, key, spec in (*COLUMNS, *task_rows(results)):
        table.add_row(heading, *(format_value(row.get(key), spec) for row in results))
    console.print(table)
    console.print(NOTE)
