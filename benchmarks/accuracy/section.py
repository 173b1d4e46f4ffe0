"""A section of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.bench import Bench
from benchmarks.page import Bar
from benchmarks.store import Content, Store


def nothing(bench: Bench, store: Store) -> None:
    """Measure nothing: for sections that show the results of another."""


@dataclass(frozen=True)
class Section:
    """One part of the page.

    run: computes what the store does not hold yet, unit by unit · tables: the Markdown of the results · figures: draws
    images into a folder and returns their captions by file name · bars: what the results have to clear · sizes: which
    of bench.Sizes it is measured with, by the beginning of their names ("" for the standard split, part, world, study,
    mission) · page: the file in docs/ that shows it · shows: the section whose results it shows, if it measures none
    itself · scored: UAVs answer.
    """

    name: str
    title: str
    run: Callable[[Bench, Store], None]
    tables: Callable[[Content], str]
    figures: Callable[[Content, Path], Mapping[str, str]] = lambda content, folder: {}
    bars: Callable[[Content], Sequence[Bar]] = lambda content: ()
    sizes: str = "part"
    page: str = "benchmarks.md"
    shows: str = ""
    scored: bool = True

    @property
    def source(self) -> str:
        """The name of the section that measures the shown results."""
        return self.shows or self.name
