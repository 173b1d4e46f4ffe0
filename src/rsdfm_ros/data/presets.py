"""Descriptions of the data sets whose layout is known, and the choice of one for a folder.

The presets follow the published papers, file listings and tools of the two sets (sources: docs/datasets.md); it has
been verified on fixtures in the same layout, not on the sets themselves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from rsdfm_ros.data.description import BOXES, BY_SIZE, CAMERAS, FILE_NAME, IGNORE, Description, parse
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.yaml_file import YamlError, read_text

VEHICLES: tuple[tuple[str, str], ...] = (
    *((f"*{word}*", IGNORE) for word in ("bicycle", "motorcycle", "crossbike", "omafiets", "century")),
    *((f"*{word}*", IGNORE) for word in ("harley", "yamaha", "kawasaki", "vespa", "pedestrian", "walker")),
    *((f"*{word}*", "bus") for word in ("bus", "fusorosa")),
    *((f"*{word}*", "truck") for word in ("cybertruck", "carlacola", "firetruck", "truck")),
    *((f"*{word}*", "van") for word in ("ambulance", "sprinter", "volkswagen.t2", "van")),
    ("vehicle.car", "car"),
    ("car", "car"),
    ("vehicle*", BY_SIZE),
)
"""Names of nuScenes and blueprints of CARLA; a plain `vehicle` is classified by its size."""

_VALIDATION = "9 19 26 32 42 47 55 56 66 74 78 90 98 100 111 115 119 125"
_VALIDATION += " 131 136 141 156 160 174 178 185 189 192 193 197"
AIR_CO_PRED_VALIDATION = [int(number) for number in _VALIDATION.split()]
"""Scenes of Air-Co-Pred (of 1 to 200) that are for validation and, in the paper, for test."""

PRESETS: Mapping[str, Description] = MappingProxyType(
    {
        "nuscenes": Description(),
        "air-co-pred": Description(
            name="air-co-pred",
            channels=r"UAV_(?P<agent>\w+)",
            agent_names="uav{}",
            ground_height_m=BOXES,
            origin=CAMERAS,
            categories=VEHICLES,
            missing_cameras="allow",
            splits={
                "train": "rest",
                "val": {"numbers": AIR_CO_PRED_VALIDATION},
            },
        ),
        "aerocollab3d": Description(
            name="aerocollab3d",
            channels=r"UAV_(?P<agent>\d+)",
            agent_names="uav{}",
            ground_height_m=BOXES,
            origin=CAMERAS,
            categories=VEHICLES,
            missing_cameras="allow",
        ),
        "coperception-uavs": Description(
            name="coperception-uavs",
            axes="unreal",
            camera_axes="forward",
            extrinsics="calibrated_sensor",
            channels=r"CAM(?:ERA)?_(?P<camera>[A-Z]+)_id_(?P<agent>\d+)",
            agent_names="uav{}",
            agents_from=0,
            ground_height_m=BOXES,
            origin=CAMERAS,
            categories=VEHICLES,
            missing_cameras="allow",
            samples="single",
            camera_z="auto",
        ),
        "uav3d": Description(
            name="uav3d",
            axes="unreal",
            camera_axes="forward",
            extrinsics="calibrated_sensor",
            channels=r"CAMERA_(?P<camera>[A-Z]+)_id_(?P<agent>\d+)",
            agent_names="uav{}",
            agents_from=0,
            ground_height_m=BOXES,
            origin=CAMERAS,
            box_origin="bottom",
            size_order="lwh",
            categories=VEHICLES,
            missing_cameras="allow",
            splits={
                "train": "rest",
                "val": {"numbers": [1, 3, 5], "modulo": 20},
                "test": {"numbers": [11, 13, 15], "modulo": 20},
            },
        ),
        "griffin": Description(
            name="griffin",
            channels=r"(?P<agent>vehicle|drone)",
            ground_height_m=BOXES,
            origin=CAMERAS,
            size_order="lwh",
            categories=VEHICLES,
            missing_cameras="allow",
            ground_agents=("vehicle",),
        ),
    }
)


def locate(path: Path | str) -> tuple[Path, Description | None, str | None]:
    """The folder of a data set, its description (None: to be chosen by :func:`choose`) and the split wanted.

    `path`: a folder, a description file with `path`, either with `@split` behind it. Raises :class:`DatasetError`.
    """
    path, wanted = Path(path), None
    if not path.exists() and "@" in path.name:
        name, _, wanted = path.name.rpartition("@")
        path = path.with_name(name) if name else path.parent
    folder, file = path, path / FILE_NAME
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        file = path
    elif path.is_dir() and not file.is_file() and (path / "sample.json").exists():
        file = path.parent / FILE_NAME
    if not file.is_file():
        return folder, None, wanted
    try:
        text = read_text(file)
    except (OSError, YamlError) as error:
        raise DatasetError(file, f"cannot be read ({error})") from None
    description, data, split = parse(text, file, PRESETS)
    if file == path:
        folder = (file.parent / data).resolve() if data else file.parent
    return folder, description, wanted or split


def choose(channels: Collection[str], scenes: Collection[str], ours: bool, version: str) -> Description:
    """The preset that fits the channels, the names of the scenes and the name of the folder of tables; `ours`: whether
    our side file exists, which leaves no choice."""
    if ours:
        return PRESETS["nuscenes"]
    grouped = version.endswith("-group") and any(
        re.fullmatch(PRESETS["coperception-uavs"].channels, c) for c in channels
    )
    if grouped or any(re.fullmatch(r"CAM_[A-Z]+_id_\d+", c) for c in channels):
        return PRESETS["coperception-uavs"]
    if any(re.fullmatch(PRESETS["uav3d"].channels, c) for c in channels):
        return PRESETS["uav3d"]
    drones = any(re.fullmatch(PRESETS["air-co-pred"].channels, c) for c in channels)
    if drones and version.startswith("v1.23-"):
        return PRESETS["aerocollab3d"]
    named = any(re.fullmatch(r"scene-0-\d+", name) for name in scenes)
    return PRESETS["air-co-pred" if drones and (named or "LIDAR_TOP" in channels) else "nuscenes"]
