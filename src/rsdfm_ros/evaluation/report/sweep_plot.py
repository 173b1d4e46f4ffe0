"""Plots of a sweep: for every axis, the gain of each method over a UAV alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report.plots import LINES
from rsdfm_ros.evaluation.sweep import points_on
from rsdfm_ros.outputs import replacing

TITLES = {
    "loss": "lost messages (share)",
    "latency_ms": "latency (ms)",
    "pose": "pose noise per frame (m/deg)",
    "bias": "pose bias per UAV (m/deg)",
    "uavs": "UAVs",
    "budget_bytes": "byte budget per frame and UAV",
    "attackers": "attackers among the peers",
    "drop_uavs": "silent peers",
    "attack": "attackers (kind/number)",
}
HARM = -0.005
"""Below this a method does harm."""


def write_plot(content: Mapping[str, Any], path: Path, figure_of: str = "gain_iou_long") -> None:
    """Draws the figure `figure_of` of all methods but single over every axis; the file's ending selects the format.

    Raises: RsdfmError if nothing was evaluated, or for an unknown ending.
    """
    axes = [a["name"] for a in content["axes"] if points_on(content, a["name"])]
    if not axes:
        raise RsdfmError("there is nothing to plot: no point of the sweep was evaluated")
    columns = min(3, len(axes))
    rows = math.ceil(len(axes) / columns)
    figure = Figure(figsize=(4.4 * columns, 3.1 * rows), layout="constrained")
    for n, axis in enumerate(axes):
        panel = figure.add_subplot(rows, columns, n + 1)
        points = points_on(content, axis)
        methods = [m for m in points[0][1] if m != "single"]
        places = range(len(points))
        for m, method in enumerate(methods):
            values = [rows_.get(method, {}).get(figure_of) for _, rows_ in points]
            numbers = [math.nan if v is None else float(v) for v in values]
            panel.plot(places, numbers, marker="o", markersize=3.5, color=LINES[m % len(LINES)], label=method)
        panel.axhline(0.0, color="0.4", linewidth=0.8)
        panel.axhspan(min(panel.get_ylim()[0], HARM), HARM, color="#dc2626", alpha=0.08, linewidth=0)
        panel.set_xticks(list(places), [v for v, _ in points])
        panel.set_xlabel(TITLES.get(axis, axis))
        panel.grid(alpha=0.15)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
        if n % columns == 0:
            panel.set_ylabel(figure_of.replace("gain_", "gain in ").replace("_", " "))
        if n == 0:
            panel.legend(frameon=False, fontsize=8)
    try:
        with (
            matplotlib.rc_context({"svg.hashsalt": "rsdfm", "svg.fonttype": "none"}),
            replacing(path) as beside,
        ):
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(beside, dpi=130, metadata=metadata)
    except ValueError as error:
        raise RsdfmError(f"cannot draw {path}: {error}") from error
