"""Turns the annotations of a nuScenes dataset into :class:`Objects`, with our side file where there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data import nuscenes_schema as schema
from rsdfm_ros.data.errors import TableError
from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.nuscenes_tables import REMEDY, Table, read_json
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.geometry.rotations import wrap_angle

MAX_GAP_S = 1.5
"""Velocities are differences between annotations at most this far apart (as nuscenes-devkit does)."""


class Camera(Protocol):
    """What is needed of a picture to tell what is in its field of view."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, (0, 0) if unknown."""

    @property
    def K(self) -> NDArray[np.float64]:
        """(3, 3) pixels."""

    @property
    def T_map_camera(self) -> NDArray[np.float64]:
        """(4, 4)."""


@dataclass(frozen=True)
class SideScene:
    """What our side file adds to a scene; velocities (N, 2) m/s and visibility (N, A) belong to `annotations`."""

    seed: int | None
    depth: bool
    stamps_ns: list[int]
    ids: dict[str, int]
    annotations: list[str]
    velocities: NDArray[np.float64]
    visibility: NDArray[np.float64]


@dataclass(frozen=True)
class SideFile:
    """Our side file; without one it has no scenes."""

    path: Path
    scenes: dict[str, SideScene] = field(default_factory=dict)
    covariances: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> SideFile:
        """Reads rsdfm.json in a folder of tables, if it is there. Raises :class:`TableError` if it is damaged."""
        path = folder / schema.SIDE_FILE
        if not path.exists():
            return SideFile(path)
        value = read_json(path)
        try:
            if value["format"] != schema.SIDE_FORMAT:
                raise ValueError(f"format {value['format']!r}, expected {schema.SIDE_FORMAT}")
            covariances: dict[str, NDArray[np.float64]] = {}
            scenes = {}
            for token, scene in value["scenes"].items():
                scenes[token] = _side_scene(scene)
                for data, numbers in scene["covariances"].items():
                    covariances[data] = _array(numbers, 36).reshape(6, 6)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise TableError(path, f"is damaged ({problem})", REMEDY) from None
        return SideFile(path, scenes, covariances)


def _side_scene(scene: dict[str, Any]) -> SideScene:
    annotations = [str(token) for token in scene["annotations"]]
    ids = {str(token): int(i) for token, i in scene["ids"].items()}
    if len(set(ids.values())) != len(ids) or min(ids.values(), default=1) < 1:
        raise ValueError("object ids are not unique and positive")
    agents = len(scene["agents"])
    return SideScene(
        None if scene["seed"] is None else int(scene["seed"]),
        bool(scene["depth"]),
        [int(stamp) for stamp in scene["stamps_ns"]],
        ids,
        annotations,
        _array(scene["velocities"], len(annotations), 2),
        _array(scene["visibility"], len(annotations), agents),
    )


def _array(value: object, *shape: int) -> NDArray[np.float64]:
    array = np.array(value, dtype=np.float64)
    if 0 in shape:
        array = array.reshape(shape)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"an array of shape {array.shape}, expected {shape} of finite numbers")
    return array


