"""One UAV alone over real DDS with three peers from a bag: latency over load, and the highest rate that it holds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import drawing
from benchmarks.page import Bar, number, table
from benchmarks.performance.section import Plan, Section
from benchmarks.replay_rate import SHARE, Try, highest, make_bag, replay
from benchmarks.store import Content, Store

LOAD_SVG = "performance_load.svg"
HIGHEST = "highest"


def run(plan: Plan, store: Store) -> None:
    """One unit per rate, and one with the highest rate."""
    images, within = (8, 2.0) if plan.quick else (100, 1.1)
    with tempfile.TemporaryDirectory(prefix="rsdfm-bag-") as folder:
        uav = make_bag(Path(folder) / "bag", plan.model, images)

        def attempt(rate_hz: float) -> Try:
            def measure() -> dict[str, float | None]:
                return asdict(replay(Path(folder) / "bag", uav, rate_hz, plan.model, 1))

            return Try(**store.unit(f"{rate_hz:g}", measure))

        store.unit(HIGHEST, lambda: {"rate_hz": highest(attempt, within)})


def tries(content: Content) -> dict[float, Try]:
    """The tries by rate, Hz."""
    return {r: Try(**content[n]) for r, n in sorted((float(n), n) for n in content if n != HIGHEST)}


def tables(content: Content) -> str:
    """All tries."""
    rows = [
        [f"{rate_hz:g}", number(one.images_hz, 2), f"{one.answered} of {one.images}", number(one.rate_hz, 2),
         number(one.p50_ms, 0), number(one.p95_ms, 0)]
        for rate_hz, one in tries(content).items()
    ]  # fmt: skip
    heads = [
        "images per second",
        "came",
        "answered",
        "answers per second",
        "stamp to output, p50 ms",
        "p95 ms",
    ]
    return table(heads, rows)


def figures(content: Content, folder: Path) -> Mapping[str, str]:
    """Latency and answers over the rate of the images."""
    found = tries(content)
    times = {
        name: [(r, ms) for r, one in found.items() if (ms := getattr(one, key)) is not None]
        for name, key in (("p50", "p50_ms"), ("p95", "p95_ms"))
    }
    shares = {"answered": [(r, one.share) for r, one in found.items()]}
    drawing.write(
        [
            drawing.Panel("images per second", "stamp to output (ms)", times, from_zero=True),
            drawing.Panel("images per second", "share answered", shares, {"99 %": SHARE}, from_zero=True),
        ],
        folder / LOAD_SVG,
    )
    return {
        LOAD_SVG: "Time from the stamp of an image to its last output, and share of images answered, over load"
    }


def bars(content: Content) -> Sequence[Bar]:
    """The highest rate."""
    found = content.get(HIGHEST, {}).get("rate_hz")
    return [Bar("rate at which 99 % are answered, Hz", found, 8.0, digits=1)]


SECTION = Section("replay", "One UAV alone", run, tables, bars, figures)
