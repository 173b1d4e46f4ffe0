"""One UAV-frame, its stages, a whole fleet's frame, cost over peers and of a region: `rsdfm bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import drawing
from benchmarks.commands import json_of, rsdfm
from benchmarks.page import Bar, number, table
from benchmarks.performance.section import Plan, Section
from benchmarks.store import Content, Store

PEERS_SVG = "performance_peers.svg"

DHD_MS = 2310.0
"""Frame of a whole fleet of DHD: its own forward with four views, 39 M parameters, two threads, on a 2-core AVX2
machine. Measured outside this repository, which has none of its code."""
BEFORE_MS = 775.0
"""One UAV-frame of version 0.1.0's first weights on the same machine, one thread, without preparation of maps."""


def run(plan: Plan, store: Store) -> None:
    """One unit."""
    words = ["bench", "--model", plan.model, "--json", *(["--quick"] if plan.quick else [])]
    store.unit("bench", lambda: json_of(rsdfm(*words)))


def tables(content: Content) -> str:
    """Figures and stages."""
    found = content["bench"]
    threads, fleet_threads = found["threads"], found["fleet_threads"]
    rows = [
        ["one UAV-frame with three peers, all tasks", str(threads), _ms(found, "uav_frame_ms")],
        ["the same, with `publish_single`", str(threads), _ms(found, "uav_frame_single_ms")],
        ["frame of a fleet of four, of which one answers", str(fleet_threads), _ms(found, "fleet_frame_ms")],
        ["DHD, four views, elsewhere (see below)", "2", number(DHD_MS, 0)],
    ]
    stages = [[name, number(ms, 1)] for name, ms in found.get("stages_ms", {}).items()]
    peers = found.get("peers_ms", {})
    lines = [
        f"Engine: {found['engine']}. {found['conclusion']}",
        table(["", "threads", "ms"], rows),
        f"DHD: {DHD_MS / 1e3:.2f} s for four views, 39 M parameters, two threads, measured outside this repository on "
        "a 2-core AVX2 machine: a ratio to it holds for figures of that machine only.",
        table(["stage", "ms"], stages),
    ]
    if peers:
        lines.append(table(["peers", *peers], [["UAV-frame, ms", *(number(ms, 0) for ms in peers.values())]]))
    lines += [f"Not measured: {key}: {why}" for key, why in found["failed"].items()]
    return "\n\n".join(lines)


def figures(content: Content, folder: Path) -> Mapping[str, str]:
    """Cost over peers."""
    peers = content["bench"].get("peers_ms", {})
    if not peers:
        return {}
    points = [(float(n), ms) for n, ms in peers.items()]
    panel = drawing.Panel("peers", "UAV-frame (ms)", {"measured": points}, from_zero=True)
    drawing.write([panel], folder / PEERS_SVG)
    return {PEERS_SVG: "Time of one UAV-frame over the number of peers"}


def bars(content: Content) -> Sequence[Bar]:
    """Frame, fleet against DHD, peers and region."""
    found = content["bench"]
    fleet_ms, share = found.get("fleet_frame_ms"), found.get("region_quarter_share")
    ratio = None if fleet_ms is None else DHD_MS / fleet_ms
    return [
        Bar("UAV-frame, ms: a sixth of what it was on a 2-core AVX2 machine", found.get("uav_frame_ms"),
            BEFORE_MS / 6, False, 0),
        Bar("DHD's time over the fleet's", ratio, 15.0, digits=1),
        Bar("a further peer, ms", found.get("per_peer_ms"), 6.0, False, 1),
        Bar("a quarter of the area, share of the time", share, 0.4, False, 2),
    ]  # fmt: skip


def _ms(found: Content, key: str) -> str:
    value = found.get(key)
    return number(value, 0 if value is not None and value >= 100 else 1)


SECTION = Section("frame", "One frame", run, tables, bars, figures)
