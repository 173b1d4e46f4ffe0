"""Mounting errors of the cameras of a bag, from the objects that its UAVs see in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.order.pending import InstantInputs
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import TopicMap
from rsdfm_ros.data.messages.poses import extrinsics
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.geometry.mounting import Mount, MountSighting, solve_mounts
from rsdfm_ros.geometry.rotations import quaternion_from_matrix, rotation_vector
from rsdfm_ros.model.perception import Perception

RELIABLE_SIGMA_RAD = np.deg2rad(0.2)
"""With a larger standard deviation about any axis an estimate is not worth using."""
LEAST_MATCHES = 30
PERSISTENCE_S = 10.0
"""The detector's error at a vehicle lasts about so long, as long as the view of it changes little: images within this
time say little more than one of them, and the uncertainty grows accordingly."""


@dataclass(frozen=True)
class CameraMount:
    """found: the rotation by which T_body_camera is to be turned about the camera's axes · extrinsics: with it, None
    where they come from TF · problem: why it should not be used, "" if it may."""

    uav: str
    camera: str
    found: Mount
    extrinsics: tuple[float, ...] | None
    problem: str = ""


def camera_mounts(
    bag: Bag,
    topic_map: TopicMap,
    perception: Perception,
    on_instant: Callable[[int], None] = lambda number: None,
) -> tuple[list[CameraMount], Sensors]:
    """The mounting errors of all UAVs, and what was read and left out. on_instant: told how many instants were read.

    Raises: RsdfmError with fewer than two UAVs, several cameras per UAV, or a model that detects nothing.
    """
    sensors = Sensors(bag, topic_map)
    check(sensors, perception)
    ground = GroundPlane(offset=topic_map.ground_height_m)
    agents = {name: Agent(name, perception.on_ground(ground)) for name in sensors.uavs}
    instants: list[dict[str, MountSighting]] = []
    stamps: list[int] = []
    together = 0
    for instant in sensors.instants():
        together += len(instant.images) > 1
        seen = {
            uav: s for uav in sorted(instant.images) if (s := _seen(agents[uav], instant, sensors, ground))
        }
        if len(seen) > 1:
            instants.append(seen)
            stamps.append(instant.stamp_ns)
            on_instant(len(instants))
    if not instants and together:
        raise RsdfmError(
            f"at none of the {together} instants with images of two UAVs did both see a vehicle: fly over vehicles, "
            "with views that overlap, and take a model that was trained"
        )
    if not instants:
        raise RsdfmError(
            "no instant has images of two UAVs with a pose: their images must be taken at the same times to 20 ms"
        )
    apart_s = float(np.median(np.diff(stamps))) / 1e9 if len(stamps) > 1 else PERSISTENCE_S
    return mounts_of(instants, sensors, max(1.0, PERSISTENCE_S / max(apart_s, 1e-3))), sensors


def check(sensors: Sensors, perception: Perception) -> None:
    """Raises: RsdfmError for a bag or model from which mounts cannot be told."""
    if len(sensors.uavs) < 2:
        raise RsdfmError(f"expected two UAVs or more that see the same vehicles, got {list(sensors.uavs)}")
    for uav in sensors.uavs:
        cameras = sensors.input_of(uav).config.cameras
        if len(cameras) > 1:
            raise RsdfmError(
                f"{uav} has the cameras {', '.join(cameras)}: calibrate one at a time, with a topic map "
                "that names it alone"
            )
    if "detection" not in perception.config.heads:
        raise RsdfmError("the model has no detection head: take one that has, such as models/nano")


def mounts_of(
    instants: Sequence[Mapping[str, MountSighting]], sensors: Sensors, alike: float
) -> list[CameraMount]:
    """The mounts of what was seen, with the extrinsics that follow. alike: as in solve_mounts."""
    out = []
    for uav, found in solve_mounts(instants, alike=alike).items():
        config = sensors.input_of(uav).config
        turned = None
        if config.pose_type != "tf" and config.extrinsics_source == "parameter":
            T = extrinsics(config.extrinsics)
            q = quaternion_from_matrix(T[:3, :3] @ rotation_vector(found.rotation))
            turned = (*(float(v) for v in T[:3, 3]), *(float(v) for v in q))
        problem = ""
        if found.matches < LEAST_MATCHES:
            problem = f"only {found.matches} sightings of common objects: fly over vehicles, with views that overlap"
        elif found.sigma.max() > RELIABLE_SIGMA_RAD:
            problem = "not known well enough: fly longer, with headings that change"
        out.append(CameraMount(uav, config.cameras[0], found, turned, problem))
    return out


def mounts_as_dict(mounts: Sequence[CameraMount]) -> dict[str, object]:
    """For --json: by UAV; angles in degrees about right, down and forward of the camera."""
    return {
        m.uav: {
            "camera": m.camera,
            "rotation_deg": _degrees(m.found.rotation),
            "sigma_deg": _degrees(m.found.sigma),
            "matches": m.found.matches,
            "extrinsics": None if m.extrinsics is None else list(m.extrinsics),
            "problem": m.problem,
        }
        for m in mounts
    }


def _degrees(values: NDArray[np.float64]) -> list[float]:
    return [float(v) for v in np.rad2deg(values)]


def _seen(
    agent: Agent, instant: InstantInputs, sensors: Sensors, ground: GroundPlane
) -> MountSighting | None:
    views = sensors.input_of(agent.name).views(instant.images[agent.name])
    if not views:
        return None
    height = instant.heights.get(agent.name)
    below = ground if height is None else GroundPlane(offset=height)
    own = agent.observe(views, instant.stamp_ns, below)
    boxes = own.sent_boxes()
    if boxes is None or not len(boxes):
        return None
    T = own.T_map_camera
    above = T[:3, 3] - [0.0, 0.0, float(below.elevation(T[:2, 3]))]
    return MountSighting(boxes, above, own.covariance, T[:3, :3])
