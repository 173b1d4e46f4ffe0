"""Turns the annotations of a nuScenes dataset into :class:`Objects`, with our side file where there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data import conventions
from rsdfm_ros.data.description import Description
from rsdfm_ros.data.errors import TableError
from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.data.nuscenes.tables import REMEDY, Table, read_json
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.geometry.rotations import wrap_angle

MAX_GAP_S = 1.5
"""Velocities are differences between annotations at most this far apart (as nuscenes-devkit does)."""


class Camera(Protocol):
    """Camera of an image, as needed to find the objects in its field of view."""

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
    """Additions of our side file to a scene; velocities (N, 2) m/s and visibility (N, A) belong to `annotations`;
    about: kind of the world · dem: whether there is an elevation model.
    """

    seed: int | None
    depth: bool
    stamps_ns: list[int]
    ids: dict[str, int]
    annotations: list[str]
    velocities: NDArray[np.float64]
    visibility: NDArray[np.float64]
    about: dict[str, str] = field(default_factory=dict)
    dem: bool = False


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
        {str(key): str(text) for key, text in scene.get("about", {}).items()},
        bool(scene.get("dem", False)),
    )


def _array(value: object, *shape: int) -> NDArray[np.float64]:
    array = np.array(value, dtype=np.float64)
    if 0 in shape:
        array = array.reshape(shape)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"an array of shape {array.shape}, expected {shape} of finite numbers")
    return array


@dataclass(frozen=True)
class Annotations:
    """All annotations of our classes, as a structure of arrays over N rows, sorted by sample and instance.

    rows, samples, instances, classes (N,) int64 · centres (N, 3) m in the world of the tables, right-handed, middle of
    the box · sizes (N, 3) m length, width, height · yaws (N,) rad · velocities (N, 2) m/s · shares (N,) visible share
    by the visibility level · ends: where the rows of each sample end, for searching.
    """

    rows: NDArray[np.int64]
    samples: NDArray[np.int64]
    instances: NDArray[np.int64]
    classes: NDArray[np.int64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaws: NDArray[np.float64]
    velocities: NDArray[np.float64]
    shares: NDArray[np.float64]
    ends: NDArray[np.int64]

    def of_sample(self, sample: int) -> slice:
        """The rows of a sample."""
        return slice(int(self.ends[sample]), int(self.ends[sample + 1]))


def read_annotations(
    tables: dict[str, Table], description: Description, stamps_ns: NDArray[np.int64], ignored: Counter[str]
) -> Annotations:
    """The annotations in the sense of the description; `ignored` counts those of categories that are not ours."""
    notes, instances, samples = tables["sample_annotation"], tables["instance"], tables["sample"]
    category_of = instances.refer("category_token", tables["category"])
    names = [row["name"] for row in tables["category"].rows]
    instance = notes.refer("instance_token", instances)
    sample = notes.refer("sample_token", samples)
    centres = conventions.positions(notes.vectors("translation", 3), description)
    sizes = notes.vectors("size", 3)
    if (bad := np.flatnonzero((sizes <= 0).any(axis=1))).size:
        raise TableError(notes.path, f"size of {notes.rows[bad[0]]['token']} is not positive", REMEDY)
    if description.size_order == "wlh":
        sizes = sizes[:, [1, 0, 2]]
    if description.box_origin == "bottom":
        centres[:, 2] += sizes[:, 2] / 2
    yaws = _yaws(conventions.rotations(notes.vectors("rotation", 4), description))
    category = category_of[instance]
    classes = np.full(len(notes), -1, dtype=np.int64)
    known: dict[tuple[int, ...], int | None] = {}
    for n, (c, size) in enumerate(zip(category.tolist(), sizes, strict=True)):
        key = (c, *np.rint(size * 1e4).astype(np.int64).tolist())
        if key not in known:
            known[key] = description.class_of(names[c], size.tolist())
        found = known[key]
        if found is None:
            ignored[names[c]] += 1
        else:
            classes[n] = found
    keep = np.flatnonzero(classes >= 0)
    keep = keep[np.lexsort((instance[keep], sample[keep]))]
    seconds = (stamps_ns - stamps_ns.min(initial=0)).astype(np.float64)[sample] * 1e-9
    velocities = differences(instance, seconds, centres[:, :2])
    return Annotations(
        keep,
        sample[keep],
        instance[keep],
        classes[keep],
        centres[keep],
        sizes[keep],
        yaws[keep],
        velocities[keep],
        _levels(tables["visibility"], notes)[keep],
        np.searchsorted(sample[keep], np.arange(len(samples) + 1)),
    )


def read_objects(
    tables: dict[str, Table],
    side: SideFile,
    scene: int,
    rows: NDArray[np.int64],
    notes: Annotations,
    offset: NDArray[np.float64],
    cameras: Sequence[Sequence[Sequence[Camera]]],
) -> list[Objects]:
    """The objects of the samples of a scene, in the map frame.

    scene: row of the scene table · rows: of the sample table, in time order · offset (3,): the map's origin in the
    world of the tables · cameras[k][a]: the images of agent a in sample k, already in the map frame.
    """
    table, scene_row = tables["sample_annotation"], tables["scene"].rows[scene]
    extra = side.scenes.get(scene_row["token"])
    exact = None if extra is None else {token: n for n, token in enumerate(extra.annotations)}
    result = []
    for s, seen_by in zip(rows, cameras, strict=True):
        part = notes.of_sample(int(s))
        picked = notes.rows[part]
        ids, velocity = notes.instances[part] + 1, notes.velocities[part]
        centres = notes.centres[part] - offset
        if extra is not None and exact is not None:
            try:
                order = [exact[table.rows[n]["token"]] for n in picked]
                ids = np.array([extra.ids[table.rows[n]["instance_token"]] for n in picked], dtype=np.int64)
            except KeyError as error:
                raise TableError(side.path, f"does not know {error} of {scene_row['name']}", REMEDY) from None
            velocity, seen = extra.velocities[order], extra.visibility[order]
            if seen.shape[1] != len(seen_by):
                raise TableError(side.path, f"{seen.shape[1]} agents in {scene_row['name']}", REMEDY)
        else:
            seen = in_view(centres, seen_by) * notes.shares[part, None]
        if len(set(ids.tolist())) != len(ids):
            token = tables["sample"].rows[s]["token"]
            raise TableError(table.path, f"an instance occurs twice in sample {token}", REMEDY)
        objects = Objects(
            ids,
            notes.classes[part],
            centres,
            notes.sizes[part],
            notes.yaws[part],
            velocity.reshape(-1, 2),
            seen.reshape(len(picked), len(seen_by)),
        )
        result.append(objects.select(np.argsort(ids, kind="stable")))
    return result


def _yaws(wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Headings (N,) in [-pi, pi) of rotations (N, 4) wxyz."""
    w, x, y, z = wxyz.T
    return wrap_angle(np.arctan2(2 * (w * z + x * y), w * w + x * x - y * y - z * z))


def differences(
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
    """Visible shares (N,) by the visibility tokens: the middle of the level, 1 where unknown."""
    middles, low = {}, 0.0
    for _, level, upper in schema.VISIBILITY_LEVELS:
        middles[level], low = (low + upper) / 2, upper
    by_token = {row["token"]: middles.get(row["level"], 1.0) for row in table.rows}
    return np.array(
        [by_token.get(str(row.get("visibility_token")), 1.0) for row in notes.rows], dtype=np.float64
    )


def in_view(centres: NDArray[np.float64], cameras: Sequence[Sequence[Camera]]) -> NDArray[np.float64]:
    """(N, A) one where the middle of a box is in any image of an agent, else zero."""
    result = np.zeros((len(centres), len(cameras)))
    for a, camera in ((a, camera) for a, several in enumerate(cameras) for camera in several):
        height, width = camera.size if all(camera.size) else (2 * camera.K[1, 2], 2 * camera.K[0, 2])
        uv, depth = project(centres, camera.K, camera.T_map_camera)
        inside = (uv >= 0).all(axis=1) & (uv[:, 0] < width) & (uv[:, 1] < height)
        result[inside & (depth > 0), a] = 1.0
    return result
