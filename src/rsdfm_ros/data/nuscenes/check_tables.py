"""Check of a data set's tables that lists all problems, not only the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdfm_ros.data.errors import TableError
from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.data.nuscenes.tables import Record, has_field, is_vector, read_json

REFERENCES: tuple[tuple[str, str, str], ...] = (
    ("sample", "scene_token", "scene"),
    ("sample_data", "sample_token", "sample"),
    ("sample_data", "ego_pose_token", "ego_pose"),
    ("sample_data", "calibrated_sensor_token", "calibrated_sensor"),
    ("calibrated_sensor", "sensor_token", "sensor"),
    ("instance", "category_token", "category"),
    ("sample_annotation", "instance_token", "instance"),
    ("sample_annotation", "sample_token", "sample"),
)
"""Fields that name a row of another table."""

OPTIONAL = ("attribute", "log", "map", "visibility")
"""Tables that nuscenes-devkit requires and that are optional here (visibility: then every object counts as visible)."""

SHOWN = 3
"""Examples shown of problems of one kind."""


@dataclass(frozen=True)
class Problem:
    """A problem: where (a file), what (one sentence), `count` cases of it; `grave`: reading cannot work."""

    path: str
    text: str
    count: int = 1
    grave: bool = True

    def __str__(self) -> str:
        more = f" (and {self.count - 1} more like it)" if self.count > 1 else ""
        return f"{self.path}: {self.text}{more}"


def check_tables(folder: Path) -> list[Problem]:
    """Problems of the tables in a folder: missing or damaged files, fields, references, tokens, numbers."""
    problems: list[Problem] = []
    tables: dict[str, list[Record]] = {}
    for name in schema.FIELDS:
        path = folder / f"{name}.json"
        if name in OPTIONAL and not path.exists():
            problems.append(
                Problem(str(path), "is missing; nuscenes-devkit will not open the set", grave=False)
            )
            continue
        try:
            rows = read_json(path)
        except TableError as error:
            problems.append(Problem(str(path), error.problem))
            continue
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            problems.append(Problem(str(path), "expected a list of objects"))
            continue
        tables[name] = rows
        problems += _fields(path, name, rows)
    for name, field, target in REFERENCES:
        if name in tables and target in tables:
            problems += _references(folder / f"{name}.json", tables[name], field, tables[target], target)
    for name, test in _NUMBERS:
        if name in tables:
            cases = [text for row in tables[name] if (text := test(row))]
            problems += _kind(folder / f"{name}.json", cases)
    return problems


def _fields(path: Path, name: str, rows: list[Record]) -> Iterator[Problem]:
    for field, kind in schema.FIELDS[name].items():
        bad = [n for n, row in enumerate(rows) if not has_field(row, field, kind)]
        if bad:
            found = repr(rows[bad[0]][field])[:60] if field in rows[bad[0]] else "missing"
            expected = f"a list of {kind} numbers" if isinstance(kind, int) else kind
            text = f"{field} of row {bad[0]} is {found}, expected {expected}"
            yield Problem(str(path), text, len(bad), grave=name not in ("attribute", "log", "map"))
    tokens = [row["token"] for row in rows if isinstance(row.get("token"), str)]
    if len(set(tokens)) < len(tokens):
        seen: set[str] = set()
        twice = [t for t in tokens if t in seen or seen.add(t)]  # type: ignore[func-returns-value]
        yield Problem(str(path), f"token {twice[0]!r} occurs twice", len(twice))


def _references(
    path: Path, rows: list[Record], field: str, target: list[Record], name: str
) -> Iterator[Problem]:
    known = {row.get("token") for row in target if isinstance(row.get("token"), str)}
    bad = [row for row in rows if isinstance(row.get(field), str) and row[field] not in known]
    if bad:
        shown = ", ".join(repr(row[field]) for row in bad[:SHOWN])
        yield Problem(str(path), f"{field} {shown} of {bad[0].get('token')!r} not in {name}.json", len(bad))


def _kind(path: Path, cases: list[str]) -> Iterator[Problem]:
    if cases:
        yield Problem(str(path), cases[0], len(cases))


def _pose(row: Record) -> str | None:
    for field, length in (("translation", 3), ("rotation", 4)):
        if isinstance(row.get(field), list) and not is_vector(row[field], length):
            return f"{field} of {row.get('token')!r} is {row[field]!r}, expected {length} finite numbers"
    rotation = row.get("rotation")
    if is_vector(rotation, 4) and abs(float(np.linalg.norm(np.array(rotation, float))) - 1.0) > 1e-2:
        return f"rotation of {row.get('token')!r} is {rotation}, no unit quaternion"
    return None


def _box(row: Record) -> str | None:
    size: Any = row.get("size")
    if isinstance(size, list) and not (is_vector(size, 3) and min(size) > 0):
        return f"size of {row.get('token')!r} is {size}, expected 3 positive numbers"
    return _pose(row)


_NUMBERS: tuple[tuple[str, Callable[[Record], str | None]], ...] = (
    ("ego_pose", _pose),
    ("calibrated_sensor", _pose),
    ("sample_annotation", _box),
)
