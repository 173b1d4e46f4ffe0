"""Reads datasets in the nuScenes schema: our own, and public multi-UAV sets.

All geometry comes from calibrated_sensor and ego_pose, nothing about altitude or mounting is assumed; a description
(description.py) gives their convention, the ground and the cameras of each UAV. The output is always the same: a
right-handed map with the ground at z = 0, optical cameras, our classes. Tables are validated and indexed once, when a
dataset is opened; afterwards reading is cheap, and safe from several threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsdfm_ros.data import conventions
from rsdfm_ros.data.description import Description
from rsdfm_ros.data.errors import MissingFileError, TableError
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.nuscenes.check_tables import check_tables
from rsdfm_ros.data.nuscenes.images import (
    CameraImage,
    channel_positions,
    read_images,
    upright,
)
from rsdfm_ros.data.nuscenes.layout import read_layouts
from rsdfm_ros.data.nuscenes.objects import SideFile, read_annotations
from rsdfm_ros.data.nuscenes.pixels import read_depth, read_image
from rsdfm_ros.data.nuscenes.scenes import Scene, SceneInfo, build_scene
from rsdfm_ros.data.nuscenes.tables import Table, find_version, read_tables
from rsdfm_ros.data.presets import choose, locate
from rsdfm_ros.data.terrain import load_height_grid, scene_grid_path
from rsdfm_ros.geometry.height_grid import GroundError, HeightGrid

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


class Dataset:
    """An opened dataset. `ignored` counts the annotations of categories that are not ours; `description` holds the
    conventions that its tables were read with.
    """

    def __init__(
        self, path: Path, scenes: tuple[Scene, ...], ignored: dict[str, int], description: Description
    ) -> None:
        self.path = path
        self.ignored = ignored
        self.description = description
        self._scenes = scenes

    @classmethod
    def together(cls, datasets: Sequence[Dataset]) -> Dataset:
        """The scenes of several datasets as one, in their order; path and description are those of the first."""
        ignored: Counter[str] = Counter()
        for dataset in datasets:
            ignored.update(dataset.ignored)
        scenes = tuple(scene for dataset in datasets for scene in dataset._scenes)
        return cls(datasets[0].path, scenes, dict(ignored), datasets[0].description)

    def chosen(self, places: Sequence[int]) -> Dataset:
        """The scenes at these places alone."""
        return Dataset(self.path, tuple(self._scenes[n] for n in places), self.ignored, self.description)

    @property
    def scenes(self) -> list[SceneInfo]:
        """All scenes, in the order of the scene table."""
        return [scene.info for scene in self._scenes]

    def __len__(self) -> int:
        return len(self._scenes)

    def origin(self, scene: int) -> tuple[float, float, float]:
        """Origin of a scene's map in the right-handed world of the tables (m); z is the ground."""
        return self._scenes[scene].origin

    def dem(self, scene: int) -> HeightGrid | None:
        """The elevation model of a scene in its map; None where none is stored: flat at z = 0, or unknown.

        Raises :class:`MissingFileError` if it is missing or damaged.
        """
        chosen = self._scenes[scene]
        if chosen.dem is None:
            return None
        x, y, z = chosen.origin
        try:
            found = load_height_grid(chosen.dem)
            return HeightGrid(found.heights - np.float32(z), found.x0 - x, found.y0 - y, found.cell_m)
        except GroundError as error:
            problem = f"cannot be read as an elevation model: {error}"
            raise MissingFileError(chosen.dem, problem, "simulate the scene anew") from None

    def images(self, scene: int, k: int) -> tuple[tuple[CameraImage, ...], ...]:
        """The images of frame k by agent, not decoded. IndexError beyond the ends."""
        return self._scenes[scene].images[_within(k, self._scenes[scene])]

    def stamp_ns(self, scene: int, k: int) -> int:
        """The exposure time of frame k. IndexError beyond the ends."""
        return self._scenes[scene].stamps_ns[_within(k, self._scenes[scene])]

    def objects(self, scene: int, k: int) -> Objects:
        """The objects of frame k of a scene, without touching an image. IndexError beyond the ends."""
        return self._scenes[scene].objects[_within(k, self._scenes[scene])]

    def layout(self, scene: int) -> LayoutMap | None:
        """The static layout of a scene, in the map frame; None where the map table has no mask with named classes.

        Raises: MissingFileError if the mask is damaged.
        """
        chosen = self._scenes[scene]
        return None if chosen.layout is None else chosen.layout.read(chosen.origin)

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

        An agent has a view for each of its cameras whose image there is: usually one, several, or none. Without
        `images` the views have images of shape (0, 0, 3). With `depth` they have depth (H, W) in metres.
        Raises :class:`MissingFileError` if an image is missing, damaged or of another size than the tables say, or
        if depth is asked for and was not stored; IndexError beyond the ends.
        """
        chosen = self._scenes[scene]
        k = _within(k, chosen)
        places = range(len(chosen.info.agents)) if agents is None else agents
        views = tuple(
            CameraView(
                agent=p.agent,
                image=read_image(p.path, p.size) if images else np.zeros((0, 0, 3), np.uint8),
                K=p.K.copy(),
                T_map_camera=p.T_map_camera.copy(),
                covariance=p.covariance.copy(),
                depth=read_depth(p) if depth else None,
                camera=p.camera,
            )
            for a in places
            for p in chosen.images[k][a]
        )
        names = tuple(chosen.info.agents[a] for a in places)
        return WorldFrame(k, chosen.stamps_ns[k], views, chosen.objects[k], names)


def open_dataset(path: Path | str, description: Description | None = None) -> Dataset:
    """Opens the data set in a folder (or the folder of one version's tables, or a description file with `path`).

    `DIR@val` opens the scenes of a split only. What the tables do not say comes from the description: the one given,
    else rsdfm_dataset.yaml in the folder, else the preset that fits. Raises :class:`DatasetError` (or its child
    :class:`TableError`) that names the file, what was expected and what to do, if tables are missing, damaged or
    contradict each other; where more than one thing is wrong it says how to see them all.
    """
    folder, found, split = locate(path)
    root, tables_folder = find_version(folder)
    try:
        return _open(root, tables_folder, description or found, split)
    except TableError as error:
        more = len(check_tables(tables_folder)) - 1
        if more < 1:
            raise
        remedy = f"and {more} more problems: `rsdfm data check {path}` lists all"
        raise TableError(error.path, error.problem, remedy) from None


def _open(root: Path, folder: Path, description: Description | None, split: str | None) -> Dataset:
    tables = read_tables(folder, USED_TABLES)
    side = SideFile.read(folder)
    samples = tables["sample"]
    if description is None:
        channels = [row["channel"] for row in tables["sensor"].rows]
        names = [row["name"] for row in tables["scene"].rows]
        description = choose(channels, names, side.path.exists(), folder.name)
    scene_of_sample = samples.refer("scene_token", tables["scene"])
    stamps = conventions.nanoseconds(
        np.array([row["timestamp"] for row in samples.rows], dtype=np.int64), description
    )
    members = [np.flatnonzero(scene_of_sample == n) for n in range(len(tables["scene"]))]
    members = [rows[np.argsort(stamps[rows], kind="stable")] for rows in members]
    if split is not None:
        chosen = [description.in_split(split, row["name"]) for row in tables["scene"].rows]
        members = [rows if taken else rows[:0] for rows, taken in zip(members, chosen, strict=True)]
        if not any(len(rows) for rows in members):
            raise TableError(
                tables["scene"].path, f"holds no scene of the split {split!r}", "give another split"
            )
    wanted = np.zeros(len(samples), bool)
    wanted[np.concatenate([*members, np.zeros(0, np.int64)])] = True
    ignored: Counter[str] = Counter()
    notes = read_annotations(tables, description, stamps, ignored)
    images = upright(read_images(root, tables, side, description, wanted), notes, description)
    places = channel_positions(tables, description)
    layouts = read_layouts(root, folder)
    _refuse_shared_grids(root, tables["scene"])
    scenes = []
    for n, members_of in enumerate(members):
        single = description.samples == "single"
        for k, rows in enumerate(members_of[:, None] if single else [members_of] if len(members_of) else []):
            scene = build_scene(root, n, rows, stamps, tables, side, description, images, notes, places)
            layout = layouts.get(str(tables["scene"].rows[n].get("log_token")))
            name = f"{scene.info.name}-{k:03d}" if single else scene.info.name
            scenes.append(replace(scene, layout=layout, info=replace(scene.info, name=name)))
    return Dataset(root, tuple(scenes), dict(ignored), description)


def _refuse_shared_grids(root: Path, scenes: Table) -> None:
    """Raise :class:`TableError` for an elevation model that belongs to two scenes by its name."""
    names = Counter(str(row["name"]) for row in scenes.rows)
    for name, count in names.items():
        if count > 1 and scene_grid_path(root, name).is_file():
            problem = f"{count} scenes are called {name!r}, and {scene_grid_path(root, name)} can be that of one only"
            raise TableError(scenes.path, problem, "give every scene a name of its own")


def _within(k: int, scene: Scene) -> int:
    if not 0 <= k < scene.info.frames:
        raise IndexError(f"frame {k} of {scene.info.name}: expected 0 to {scene.info.frames - 1}")
    return k
