"""Bars of a soak, and how a run stands to them: as values for JSON, and as tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.soak.campaign import Seen
from benchmarks.soak.slope import Life, slope_of
from benchmarks.soak.uav import START, Recovery

SLOPE_MB_H, OUTPUTS_S = 1.0, 3.0
MET, MISSED, UNDECIDED = "met", "missed", "undecided"
BEGINS = ("started", "ready", "image")


def warm_up_s(seconds: float) -> float:
    """Time after the start of a process in which its memory may grow."""
    return min(600.0, 0.3 * seconds)


def result_of(seen: Seen, asked_s: float, *, complete: bool) -> dict[str, Any]:
    """Everything about a run, as values for JSON; `missed` names the bars that it missed."""
    warm_s = warm_up_s(asked_s)
    memory = {name: _memory(lives, warm_s) for name, lives in sorted(seen.lives.items())}
    disturbed = [r for r in seen.recoveries if r.kind != START]
    recoveries = {begin: _spread([r.since(begin) for r in disturbed]) for begin in BEGINS}
    bars = {
        "rss_slope_mb_h": _slope_bar(memory),
        "outputs_again_s": _outputs_bar(disturbed),
        "no_orphan": _none(seen.orphans),
        "no_stuck_process": _none(seen.stuck),
        "no_crash": _none(seen.crashes),
        "no_untyped_error": _none(
            seen.tracebacks + ([f"{seen.errors} errors counted"] if seen.errors else [])
        ),
    }
    return {
        "complete": complete,
        "minutes": seen.disturbed_s / 60.0,
        "warm_up_s": warm_s,
        "load": float(np.mean(seen.loads)) if seen.loads else None,
        "cores": os.cpu_count(),
        "events": dict(seen.events),
        "events_skipped": seen.skipped,
        "memory": memory,
        "outputs_again_s": recoveries,
        "recoveries": [_values(r) for r in seen.recoveries],
        "refusals": dict(seen.refusals.most_common()),
        "quarantines": seen.quarantines,
        "images": dict(seen.shown),
        "answers": dict(seen.heard),
        "bars": bars,
        "missed": [name for name, bar in bars.items() if bar["verdict"] == MISSED],
    }


def _memory(lives: Sequence[Life], warm_s: float) -> dict[str, Any]:
    slope = slope_of(lives, warm_s)
    series = [np.stack(life.points(0.0), axis=1).round(3).tolist() for life in lives]
    return {
        "processes": len(lives),
        "series_s_mb": series,
        "rss_mb": lives[-1].rss_mb[-1],
        "rss_mb_most": max(max(life.rss_mb) for life in lives),
        "slope_mb_h": None if slope is None else slope.value,
        "slope_low_mb_h": None if slope is None else slope.low,
        "slope_high_mb_h": None if slope is None else slope.high,
        "points": 0 if slope is None else slope.points,
    }


def _slope_bar(memory: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Missed where the whole interval of a process is above the bar, met where all are below it."""
    judged = {name: m for name, m in memory.items() if m["points"]}
    above = [name for name, m in judged.items() if m["slope_low_mb_h"] >= SLOPE_MB_H]
    below = [name for name, m in judged.items() if m["slope_high_mb_h"] < SLOPE_MB_H]
    verdict = MISSED if above else MET if judged and len(below) == len(judged) else UNDECIDED
    return {"limit": SLOPE_MB_H, "verdict": verdict, "above": above, "below": below, "judged": sorted(judged)}


def _outputs_bar(recoveries: Sequence[Recovery]) -> dict[str, Any]:
    times = [r.since("ready") for r in recoveries]
    late = [t for t in times if t is not None and t > OUTPUTS_S]
    never = sum(t is None for t in times)
    verdict = MISSED if late else MET if len(times) > never else UNDECIDED
    return {"limit": OUTPUTS_S, "verdict": verdict, "late": len(late), "of": len(times), "unfinished": never}


def _none(found: Sequence[str]) -> dict[str, Any]:
    return {"limit": 0, "verdict": MISSED if found else MET, "found": list(found)}


def _spread(times: Sequence[float | None]) -> dict[str, float | int | None]:
    known = [t for t in times if t is not None]
    if not known:
        return {"number": 0, "median": None, "p95": None, "most": None}
    p95 = float(np.percentile(known, 95))
    return {"number": len(known), "median": float(np.median(known)), "p95": p95, "most": max(known)}


def _values(recovery: Recovery) -> dict[str, Any]:
    return {
        "uav": recovery.agent,
        "after": recovery.kind,
        **{f"since_{begin}_s": recovery.since(begin) for begin in BEGINS},
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print memory, recoveries and bars."""
    table = Table(
        title=f"resident memory without files, after {result['warm_up_s']:.0f} s of warm-up of every process"
    )
    for column in ("process", "lives", "MB", "most", "MB/h", "95 % interval", "points"):
        table.add_column(column, justify="left" if column == "process" else "right")
    for name, m in result["memory"].items():
        known = m["points"] > 0
        slope = f"{m['slope_mb_h']:+.2f}" if known else "–"
        interval = (
            f"{m['slope_low_mb_h']:+.2f} to {m['slope_high_mb_h']:+.2f}" if known else "too short-lived"
        )
        row = (str(m["processes"]), f"{m['rss_mb']:.1f}", f"{m['rss_mb_most']:.1f}", slope, interval)
        table.add_row(name, *row, str(m["points"]))
    console.print(table)
    table = Table(title="time until outputs come again, s")
    for column in ("from", "number", "median", "95 %", "most"):
        table.add_column(column, justify="left" if column == "from" else "right")
    names = {"started": "start of the process", "ready": "process is up", "image": "its first image"}
    for begin, spread in result["outputs_again_s"].items():
        figures = ["–" if spread[k] is None else f"{spread[k]:.2f}" for k in ("median", "p95", "most")]
        table.add_row(names[begin], str(spread["number"]), *figures)
    console.print(table)
    for title, counts in (("disturbances", result["events"]), ("refusals", result["refusals"])):
        console.print(f"{title}: {', '.join(f'{name} {n}' for name, n in counts.items()) or 'none'}")
    console.print(f"quarantines: {result['quarantines']}")
    if result["load"] is not None:
        console.print(f"load: {result['load']:.1f} jobs on {result['cores']} cores")
    for name, bar in result["bars"].items():
        facts = {k: v for k, v in bar.items() if k != "verdict" and v not in ([], 0)}
        console.print(f"{name}: {bar['verdict']} {facts or ''}", markup=False)
