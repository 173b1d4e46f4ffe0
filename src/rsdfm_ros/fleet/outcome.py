"""Summary that is printed at the end of a mission: figures, times, files, and next steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from rsdfm_ros.evaluation.report.next_steps import NextStep, steps_text
from rsdfm_ros.evaluation.report.timing import timing_words
from rsdfm_ros.fleet.speed_table import speed_table

TITLE = "The mission, mean over all UAVs (single: alone, rsdfm: with peers)"


def print_outcome(
    result: dict[str, Any], console: Console, files: list[Path], steps: list[NextStep], title: str = TITLE
) -> None:
    """Print the table of result.json as `rsdfm evaluate` does, the table of speed, then times, files and steps."""
    from rsdfm_ros.evaluation.report.table import (
        print_table,  # needs torch, which a mission does not wait for
    )

    print_table(result["results"], console, title=title)
    if (speed := speed_table(result)) is not None:
        console.print(speed)
    if words := timing_words(result):
        console.print(words, highlight=False)
    console.print("\n".join(f"  {path}" for path in files), highlight=False, soft_wrap=True)
    if steps:
        console.print(f"\n{steps_text(steps)}", highlight=False, markup=False, soft_wrap=True)
