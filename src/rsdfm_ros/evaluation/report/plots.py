"""Plots for the report as inline SVG; text and axes take the page's colour, so they suit light and dark."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

SINGLE, TOGETHER = "#e08a1e", "#159a7a"
LINES: tuple[str, ...] = (
    "#3b82f6",
    "#d9467a",
    "#8b5cf6",
    "#0891b2",
    "#ca8a04",
    "#65a30d",
    "#dc2626",
    "#64748b",
)
_INK = "#010203"  # replaced by the page's text colour
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rsdfm",
    "font.family": "sans-serif",
    "font.size": 11,
}


def series(lines: Sequence[dict[str, Any]], agent: str, key: str) -> NDArray[np.float64]:
    """One figure of a UAV over the frames (F,), NaN where it is missing."""
    values = [line["agents"].get(agent, {}).get(key) for line in lines]
    return np.array([np.nan if v is None else float(v) for v in values])


def accuracy_plot(lines: Sequence[dict[str, Any]], agents: Sequence[str]) -> str:
    """IoU over time: mean of the UAVs as a line, lowest to highest as a band."""
    figure, axes = _axes("mission time (s)", "IoU (0 to 1)")
    times = _times(lines)
    for key, colour, name in (
        ("iou_single", SINGLE, "each UAV alone"),
        ("iou_collaborative", TOGETHER, "with its peers"),
    ):
        values = np.array([series(lines, agent, key) for agent in agents])
        if np.isnan(values).all():
            continue
        with np.errstate(all="ignore"):
            axes.fill_between(
                times, np.nanmin(values, 0), np.nanmax(values, 0), color=colour, alpha=0.2, linewidth=0
            )
            axes.plot(times, np.nanmean(values, 0), color=colour, linewidth=2, label=name)
    axes.set_ylim(0, 1)
    return _finish(figure, axes)


def bytes_plot(lines: Sequence[dict[str, Any]], agents: Sequence[str], budget_bytes: float | None) -> str:
    """Bytes sent per frame by every UAV."""
    figure, axes = _axes("mission time (s)", "kB sent per frame")
    times = _times(lines)
    for n, agent in enumerate(agents):
        values = series(lines, agent, "bytes_sent_frame") / 1000.0
        axes.plot(times, values, color=LINES[n % len(LINES)], linewidth=1.5, label=agent)
    if budget_bytes:
        axes.axhline(budget_bytes / 1000.0, color=_INK, linewidth=1, linestyle=":", label="budget (mean)")
    axes.set_ylim(bottom=0)
    return _finish(figure, axes)


def time_plot(lines: Sequence[dict[str, Any]], agents: Sequence[str], key: str, label: str) -> str:
    """A time in ms of every UAV; empty if none was reported."""
    values = {agent: series(lines, agent, key) for agent in agents}
    if all(np.isnan(v).all() for v in values.values()):
        return ""
    figure, axes = _axes("mission time (s)", label)
    for n, agent in enumerate(agents):
        axes.plot(_times(lines), values[agent], color=LINES[n % len(LINES)], linewidth=1.5, label=agent)
    axes.set_ylim(bottom=0)
    return _finish(figure, axes)


def _times(lines: Sequence[dict[str, Any]]) -> list[float]:
    return [line["stamp_s"] - lines[0]["stamp_s"] for line in lines]


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    with plt.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
    axes.grid(color=_INK, alpha=0.12, linewidth=0.8)
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    return figure, axes


def _finish(figure: Figure, axes: Axes) -> str:
    axes.margins(x=0.01)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            frameon=False,
            labelcolor=_INK,
            ncols=5,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            fontsize=10,
        )
    buffer = io.StringIO()
    with plt.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
