"""Write everything that Gazebo needs for a scene into a folder."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from rsdfm_ros.sim.appearance import FACADES
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.gazebo import assets
from rsdfm_ros.sim.gazebo.bridge import bridge_entries, bridge_yaml
from rsdfm_ros.sim.gazebo.uav import MODEL, uav_model
from rsdfm_ros.sim.gazebo.versions import HARMONIC, Gazebo, name_plugins
from rsdfm_ros.sim.gazebo.world import SDF_VERSION, Scene, world_sdf
from rsdfm_ros.sim.gazebo.xml import SdfError, add, document
from rsdfm_ros.sim.ground import GROUND_PX

WORLD_FILE, BRIDGE_FILE = "world.sdf", "bridge.yaml"
OWNED = (WORLD_FILE, BRIDGE_FILE, "meshes", "textures", "models")
"""Files of a written world."""

_MODEL_TEXT = (
    "Quadrotor with a gimballed camera and an IMU. Commands: cmd_vel in the body frame, gimbal angles."
)


def write_world(
    folder: Path,
    scene: Scene,
    namespaces: Mapping[str, str] | None = None,
    ground_px: int = GROUND_PX,
    gazebo: Gazebo = HARMONIC,
) -> list[Path]:
    """Write world.sdf, meshes/, textures/, models/rsdfm_uav/ and bridge.yaml; the files, sorted.

    namespaces: UAV → ROS namespace, /<name> where missing · ground_px: pixels per side of the ground's image ·
    gazebo: the version whose names are used.
    Raises: SdfError.
    """
    spaces = {agent: (namespaces or {}).get(agent, f"/{agent}") for agent in scene.agents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        assets.write_meshes(folder / "meshes", scene.meshes, [f"walls{n}" for n in range(FACADES)])
        assets.write_textures(folder / "textures", scene.ground, scene.appearance.facades, ground_px)
        write_model(folder / "models" / MODEL, scene.config, gazebo)
        facts = (
            f"seed={scene.seed} uavs={len(scene.agents)} frames={scene.frames} start_s={scene.start_s:g} "
            f"gazebo={gazebo.name}"
        )
        comment = f"Made by `rsdfm gazebo` for {facts}: do not edit, make it anew."
        (folder / WORLD_FILE).write_text(document(name_plugins(world_sdf(scene), gazebo), comment))
        (folder / BRIDGE_FILE).write_text(bridge_yaml(bridge_entries(spaces), gazebo))
    except OSError as error:
        raise SdfError(f"cannot write to {folder}: {error}") from error
    made = (p for name in OWNED for p in (folder / name, *(folder / name).rglob("*")))
    return sorted(p for p in made if p.is_file())


def write_model(folder: Path, config: SimConfig, gazebo: Gazebo = HARMONIC) -> None:
    """Write the UAV as a model of its own, to be put into other worlds (`ros2 run ros_gz_sim create -file …`)."""
    folder.mkdir(parents=True, exist_ok=True)
    root = ET.Element("sdf", version=SDF_VERSION)
    uav_model(root, MODEL, config)
    comment = "Made by `rsdfm gazebo`: do not edit, make it anew."
    (folder / "model.sdf").write_text(document(name_plugins(root, gazebo), comment))
    about = ET.Element("model")
    add(about, "name", MODEL)
    add(about, "version", "1.0")
    add(about, "sdf", "model.sdf", version=SDF_VERSION)
    author = add(about, "author")
    add(author, "name", "The rsdfm_ros maintainers")
    add(author, "email", "maintainers@rsdfm-ros.example.org")
    add(about, "description", _MODEL_TEXT)
    (folder / "model.config").write_text(document(about, comment))
