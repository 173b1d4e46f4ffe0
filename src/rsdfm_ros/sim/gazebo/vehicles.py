"""Vehicles in SDF: parked ones as static models, moving ones as actors with a script."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.sim.gazebo.motion import Trajectory
from rsdfm_ros.sim.gazebo.xml import add, colour, number, numbers, pose
from rsdfm_ros.sim.variety.bodies import vehicle_parts
from rsdfm_ros.sim.vehicles import VehicleSpec

PAINT_SPECULAR = (0.2, 0.2, 0.2)


def vehicle_name(index: int, spec: VehicleSpec) -> str:
    """Name of the model or actor: vehicle<n>_<class>."""
    return f"vehicle{index}_{CLASSES[spec.kind]}"


def parked_model(
    world: ET.Element, index: int, spec: VehicleSpec, standing: NDArray[np.float64]
) -> ET.Element:
    """A static model of a vehicle that stands at x, y, yaw (3,), with its bounding box to collide with."""
    model = add(world, "model", name=vehicle_name(index, spec))
    add(model, "static", True)
    pose(model, (standing[0], standing[1], 0.0), (0.0, 0.0, standing[2]))
    link = add(model, "link", name="body")
    collision = add(link, "collision", name="bounds")
    pose(collision, (0.0, 0.0, 0.5 * spec.size[2]))
    add(add(add(collision, "geometry"), "box"), "size", numbers(spec.size, 3))
    _body(link, spec)
    return model


def moving_actor(
    world: ET.Element, index: int, spec: VehicleSpec, stays: Sequence[Trajectory], start_s: float
) -> ET.Element:
    """An actor that stands at its first waypoint until start_s of simulation time, then plays its trajectories.

    Without a skin an actor shows the visuals of its links and follows its script; in cameras it looks like any model,
    but nothing collides with it. The script loops: gz-sim counts the length of one that does not as 0, so that its
    actor would never leave the first waypoint, and would hang the server with a delay of 0. The last of the
    trajectories holds the final pose (motion.HOLD_MS).
    """
    actor = add(world, "actor", name=vehicle_name(index, spec))
    _body(add(actor, "link", name="body"), spec)
    script = add(actor, "script")
    add(script, "loop", True)
    add(script, "delay_start", seconds(round(1000 * start_s)))
    add(script, "auto_start", True)
    for number_, stay in enumerate(stays):
        trajectory = add(script, "trajectory", id=str(number_), type="drive", tension="0")
        for point in stay.waypoints:
            waypoint = add(trajectory, "waypoint")
            add(waypoint, "time", seconds(point.time_ms))
            add(waypoint, "pose", f"{numbers(point.xyz, 3)} 0 0 {number(point.yaw, 4)}")
    return actor


def seconds(time_ms: int) -> str:
    """A time in s that gz-sim reads as exactly these ms: it multiplies by 1000 and cuts the fraction off."""
    text = number(time_ms / 1000, 3)
    return text if int(float(text) * 1000) == time_ms else number((time_ms + 0.1) / 1000, 4)


def _body(link: ET.Element, spec: VehicleSpec) -> None:
    """The boxes that the vehicle is made of."""
    for n, part in enumerate(vehicle_parts(spec)):
        low, high = np.array(part.low), np.array(part.high)
        visual = add(link, "visual", name=f"part{n}")
        pose(visual, 0.5 * (low + high))
        add(add(add(visual, "geometry"), "box"), "size", numbers(high - low, 3))
        material = add(visual, "material")
        for tag in ("ambient", "diffuse"):
            colour(material, tag, part.rgb)
        colour(material, "specular", PAINT_SPECULAR)
