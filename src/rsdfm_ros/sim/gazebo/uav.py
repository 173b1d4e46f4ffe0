"""The UAV in SDF: a quadrotor body, a two-axis gimbal with the camera, IMU, and the systems that move and report it.

Topics have the names that gz-sim makes from the model's name (bridge.py knows them), so that one model file serves any
number of UAVs. The UAV is moved by commanded velocities, not by its rotors: the scene is simulated here, not flight
dynamics.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.gazebo.gimbal import GIMBAL_M, PITCH_LIMITS_RAD, ROLL_LIMITS_RAD, Posture
from rsdfm_ros.sim.gazebo.xml import add, checked_name, colour, numbers, plugin, pose

MODEL = "rsdfm_uav"
BASE, PITCH_LINK, CAMERA_LINK = "base_link", "gimbal_link", "camera_link"
PITCH_JOINT, ROLL_JOINT = "gimbal_pitch", "gimbal_roll"
CAMERA, IMU = "camera", "imu"
ODOMETRY_HZ, IMU_HZ = 50, 125
"""Whole numbers of physics steps apart (world.STEP_S)."""
CLIP_M = (0.5, 700.0)
MASS_KG = 1.9
_CARBON, _SHELL, _ROTOR, _LENS = (0.06, 0.06, 0.07), (0.85, 0.86, 0.88), (0.2, 0.2, 0.22), (0.02, 0.02, 0.03)


def uav_model(parent: ET.Element, name: str, config: SimConfig, at: Posture | None = None) -> ET.Element:
    """The model of one UAV; `at`: its start and the posture of its gimbal."""
    model = add(parent, "model", name=checked_name(name, "name of a UAV"))
    if at is not None:
        pose(model, at.position, (0.0, 0.0, at.yaw))
    _base(model)
    _gimbal(model, config)
    _systems(model, name, at)
    return model


def _base(model: ET.Element) -> None:
    link = _link(model, BASE, (0.0, 0.0, 0.0), MASS_KG, (0.021, 0.023, 0.038))
    collision = add(link, "collision", name="bounds")
    add(add(add(collision, "geometry"), "box"), "size", "0.5 0.5 0.2")
    _box(link, "hull", (0.0, 0.0, 0.0), (0.26, 0.15, 0.08), _SHELL)
    _box(link, "battery", (-0.02, 0.0, 0.055), (0.16, 0.07, 0.03), _CARBON)
    _cylinder(link, "gnss", (-0.06, 0.0, 0.1), 0.03, 0.02, _SHELL)
    for n, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        x, y = 0.17 * sx, 0.17 * sy
        turn = 0.785398 * (1 if sx * sy > 0 else -1)
        _box(link, f"arm{n}", (0.5 * x, 0.5 * y, 0.02), (0.26, 0.025, 0.02), _CARBON, turn)
        _cylinder(link, f"motor{n}", (x, y, 0.045), 0.018, 0.04, _CARBON)
        _cylinder(link, f"rotor{n}", (x, y, 0.07), 0.12, 0.004, _ROTOR, transparency=0.6)
    for n, y in enumerate((0.1, -0.1)):
        _box(link, f"leg{n}", (-0.04, y, -0.09), (0.02, 0.02, 0.12), _CARBON)
        _box(link, f"skid{n}", (-0.04, y, -0.15), (0.2, 0.02, 0.02), _CARBON)
    imu = add(link, "sensor", name=IMU, type="imu")
    add(imu, "always_on", True)
    add(imu, "update_rate", IMU_HZ)
    sense = add(imu, "imu")
    for kind, deviation in (("angular_velocity", 0.0009), ("linear_acceleration", 0.017)):
        group = add(sense, kind)
        for axis in "xyz":
            noise = add(add(group, axis), "noise", type="gaussian")
            add(noise, "mean", 0)
            add(noise, "stddev", deviation)


def _gimbal(model: ET.Element, config: SimConfig) -> None:
    yoke = _link(model, PITCH_LINK, GIMBAL_M, 0.08, (5e-5, 5e-5, 5e-5))
    for n, y in enumerate((0.035, -0.035)):
        _box(yoke, f"yoke{n}", (0.0, y, 0.02), (0.02, 0.008, 0.06), _CARBON)
    camera = _link(model, CAMERA_LINK, GIMBAL_M, 0.07, (4e-5, 4e-5, 4e-5))
    _box(camera, "housing", (-0.02, 0.0, 0.0), (0.05, 0.05, 0.045), _CARBON)
    _box(camera, "lens", (0.008, 0.0, 0.0), (0.012, 0.03, 0.03), _LENS)
    sensor = add(camera, "sensor", name=CAMERA, type="camera")
    add(sensor, "always_on", True)
    add(sensor, "update_rate", config.frame_rate_hz)
    inner = add(sensor, "camera")
    add(inner, "horizontal_fov", f"{config.horizontal_fov_rad:.9f}")
    image = add(inner, "image")
    add(image, "width", config.width_px)
    add(image, "height", config.height_px)
    add(image, "format", "R8G8B8")
    add(image, "anti_aliasing", config.samples)
    clip = add(inner, "clip")
    add(clip, "near", CLIP_M[0])
    add(clip, "far", CLIP_M[1])
    _joint(model, PITCH_JOINT, BASE, PITCH_LINK, "0 1 0", PITCH_LIMITS_RAD)
    _joint(model, ROLL_JOINT, PITCH_LINK, CAMERA_LINK, "1 0 0", ROLL_LIMITS_RAD)


def _systems(model: ET.Element, name: str, at: Posture | None) -> None:
    plugin(model, "velocity-control", "VelocityControl")
    angles = ((PITCH_JOINT, 0.785 if at is None else at.pitch), (ROLL_JOINT, 0.0 if at is None else at.roll))
    for joint, angle in angles:
        plugin(
            model, "joint-position-controller", "JointPositionController",
            joint_name=joint, use_velocity_commands=True, cmd_max=3.0, initial_position=angle,
        )  # fmt: skip
    # A model that is put into other worlds gets its name there.
    frames = {} if at is None else {"robot_base_frame": f"{name}/{BASE}"}
    plugin(model, "joint-state-publisher", "JointStatePublisher", update_rate=ODOMETRY_HZ)
    plugin(
        model, "odometry-publisher", "OdometryPublisher",
        dimensions=3, odom_publish_frequency=ODOMETRY_HZ, odom_frame="map", **frames,
    )  # fmt: skip


def _link(
    model: ET.Element,
    name: str,
    at: tuple[float, float, float],
    mass_kg: float,
    inertia: tuple[float, float, float],
) -> ET.Element:
    """A weightless link: the commanded velocity alone moves the UAV."""
    link = add(model, "link", name=name)
    if any(at):
        pose(link, at)
    add(link, "gravity", False)
    inertial = add(link, "inertial")
    add(inertial, "mass", mass_kg)
    tensor = add(inertial, "inertia")
    for axis, value in zip(("ixx", "iyy", "izz"), inertia, strict=True):
        add(tensor, axis, value)
    return link


def _joint(
    model: ET.Element, name: str, parent: str, child: str, axis: str, limits: tuple[float, float]
) -> None:
    joint = add(model, "joint", name=name, type="revolute")
    add(joint, "parent", parent)
    add(joint, "child", child)
    about = add(joint, "axis")
    add(about, "xyz", axis)
    limit = add(about, "limit")
    for tag, value in zip(("lower", "upper"), limits, strict=True):
        add(limit, tag, value)
    add(limit, "effort", 10.0)
    add(limit, "velocity", 10.0)
    add(add(about, "dynamics"), "damping", 0.001)


def _visual(
    link: ET.Element, name: str, at: tuple[float, float, float], rgb: tuple[float, float, float], yaw: float
) -> ET.Element:
    visual = add(link, "visual", name=name)
    pose(visual, at, (0.0, 0.0, yaw))
    material = add(visual, "material")
    for tag in ("ambient", "diffuse"):
        colour(material, tag, rgb)
    colour(material, "specular", (0.1, 0.1, 0.1))
    return visual


def _box(
    link: ET.Element,
    name: str,
    at: tuple[float, float, float],
    size: tuple[float, float, float],
    rgb: tuple[float, float, float],
    yaw: float = 0.0,
) -> None:
    visual = _visual(link, name, at, rgb, yaw)
    add(add(add(visual, "geometry"), "box"), "size", numbers(size, 3))


def _cylinder(
    link: ET.Element,
    name: str,
    at: tuple[float, float, float],
    radius: float,
    length: float,
    rgb: tuple[float, float, float],
    transparency: float = 0.0,
) -> None:
    visual = _visual(link, name, at, rgb, 0.0)
    shape = add(add(visual, "geometry"), "cylinder")
    add(shape, "radius", radius)
    add(shape, "length", length)
    if transparency:
        add(visual, "transparency", transparency)
