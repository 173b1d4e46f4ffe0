"""The files of Griffin, each read and validated: scenes, calibration, poses, labels. Their content is untrusted.

Conventions of the set: the world is ENU in metres, z up; an ego body is x forward, y left, z up; roll, pitch and yaw
are degrees about fixed axes; cameras are optical.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rsdfm_ros.data.errors import TableError
from rsdfm_ros.data.nuscenes.images import is_intrinsic
from rsdfm_ros.data.nuscenes.tables import REMEDY, read_json
from rsdfm_ros.geometry.rotations import is_rigid, transform

Array = NDArray[np.float64]

SIDES: Mapping[str, str] = {"drone": "drone-side", "vehicle": "vehicle-side"}
"""Agent → its folder."""

CAMERAS = ("front", "back", "left", "right", "bottom")
"""Cameras that a side may have; the car has no bottom one."""

MAX_LABEL_BYTES = 1 << 22
"""A label of 12 columns takes about 120 bytes: room for 30 000 objects in a frame."""

_COLUMNS = {12: (7, 8, 9, 10, 11), 11: (7, 8, 9, 10, None), 9: (None, None, 7, 8, None)}
"""Number of columns → where roll, pitch, yaw, id and visibility stand; older files lack some."""


@dataclass(frozen=True)
class ListedScene:
    """A scene of scene_infos.json: its name as in the published splits, its frames in time order, and its weather."""

    name: str
    frames: tuple[str, ...]
    weather: str


@dataclass(frozen=True)
class Labels:
    """N labelled objects of a frame in the frame of their ego.

    types: names in lower case · centres (N, 3) m · sizes (N, 3) m length, width, height · rotations (N, 3, 3) · ids
    (N,) int64 · shares (N,) visible share in [0, 1], 1 where the file has none.
    """

    types: tuple[str, ...]
    centres: Array
    sizes: Array
    rotations: Array
    ids: NDArray[np.int64]
    shares: Array


def find_root(folder: Path) -> Path | None:
    """The folder that holds the sides, which is this one or its `griffin-release`; None if it is no Griffin."""
    for candidate in (folder, folder / "griffin-release"):
        if any((candidate / side).is_dir() for side in SIDES.values()):
            return candidate
    return None


def read_scenes(path: Path) -> list[ListedScene]:
    """The scenes of a scene_infos.json. Raises: TableError."""
    rows = read_json(path)
    if not isinstance(rows, list):
        raise TableError(path, "expected a list of scenes", REMEDY)
    found = []
    for n, row in enumerate(rows):
        name = row.get("name") if isinstance(row, dict) else None
        info = row.get("info") if isinstance(row, dict) else None
        frames = info.get("frames") if isinstance(info, dict) else None
        if not isinstance(name, str) or not isinstance(frames, list):
            raise TableError(path, f"scene {n} lacks name or info.frames", REMEDY)
        names = [str(frame) for frame in frames]
        bad = next((f for f in names if not re.fullmatch(r"[0-9]{1,12}", f)), None)
        if bad is not None:
            raise TableError(path, f"frame {bad[:40]!r} of {name!r}: expected digits", REMEDY)
        weather = info.get("weather", "") if isinstance(info, dict) else ""
        found.append(
            ListedScene(
                f"scene-{n:04d}-{name}",
                tuple(sorted(names, key=int)),
                weather if isinstance(weather, str) else "",
            )
        )
    return found


def read_calibration(path: Path) -> tuple[Array, Array]:
    """K (3, 3) and the optical camera frame to the ego body, (4, 4). Raises: TableError."""
    value = read_json(path)
    K = _matrix(value, "intrinsic", 3)
    T = _matrix(value, "extrinsic", 4)
    if K is None or not is_intrinsic(K):
        raise TableError(path, "intrinsic: expected 3x3 numbers with f > 0", REMEDY)
    if T is None or not is_rigid(T):
        raise TableError(path, "extrinsic: expected a rigid transform of 4x4 numbers, camera to ego", REMEDY)
    return K, T


def read_pose(path: Path) -> Array:
    """The ego body to the world, (4, 4). Raises: TableError."""
    value = read_json(path)
    keys = ("x", "y", "z", "roll", "pitch", "yaw")
    numbers = [value.get(key) for key in keys] if isinstance(value, dict) else []
    if len(numbers) != 6 or not all(_finite(number) for number in numbers):
        raise TableError(path, f"expected finite numbers {', '.join(keys)}", REMEDY)
    return transform(Rotation.from_euler("xyz", numbers[3:], degrees=True).as_matrix(), numbers[:3])


def read_labels(path: Path) -> Labels:
    """The objects of a label file; none for an empty one. Raises: TableError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LABEL_BYTES + 1)
    except OSError as error:
        raise TableError(path, f"cannot be read ({error.strerror})", REMEDY) from None
    if len(data) > MAX_LABEL_BYTES:
        raise TableError(path, f"is longer than {MAX_LABEL_BYTES} bytes", REMEDY)
    lines = [line.split() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    numbers = np.zeros((len(lines), 11))
    for n, words in enumerate(lines):
        if len(words) not in _COLUMNS:
            raise TableError(path, f"line {n + 1} has {len(words)} columns, expected 12, 11 or 9", REMEDY)
        places = (*range(1, 7), *_COLUMNS[len(words)])
        try:
            numbers[n] = [
                _default(k) if place is None else float(words[place]) for k, place in enumerate(places)
            ]
        except ValueError:
            raise TableError(path, f"line {n + 1}: expected numbers behind the type", REMEDY) from None
    fine = np.isfinite(numbers).all(axis=1) & (numbers[:, 3:6] > 0).all(axis=1)
    fine &= (numbers[:, 9] >= 0) & (numbers[:, 9] < 2**53)
    if not fine.all():
        raise TableError(
            path,
            f"line {int(np.argmin(fine)) + 1}: expected finite numbers, sizes above 0, an id from 0",
            REMEDY,
        )
    ids = numbers[:, 9].astype(np.int64)
    if len(np.unique(ids)) < len(ids):
        raise TableError(path, "an id occurs twice", REMEDY)
    turns = (
        Rotation.from_euler("xyz", numbers[:, 6:9], degrees=True).as_matrix()
        if len(lines)
        else np.eye(3)[None][:0]
    )
    return Labels(
        tuple(words[0].lower() for words in lines),
        numbers[:, :3],
        numbers[:, 3:6],
        turns,
        ids,
        numbers[:, 10].clip(0.0, 1.0),
    )


def _default(column: int) -> float:
    """Value of a column that an older file lacks: no roll and pitch, fully visible."""
    return 1.0 if column == 10 else 0.0


def _finite(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e9


def _matrix(value: Any, key: str, size: int) -> Array | None:
    rows = value.get(key) if isinstance(value, dict) else None
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    return matrix if matrix.shape == (size, size) and np.isfinite(matrix).all() else None
