"""Whole missions: the real-time fleet with its simulator and evaluator, and the duration of `make demo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.commands import json_of, rsdfm
from benchmarks.page import Bar, number, table
from benchmarks.performance.section import Plan, Section
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.speed.conclusion import FLEET_HZ

ON_TIME = 0.95
"""Share of the cameras' rate that the simulator must reach on the machine that it shares with the UAVs."""
REALTIME = "config/fleet/realtime.yaml"


def fly(plan: Plan, store: Store) -> None:
    """One unit."""
    words = [
        "fleet",
        REALTIME,
        "--model",
        plan.model,
        "--out",
        str(plan.folder / "fleet"),
        "--force",
        "--json",
    ]
    words += ["--frames", "6"] if plan.quick else []

    def measure() -> dict[str, Any]:
        result = json_of(rsdfm(*words))
        keys = ("images", "images_answered", "frames_dropped", "rate_answered_hz", "rate_images_hz")
        keys += (
            "stamp_to_output_p50_ms",
            "stamp_to_output_p95_ms",
            "processing_median_ms",
            "peers_fused_min",
        )
        agents = {n: {k: facts[k] for k in keys} for n, facts in result["agents"].items()}
        return {"agents": agents, "frames_answered": result["protocol"]["frames_answered"]}

    store.unit("fleet", measure)


def flown(content: Content) -> str:
    """A line per UAV."""
    rows = [
        [name, f"{f['images_answered']} of {f['images']}", str(f["frames_dropped"]),
         f"{number(f['rate_answered_hz'], 2)} of {number(f['rate_images_hz'], 2)}",
         number(f["stamp_to_output_p50_ms"], 0), number(f["stamp_to_output_p95_ms"], 0),
         number(f["processing_median_ms"], 0)]
        for name, f in content["fleet"]["agents"].items()
    ]  # fmt: skip
    heads = ["UAV", "answered", "dropped", "Hz", "stamp to output, p50 ms", "p95 ms", "processing, median ms"]
    answered = content["fleet"]["frames_answered"]
    return f"`{REALTIME}`: {answered} images were answered by all UAVs.\n\n{table(heads, rows)}"


def fleet_bars(content: Content) -> Sequence[Bar]:
    """Images that all answered, and the slowest UAV."""
    found = content["fleet"]
    agents = list(found["agents"].values())
    images = max(f["images"] for f in agents)
    p95 = [f["stamp_to_output_p95_ms"] for f in agents]
    rates = [f["rate_images_hz"] for f in agents]
    return [
        Bar(
            "images per second that came", None if None in rates else min(rates), ON_TIME * FLEET_HZ, digits=2
        ),
        Bar("images answered by all, share", found["frames_answered"] / images if images else None, 0.95),
        Bar("stamp to output, p95 of the slowest, ms", None if None in p95 else max(p95), 500.0, False, 0),
    ]


def demo(plan: Plan, store: Store) -> None:
    """One unit."""
    words = ["demo", "--model", plan.model, "--out", str(plan.folder / "demo"), "--force", "--json"]
    words += ["--frames", "4"] if plan.quick else []
    store.unit("demo", lambda: {"seconds": json_of(rsdfm(*words))["seconds"]})


def duration(content: Content) -> str:
    """One line."""
    return f"`make demo`: flown in {number(content['demo']['seconds'], 0)} s, without the report."


def demo_bars(content: Content) -> Sequence[Bar]:
    """Its duration."""
    return [Bar("the mission of `make demo`, s", content["demo"]["seconds"], 100.0, False, 0)]


FLEET = Section("fleet", "A fleet in real time", fly, flown, fleet_bars)
DEMO = Section("demo", "The demo", demo, duration, demo_bars)
