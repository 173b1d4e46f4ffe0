"""AirV2X as published, made into a data set in the nuScenes schema.

Layout: `<sequence>/timestamp_NNNNNN/agent_NNNNNN/` with images and `metadata.pkl`, beside the agents `objects.pkl`. The
world is CARLA's: x forward, y right, z up; a pose is x, y, z, roll, yaw, pitch in metres and degrees as Unreal counts
them. As in the set's own tools, the pose of a camera in the world is the sum, number by number, of its `cords` and of
its agent's `ego_pos`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rsdfm_ros.data.convert.pickled import read_pickles
from rsdfm_ros.data.description import class_by_size
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.frame import FRAME_PERIOD_S, CameraView, Objects, WorldFrame
from rsdfm_ros.data.nuscenes.images import is_intrinsic
from rsdfm_ros.data.nuscenes.objects import differences, in_view
from rsdfm_ros.data.nuscenes.pixels import read_image
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, transform, wrap_angle

Array = NDArray[np.float64]

DRONE, GROUND = "drone", ("vehicle", "rsu")
"""Values of `agent_type`."""
ROAD_USERS = range(1, 7)
"""Values of an object's `class` that the set's own tools keep; ours follows from the size."""
RATE_HZ = 10.0
"""Frames per second that the numbers of timestamps count."""
PICKLES = (
    "AirV2X keeps its metadata as pickles, and reading a pickle can run whatever code its author put there"
)


@dataclass(frozen=True)
class _Camera:
    """size (height, width), K and pose of a camera, as `in_view` needs them, and its image."""

    size: tuple[int, int]
    K: Array
    T_map_camera: Array
    name: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Plan:
    """A sequence to convert: its folders of timestamps, and agent number → its name in the result, drones first."""

    name: str
    steps: tuple[Path, ...]
    agents: Mapping[int, str]
    ground: tuple[str, ...]


def looks_like(folder: Path) -> bool:
    """Whether a folder is AirV2X: the set, or one sequence of it."""
    return any(
        True for pattern in ("timestamp_*", "*/timestamp_*") for _ in folder.glob(f"{pattern}/agent_*")
    )


def plan(sequence: Path, *, ground: bool, rate_hz: float) -> Plan:
    """What of a sequence is converted: instants half a second apart, and the agents that have images in all of them.

    ground: also cars and roadside units. Raises: DatasetError.
    """
    numbered = _numbered(sequence, "timestamp")
    if not numbered:
        raise DatasetError(
            sequence, "holds no folder timestamp_NNNNNN", "give a sequence of AirV2X, or its parent"
        )
    first = numbered[0][0]
    stride = max(1, round(FRAME_PERIOD_S * rate_hz))
    steps = tuple(path for number, path in numbered if (number - first) % stride == 0)
    kinds: dict[int, str] = {}
    folders = _numbered(steps[0], "agent")
    for (number, _), content in zip(
        folders, read_pickles([p / "metadata.pkl" for _, p in folders]), strict=True
    ):
        kind = content.get("agent_type") if isinstance(content, dict) else None
        if kind == DRONE or (ground and kind in GROUND):
            kinds[number] = str(kind)
    there = [set(dict(_numbered(step, "agent"))) for step in steps]
    kept = sorted((n for n in kinds if all(n in at for at in there)), key=lambda n: (kinds[n] != DRONE, n))
    if not kept:
        wanted = "drone, vehicle or rsu" if ground else "drone"
        raise DatasetError(
            sequence, f"no {wanted} is in all of its instants", "choose another sequence, or --ground"
        )
    names = {number: f"uav{n + 1}" for n, number in enumerate(kept)}
    return Plan(sequence.name, steps, names, tuple(names[n] for n in kept if kinds[n] != DRONE))


def frames(what: Plan, rate_hz: float) -> Iterator[WorldFrame]:
    """The frames of a sequence in a right-handed world, ground where CARLA has it. Raises: DatasetError."""
    objects = [_objects(step / "objects.pkl", value) for step, value in _read(what.steps, "objects.pkl")]
    first = _numbers(what.steps[0].name)
    seconds = [(_numbers(step.name) - first) / rate_hz for step in what.steps]
    velocities = differences(
        np.concatenate([o.ids for o in objects]),
        np.concatenate([np.full(len(o), t) for o, t in zip(objects, seconds, strict=True)]),
        np.concatenate([o.centres[:, :2] for o in objects]),
    )
    ends = np.cumsum([0, *map(len, objects)])
    for k, step in enumerate(what.steps):
        folders = [step / f"agent_{number:06d}" for number in what.agents]
        contents = read_pickles([folder / "metadata.pkl" for folder in folders])
        cameras = [_cameras(folder, content) for folder, content in zip(folders, contents, strict=True)]
        views = tuple(
            CameraView(agent, c.image, c.K, c.T_map_camera, camera=c.name if len(of) > 1 else "")
            for agent, of in zip(what.agents.values(), cameras, strict=True)
            for c in of
        )
        seen = in_view(objects[k].centres, cameras)
        present = replace(objects[k], velocities=velocities[ends[k] : ends[k + 1]], visibility=seen)
        yield WorldFrame(k, round(seconds[k] * 1e9), views, present, tuple(what.agents.values()))


def sequences(folder: Path) -> list[Path]:
    """The sequences in a folder: itself, or its parts."""
    if _numbered(folder, "timestamp"):
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir() and _numbered(path, "timestamp"))


def _read(steps: Sequence[Path], name: str) -> Iterator[tuple[Path, Any]]:
    yield from zip(steps, read_pickles([step / name for step in steps]), strict=True)


def _numbered(folder: Path, word: str) -> list[tuple[int, Path]]:
    """Numbers and paths of the folders `<word>_NNNNNN` in a folder, by number."""
    found = [
        path
        for path in folder.iterdir()
        if re.fullmatch(rf"{word}_[0-9]{{6,12}}", path.name) and path.is_dir()
    ]
    return sorted((_numbers(path.name), path) for path in found)


def _numbers(name: str) -> int:
    return int(name.rpartition("_")[2])


def _cameras(folder: Path, content: Any) -> list[_Camera]:
    """The cameras of an agent whose images are there."""
    path = folder / "metadata.pkl"
    odometry = content.get("odometry") if isinstance(content, dict) else None
    ego = _vector(path, odometry, "ego_pos", 6)
    found = []
    for key in sorted(k for k in content if re.fullmatch(r"[a-z_]{1,40}_camera", k)):
        file = folder / f"{key}.png"
        if not file.is_file():
            continue
        image = read_image(file)
        K = np.array(_matrix(path, content[key], "intrinsic"))
        pose = np.add(ego, _vector(path, content[key], "cords", 6))
        T = body_pose(pose) @ transform(R_BODY_OPTICAL, np.zeros(3))
        found.append(_Camera((image.shape[0], image.shape[1]), K, T, key.removesuffix("_camera"), image))
    if not found:
        raise DatasetError(
            folder, "has no image of a camera that metadata.pkl describes", "download it again"
        )
    return found


def body_pose(pose: Sequence[float] | Array) -> Array:
    """(4, 4) body (x forward, y left, z up) to the right-handed world, of x, y, z, roll, yaw, pitch in CARLA's."""
    x, y, z, roll, yaw, pitch = (float(value) for value in pose)
    R = Rotation.from_euler("xyz", [roll, -pitch, -yaw], degrees=True).as_matrix()
    return transform(R, [x, -y, z])


