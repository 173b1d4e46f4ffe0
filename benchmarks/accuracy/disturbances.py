"""The disturbance grid: gain of collaboration over each UAV alone, at every point."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import drawing
from benchmarks.accuracy import altitudes
from benchmarks.accuracy.bench import Bench, Case
from benchmarks.accuracy.section import Section
from benchmarks.page import Bar, number, table
from benchmarks.protocol import UAVS
from benchmarks.store import Content, Store

METHODS = ("single", "late", "rsdfm", "rsdfm-plain")
ALIKE = METHODS[:-1]
"""Methods where `rsdfm-plain` does the same as `rsdfm`."""
OURS = "rsdfm"
KEY = "iou_long"

NONE = "none"
NOISES = (("0.2", "0.2"), ("0.5", "0.5"), ("1", "1"), ("2.5", "5"))
AXES: dict[str, dict[str, Case]] = {
    NONE: {NONE: Case(METHODS)},
    "loss": {v: Case(ALIKE, disturb=f"loss={v}") for v in ("0.01", "0.05", "0.1", "0.2", "0.5", "1")},
    "latency": {v: Case(METHODS, disturb=f"latency_ms={v}") for v in ("100", "200", "400", "800")},
    "attackers": {v: Case(METHODS, disturb=f"attackers={v}") for v in ("1", "2")},
    "silent": {v: Case(ALIKE, disturb=f"drop_uavs={v}") for v in ("1", "2", "3")},
    "staggered": {
        v: Case(METHODS, disturb=f"latency_ms={v},staggered=1") for v in ("100", "200", "400", "800")
    },
    "pose": {f"{m}/{d}": Case(METHODS, disturb=f"pose_sigma_m={m},pose_sigma_deg={d}") for m, d in NOISES},
    "bias": {f"{m}/{d}": Case(METHODS, disturb=f"pose_bias_m={m},pose_bias_deg={d}") for m, d in NOISES},
}
PASSES = ((NONE, "loss", "latency", "attackers", "silent"), ("staggered",), ("pose",), ("bias",))
"""Axes that are evaluated together, because the UAVs see the same."""
TITLES = {
    "loss": "lost messages (share)",
    "latency": "latency, cameras together (ms)",
    "staggered": "latency, cameras staggered (ms)",
    "pose": "pose noise per frame (m/deg)",
    "bias": "pose bias per UAV (m/deg)",
    "attackers": "attackers among 3 peers",
    "silent": "silent peers of 3",
    "uavs": "UAVs",
    "altitude": "altitude (m)",
}
FLEETS = (1, 2, 4, 8)
MIXED = "mixed"


def run(bench: Bench, store: Store) -> None:
    """One unit per axis."""
    for names in PASSES:
        store.units_of(names, lambda n=names: _together(bench, n))
    store.unit("uavs", lambda: {str(n): _fleet(bench, n) for n in FLEETS})
    store.unit("altitude", lambda: _altitudes(bench))


def _together(bench: Bench, axes: Sequence[str]) -> dict[str, Any]:
    """Several axes in one pass over the scenes."""
    cases = {(axis, point): case for axis in axes for point, case in AXES[axis].items()}
    named = {f"{axis} {point}": case for (axis, point), case in cases.items()}
    found = bench.evaluate(bench.part_scenes(), named, ", ".join(axes), bench.sizes.part_egos)
    out: dict[str, Any] = {axis: {} for axis in axes}
    for axis, point in cases:
        out[axis][point] = found[f"{axis} {point}"]
    return out


def _fleet(bench: Bench, uavs: int) -> dict[str, Any]:
    title = f"{uavs} UAVs"
    return bench.evaluate(bench.fleet(uavs), {title: Case(ALIKE)}, title, bench.sizes.part_egos)[title]


def _altitudes(bench: Bench) -> dict[str, Any]:
    out: dict[str, Any] = {}
    sizes = bench.sizes
    for altitude in altitudes.ALTITUDES_M:
        folder = bench.made(partial(altitudes.simulated_at, altitude, sizes.part_scenes, sizes.part_frames))
        scenes = bench.open(folder, sizes.part_scenes, sizes.part_frames, UAVS)
        title = f"{altitude} m"
        out[str(altitude)] = bench.evaluate(scenes, {title: Case(ALIKE)}, title, bench.sizes.part_egos)[title]
    return out


def points(content: Content, axis: str) -> dict[str, Mapping[str, Any]]:
    """Rows by method of every point of an axis, the undisturbed one with it."""
    found = dict(content.get(axis, {}))
    if not found:
        return {}
    none = content.get(NONE, {}).get(NONE)
    if none and axis in ("loss", "latency", "staggered", "attackers", "silent"):
        found = {"0": none, **found}
    elif none and axis in ("pose", "bias"):
        found = {"0/0": none, **found}
    elif none and axis == "altitude":
        found = {**found, MIXED: none}
    shown = {m for rows in content.get(axis, {}).values() for m in rows}
    return {point: {m: row for m, row in rows.items() if m in shown} for point, rows in found.items()}


def gain(rows: Mapping[str, Any], method: str = OURS) -> float | None:
    """Gain of a method over `single` in IoU."""
    value, alone = rows.get(method, {}).get(KEY), rows.get("single", {}).get(KEY)
    return None if value is None or alone is None else value - alone


def tables(content: Content) -> str:
    """One table per axis: IoU of single, gains of the others; harm is printed bold."""
    out = []
    for axis, title in TITLES.items():
        found = points(content, axis)
        if not found:
            continue
        others = [m for m in METHODS[1:] if any(m in rows for rows in found.values())]
        lines = [
            [point, number(rows["single"][KEY]), *(marked(gain(rows, m)) for m in others)]
            for point, rows in found.items()
        ]
        out.append(table([title, "`single`", *(f"`{m}`" for m in others)], lines))
    return (
        "IoU ±50 m of `single`, and gains of the others; bold: harm, a gain below −0.005.\n\n"
        + "\n\n".join(out)
    )


def marked(value: float | None) -> str:
    """A gain; bold if it is harm."""
    text = number(value, sign=True)
    return f"**{text}**" if value is not None and value < drawing.HARM else text


def figures(content: Content, folder: Path) -> Mapping[str, str]:
    """Gains over every axis."""
    panels = []
    for axis, title in TITLES.items():
        found = points(content, axis)
        if not found:
            continue
        lines = {
            m: [(float(n), g) for n, rows in enumerate(found.values()) if (g := gain(rows, m)) is not None]
            for m in METHODS[1:]
        }
        panels.append(drawing.Panel(title, "gain in IoU", lines, ticks=list(found), harm=True))
    if not panels:
        return {}
    drawing.write(panels, folder / "bench_disturbances.svg")
    return {"bench_disturbances.svg": "Gain in IoU over a UAV alone, by disturbance"}


def bars(content: Content) -> Sequence[Bar]:
    """Bars: no harm anywhere, and the share of the gain that has to remain under each disturbance."""
    every = [gain(rows) for axis in TITLES for rows in points(content, axis).values()]
    known = [g for g in every if g is not None]
    whole = gain(content.get(NONE, {}).get(NONE, {}))

    def share(axis: str, point: str) -> float | None:
        here = gain(content.get(axis, {}).get(point, {}))
        return None if here is None or not whole else here / whole

    same = [gain(rows) for rows in content.get("altitude", {}).values()]
    mean = None if not same or None in same else sum(g for g in same if g is not None) / len(same)
    counts = [rows.get(OURS, {}).get(KEY) for rows in content.get("uavs", {}).values()]
    steps = [b - a for a, b in itertools.pairwise(counts) if a is not None and b is not None]
    return (
        Bar("smallest gain over `single` of the whole grid", min(known, default=None), drawing.HARM),
        Bar("share of the gain at 20 % loss", share("loss", "0.2"), 0.9),
        Bar("share of the gain at 200 ms, cameras staggered", share("staggered", "200"), 0.8),
        Bar("share of the gain at 200 ms, cameras together", share("latency", "200"), 0.8),
        Bar(
            "share of the gain at 0.5 m and 0.5°, each over `single` with that noise",
            share("pose", "0.5/0.5"),
            0.6,
        ),
        Bar(
            "share of the gain at 0.5 m and 0.5°, over `single` without noise",
            _over_undisturbed(content, whole),
            0.6,
        ),
        Bar("gain at mixed altitudes as share of the mean gain at one altitude", _ratio(whole, mean), 0.8),
        Bar("smallest step of IoU from 1 to 2 to 4 to 8 UAVs", min(steps, default=None), 0.0),
    )


def _over_undisturbed(content: Content, whole: float | None) -> float | None:
    noisy = content.get("pose", {}).get("0.5/0.5", {}).get(OURS, {}).get(KEY)
    alone = content.get(NONE, {}).get(NONE, {}).get("single", {}).get(KEY)
    return None if noisy is None or alone is None else _ratio(noisy - alone, whole)


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or not b else a / b


SECTION = Section("disturbances", "Disturbances", run, tables, figures, bars)
