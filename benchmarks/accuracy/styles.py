"""Places and weather that the standard split does not show, the held-out style among them."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.bench import Bench, Case
from benchmarks.accuracy.section import Section
from benchmarks.page import Bar, number, table
from benchmarks.store import Content, Store
from rsdfm_ros.sim.config import HELD_OUT_STYLES, STYLES, WEATHERS, WorldConfig

METHODS = ("single", "late", "rsdfm")
USUAL = WorldConfig()
WORLDS: dict[str, tuple[str, ...]] = {
    f"{USUAL.style}, {USUAL.weather}": (),
    **{name: ("--style", name) for name in STYLES if name != USUAL.style},
    **{name: ("--weather", name) for name in WEATHERS if name != USUAL.weather},
}
"""Settings varied one at a time, as options of `rsdfm simulate`, by name."""


def run(bench: Bench, store: Store) -> None:
    """One unit per world."""
    for name, options in WORLDS.items():
        store.unit(
            name,
            lambda n=name, o=options: bench.evaluate(
                bench.world(*o), {n: Case(METHODS)}, n, bench.sizes.world_egos
            )[n],
        )


def tables(content: Content) -> str:
    """IoU of every method, VPQ and mAP of rsdfm, and its gain."""
    heads = [
        "world",
        *(f"IoU `{m}`" for m in METHODS),
        "VPQ `rsdfm`",
        "mAP `rsdfm`",
        "gain of `rsdfm` in IoU",
    ]
    lines = []
    for name, rows in content.items():
        held = " (held out)" if name in HELD_OUT_STYLES else ""
        ours, alone = rows["rsdfm"], rows["single"]["iou_long"]
        gain = None if ours["iou_long"] is None or alone is None else ours["iou_long"] - alone
        cells = [number(rows[m]["iou_long"]) for m in METHODS]
        lines.append(
            [name + held, *cells, number(ours["vpq_long"]), number(ours["map"]), number(gain, sign=True)]
        )
    return table(heads, lines)


def bars(content: Content) -> Sequence[Bar]:
    """Collaboration gains on the held-out style too."""
    out = []
    for style in HELD_OUT_STYLES:
        rows = content.get(style, {})
        ours, alone = (rows.get(m, {}).get("iou_long") for m in ("rsdfm", "single"))
        gain = None if ours is None or alone is None else ours - alone
        out.append(Bar(f"gain of `rsdfm` in IoU on the held-out style {style}", gain, 0.0))
    return out


SECTION = Section("styles", "Places and weather", run, tables, bars=bars, sizes="world")
