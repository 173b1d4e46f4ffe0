"""Accuracy against bytes: methods with a byte budget, over budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import drawing
from benchmarks.accuracy.bench import Bench, Case, Rows
from benchmarks.accuracy.section import Section
from benchmarks.page import Bar, number, table
from benchmarks.store import Content, Store

BUDGETS = (1_000, 2_000, 2_500, 5_000, 10_000, 25_000, 50_000)
METHODS = ("rsdfm", "rsdfm-ondemand", "where2comm", "dhd")
REFERENCES = ("single", "late", "dense")
"""Methods without a budget."""

OURS = "rsdfm"
NEAR_DENSE, SMALL = "10000", "2500"


PASSES = (("none", "1000", "2000", "2500", "5000"), ("10000", "25000", "50000"))
"""Methods that are evaluated together; `none` are those without a budget."""


def run(bench: Bench, store: Store) -> None:
    """One unit per budget, and one of the methods without a budget."""
    cases = {"none": Case(REFERENCES), **{str(b): Case(METHODS, b) for b in BUDGETS}}
    for names in PASSES:
        chosen = {name: cases[name] for name in names}
        title = ", ".join(names) + " bytes"
        store.units_of(
            names,
            lambda c=chosen, t=title: bench.evaluate(bench.part_scenes(), c, t, bench.sizes.part_egos),
        )


def budgets(content: Content) -> list[str]:
    """The budgets that were measured, in order."""
    return sorted((name for name in content if name != "none"), key=int)


def tables(content: Content) -> str:
    """IoU and VPQ of every method at every budget, and the bytes actually sent."""
    out = []
    for title, key in (("IoU ±50 m", "iou_long"), ("VPQ ±50 m", "vpq_long"), ("mAP", "map")):
        lines = [
            [f"`{method}`", *(number(content[b].get(method, {}).get(key)) for b in budgets(content))]
            for method in METHODS
        ]
        out.append(table([title, *(f"{int(b) / 1000:g} kB" for b in budgets(content))], lines))
    lines = [
        [f"`{method}`", *(_kilobytes(content[b].get(method, {})) for b in budgets(content))]
        for method in METHODS
    ]
    out.append(table(["sent, kB/frame", *(f"{int(b) / 1000:g} kB" for b in budgets(content))], lines))
    reference = content.get("none", {})
    lines = [
        [f"`{m}`", number(r["iou_long"]), number(r["vpq_long"]), number(r["map"]), _kilobytes(r)]
        for m, r in reference.items()
    ]
    out.append(table(["without a budget", "IoU ±50 m", "VPQ ±50 m", "mAP", "kB/frame"], lines))
    return "\n\n".join(out)


def figures(content: Content, folder: Path) -> Mapping[str, str]:
    """IoU and VPQ over the bytes that were sent."""
    reference: Rows = content.get("none", {})
    panels = []
    for title, key in (("IoU ±50 m", "iou_long"), ("VPQ ±50 m", "vpq_long")):
        lines = {
            method: [
                (row["bytes_per_frame"] / 1000, row[key])
                for b in budgets(content)
                if (row := content[b].get(method)) and row["bytes_per_frame"] and row[key] is not None
            ]
            for method in METHODS
        }
        levels = {m: r[key] for m, r in reference.items() if r[key] is not None}
        panels.append(drawing.Panel("kB per frame and UAV", title, lines, levels, log=True))
    drawing.write(panels, folder / "bench_rates.svg")
    return {
        "bench_rates.svg": "IoU and VPQ over the bytes sent per frame and UAV, for every method with a budget"
    }


def bars(content: Content) -> Sequence[Bar]:
    """Near dense at 10 kB, late reached at 2.5 kB, and no harm at any budget."""
    single, dense, late = (content.get("none", {}).get(m, {}) for m in ("single", "dense", "late"))
    rows = {budget: content[budget].get(OURS, {}) for budget in budgets(content)}
    at_ten, at_small = rows.get(NEAR_DENSE, {}), rows.get(SMALL, {})
    harm = [_less(single, row, "iou_long") for row in rows.values()]
    worst = max((h for h in harm if h is not None), default=None)
    least = None if worst is None else -worst
    both = (("IoU", "iou_long"), ("VPQ", "vpq_long"))
    return [
        *(
            Bar(f"`{OURS}` at 10 kB: {n} less than `dense`", _less(dense, at_ten, k), 0.02, False)
            for n, k in both
        ),
        *(
            Bar(f"`{OURS}` at 2.5 kB: {n} less than `late`", _less(late, at_small, k), 0.0, False)
            for n, k in both
        ),
        Bar(f"`{OURS}`: smallest gain over `single` at any budget", least, drawing.HARM),
    ]


def _less(reference: Mapping[str, float], row: Mapping[str, float], key: str) -> float | None:
    a, b = reference.get(key), row.get(key)
    return None if a is None or b is None else a - b


def _kilobytes(row: Mapping[str, float | None]) -> str:
    size = row.get("bytes_per_frame")
    return number(None if size is None else size / 1000, 1)


SECTION = Section("rates", "Accuracy against bytes", run, tables, figures, bars)
