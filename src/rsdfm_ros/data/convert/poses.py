"""Tables of camera poses beside the images of a video: JSON as UAVScenes publishes it, or lines of numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.nuscenes.images import is_intrinsic
from rsdfm_ros.geometry.rotations import inverse, is_rigid, transform

Array = NDArray[np.float64]

MAX_BYTES = 256 << 20
"""Size of a table: an hour at 30 Hz takes about 30 MB."""
EXPECTED = (
    "expected lines of: image, time in s (may be missing), and the 16 (or 12) numbers of a pose row by row"
)
_LENGTHS = {17: 16, 18: 16, 13: 12, 14: 12}
"""Columns of a line → how many of them are the pose; what is between the name and the pose is the time."""


@dataclass(frozen=True)
class PosedImage:
    """A row of a table: name of the image, its time (s; None: not told), T_world_camera (4, 4), K (3, 3) if told."""

    name: str
    time_s: float | None
    T_world_camera: Array
    K: Array | None = None


def read_poses(path: Path, *, world_to_camera: bool = False) -> list[PosedImage]:
    """The rows of a table in its order. world_to_camera: the direction of its poses. Raises: DatasetError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DatasetError(path, "is no text in UTF-8", EXPECTED) from None
    if len(data) > MAX_BYTES:
        raise DatasetError(path, f"is larger than {MAX_BYTES >> 20} MiB", "split it")
    rows = _of_json(path, text) if text.lstrip()[:1] in ("[", "{") else _of_lines(path, text)
    if not rows:
        raise DatasetError(path, "holds no pose", EXPECTED)
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise DatasetError(path, "names an image twice", "leave one of its poses out")
    if not world_to_camera:
        return rows
    return [PosedImage(row.name, row.time_s, inverse(row.T_world_camera), row.K) for row in rows]


def _of_lines(path: Path, text: str) -> list[PosedImage]:
    rows = []
    for n, line in enumerate(text.splitlines(), 1):
        words = [word for word in re.split(r"[\s,;]+", line.strip()) if word]
        if not words or words[0].startswith("#"):
            continue
        numbers = _floats(words[1:])
        if numbers is None and not rows:
            continue  # a line of titles
        if numbers is None or len(words) not in _LENGTHS:
            raise DatasetError(path, f"line {n} has {len(words)} columns", EXPECTED)
        count = _LENGTHS[len(words)]
        time = numbers[0] if len(numbers) > count else None
        rows.append(PosedImage(_name(path, words[0]), time, _pose(path, f"line {n}", numbers[-count:])))
    return rows


def _of_json(path: Path, text: str) -> list[PosedImage]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(path, f"is no readable JSON ({error})") from None
    if not isinstance(value, list):
        raise DatasetError(path, "expected a list with OriginalImageName and T4x4 of every image")
    rows = []
    for n, row in enumerate(value):
        name = row.get("OriginalImageName") if isinstance(row, dict) else None
        flat = _flat(row.get("T4x4")) if isinstance(row, dict) else None
        if not isinstance(name, str) or flat is None or len(flat) != 16:
            raise DatasetError(path, f"row {n} lacks OriginalImageName or a T4x4 of 16 finite numbers")
        K = _flat(row.get("P3x3"))
        intrinsic = np.reshape(K, (3, 3)) if K is not None and len(K) == 9 else None
        if intrinsic is not None and not is_intrinsic(intrinsic):
            raise DatasetError(path, f"row {n}: P3x3 is no camera matrix")
        rows.append(PosedImage(_name(path, name), None, _pose(path, f"row {n}", flat), intrinsic))
    return rows


def _name(path: Path, name: str) -> str:
    if "/" in name or "\\" in name or name.startswith("."):
        raise DatasetError(path, f"image {name[:60]!r}: expected a file name without folders")
    return name


def _pose(path: Path, where: str, numbers: Sequence[float]) -> Array:
    top = np.reshape(numbers[:12], (3, 4))
    T = transform(top[:, :3], top[:, 3])
    if not is_rigid(T) or (len(numbers) == 16 and not np.allclose(numbers[12:], [0, 0, 0, 1], atol=1e-6)):
        raise DatasetError(path, f"{where} is no rigid transform", EXPECTED)
    return T


def _floats(words: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _flat(value: Any) -> list[float] | None:
    """A nested list of finite numbers as one list."""
    if isinstance(value, list):
        parts = [_flat(item) for item in value]
        return None if any(part is None for part in parts) else [x for part in parts for x in part or []]
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return [float(value)] if fine else None
