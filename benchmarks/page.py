"""Generated pages: text between markers, tables and bars that results have to clear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError


@dataclass(frozen=True)
class Bar:
    """One bar that a section has to clear: its description, the measured value (None: not yet), and the required
    one."""

    what: str
    measured: float | None
    asked: float
    at_least: bool = True
    digits: int = 3

    @property
    def met(self) -> bool | None:
        """Whether it is cleared; None if nothing was measured."""
        if self.measured is None:
            return None
        return self.measured >= self.asked if self.at_least else self.measured <= self.asked


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


def relative(path: Path, page: Path) -> str:
    """A path as a link of the page."""
    return path.resolve().relative_to(page.resolve().parent).as_posix()
