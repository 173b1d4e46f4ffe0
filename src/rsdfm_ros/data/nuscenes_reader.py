"""Reads datasets in the nuScenes schema: our own, and public multi-UAV sets.

All geometry comes from calibrated_sensor and ego_pose, nothing about altitude or mounting is assumed. Every camera
channel is an agent of its own. Tables are validated and indexed once, when a dataset is opened; afterwards reading is
cheap, and safe from several threads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data import nuscenes_schema as schema
from rsdfm_ros.data.errors import MissingFileError, TableError
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.nuscenes_objects import SideFile, read_objects
from rsdfm_ros.data.nuscenes_tables import REMEDY, Table, find_version, read_tables
from rsdfm_ros.geometry.rotations import transform

USED_TABLES = (
    "scene",
    "sample",
    "sample_data",
    "ego_pose",
    "calibrated_sensor",
    "sensor",
    "instance",
    "sample_annotation",
    "category",
    "visibility",
)


@dataclass(frozen=True)
class SceneInfo:
    """A scene: its name, the seed of its world (None if it has none), number of frames, and agents in order."""

    name: str
    seed: int | None
    frames: int
    agents: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture that is not decoded yet; size is (height, width) in pixels, (0, 0) if the tables do not tell."""

    agent: str
    path: Path
    depth_path: Path | None
    size: tuple[int, int]
    K: NDArray[np.float64]
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Everything about a scene but its pixels: pictures[k][a], and objects[k]."""

    info: SceneInfo
    stamps_ns: tuple[int, ...]
    pictures: tuple[tuple[Picture, ...], ...]
    objects: tuple[Objects, ...]


class Dataset:
    """An opened dataset. `ignored` counts the annotations of categories that are not ours."""

    def __init__(self, path: Path, scenes: tuple[Scene, ...], ignored: dict[str, int]) -> None:
        self.path = path
        self.ignored = ignored
        self._scenes = scenes

    @property
    def scenes(self) -> list[SceneInfo]:
        """All scenes, in the order of the scene table."""
        return [scene.info for scene in self._scenes]

    def __len__(self) -> int:
        return len(self._scenes)

    def objects(self, scene: int, k: int) -> Objects:
        """The objects of frame k of a scene, without touching a picture. IndexError beyond the ends."""
        return self._scenes[scene].objects[_within(k, self._scenes[scene])]

    def load(
        self,
        scene: int,
        k: int,
        *,
        images: bool = True,
        depth: bool = False,
        agents: Sequence[int] | None = None,
    ) -> WorldFrame:
        """Frame k of a scene, with the views of all agents or of those at the given places, in that order.

        Without `images` the views have pictures of shape (0, 0, 3). With `depth` they have depth (H, W) in metres.
        Raises :class:`MissingFileError` if a picture is missing, damaged or of another size than the tables say, or
        if depth is asked for and was not stored; IndexError beyond the ends.
        """
        chosen = self._scenes[scene]
        k = _within(k, chosen)
        views = tuple(
            CameraView(
                agent=p.agent,
                image=read_image(p.path, p.size) if images else np.zeros((0, 0, 3), np.uint8),
                K=p.K.copy(),
                T_map_camera=p.T_map_camera.copy(),
                covariance=p.covariance.copy(),
                depth=_read_depth(p) if depth else None,
            )
            for p in (chosen.pictures[k] if agents is None else [chosen.pictures[k][a] for a in agents])
        )
        return WorldFrame(k, chosen.stamps_ns[k], views, chosen.objects[k])


def open_dataset(path: Path | str) -> Dataset:
    """Opens the dataset in a folder (or the folder of one version's tables).

    Raises :class:`DatasetError` (or its child :class:`TableError`) that names the file, what was expected and what to
    do, if tables are missing, damaged or contradict each other.
    """
    root, folder = find_version(path)
    tables = read_tables(folder, USED_TABLES)
    side = SideFile.read(folder)
    samples = tables["sample"]
    scene_of_sample = samples.refer("scene_token", tables["scene"])
    stamps = np.array([row["timestamp"] for row in samples.rows], dtype=np.int64)
    pictures = _pictures(root, tables, side)
    ignored: Counter[str] = Counter()
    members = [np.flatnonzero(scene_of_sample == n) for n in range(len(tables["scene"]))]
    members = [rows[np.argsort(stamps[rows], kind="stable")] for rows in members]
    channels = [_channels(tables, rows, pictures) for rows in members]
    per_sample = read_objects(tables, side, members, ignored, _cameras(members, channels, pictures))
    scenes = []
    for n, rows in enumerate(members):
        row = tables["scene"].rows[n]
        extra = side.scenes.get(row["token"])
        stamps_ns = [int(stamp) * 1000 for stamp in stamps[rows]]
        if extra is not None:
            stamps_ns = extra.stamps_ns
            if len(stamps_ns) != len(rows):
                raise TableError(
                    side.path, f"{len(stamps_ns)} stamps for {len(rows)} samples of {row['name']}", REMEDY
                )
        if not len(rows):
            continue
        agents = tuple(schema.agent_of_channel(channel) for channel in channels[n])
        scenes.append(
            Scene(
                SceneInfo(row["name"], None if extra is None else extra.seed, len(rows), agents),
                tuple(stamps_ns),
                tuple(tuple(pictures[int(s)][c] for c in channels[n]) for s in rows),
                tuple(per_sample[int(s)] for s in rows),
            )
        )
    return Dataset(root, tuple(scenes), dict(ignored))


def read_image(path: Path, size: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 RGB; `size` is the expected (height, width), (0, 0) for any."""
    pixels = _decode(path, cv2.IMREAD_COLOR)
    if size != (0, 0) and pixels.shape[:2] != size:
        raise MissingFileError(
            path, f"is {pixels.shape[1]}x{pixels.shape[0]}, sample_data.json says {size[1]}x{size[0]}", REMEDY
        )
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _read_depth(picture: Picture) -> NDArray[np.float32]:
    if picture.depth_path is None:
        raise MissingFileError(picture.path, "has no depth", "simulate with --depth")
    pixels = _decode(picture.depth_path, cv2.IMREAD_UNCHANGED)
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise MissingFileError(
            picture.depth_path, "is no 16-bit grey PNG, expected depth in centimetres", REMEDY
        )
    return pixels.astype(np.float32) / np.float32(100.0)


def _decode(path: Path, mode: int) -> NDArray[Any]:
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise MissingFileError(path, f"cannot be read ({error.strerror})", REMEDY) from None
    pixels = cv2.imdecode(data, mode) if len(data) else None
    if pixels is None:
        raise MissingFileError(path, f"is no picture ({len(data)} bytes)", REMEDY)
    return np.asarray(pixels)


def _pictures(root: Path, tables: dict[str, Table], side: SideFile) -> dict[int, dict[str, Picture]]:
    """Camera pictures of the key frames, by row in the sample table and channel."""
    data, poses, calibrated = tables["sample_data"], tables["ego_pose"], tables["calibrated_sensor"]
    sample_of = data.refer("sample_token", tables["sample"])
    pose_of = data.refer("ego_pose_token", poses)
    calibrated_of = data.refer("calibrated_sensor_token", calibrated)
    sensor_of = calibrated.refer("sensor_token", tables["sensor"])
    T_map_body = _transforms(poses)
    T_body_camera = _transforms(calibrated)
    scene_of_sample = tables["sample"].refer("scene_token", tables["scene"])
    depths = [
        (extra := side.scenes.get(row["token"])) is not None and extra.depth for row in tables["scene"].rows
    ]
    found: dict[int, dict[str, Picture]] = {n: {} for n in range(len(tables["sample"]))}
    for n, row in enumerate(data.rows):
        c = int(calibrated_of[n])
        sensor = tables["sensor"].rows[sensor_of[c]]
        if not row["is_key_frame"] or sensor["modality"] != "camera":
            continue
        sample, name = int(sample_of[n]), _inside(row["filename"], data.path)
        channel = sensor["channel"]
        if channel in found[sample]:
            raise TableError(data.path, f"sample {row['sample_token']} has two pictures of {channel}", REMEDY)
        depth = root / "depth" / Path(*name.parts[1:]).with_suffix(".png")
        found[sample][channel] = Picture(
            schema.agent_of_channel(channel),
            root / name,
            depth if depths[scene_of_sample[sample]] else None,
            _size(row, data.path),
            _intrinsic(calibrated.rows[c], calibrated.path),
            T_map_body[pose_of[n]] @ T_body_camera[c],
            side.covariances.get(row["token"], np.zeros((6, 6))),
        )
    return found


def _transforms(table: Table) -> NDArray[np.float64]:
    translations, rotations = table.vectors("translation", 3), table.vectors("rotation", 4)
    norms = np.linalg.norm(rotations, axis=-1)
    bad = np.flatnonzero(np.abs(norms - 1.0) > 1e-2)
    if len(bad):
        row = table.rows[bad[0]]
        raise TableError(
            table.path, f"rotation of {row['token']} is {row['rotation']}, no unit quaternion", REMEDY
        )
    result = [transform(schema.matrix_from_wxyz(q), t) for q, t in zip(rotations, translations, strict=True)]
    return np.array(result).reshape(-1, 4, 4)


def _intrinsic(row: dict[str, Any], path: Path) -> NDArray[np.float64]:
    try:
        K = np.array(row["camera_intrinsic"], dtype=np.float64)
    except (KeyError, ValueError, TypeError):
        K = np.empty(0)
    if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        found = row.get("camera_intrinsic")
        raise TableError(
            path, f"camera_intrinsic of {row['token']} is {found}, expected 3x3 with f > 0", REMEDY
        )
    return K


def _size(row: dict[str, Any], path: Path) -> tuple[int, int]:
    size = (row.get("height") or 0, row.get("width") or 0)
    if not all(isinstance(x, int) and 0 <= x <= 65535 for x in size):
        raise TableError(path, f"size of {row['token']} is {size[1]!r}x{size[0]!r} pixels", REMEDY)
    return size if all(size) else (0, 0)


def _inside(filename: str, path: Path) -> PurePosixPath:
    name = PurePosixPath(filename)
    if name.is_absolute() or ".." in name.parts or len(name.parts) < 2 or "\0" in filename:
        raise TableError(path, f"filename {filename!r} does not stay inside the dataset", REMEDY)
    return name


def _channels(
    tables: dict[str, Table], rows: NDArray[np.int64], pictures: dict[int, dict[str, Picture]]
) -> list[str]:
    """The channels of a scene in natural order (UAV_2 before UAV_10); every sample must have all of them."""
    every = {channel for s in rows for channel in pictures[int(s)]}
    for s in rows:
        lacking = sorted(every - set(pictures[int(s)]))
        if lacking or not every:
            token = tables["sample"].rows[s]["token"]
            raise TableError(
                tables["sample_data"].path,
                f"sample {token} has no key frame of {', '.join(lacking) or 'any camera'}",
                REMEDY,
            )
    return sorted(every, key=lambda c: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", c)])


def _cameras(
    members: list[NDArray[np.int64]], channels: list[list[str]], pictures: dict[int, dict[str, Picture]]
) -> dict[int, list[Picture]]:
    return {
        int(s): [pictures[int(s)][c] for c in channels[n]] for n, rows in enumerate(members) for s in rows
    }


def _within(k: int, scene: Scene) -> int:
    if not 0 <= k < scene.info.frames:
        raise IndexError(f"frame {k} of {scene.info.name}: expected 0 to {scene.info.frames - 1}")
    return k
