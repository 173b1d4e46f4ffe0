"""Figures of speed for people: progress, tables, and a conclusion in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from rsdfm_ros.evaluation.speed.measure import Progress
from rsdfm_ros.evaluation.speed.stages import ENCODER
from rsdfm_ros.provenance import machine_words
from rsdfm_ros.words import counted

ROWS: tuple[tuple[str, str], ...] = (
    ("uav_frame_ms", "one UAV-frame, three peers, all tasks"),
    ("uav_frame_single_ms", "the same with answers without peers too (publish_single)"),
    ("fleet_frame_ms", "frame of a fleet of four, of which one answers"),
    ("per_peer_ms", "cost of a further peer"),
)
"""Key of a figure in ms, and its words."""


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """A bar per part that is being measured; nothing where the output is no terminal."""
    with Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:

        @contextlib.contextmanager
        def part(what: str, steps: int) -> Iterator[Callable[[], None]]:
            task = bars.add_task(what, total=steps)
            try:
                yield lambda: bars.advance(task)
            finally:
                bars.remove_task(task)

        yield part


def milliseconds(value: float) -> str:
    """A time with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_speed(figures: Mapping[str, Any], failed: Mapping[str, str], console: Console) -> None:
    """Print machine, figures and stages; rows without a figure say why."""
    console.print(machine_words(dict(figures["machine"])), highlight=False)
    console.print(f"engine: {figures['engine']}", highlight=False)
    table = Table(title=f"Speed, {counted(figures['threads'], 'thread')}", title_justify="left")
    table.add_column("")
    table.add_column("ms", justify="right")
    table.add_column("per second", justify="right")
    for key, words in ROWS:
        value = figures.get(key)
        if key == "fleet_frame_ms":
            words += f" ({counted(figures['fleet_threads'], 'thread')})"
        if value is not None:
            rate = f"{1e3 / value:.1f}" if key != "per_peer_ms" and value > 0 else ""
            table.add_row(words, milliseconds(value), rate)
    for peers, value in figures.get("peers_ms", {}).items():
        table.add_row(f"  with {counted(int(peers), 'peer')}", milliseconds(value), f"{1e3 / value:.1f}")
    if (share := figures.get("region_quarter_share")) is not None:
        table.add_row("region of a quarter of the area", f"{100 * share:.0f} %", "")
    console.print(table)
    _print_stages(figures.get("stages_ms", {}), console)
    for key, why in failed.items():
        console.print(f"{key}: not measured: {why}", highlight=False, markup=False)


def _print_stages(stages: Mapping[str, float], console: Console) -> None:
    if not stages:
        return
    table = Table(title="Stages of one UAV", title_justify="left")
    table.add_column("")
    table.add_column("ms", justify="right")
    table.add_column("of the encoder", justify="right")
    for name, value in stages.items():
        table.add_row(name, milliseconds(value), f"{value / stages[ENCODER]:.2f}")
    console.print(table)
