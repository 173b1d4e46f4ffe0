"""A scene of the tables in its own map: images, objects and ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.description import Description
from rsdfm_ros.data.errors import TableError
from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.nuscenes.images import CameraImage, map_origin, scene_channels
from rsdfm_ros.data.nuscenes.layout import LayoutSource
from rsdfm_ros.data.nuscenes.objects import Annotations, SideFile, SideScene, read_objects
from rsdfm_ros.data.nuscenes.tables import REMEDY, Table
from rsdfm_ros.data.terrain import scene_grid_path
from rsdfm_ros.geometry.rotations import transform


@dataclass(frozen=True)
class SceneInfo:
    """A scene: its name, the seed of its world (None if it has none), number of frames, agents in order, and whether
    depth is stored; style, weather and terrain of a simulated world, "" where they are not noted · truth: whether its
    objects are known.
    """

    name: str
    seed: int | None
    frames: int
    agents: tuple[str, ...]
    depth: bool = True
    style: str = ""
    weather: str = ""
    terrain: str = ""
    truth: bool = True

    @property
    def without_truth(self) -> str:
        """A sentence where the objects of the scene are not known, else nothing."""
        text = f"{self.name} has no truth: it is for replay (rsdfm bag export) and for looking at it"
        return "" if self.truth else text


@dataclass(frozen=True)
class Scene:
    """Everything about a scene but its pixels: images[k][a] of all cameras of agent a (none where they are missing),
    objects[k], where the map begins in the right-handed world of the tables (m), its layout, if there is one, and
    the file of its elevation model, if there is one.
    """

    info: SceneInfo
    stamps_ns: tuple[int, ...]
    images: tuple[tuple[tuple[CameraImage, ...], ...], ...]
    objects: tuple[Objects, ...]
    origin: tuple[float, float, float]
    layout: LayoutSource | None = None
    dem: Path | None = None


def build_scene(
    root: Path,
    n: int,
    rows: NDArray[np.int64],
    stamps: NDArray[np.int64],
    tables: dict[str, Table],
    side: SideFile,
    description: Description,
    images: dict[int, dict[str, CameraImage]],
    notes: Annotations,
    places: dict[int, NDArray[np.float64]],
) -> Scene:
    """Scene n of the tables, with samples `rows` in time order, in a map whose origin `description` gives."""
    row = tables["scene"].rows[n]
    extra = side.scenes.get(row["token"])
    stamps_ns = [int(stamp) for stamp in stamps[rows]] if extra is None else extra.stamps_ns
    if len(stamps_ns) != len(rows):
        raise TableError(
            side.path, f"{len(stamps_ns)} stamps for {len(rows)} samples of {row['name']}", REMEDY
        )
    channels = scene_channels(tables, rows, images, description)
    offset = map_origin(tables, rows, images, notes, description, places)
    T_map_world = transform(np.eye(3), -offset)
    views: list[list[CameraImage]] = [
        [
            replace(p, T_map_camera=T_map_world @ p.T_map_camera) if offset.any() else p
            for c in channels
            if (p := images[int(s)].get(c)) is not None
        ]
        for s in rows
    ]
    agents = tuple(dict.fromkeys(found[0] for c in channels if (found := description.agent_of(c))))
    grouped = [[tuple(p for p in of_sample if p.agent == a) for a in agents] for of_sample in views]
    depth = extra is not None and extra.depth
    grid = scene_grid_path(root, row["name"])
    return Scene(
        SceneInfo(
            row["name"],
            None if extra is None else extra.seed,
            len(rows),
            agents,
            depth,
            **_about(extra),
            truth=extra is None or extra.about.get("truth") != "none",
        ),
        tuple(stamps_ns),
        tuple(tuple(of_sample) for of_sample in grouped),
        tuple(read_objects(tables, side, n, rows, notes, offset, grouped)),
        (float(offset[0]), float(offset[1]), float(offset[2])),
        dem=grid if grid.is_file() or (extra is not None and extra.dem) else None,
    )


def _about(extra: SideScene | None) -> dict[str, str]:
    return {key: extra.about.get(key, "") if extra else "" for key in ("style", "weather", "terrain")}
