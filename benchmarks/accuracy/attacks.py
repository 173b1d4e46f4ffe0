"""What every kind of attack costs, with and without the defence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks import drawing
from benchmarks.accuracy.bench import Bench, Case
from benchmarks.accuracy.disturbances import gain, marked
from benchmarks.accuracy.section import Section
from benchmarks.page import Bar, number, table
from benchmarks.store import Content, Store
from rsdfm_ros.evaluation.attacks.kinds import COLLUDING, KINDS

METHODS = ("single", "late", "rsdfm-plain", "rsdfm")
OURS = "rsdfm"
NONE = "none"
NUMBERS = (1, 2)
"""Attackers among three peers."""
ASKED = {1: 0.15, 2: 0.08}
"""Least gain of `rsdfm` that has to remain under any attack, by the number of attackers."""


def numbers_of(kind: str) -> tuple[int, ...]:
    """The numbers of attackers that a kind is measured with: collusion takes two."""
    return NUMBERS[1:] if kind == COLLUDING else NUMBERS


def run(bench: Bench, store: Store) -> None:
    """One unit per kind, and one without attackers."""
    store.unit(NONE, lambda: _measured(bench, NONE, {"0": Case(METHODS)}))
    for kind in KINDS:
        cases = {str(n): Case(METHODS, disturb=f"attackers={n},attack_kind={kind}") for n in numbers_of(kind)}
        store.unit(kind, partial(_measured, bench, kind, cases))


def _measured(bench: Bench, kind: str, cases: Mapping[str, Case]) -> dict[str, Any]:
    return bench.evaluate(bench.part_scenes(), cases, kind, bench.sizes.part_egos)


def tables(content: Content) -> str:
    """Gains by kind, for each number of attackers with and without the defence."""
    none = content.get(NONE, {}).get("0")
    if none is None:
        return ""
    others = METHODS[1:]
    heads = ["attack", *(f"{n} of 3: `{m}`" for n in NUMBERS for m in others)]
    lines = [["none", *[marked(gain(none, m)) for m in others] * len(NUMBERS)]]
    for kind in KINDS:
        if kind in content:
            rows = [content[kind].get(str(n), {}) for n in NUMBERS]
            lines.append([f"`{kind}`", *(marked(gain(r, m)) for r in rows for m in others)])
    alone = number(none["single"]["iou_long"])
    return (
        f"IoU ±50 m of `single`: {alone}. Gains over it; bold: harm, below {number(drawing.HARM)}.\n\n"
        + table(heads, lines)
    )


def bars(content: Content) -> Sequence[Bar]:
    """The least gain that remains, by the number of attackers."""
    out = []
    for n in NUMBERS:
        gains = [gain(content.get(kind, {}).get(str(n), {}), OURS) for kind in KINDS if n in numbers_of(kind)]
        least = None if None in gains else min(g for g in gains if g is not None)
        out.append(Bar(f"smallest gain of `rsdfm` under any attack by {n} of 3 peers", least, ASKED[n]))
    return out


SECTION = Section("attacks", "Attackers", run, tables, bars=bars, page="reliability.md")
