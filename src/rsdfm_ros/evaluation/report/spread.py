"""Spread of results between models that differ in the seed of their training alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdfm_ros.errors import RsdfmError

FIGURES: tuple[str, ...] = (
    "iou_long",
    "iou_short",
    "pq_long",
    "vpq_long",
    "map",
    "ap_iou_0.5",
    "ade",
    "idf1",
)
"""Figures in the table, beside those of plug-in tasks."""

SAME = ("seeds", "frames_per_scene", "uavs", "egos", "budget_bytes", "disturbance")
"""Entries of the protocol that must agree for figures to be comparable."""


def spread_table(paths: Sequence[Path]) -> str:
    """A Markdown table: per method and figure the mean over the files, and half the distance of the extremes.

    Raises: RsdfmError for fewer than two files, files that are no results, or results of other data or settings.
    """
    if len(paths) < 2:
        raise RsdfmError("--seeds-spread compares the results of at least two models: give two or more files")
    files = [_read(path) for path in paths]
    for path, content in zip(paths[1:], files[1:], strict=True):
        different = [key for key in SAME if content["protocol"].get(key) != files[0]["protocol"].get(key)]
        if different:
            raise RsdfmError(f"{path} and {paths[0]} differ in {', '.join(different)}: evaluate both alike")
    rows = [{row["method"]: row for row in content["results"]} for content in files]
    methods = [name for name in rows[0] if all(name in of_file for of_file in rows)]
    if not methods:
        raise RsdfmError("these files have no method in common")
    tasks = [key for key in rows[0][methods[0]] if key.endswith("_iou") and key not in FIGURES]
    shown = [key for key in (*FIGURES, *tasks) if any(_values(rows, m, key) for m in methods)]
    lines = ["| | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for key in shown:
        cells = [_cell(_values(rows, method, key), len(files)) for method in methods]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _values(rows: Sequence[dict[str, Any]], method: str, key: str) -> list[float]:
    return [float(row[method][key]) for row in rows if row[method].get(key) is not None]


def _cell(values: Sequence[float], files: int) -> str:
    if len(values) < files:
        return "–"
    return f"{np.mean(values):.3f} ± {(max(values) - min(values)) / 2:.3f}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RsdfmError(f"{path}: expected results of `rsdfm evaluate --json` ({error})") from error
    if not isinstance(content, dict) or not {"protocol", "results"} <= set(content):
        raise RsdfmError(f"{path}: expected results of `rsdfm evaluate --json`, with protocol and results")
    return content
