"""Small SVG figures: lines over one quantity, with reference levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rsdfm_ros.evaluation.report.plots import LINES

HARM = -0.005
"""A gain over `single` below this is harm."""

PER_ROW = 3


@dataclass(frozen=True)
class Panel:
    """One diagram: points (x, y) by line, and horizontal levels by name.

    ticks: names of the places 0, 1, … where x is no number · log: a logarithmic x axis · harm: shade what lies below
    HARM · from_zero: the y axis begins at zero.
    """

    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    levels: Mapping[str, float] = field(default_factory=dict)
    ticks: Sequence[str] = ()
    log: bool = False
    harm: bool = False
    from_zero: bool = False


def write(panels: Sequence[Panel], path: Path, per_row: int = PER_ROW) -> None:
    """Draws the panels side by side; the same panels give the same bytes."""
    columns = min(per_row, len(panels))
    rows = math.ceil(len(panels) / columns)
    with matplotlib.rc_context({"svg.hashsalt": "rsdfm", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(3.7 * columns, 2.7 * rows), layout="constrained")
        for n, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, n + 1)
            _draw(axes, panel)
            if n == 0:
                axes.legend(frameon=False, fontsize=7.5)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _draw(axes: Axes, panel: Panel) -> None:
    for n, (name, points) in enumerate(panel.lines.items()):
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, marker="o", markersize=3, linewidth=1.3, color=LINES[n % len(LINES)], label=name)
    for (name, level), style in zip(panel.levels.items(), ("--", ":", "-.", (0, (1, 3))), strict=False):
        axes.axhline(level, color="0.35", linewidth=0.9, linestyle=style, label=name)
    if panel.from_zero:
        axes.set_ylim(bottom=0.0)
    if panel.harm:
        axes.axhline(0.0, color="0.4", linewidth=0.8)
        axes.axhspan(min(axes.get_ylim()[0], HARM), HARM, color="#dc2626", alpha=0.08, linewidth=0)
    if panel.log:
        axes.set_xscale("log")
        ticks = (2, 5, 10, 20, 50)
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), list(panel.ticks))
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.grid(alpha=0.15)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