def read_objects(
    tables: dict[str, Table],
    side: SideFile,
    scenes: Sequence[NDArray[np.int64]],
    ignored: Counter[str],
    cameras: Mapping[int, Sequence[Camera]],
) -> dict[int, Objects]:
    """The objects of every sample, by row in the sample table.

    scenes: rows of the sample table of every scene, in time order · ignored: counts annotations of categories that
    are not ours · cameras: those of every sample, in the order of the agents.
    """
    notes, instances, samples = tables["sample_annotation"], tables["instance"], tables["sample"]
    category_of = instances.refer("category_token", tables["category"])
    names = [row["name"] for row in tables["category"].rows]
    classes = np.array(
        [-1 if (c := schema.class_of_category(name)) is None else c for name in names], dtype=np.int64
    )
    instance = notes.refer("instance_token", instances)
    sample = notes.refer("sample_token", samples)
    centres = notes.vectors("translation", 3)
    sizes = notes.vectors("size", 3)[:, [1, 0, 2]]
    if (bad := np.flatnonzero((sizes <= 0).any(axis=1))).size:
        raise TableError(notes.path, f"size of {notes.rows[bad[0]]['token']} is not positive", REMEDY)
    yaws = _yaws(notes.vectors("rotation", 4))
    category = category_of[instance]
    for c in category[classes[category] < 0].tolist():
        ignored[names[c]] += 1
    keep = np.flatnonzero(classes[category] >= 0)
    keep = keep[np.lexsort((instance[keep], sample[keep]))]
    ends = np.searchsorted(sample[keep], np.arange(len(samples) + 1))
    seconds = np.array([row["timestamp"] for row in samples.rows], dtype=np.float64)[sample] * 1e-6
    velocities = _differences(instance, seconds, centres[:, :2])
    shares = _levels(tables["visibility"], notes)
    result: dict[int, Objects] = {}
    for scene_row, rows in zip(tables["scene"].rows, scenes, strict=True):
        extra = side.scenes.get(scene_row["token"])
        exact = None if extra is None else {token: n for n, token in enumerate(extra.annotations)}
        for s in rows.tolist():
            picked = keep[ends[s] : ends[s + 1]]
            ids = instance[picked] + 1
            velocity = velocities[picked]
            if extra is not None and exact is not None:
                try:
                    order = [exact[notes.rows[n]["token"]] for n in picked]
                    ids = np.array(
                        [extra.ids[notes.rows[n]["instance_token"]] for n in picked], dtype=np.int64
                    )
                except KeyError as error:
                    raise TableError(
                        side.path, f"does not know {error} of {scene_row['name']}", REMEDY
                    ) from None
                velocity, seen = extra.velocities[order], extra.visibility[order]
                if seen.shape[1] != len(cameras[s]):
                    raise TableError(side.path, f"{seen.shape[1]} agents in {scene_row['name']}", REMEDY)
            else:
                seen = _in_view(centres[picked], cameras[s]) * shares[picked, None]
            if len(set(ids.tolist())) != len(ids):
                token = samples.rows[s]["token"]
                raise TableError(notes.path, f"an instance occurs twice in sample {token}", REMEDY)
            objects = Objects(
                ids,
                classes[category[picked]],
                centres[picked],
                sizes[picked],
                yaws[picked],
                velocity.reshape(-1, 2),
                seen.reshape(len(picked), len(cameras[s])),
            )
            result[s] = objects.select(np.argsort(ids, kind="stable"))
    return result


def _yaws(wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Headings (N,) in [-pi, pi) of rotations (N, 4) wxyz."""
    w, x, y, z = wxyz.T
    return wrap_angle(np.arctan2(2 * (w * z + x * y), w * w + x * x - y * y - z * z))


def _differences(
    instance: NDArray[np.int64], seconds: NDArray[np.float64], xy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Velocities (N, 2) m/s from the neighbours in time of the same instance, zero where there is none."""
    order = np.lexsort((seconds, instance))
    before, after = order.copy(), order.copy()
    near = (np.diff(instance[order]) == 0) & (np.diff(seconds[order]) <= MAX_GAP_S)
    before[1:][near] = order[:-1][near]
    after[:-1][near] = order[1:][near]
    dt = seconds[after] - seconds[before]
    result = np.zeros_like(xy)
    moved = dt > 0
    result[order[moved]] = (xy[after[moved]] - xy[before[moved]]) / dt[moved, None]
    return result


def _levels(table: Table, notes: Table) -> NDArray[np.float64]:
    """Visible shares (N,) as far as the visibility tokens tell: the middle of the level, 1 where unknown."""
    middles, low = {}, 0.0
    for _, level, upper in schema.VISIBILITY_LEVELS:
        middles[level], low = (low + upper) / 2, upper
    by_token = {row["token"]: middles.get(row["level"], 1.0) for row in table.rows}
    return np.array(
        [by_token.get(str(row.get("visibility_token")), 1.0) for row in notes.rows], dtype=np.float64
    )


def _in_view(centres: NDArray[np.float64], cameras: Sequence[Camera]) -> NDArray[np.float64]:
    """(N, A) one where the middle of a box is in the picture of an agent, else zero."""
    result = np.zeros((len(centres), len(cameras)))
    for a, camera in enumerate(cameras):
        height, width = camera.size if all(camera.size) else (2 * camera.K[1, 2], 2 * camera.K[0, 2])
        uv, depth = project(centres, camera.K, camera.T_map_camera)
        inside = (uv >= 0).all(axis=1) & (uv[:, 0] < width) & (uv[:, 1] < height)
        result[:, a] = inside & (depth > 0)
    return result
