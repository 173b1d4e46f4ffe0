"""What a uav_node costs beside its model: `python -m benchmarks.node_cost`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.commands import output_of, python
from benchmarks.page import Bar, number, table
from benchmarks.performance.section import Plan, Section
from benchmarks.store import Content, Store

ROWS: tuple[tuple[str, str, int, float], ...] = (
    ("model_ms", "model, CPU per frame (ms)", 0, 1.0),
    ("codec_ms", "entropy coding, CPU per frame (ms)", 1, 1.0),
    ("node_ms", "everything else, CPU per frame (ms)", 1, 1.0),
    ("node_share", "everything else, share of the frame (%)", 1, 100.0),
    ("idle_share", "at rest, share of a core (%)", 2, 100.0),
    ("rss_mb", "memory (MB)", 0, 1.0),
    ("peak_mb", "memory at most (MB)", 0, 1.0),
    ("first_answer_s", "start to first answer (s)", 1, 1.0),
)
"""Key, words, digits, and the factor to their unit."""


def run(plan: Plan, store: Store) -> None:
    """One unit."""

    def measure() -> dict[str, Any]:
        path = plan.folder / "node_cost.json"
        words = ["benchmarks.node_cost", "--model", plan.model, "--json", str(path)]
        output_of(python(*words, *(["--frames", "3"] if plan.quick else [])))
        return dict(json.loads(path.read_text()))

    store.unit("node", measure)


def tables(content: Content) -> str:
    """All figures."""
    found = content["node"]
    rows = [
        [words, number(found[key] * factor, digits)] for key, words, digits, factor in ROWS if key in found
    ]
    return table([f"`uav_node` with {found['peers']} peers at {found['rate_hz']:g} Hz, one thread", ""], rows)


def bars(content: Content) -> Sequence[Bar]:
    """CPU, rest, memory, start."""
    found = content["node"]
    return [
        Bar("CPU beside model and codec, share of the frame", found.get("node_share"), 0.15, False),
        Bar("CPU beside model and codec, ms per frame", found.get("node_ms"), 25.0, False, 1),
        Bar("at rest, share of a core", found.get("idle_share"), 0.01, False),
        Bar("memory, MB", found.get("rss_mb"), 450.0, False, 0),
        Bar("first answer, s", found.get("first_answer_s"), 6.0, False, 1),
    ]


SECTION = Section("node", "The node", run, tables, bars)
