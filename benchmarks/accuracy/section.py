"""A section of the page, and the file that keeps its results while they are measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.errors import BenchError
from rsdfm_ros.outputs import write_json

Content = Mapping[str, Any]
"""The results of a section by the names of its units."""


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


def nothing(bench: Bench, store: Store) -> None:
    """Measure nothing: for sections that show the results of another."""


@dataclass(frozen=True)
class Section:
    """One part of the page.

    run: computes what the store does not hold yet, unit by unit · tables: the Markdown of the results · figures: draws
    images into a folder and returns their captions by file name · bars: what the results have to clear · sizes: which
    of bench.Sizes it is measured with, by the beginning of their names ("" for the standard split, part, world, study,
    mission) · shows: the section whose results it shows, if it measures none itself · scored: UAVs answer.
    """

    name: str
    title: str
    run: Callable[[Bench, Store], None]
    tables: Callable[[Content], str]
    figures: Callable[[Content, Path], Mapping[str, str]] = lambda content, folder: {}
    bars: Callable[[Content], Sequence[Bar]] = lambda content: ()
    sizes: str = "part"
    shows: str = ""
    scored: bool = True

    @property
    def source(self) -> str:
        """The name of the section that measures the shown results."""
        return self.shows or self.name


class Store:
    """The results of one section, on disk after every unit."""

    def __init__(self, path: Path, common: Mapping[str, Any]) -> None:
        self.path = path
        self.common: dict[str, Any] = json.loads(json.dumps(dict(common)))
        self.units: dict[str, Any] = {}
        if path.exists():
            known = read_json(path)
            if known.get("common") != self.common:
                raise BenchError(
                    f"{path} holds results of something else (another model, other scenes or sizes): "
                    "give another --out, or delete it"
                )
            self.units = dict(known["units"])

    def unit(self, name: str, compute: Callable[[], Any]) -> Any:
        """The result of a unit, computed now unless the file holds it."""
        if name not in self.units:
            self.units[name] = json.loads(json.dumps(compute(), allow_nan=False))
            self.write()
        return self.units[name]

    def units_of(self, names: Sequence[str], compute: Callable[[], Mapping[str, Any]]) -> None:
        """Several units that are computed together, unless the file holds them all."""
        if not set(names) <= set(self.units):
            self.units |= json.loads(json.dumps(dict(compute()), allow_nan=False))
            self.write()

    def write(self) -> None:
        """Write the file in one step."""
        write_json(self.path, {"common": self.common, "units": self.units}, indent=1)


def read_json(path: Path) -> dict[str, Any]:
    """A file of results. Raises: BenchError if it is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} cannot be read: {error}: delete it") from error
    if not isinstance(content, dict) or not {"common", "units"} <= set(content):
        raise BenchError(f"{path} holds no results of this benchmark: delete it, or give another --out")
    return content
