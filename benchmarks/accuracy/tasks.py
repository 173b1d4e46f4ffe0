"""The tasks in depth: the other figures of the standard split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.accuracy import standard
from benchmarks.accuracy.section import Section, nothing
from benchmarks.page import number, table
from benchmarks.store import Content
from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.evaluation.metrics.detection import BANDS_M, DISTANCES_M, IOUS

Columns = tuple[tuple[str, str, int], ...]
"""Heading, key, digits."""


def _band(low: float, high: float) -> tuple[str, str, int]:
    if math.isinf(high):
        return f"from {low:g} m", f"ap_from_{low:g}m", 3
    return f"{low:g}–{high:g} m", f"ap_{low:g}_{high:g}m", 3


TABLES: tuple[tuple[str, Columns], ...] = (
    ("AP within 2 m, by distance from the UAV that answers", tuple(_band(*band) for band in BANDS_M)),
    (
        "AP by what counts as found: distance of centres, rotated IoU from above",
        (
            *((f"{d:g} m", f"ap_{d:g}m", 3) for d in DISTANCES_M),
            *((f"IoU {t:g}", f"ap_iou_{t:g}", 3) for t in IOUS),
        ),
    ),
    ("AP by class, mean over distances", tuple((name, f"ap_{name}", 3) for name in CLASSES)),
    (
        "Errors of boxes that were found",
        (
            ("place m", "translation_error_m", 2),
            ("size (1 − IoU)", "scale_error", 3),
            ("yaw °", "yaw_error_rad", 1),
            ("velocity m/s", "velocity_error_mps", 2),
        ),
    ),
    (
        "Instances and their future, 2 s ahead",
        (
            ("PQ ±50 m", "pq_long", 3),
            ("PQ ±25 m", "pq_short", 3),
            ("VPQ ±50 m", "vpq_long", 3),
            ("VPQ ±25 m", "vpq_short", 3),
            ("ADE m", "ade", 2),
            ("FDE m", "fde", 2),
            ("objects paired", "track_recall", 3),
        ),
    ),
    (
        "Ids over time",
        (
            ("IDF1", "idf1", 3),
            ("id changes per track", "id_changes_per_track", 2),
            ("breaks per track", "breaks_per_track", 2),
            ("kept through occlusion", "ids_kept", 3),
            ("occlusions", "occlusions", 0),
            ("kept after any loss", "ids_kept_after_loss", 3),
            ("losses", "losses", 0),
        ),
    ),
)


def tables(content: Content) -> str:
    """One table per task; a row per method."""
    rows = standard.rows(content)
    out = []
    for title, columns in TABLES:
        lines = [
            [f"`{name}`", *(number(_value(row, key), digits) for _, key, digits in columns)]
            for name, row in rows.items()
        ]
        out.append(f"{title}:\n\n" + table(["method", *(head for head, _, _ in columns)], lines))
    return "\n\n".join(out)


def _value(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return math.degrees(value) if value is not None and key == "yaw_error_rad" else value


SECTION = Section("tasks", "Tasks in depth", nothing, tables, sizes="", shows=standard.SECTION.name)
