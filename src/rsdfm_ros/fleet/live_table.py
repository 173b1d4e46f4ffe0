"""The live table of a flying fleet."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


def live_table(line: dict[str, Any] | None, frames: int, budget_bytes: int, *, lockstep: bool) -> Group:
    """Table of one status line (nodes/mission/report.py); None before the first frame is answered."""
    table = Table(expand=False)
    columns = (*COLUMNS[:2], PROCESSING, *(() if lockstep else (LATENCY,)), *COLUMNS[2:])
    for heading, _ in columns:
        table.add_column(heading, justify="left" if heading == "UAV" else "right")
    if line is None:
        return Group(Text("starting simulator, evaluator and UAVs; the first frame takes a while …"))
    for name, facts in line["agents"].items():
        table.add_row(*(cell(name, facts) for _, cell in columns))
    done = line["frame"] + 1
    title = Text(f"frame {done} of {frames}")
    note = Text(
        "IoU, AP: against the simulator's truth within ±50 m, 1 is perfect · "
        f"kB: per frame, budget {budget_bytes / 1000:g} · "
        "processing: computing per image, median, without waiting"
        + (" for the others in lockstep" if lockstep else "; latency: from an image to its answer"),
        style="dim",
    )
    return Group(title, ProgressBar(total=frames, completed=done, width=60), table, note)


def status_text(line: dict[str, Any], frames: int) -> str:
    """The same in one line, for logs."""
    parts = [
        f"{name} IoU {figure(facts.get('iou_single'))} → {figure(facts.get('iou_collaborative'))}"
        for name, facts in line["agents"].items()
    ]
    return f"frame {line['frame'] + 1}/{frames}  " + "  ".join(parts)


def figure(value: float | None, digits: int = 2) -> str:
    """A number, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def _in_per_frame(facts: dict[str, Any]) -> float | None:
    received, frames = facts.get("bytes_received"), facts.get("frames_processed")
    return received / frames / 1000 if received is not None and frames else None


COLUMNS: tuple[tuple[str, Any], ...] = (
    ("UAV", lambda name, f: name),
    ("rate Hz", lambda name, f: figure(f.get("rate_hz"), 1)),
    ("peers", lambda name, f: str(len(f.get("peers", [])))),
    ("kB out", lambda name, f: figure(f["bytes_sent_frame"] / 1000, 1)),
    ("kB in", lambda name, f: figure(_in_per_frame(f), 1)),
    ("objects", lambda name, f: str(f.get("objects", "–"))),
    ("IoU alone", lambda name, f: figure(f.get("iou_single"))),
    ("IoU together", lambda name, f: figure(f.get("iou_collaborative"))),
    ("AP together", lambda name, f: figure(f.get("ap_collaborative"))),
)
"""Heading and text of a cell from the UAV's name and facts."""
PROCESSING = ("processing ms", lambda name, f: figure(f.get("processing_median_ms"), 0))
LATENCY = ("latency ms", lambda name, f: figure(f.get("latency_median_ms"), 0))
"""Not shown in lockstep, where it includes waiting for others."""
