"""Images of a nuScenes data set, the poses of their cameras, and the map origin of a scene."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data import conventions
from rsdfm_ros.data.description import BOXES, CAMERAS, WORLD, Description, DescriptionError
from rsdfm_ros.data.errors import TableError
from rsdfm_ros.data.nuscenes.objects import Annotations, SideFile
from rsdfm_ros.data.nuscenes.tables import REMEDY, Table, below
from rsdfm_ros.geometry.rotations import transform


@dataclass(frozen=True)
class CameraImage:
    """An image that is not decoded yet; size is (height, width) in pixels, (0, 0) if the tables have none."""

    agent: str
    camera: str
    path: Path
    depth_path: Path | None
    size: tuple[int, int]
    K: NDArray[np.float64]
    T_map_camera: NDArray[np.float64]
    covariance: NDArray[np.float64]


def read_images(
    root: Path,
    tables: dict[str, Table],
    side: SideFile,
    description: Description,
    wanted: NDArray[np.bool_],
) -> dict[int, dict[str, CameraImage]]:
    """Camera images of the key frames of the wanted samples, by row in the sample table and channel.

    Sweeps between key frames, other sensors and channels that belong to no UAV are left out. T_map_camera is in the
    right-handed world of the tables.
    """
    data, poses, calibrated = tables["sample_data"], tables["ego_pose"], tables["calibrated_sensor"]
    sample_of = data.refer("sample_token", tables["sample"])
    pose_of = data.refer("ego_pose_token", poses)
    calibrated_of = data.refer("calibrated_sensor_token", calibrated)
    sensor_of = calibrated.refer("sensor_token", tables["sensor"])
    T_map_ego, T_ego_camera = _transforms(poses, description), _transforms(calibrated, description)
    scene_of_sample = tables["sample"].refer("scene_token", tables["scene"])
    depths = [
        (extra := side.scenes.get(row["token"])) is not None and extra.depth for row in tables["scene"].rows
    ]
    found: dict[int, dict[str, CameraImage]] = {int(n): {} for n in np.flatnonzero(wanted)}
    for n, row in enumerate(data.rows):
        c, sample = int(calibrated_of[n]), int(sample_of[n])
        sensor = tables["sensor"].rows[sensor_of[c]]
        channel = sensor["channel"]
        whose = description.agent_of(channel)
        if not (wanted[sample] and row["is_key_frame"] and sensor["modality"] == "camera" and whose):
            continue
        name = _inside(row["filename"], data.path)
        if channel in found[sample]:
            raise TableError(data.path, f"sample {row['sample_token']} has two images of {channel}", REMEDY)
        depth = root / "depth" / Path(*name.parts[1:]).with_suffix(".png")
        found[sample][channel] = CameraImage(
            *whose,
            root / name,
            depth if depths[scene_of_sample[sample]] else None,
            _size(row, data.path),
            _intrinsic(calibrated.rows[c], calibrated.path),
            conventions.camera_pose(T_map_ego[pose_of[n]], T_ego_camera[c], description),
            side.covariances.get(row["token"], np.zeros((6, 6))),
        )
    return found


def upright(
    images: dict[int, dict[str, CameraImage]], notes: Annotations, description: Description
) -> dict[int, dict[str, CameraImage]]:
    """The images with z of their cameras pointing up, whatever the tables say (`camera_z` of the description)."""
    down = description.camera_z == "down"
    if description.camera_z == "auto":
        heights = [p.T_map_camera[2, 3] for of in images.values() for p in of.values()]
        down = bool(heights) and float(np.median(heights)) < underside(notes, None)  # NaN without boxes: no
    if not down:
        return images
    flip = np.diag([1.0, 1.0, -1.0])
    return {
        sample: {
            channel: replace(p, T_map_camera=transform(p.T_map_camera[:3, :3], flip @ p.T_map_camera[:3, 3]))
            for channel, p in of.items()
        }
        for sample, of in images.items()
    }


def scene_channels(
    tables: dict[str, Table],
    rows: NDArray[np.int64],
    images: Mapping[int, Mapping[str, CameraImage]],
    description: Description,
) -> list[str]:
    """The channels of a scene, by agent and in natural order (UAV_2 before UAV_10).

    Raises :class:`TableError` if a sample lacks one of them and the description does not allow that, or if the whole
    scene has none.
    """
    agents = {channel: p.agent for s in rows for channel, p in images[int(s)].items()}
    for s in rows:
        lacking = sorted(set(agents) - set(images[int(s)]))
        if (lacking and description.missing_cameras == "refuse") or not agents:
            token, names = tables["sample"].rows[s]["token"], ", ".join(lacking) or "any camera of a UAV"
            raise TableError(
                tables["sample_data"].path,
                f"sample {token} has no key frame of {names}",
                REMEDY
                if agents
                else f"description {description.name!r} expects channels {description.channels}",
            )
    return sorted(agents, key=lambda c: (_natural(agents[c]), _natural(c)))


def channel_positions(tables: dict[str, Table], description: Description) -> dict[int, NDArray[np.float64]]:
    """Positions (3,) of the channel that the description names as origin, by row in the sample table; else empty."""
    if description.origin in (WORLD, CAMERAS) or not isinstance(description.origin, str):
        return {}
    data, poses, calibrated = tables["sample_data"], tables["ego_pose"], tables["calibrated_sensor"]
    sensor_of = calibrated.refer("sensor_token", tables["sensor"])
    sample_of = data.refer("sample_token", tables["sample"])
    pose_of = data.refer("ego_pose_token", poses)
    calibrated_of = data.refer("calibrated_sensor_token", calibrated)
    T_map_ego, T_ego_sensor = _transforms(poses, description), _transforms(calibrated, description)
    channels = [tables["sensor"].rows[s]["channel"] for s in sensor_of]
    found = {}
    for n, c in enumerate(calibrated_of):
        if channels[c] == description.origin:
            T = conventions.camera_pose(T_map_ego[pose_of[n]], T_ego_sensor[c], description)
            found[int(sample_of[n])] = T[:3, 3]
    return found


def map_origin(
    tables: dict[str, Table],
    rows: NDArray[np.int64],
    images: Mapping[int, Mapping[str, CameraImage]],
    notes: Annotations,
    description: Description,
    places: Mapping[int, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Origin of a scene's map (3,) m in the right-handed world: x, y by `origin`, z on the ground.

    Raises :class:`DescriptionError` if the description asks for boxes or a channel that the scene does not have.
    """
    name = tables["scene"].rows[int(tables["sample"].refer("scene_token", tables["scene"])[rows[0]])]["name"]
    if description.ground_height_m == BOXES:
        height = underside(notes, rows)
        height = underside(notes, None) if np.isnan(height) else height
        if np.isnan(height):
            problem = f"{name} has no annotated vehicle to find the ground from"
            raise DescriptionError(tables["sample_annotation"].path, problem, "give ground_height_m a number")
    else:
        height = float(description.ground_height_m)
    origin = description.origin
    if origin == WORLD:
        return np.array([0.0, 0.0, height])
    if isinstance(origin, tuple):
        xy = conventions.positions(np.array([*origin, 0.0]), description)[:2]
    else:
        if origin == CAMERAS:
            points = [p.T_map_camera[:2, 3] for s in rows for p in images[int(s)].values()]
        else:
            points = [places[int(s)][:2] for s in rows if int(s) in places]
            if not points:
                problem = f"{name} has no channel {origin}, which the description names as origin"
                raise DescriptionError(tables["sensor"].path, problem, "give another origin")
        xy = np.rint(np.mean(points, axis=0))
    return np.array([*xy, height])