def _objects(path: Path, content: Any) -> Objects:
    """The vehicles of objects.pkl, still without velocities and visibility."""
    if not isinstance(content, dict):
        raise DatasetError(path, "expected a dictionary of objects", "download it again")
    rows = []
    for key, value in content.items():
        if not isinstance(value, dict) or value.get("class") not in ROAD_USERS:
            continue
        if not re.fullmatch(r"[0-9]{1,15}", key):
            raise DatasetError(path, f"object {key[:40]!r}: expected a number from 0", "download it again")
        place, centre = _vector(path, value, "location", 6), _vector(path, value, "center", 3)
        size = [2.0 * half for half in _vector(path, value, "extent", 3)]
        kind = class_by_size(*size)
        if kind is not None and min(size) > 0:
            x, y, z = (place[n] + centre[n] for n in range(3))
            rows.append((int(key) + 1, kind, [x, -y, z], size, -math.radians(place[4])))
    rows.sort(key=lambda row: row[0])
    return Objects(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.float64).reshape(-1, 3),
        np.array([r[3] for r in rows], np.float64).reshape(-1, 3),
        wrap_angle([r[4] for r in rows]),
        np.zeros((len(rows), 2)),
        np.zeros((len(rows), 0)),
    )


def _vector(path: Path, owner: Any, key: str, length: int) -> list[float]:
    value = owner.get(key) if isinstance(owner, dict) else None
    if not isinstance(value, list) or len(value) != length or not all(map(_finite, value)):
        raise DatasetError(path, f"{key}: expected {length} finite numbers", "download it again")
    return [float(number) for number in value]


def _matrix(path: Path, owner: Any, key: str) -> list[list[float]]:
    value = owner.get(key) if isinstance(owner, dict) else None
    rows = value if isinstance(value, list) and len(value) == 3 else []
    whole = all(isinstance(row, list) and len(row) == 3 and all(map(_finite, row)) for row in rows)
    if not rows or not whole or not is_intrinsic(np.array(rows, np.float64)):
        raise DatasetError(path, f"{key}: expected 3x3 numbers with f > 0", "download it again")
    return [[float(number) for number in row] for row in rows]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
