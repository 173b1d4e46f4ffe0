"""Reads and validates the tables of a dataset in the nuScenes schema. Their content is untrusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.errors import DatasetError, TableError
from rsdfm_ros.data.nuscenes import schema

Record = dict[str, Any]

REMEDY = "make or download the dataset again"


class Table:
    """The rows of one table, with their fields checked, and an index by token."""

    def __init__(self, path: Path, rows: Sequence[Record]) -> None:
        self.path = path
        self.rows = rows
        self.index = {row["token"]: n for n, row in enumerate(rows)}
        if len(self.index) != len(rows):
            raise TableError(
                path, f"{len(rows) - len(self.index)} tokens occur twice, expected unique ones", REMEDY
            )

    def __len__(self) -> int:
        return len(self.rows)

    def refer(self, field: str, target: Table) -> NDArray[np.int64]:
        """Row numbers (N,) in `target` that a field of tokens points to."""
        try:
            return np.array([target.index[row[field]] for row in self.rows], dtype=np.int64)
        except (KeyError, TypeError):
            bad = next(row for row in self.rows if not _known(row[field], target.index))
            raise TableError(
                self.path, f"{field} {bad[field]!r} of {bad['token']} is not in {target.path.name}", REMEDY
            ) from None

    def vectors(self, field: str, length: int) -> NDArray[np.float64]:
        """A field of lists of finite numbers as an array (N, length)."""
        try:
            values = np.array([row[field] for row in self.rows], dtype=np.float64).reshape(-1, length)
        except (ValueError, TypeError, OverflowError):
            values = np.empty((0, length))
        if values.shape == (len(self.rows), length) and np.isfinite(values).all():
            return values
        bad = next(
            (row for row in self.rows if not is_vector(row[field], length)), {"token": "?", field: "?"}
        )
        raise TableError(
            self.path,
            f"{field} of {bad['token']} is {bad[field]!r}, expected {length} finite numbers",
            REMEDY,
        )


def _known(token: object, index: dict[str, int]) -> bool:
    return isinstance(token, str) and token in index


def is_vector(value: object, length: int) -> bool:
    """Whether a value is a list of `length` finite numbers."""
    if not isinstance(value, list) or len(value) != length:
        return False
    return all(isinstance(x, int | float) and not isinstance(x, bool) and np.isfinite(x) for x in value)


def below(filename: str) -> PurePosixPath:
    """A path in the tables, which may be written with backslashes, as Windows does."""
    return PurePosixPath(filename.replace("\\", "/"))


def read_json(path: Path) -> Any:
    """The content of a JSON file; :class:`TableError` if it is missing or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise TableError(path, "is missing", REMEDY) from None
    except (OSError, ValueError, RecursionError) as error:
        raise TableError(path, f"is no readable JSON ({error})", REMEDY) from None


def read_table(folder: Path, name: str) -> Table:
    """One table with the fields of schema.FIELDS checked."""
    path = folder / f"{name}.json"
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TableError(path, "expected a list of objects", REMEDY)
    for field, kind in schema.FIELDS[name].items():
        missing = next((n for n, row in enumerate(rows) if not has_field(row, field, kind)), None)
        if missing is not None:
            found = repr(rows[missing][field])[:80] if field in rows[missing] else "missing"
            expected = f"a list of {kind} numbers" if isinstance(kind, int) else kind
            raise TableError(path, f"{field} of row {missing} is {found}, expected {expected}", REMEDY)
    return Table(path, rows)


def has_field(row: Record, field: str, kind: str | int) -> bool:
    """Whether a row has a field of a kind of schema.FIELDS."""
    value = row.get(field)
    if kind == schema.TEXT:
        return isinstance(value, str)
    if kind == schema.FLAG:
        return isinstance(value, bool)
    if kind == schema.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**62
    return isinstance(value, list) and len(value) == kind


def read_tables(folder: Path, names: Iterable[str]) -> dict[str, Table]:
    """Several tables of one version folder."""
    return {name: read_table(folder, name) for name in names}


def find_version(path: Path | str) -> tuple[Path, Path]:
    """The root of a dataset and its folder of tables, given either.

    Raises :class:`DatasetError` if there is none, or several and none is v1.0-trainval.
    """
    path = Path(path)
    if not path.is_dir():
        raise DatasetError(path, "is no folder", "make a dataset with: rsdfm simulate --out DIR")
    if (path / "sample.json").exists():
        return path.parent, path
    versions = sorted(child.parent for child in path.glob("[!.]*/sample.json"))
    if path / schema.VERSION in versions:
        return path, path / schema.VERSION
    if len(versions) == 1:
        return path, versions[0]
    if versions:
        names = ", ".join(version.name for version in versions)
        raise DatasetError(path, f"holds several versions ({names})", "give the path of one of them")
    if (path / "scenes").is_dir() or (path / "rsdfm_parameters.json").exists():
        ready = len(list((path / "scenes").glob("*.json.gz")))
        raise DatasetError(
            path,
            f"is an unfinished simulation with {ready} finished scenes and no tables yet",
            "give the same rsdfm simulate command again to finish it",
        )
    raise DatasetError(
        path,
        "holds no folder with the nuScenes tables (sample.json …)",
        "make one with: rsdfm simulate --out DIR",
    )