def underside(notes: Annotations, rows: NDArray[np.int64] | None) -> float:
    """Median height (m) of the undersides of the boxes of some samples, or of all (None); NaN without boxes."""
    bottoms = notes.centres[:, 2] - notes.sizes[:, 2] / 2
    if rows is not None:
        parts = [bottoms[notes.of_sample(int(s))] for s in rows]
        bottoms = np.concatenate(parts) if parts else bottoms[:0]
    return float(np.median(bottoms)) if len(bottoms) else float("nan")


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", text)]


def _transforms(table: Table, description: Description) -> NDArray[np.float64]:
    translations, rotations = table.vectors("translation", 3), table.vectors("rotation", 4)
    norms = np.linalg.norm(rotations, axis=-1)
    bad = np.flatnonzero(np.abs(norms - 1.0) > 1e-2)
    if len(bad):
        row = table.rows[bad[0]]
        raise TableError(
            table.path, f"rotation of {row['token']} is {row['rotation']}, no unit quaternion", REMEDY
        )
    return conventions.transforms(translations, rotations, description)


def _intrinsic(row: dict[str, Any], path: Path) -> NDArray[np.float64]:
    try:
        K = np.array(row["camera_intrinsic"], dtype=np.float64)
    except (KeyError, ValueError, TypeError):
        K = np.empty(0)
    if not is_intrinsic(K):
        found = row.get("camera_intrinsic")
        raise TableError(
            path, f"camera_intrinsic of {row['token']} is {found}, expected 3x3 with f > 0", REMEDY
        )
    return K


def is_intrinsic(K: NDArray[np.float64]) -> bool:
    """Whether K is a usable camera matrix (3, 3)."""
    return K.shape == (3, 3) and bool(np.isfinite(K).all()) and bool(K[0, 0] > 0 and K[1, 1] > 0)


def _size(row: dict[str, Any], path: Path) -> tuple[int, int]:
    size = (row.get("height") or 0, row.get("width") or 0)
    if not all(isinstance(x, int) and 0 <= x <= 65535 for x in size):
        raise TableError(path, f"size of {row['token']} is {size[1]!r}x{size[0]!r} pixels", REMEDY)
    return size if all(size) else (0, 0)


def _inside(filename: str, path: Path) -> PurePosixPath:
    name = inside(filename)
    if name is None:
        raise TableError(path, f"filename {filename!r} does not stay inside the dataset", REMEDY)
    return name


def inside(filename: str) -> PurePosixPath | None:
    """The relative path of a file of the data set; None if it would leave the folder."""
    name = below(filename)
    if name.is_absolute() or ".." in name.parts or len(name.parts) < 2 or "\0" in filename:
        return None
    return name
