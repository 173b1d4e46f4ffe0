"""The file that keeps the results of a section of a page while they are measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from rsdfm_ros.outputs import write_json

Content = Mapping[str, Any]
"""The results of a section by the names of its units."""


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
