"""Writes missions in the nuScenes schema, scene by scene, so that an interrupted run can go on where it stopped.

A scene becomes images plus one fragment of tables, ``scenes/<name>.json.gz``, which is written last and moved into
place: a scene with a fragment is complete. data.nuscenes.merge joins all fragments into the tables of nuScenes v1.0.
The same frames always give the same bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.data.nuscenes.layout import write_layout
from rsdfm_ros.data.nuscenes.merge import Record, encode_json, fragment_path
from rsdfm_ros.data.terrain import save_height_grid, scene_grid_path
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.geometry.rotations import inverse, is_rigid, wxyz_from_matrix
from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.words import counted

JPEG_QUALITY = 92
MOVING_MPS = 0.2
"""From this speed on an object carries the attribute vehicle.moving."""


class SceneWriter:
    """Takes the frames of one scene in order; :meth:`finish` makes the scene part of the dataset.

    root: folder of the dataset · name: unique within it · seed: of the simulated world, None for anything else · depth:
    also store depth as 16-bit PNG in centimetres, 0 = nothing was hit · layout: the static scene, stored as a mask in
    the map table · about: kind of the world, e.g. its `style` and `weather`; they stand in the scene's description, too
    · dem: the ground, None where it is flat.
    """

    def __init__(
        self,
        root: Path | str,
        name: str,
        *,
        seed: int | None = None,
        depth: bool = False,
        layout: LayoutMap | None = None,
        about: Mapping[str, str] | None = None,
        dem: HeightGrid | None = None,
    ) -> None:
        self.root = Path(root)
        self.name = name
        self.seed = seed
        self.depth = depth
        self.layout = layout
        self.about = dict(about or {})
        self.dem = dem
        self.scene_token = schema.token("scene", name, seed)
        self.agents: tuple[str, ...] = ()
        self._cameras: tuple[tuple[str, str], ...] = ()
        self._samples: list[Record] = []
        self._data: dict[str, list[Record]] = {}
        self._poses: list[Record] = []
        self._calibrated: dict[str, Record] = {}
        self._annotations: dict[int, list[Record]] = {}
        self._instances: dict[int, Record] = {}
        self._stamps: list[int] = []
        self._velocities: dict[str, list[float]] = {}
        self._visibility: dict[str, list[float]] = {}
        self._covariances: dict[str, list[float]] = {}
        self._folders: set[Path] = set()

    def add(self, frame: WorldFrame) -> None:
        """Writes the images of the next frame and keeps its table rows."""
        cameras = tuple((view.agent, view.camera) for view in frame.views)
        if not self._samples:
            self.agents, self._cameras = tuple(dict.fromkeys(agent for agent, _ in cameras)), cameras
        elif cameras != self._cameras:
            raise ValueError(
                f"scene {self.name}: frame {frame.index} has views {cameras}, expected {self._cameras}"
            )
        if self._stamps and frame.stamp_ns <= self._stamps[-1]:
            raise ValueError(f"scene {self.name}: stamp {frame.stamp_ns} does not follow {self._stamps[-1]}")
        sample = schema.token(self.scene_token, "sample", len(self._samples))
        self._samples.append(
            {"token": sample, "timestamp": frame.stamp_ns // 1000, "scene_token": self.scene_token}
        )
        self._stamps.append(int(frame.stamp_ns))
        for view in frame.views:
            self._add_view(sample, frame.stamp_ns // 1000, view)
        self._add_objects(sample, frame.objects)

    def _add_view(self, sample: str, timestamp_us: int, view: CameraView) -> None:
        channel = schema.channel_of_agent(view.agent) + (f"_{view.camera.upper()}" if view.camera else "")
        stem = f"{self.name}__{channel}__{timestamp_us:016d}"
        image = f"samples/{channel}/{stem}.jpg"
        self._write(image, ".jpg", view.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if self.depth:
            if view.depth is None:
                raise ValueError(
                    f"scene {self.name}: depth was asked for, but a view of {view.agent} has none"
                )
            centimetres = np.clip(np.rint(np.nan_to_num(view.depth, posinf=0.0) * 100.0), 0, 65535)
            self._write(f"depth/{channel}/{stem}.png", ".png", centimetres.astype(np.uint16), [])
        data = schema.token(sample, channel)
        T_map_body = view.T_map_camera @ inverse(schema.T_BODY_CAMERA)
        self._poses.append(
            {
                "token": schema.token(data, "ego_pose"),
                "timestamp": timestamp_us,
                "rotation": _rotation(T_map_body, self.name),
                "translation": T_map_body[:3, 3].tolist(),
            }
        )
        rows = self._data.setdefault(channel, [])
        rows.append(
            {
                "token": data,
                "sample_token": sample,
                "ego_pose_token": self._poses[-1]["token"],
                "calibrated_sensor_token": self._calibrated_sensor(channel, view.K),
                "timestamp": timestamp_us,
                "fileformat": "jpg",
                "is_key_frame": True,
                "height": int(view.image.shape[0]),
                "width": int(view.image.shape[1]),
                "filename": image,
            }
        )
        if np.any(view.covariance):
            self._covariances[data] = view.covariance.ravel().tolist()

    def _calibrated_sensor(self, channel: str, K: NDArray[np.float64]) -> str:
        intrinsic = np.asarray(K, dtype=np.float64).tolist()
        token = schema.token(self.scene_token, channel, intrinsic)
        self._calibrated.setdefault(
            token,
            {
                "token": token,
                "sensor_token": schema.token("sensor", channel),
                "translation": schema.T_BODY_CAMERA[:3, 3].tolist(),
                "rotation": _rotation(schema.T_BODY_CAMERA, self.name),
                "camera_intrinsic": intrinsic,
            },
        )
        return token

    def _add_objects(self, sample: str, objects: Objects) -> None:
        speeds = np.linalg.norm(objects.velocities, axis=-1)
        for n, object_id in enumerate(objects.ids.tolist()):
            instance = schema.token(self.scene_token, "instance", object_id)
            category = schema.CATEGORY_NAMES[int(objects.classes[n])]
            self._instances.setdefault(
                object_id, {"token": instance, "category_token": schema.token("category", category)}
            )
            length, width, height = objects.sizes[n].tolist()
            half = float(objects.yaws[n]) / 2
            seen = objects.visibility[n].tolist()
            annotation = schema.token(sample, object_id)
            attribute = schema.ATTRIBUTES[0 if speeds[n] >= MOVING_MPS else 1]
            self._annotations.setdefault(object_id, []).append(
                {
                    "token": annotation,
                    "sample_token": sample,
                    "instance_token": instance,
                    "visibility_token": _visibility_token(max(seen, default=0.0)),
                    "attribute_tokens": [schema.token("attribute", attribute)],
                    "translation": objects.centres[n].tolist(),
                    "size": [width, length, height],
                    "rotation": [float(np.cos(half)), 0.0, 0.0, float(np.sin(half))],
                    "num_lidar_pts": 0,
                    "num_radar_pts": 0,
                }
            )
            self._velocities[annotation] = objects.velocities[n].tolist()
            self._visibility[annotation] = seen

    def _write(self, name: str, extension: str, pixels: NDArray[Any], options: list[int]) -> None:
        ok, data = cv2.imencode(extension, pixels, options)
        if not ok:
            raise ValueError(
                f"scene {self.name}: cannot encode an image of shape {pixels.shape} as {extension}"
            )
        path = self.root / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        path.write_bytes(data.tobytes())

    def finish(self) -> Path:
        """Completes the scene: writes its fragment and returns the fragment's path."""
        if not self._samples:
            raise ValueError(f"scene {self.name} has no frame")
        log = schema.token(self.scene_token, "log")
        scene = {
            "token": self.scene_token,
            "log_token": log,
            "nbr_samples": len(self._samples),
            "first_sample_token": self._samples[0]["token"],
            "last_sample_token": self._samples[-1]["token"],
            "name": self.name,
            "description": ", ".join(
                [
                    counted(len(self.agents), "UAV"),
                    *([] if self.seed is None else [f"seed {self.seed}"]),
                    *(f"{key} {value}" for key, value in self.about.items()),
                ]
            ),
        }
        for row, object_id in ((self._instances[i], i) for i in sorted(self._instances)):
            chain = self._annotations[object_id]
            row["nbr_annotations"] = len(chain)
            row["first_annotation_token"] = chain[0]["token"]
            row["last_annotation_token"] = chain[-1]["token"]
        annotations = [row for i in sorted(self._annotations) for row in _chain(self._annotations[i])]
        tokens = [row["token"] for row in annotations]
        data = [row for channel in self._data for row in _chain(self._data[channel])]
        log_row = {
            "token": log,
            "logfile": self.name,
            "vehicle": "uavs",
            "date_captured": "",
            "location": "simulated",
        }
        maps = [] if self.layout is None else [write_layout(self.root, self.name, log, self.layout)]
        fragment = {
            "format": schema.SIDE_FORMAT,
            "tables": {
                "log": [log_row],
                "scene": [scene],
                "sample": _chain(self._samples),
                "sample_data": data,
                "ego_pose": self._poses,
                "calibrated_sensor": list(self._calibrated.values()),
                "instance": [self._instances[i] for i in sorted(self._instances)],
                "sample_annotation": annotations,
                "map": maps,
            },
            "channels": list(self._data),
            "side": {
                "seed": self.seed,
                "agents": list(self.agents),
                "depth": self.depth,
                "about": self.about,
                "dem": self.dem is not None,
                "stamps_ns": self._stamps,
                "ids": {self._instances[i]["token"]: i for i in sorted(self._instances)},
                "annotations": tokens,
                "velocities": [self._velocities[token] for token in tokens],
                "visibility": [self._visibility[token] for token in tokens],
                "covariances": self._covariances,
            },
        }
        if self.dem is not None:
            save_height_grid(scene_grid_path(self.root, self.name), self.dem)
        path = fragment_path(self.root, self.name)
        write_atomically(path, gzip.compress(encode_json(fragment), compresslevel=6, mtime=0))
        return path


def write_scene(
    root: Path | str,
    name: str,
    frames: Iterable[WorldFrame],
    *,
    seed: int | None = None,
    depth: bool = False,
    layout: LayoutMap | None = None,
) -> Path:
    """Writes a whole scene; see :class:`SceneWriter`. Call data.nuscenes.merge when the last scene is written."""
    writer = SceneWriter(root, name, seed=seed, depth=depth, layout=layout)
    for frame in frames:
        writer.add(frame)
    return writer.finish()


def _chain(rows: list[Record]) -> list[Record]:
    for n, row in enumerate(rows):
        row["prev"] = rows[n - 1]["token"] if n else ""
        row["next"] = rows[n + 1]["token"] if n + 1 < len(rows) else ""
    return rows


def _rotation(T: NDArray[np.float64], scene: str) -> list[float]:
    if not is_rigid(T, 1e-6):
        raise ValueError(f"scene {scene}: a pose is no rigid transform:\n{T}")
    return wxyz_from_matrix(T[:3, :3])


def _visibility_token(share: float) -> str:
    for token, _, upper in schema.VISIBILITY_LEVELS:
        if share < upper:
            return token
    return schema.VISIBILITY_LEVELS[-1][0]
