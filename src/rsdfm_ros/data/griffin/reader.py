"""Reads Griffin: its UAV and its car become two agents of one map, with the ground at z = 0.

Frames are recorded at 10 Hz; every fifth is read, so that the frames of a scene are as far apart as everywhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.description import BOXES, CAMERAS, WORLD, Description, DescriptionError
from rsdfm_ros.data.errors import DatasetError, TableError
from rsdfm_ros.data.frame import FRAME_PERIOD_S, Objects
from rsdfm_ros.data.griffin import files
from rsdfm_ros.data.nuscenes.check_tables import Problem
from rsdfm_ros.data.nuscenes.images import CameraImage
from rsdfm_ros.data.nuscenes.objects import differences, in_view
from rsdfm_ros.data.nuscenes.reader import Dataset
from rsdfm_ros.data.nuscenes.scenes import Scene, SceneInfo
from rsdfm_ros.geometry.rotations import transform

Array = NDArray[np.float64]

PERIOD_NS = 100_000_000
"""Time between two recorded frames (10 Hz)."""
STEP = round(FRAME_PERIOD_S * 1e9 / PERIOD_NS)
"""Recorded frames per frame that is read."""


@dataclass(frozen=True)
class _Boxes:
    """The objects of our classes of one frame, in the world: rows of ids, classes, centres, sizes, yaws, and the
    visible share per agent (N, A)."""

    ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    centres: Array
    sizes: Array
    yaws: Array
    shares: Array


def open_griffin(root: Path, description: Description, split: str | None = None) -> Dataset:
    """The scenes of the folder that holds `drone-side` and `vehicle-side` (or one of them), or those of a split.

    Of the description, categories, ground_height_m, origin and splits count. Raises: DatasetError.
    """
    agents = agents_of(root)
    mounts = {agent: _calibrations(root / files.SIDES[agent]) for agent in agents}
    ignored: Counter[str] = Counter()
    scenes = []
    for listed in files.read_scenes(root / files.SIDES[agents[0]] / "scene_infos.json"):
        if listed.frames and (split is None or description.in_split(split, listed.name)):
            scenes.append(_scene(root, agents, mounts, listed, description, ignored))
    if not scenes:
        problem = f"holds no scene of the split {split!r}" if split else "holds no scene"
        raise DatasetError(root, problem, "give another split, or download the set again")
    return Dataset(root, tuple(scenes), dict(ignored), description)


def agents_of(root: Path) -> tuple[str, ...]:
    """The agents whose folders are there; the car first, whose labels the published benchmark is about."""
    return tuple(a for a in ("vehicle", "drone") if (root / files.SIDES[a]).is_dir())


def frames_read(listed: files.ListedScene) -> tuple[str, ...]:
    """The frames of a scene that are read."""
    first = int(listed.frames[0]) if listed.frames else 0
    return tuple(frame for frame in listed.frames if (int(frame) - first) % STEP == 0)


def check_files(root: Path) -> Iterator[Problem]:
    """Every kind of missing or damaged file, with the number of cases."""
    for agent in agents_of(root):
        side = root / files.SIDES[agent]
        try:
            frames = [f for scene in files.read_scenes(side / "scene_infos.json") for f in frames_read(scene)]
            _calibrations(side)
        except DatasetError as error:
            yield Problem(error.path, error.problem)
            continue
        for folder, suffix, read in (("pose", "json", files.read_pose), ("label", "txt", files.read_labels)):
            errors = []
            for frame in frames:
                try:
                    read(side / folder / f"{frame}.{suffix}")
                except TableError as error:
                    errors.append(error)
            if errors:
                yield Problem(errors[0].path, errors[0].problem, len(errors))


def _calibrations(side: Path) -> dict[str, tuple[Array, Array]]:
    """K and T_ego_camera of every camera of a side."""
    found = {
        camera: files.read_calibration(side / "calib" / f"{camera}.json")
        for camera in files.CAMERAS
        if (side / "camera" / camera).is_dir()
    }
    if not found:
        expected = ", ".join(files.CAMERAS)
        raise DatasetError(
            side / "camera", f"holds no folder of a camera ({expected})", "download the set again"
        )
    return found


def _scene(
    root: Path,
    agents: Sequence[str],
    mounts: dict[str, dict[str, tuple[Array, Array]]],
    listed: files.ListedScene,
    description: Description,
    ignored: Counter[str],
) -> Scene:
    frames = frames_read(listed)
    poses = [
        [files.read_pose(root / files.SIDES[agent] / "pose" / f"{frame}.json") for agent in agents]
        for frame in frames
    ]
    images = [
        [
            tuple(
                CameraImage(agent, camera, path, None, (0, 0), K, T_map_ego @ T_ego_camera, np.zeros((6, 6)))
                for camera, (K, T_ego_camera) in mounts[agent].items()
                if (path := root / files.SIDES[agent] / "camera" / camera / f"{frame}.png").is_file()
            )
            for agent, T_map_ego in zip(agents, at, strict=True)
        ]
        for frame, at in zip(frames, poses, strict=True)
    ]
    boxes = [
        _boxes(root, agents, frame, at, description, ignored) for frame, at in zip(frames, poses, strict=True)
    ]
    origin = _origin(root, listed.name, boxes, images, description)
    T_map_world = transform(np.eye(3), -origin)
    placed = tuple(
        tuple(tuple(replace(i, T_map_camera=T_map_world @ i.T_map_camera) for i in of) for of in at)
        for at in images
    )
    stamps_ns = tuple((int(frame) - int(frames[0])) * PERIOD_NS for frame in frames)
    return Scene(
        SceneInfo(listed.name, None, len(frames), tuple(agents), depth=False, weather=listed.weather),
        stamps_ns,
        placed,
        tuple(_objects(boxes, stamps_ns, origin, placed)),
        (float(origin[0]), float(origin[1]), float(origin[2])),
    )


def _boxes(
    root: Path,
    agents: Sequence[str],
    frame: str,
    poses: Sequence[Array],
    description: Description,
    ignored: Counter[str],
) -> _Boxes:
    """The objects that any agent has labelled, by id; where both have, as the first one saw them."""
    rows: dict[int, tuple[int, Array, Array, float]] = {}
    shares: dict[int, list[float]] = {}
    others: dict[int, str] = {}
    for a, (agent, T_map_ego) in enumerate(zip(agents, poses, strict=True)):
        labels = files.read_labels(root / files.SIDES[agent] / "label" / f"{frame}.txt")
        turns = T_map_ego[:3, :3] @ labels.rotations
        centres = labels.centres @ T_map_ego[:3, :3].T + T_map_ego[:3, 3]
        for n, key in enumerate(labels.ids.tolist()):
            kind = description.class_of(labels.types[n], labels.sizes[n].tolist())
            if kind is None:
                others[key] = labels.types[n]
                continue
            yaw = float(np.arctan2(turns[n, 1, 0], turns[n, 0, 0]))
            rows.setdefault(key, (kind, centres[n], labels.sizes[n], yaw))
            shares.setdefault(key, [0.0] * len(agents))[a] = float(labels.shares[n])
    ignored.update(others.values())
    keys = sorted(rows)
    return _Boxes(
        np.array(keys, np.int64) + 1,  # 0 stands for nothing in maps of ids
        np.array([rows[k][0] for k in keys], np.int64),
        np.array([rows[k][1] for k in keys], np.float64).reshape(-1, 3),
        np.array([rows[k][2] for k in keys], np.float64).reshape(-1, 3),
        np.array([rows[k][3] for k in keys], np.float64),
        np.array([shares[k] for k in keys], np.float64).reshape(-1, len(agents)),
    )


def _objects(
    boxes: Sequence[_Boxes],
    stamps_ns: Sequence[int],
    origin: Array,
    images: Sequence[Sequence[Sequence[CameraImage]]],
) -> Iterator[Objects]:
    """The objects of every frame in the map, with velocities and what each agent sees."""
    seconds = np.concatenate([np.full(len(b.ids), t * 1e-9) for b, t in zip(boxes, stamps_ns, strict=True)])
    velocities = differences(
        np.concatenate([b.ids for b in boxes]), seconds, np.concatenate([b.centres[:, :2] for b in boxes])
    )
    ends = np.cumsum([0, *(len(b.ids) for b in boxes)])
    for k, b in enumerate(boxes):
        centres = b.centres - origin
        yield Objects(
            b.ids,
            b.classes,
            centres,
            b.sizes,
            b.yaws,
            velocities[ends[k] : ends[k + 1]],
            in_view(centres, images[k]) * b.shares,
        )


def _origin(
    root: Path,
    name: str,
    boxes: Sequence[_Boxes],
    images: Sequence[Sequence[Sequence[CameraImage]]],
    description: Description,
) -> Array:
    """Where the map begins in the set's world: (3,) m, z on the ground."""
    if description.ground_height_m == BOXES:
        undersides = np.concatenate([b.centres[:, 2] - b.sizes[:, 2] / 2 for b in boxes])
        if not len(undersides):
            raise DescriptionError(
                root,
                f"{name} has no labelled vehicle to find the ground from",
                "give ground_height_m a number",
            )
        height = float(np.median(undersides))
    else:
        height = float(description.ground_height_m)
    if description.origin == WORLD:
        return np.array([0.0, 0.0, height])
    if isinstance(description.origin, tuple):
        return np.array([*description.origin, height])
    places = [i.T_map_camera[:2, 3] for at in images for of in at for i in of]
    if description.origin != CAMERAS or not places:
        problem = f"{name} has no {description.origin} to put x = y = 0 at"
        raise DescriptionError(root, problem, f"give origin {WORLD}, {CAMERAS} or [x, y]")
    return np.array([*np.rint(np.mean(places, axis=0)), height])
