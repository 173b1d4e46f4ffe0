"""docs/benchmarks.md: the text between its markers is written from the results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.errors import BenchError
from benchmarks.accuracy.section import Bar, Section

NOT_YET = "Not measured yet: `make bench-accuracy`."
BARS = "bars"
"""The name of the place for the table of bars."""


def between(page: str, name: str, text: str) -> str:
    """The page with `text` between the markers of a name. Raises: BenchError without exactly one such place."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise BenchError(f"the page has no place for {name}: expected one {begin} and one {end} behind it")
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n{text.strip()}\n{end}{tail}"


def places(page: str) -> list[str]:
    """The names of all places that the page has."""
    return re.findall(r"<!-- bench:([a-z-]+) -->", page)


def section_text(section: Section, results: Mapping[str, Any], images: Path, page: Path) -> str:
    """Text of a section: how it was made, its tables and its figures, drawn into `images`."""
    units = results["units"]
    images.mkdir(parents=True, exist_ok=True)
    parts = [provenance(section, results["common"]), section.tables(units).strip()]
    for name, caption in section.figures(units, images).items():
        parts.append(f"![{caption}]({_relative(images / name, page)})")
    return "\n\n".join(parts)


def provenance(section: Section, common: Mapping[str, Any]) -> str:
    """Command and settings that reproduce the figures of a section."""
    seed, kind = common["first_seed"], f"{section.sizes}_" if section.sizes else ""
    scenes, frames = common[f"{kind}scenes"], common.get(f"{kind}frames", common["frames"])
    egos = common.get(f"{kind}egos") if section.scored else None
    as_ego = "" if egos is None else f", {egos} UAV{'s' * (egos > 1)} of each as ego"
    return (
        f"`make bench-accuracy ONLY={section.source}` · {common['model']}, weights {common['weights_sha256'][:8]}… · "
        f"seed{'s' * (scenes > 1)} {_span(seed, scenes)}, {frames} frames each{as_ego}"
    )


def bars_table(bars: Sequence[tuple[str, Bar]]) -> str:
    """Every bar with its section: asked, measured, met or missed."""
    lines = ["| bar | asked | measured | |", "|---|---|---|---|"]
    for name, bar in bars:
        sign = "≥" if bar.at_least else "≤"
        asked, measured = number(bar.asked, bar.digits), number(bar.measured, bar.digits)
        verdict = {True: "met", False: "**missed**", None: "not measured"}[bar.met]
        lines.append(f"| {bar.what} ({name}) | {sign} {asked} | {measured} | {verdict} |")
    return "\n".join(lines)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A figure; a dash where it is undefined."""
    if value is None:
        return "–"
    value = round(value, digits) + 0.0  # no negative zero
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def _span(seed: int, count: int) -> str:
    return str(seed) if count == 1 else f"{seed} to {seed + count - 1}"


def _relative(path: Path, page: Path) -> str:
    return path.resolve().relative_to(page.resolve().parent).as_posix()
