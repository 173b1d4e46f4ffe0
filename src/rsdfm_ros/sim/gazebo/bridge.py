"""YAML configuration of ros_gz_bridge: the topics between Gazebo and the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rsdfm_ros.sim.gazebo.uav import BASE, CAMERA, CAMERA_LINK, IMU, PITCH_JOINT, ROLL_JOINT
from rsdfm_ros.sim.gazebo.versions import HARMONIC, Gazebo
from rsdfm_ros.sim.gazebo.world import WORLD

GZ_TO_ROS, ROS_TO_GZ = "GZ_TO_ROS", "ROS_TO_GZ"
GIMBAL_TOPICS = {PITCH_JOINT: "gimbal/pitch/command", ROLL_JOINT: "gimbal/roll/command"}
"""Joint → topic of its commanded angle, rad, below the UAV's namespace."""


@dataclass(frozen=True)
class BridgeEntry:
    """One bridged topic, with Harmonic's name of the message type. lazy: only while there is a subscriber on the
    receiving side."""

    ros_topic: str
    gz_topic: str
    ros_type: str
    gz_type: str
    direction: str
    lazy: bool = False


def bridge_entries(namespaces: Mapping[str, str], world: str = WORLD) -> list[BridgeEntry]:
    """The clock, and of every UAV (name → namespace such as /uav1) sensors, state and commands.

    Images arrive under the names of the UAV's input topics. The intrinsics do not: Gazebo counts the principal
    point from the image's edge, ROS from the centre of its first pixel; gazebo_flight_node passes them on as
    camera/camera_info.
    """
    entries = [BridgeEntry("/clock", "/clock", "rosgraph_msgs/msg/Clock", "gz.msgs.Clock", GZ_TO_ROS)]
    for agent, namespace in namespaces.items():
        entries += _uav_entries(agent, namespace, world)
    return entries


def _uav_entries(agent: str, ns: str, world: str) -> list[BridgeEntry]:
    model, scoped = f"/model/{agent}", f"/world/{world}/model/{agent}"
    camera = f"{scoped}/link/{CAMERA_LINK}/sensor/{CAMERA}"
    imu = f"{scoped}/link/{BASE}/sensor/{IMU}/imu"
    out = [
        BridgeEntry(f"{ns}/camera/image_raw", f"{camera}/image", "sensor_msgs/msg/Image", "gz.msgs.Image", GZ_TO_ROS),
        BridgeEntry(
            f"{ns}/gazebo/camera_info", f"{camera}/camera_info", "sensor_msgs/msg/CameraInfo", "gz.msgs.CameraInfo",
            GZ_TO_ROS,
        ),
        BridgeEntry(f"{ns}/odometry", f"{model}/odometry", "nav_msgs/msg/Odometry", "gz.msgs.Odometry", GZ_TO_ROS),
        BridgeEntry(
            f"{ns}/joint_states", f"{scoped}/joint_state", "sensor_msgs/msg/JointState", "gz.msgs.Model", GZ_TO_ROS
        ),
        BridgeEntry("/tf", f"{model}/pose", "tf2_msgs/msg/TFMessage", "gz.msgs.Pose_V", GZ_TO_ROS, lazy=True),
        BridgeEntry(f"{ns}/imu", imu, "sensor_msgs/msg/Imu", "gz.msgs.IMU", GZ_TO_ROS, lazy=True),
        BridgeEntry(f"{ns}/cmd_vel", f"{model}/cmd_vel", "geometry_msgs/msg/Twist", "gz.msgs.Twist", ROS_TO_GZ),
    ]  # fmt: skip
    for joint, topic in GIMBAL_TOPICS.items():
        commands = f"{model}/joint/{joint}/0/cmd_pos"
        out.append(
            BridgeEntry(f"{ns}/{topic}", commands, "std_msgs/msg/Float64", "gz.msgs.Double", ROS_TO_GZ)
        )
    return out


def bridge_yaml(entries: list[BridgeEntry], gazebo: Gazebo = HARMONIC) -> str:
    """The file for `parameter_bridge --ros-args -p config_file:=…` of a version of Gazebo."""
    lines = ["# Written by `rsdfm gazebo`; read by ros_gz_bridge's parameter_bridge (config_file)."]
    for e in entries:
        lines += [
            f'- ros_topic_name: "{e.ros_topic}"',
            f'  gz_topic_name: "{e.gz_topic}"',
            f'  ros_type_name: "{e.ros_type}"',
            f'  gz_type_name: "{gazebo.messages}{e.gz_type.removeprefix(HARMONIC.messages)}"',
            f"  direction: {e.direction}",
        ]
        if e.lazy:
            lines.append("  lazy: true")
    return "\n".join(lines) + "\n"
