"""Pose sources: the message type, topic and quality of service of every `pose_type`.

Types of packages that may be missing (px4_msgs, tf2_msgs) are imported only when they are needed. tf2_ros is
not needed: data/messages/transforms.py keeps the tree, the same one that reads bags.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from rsdfm_ros.data.messages.poses import PX4_ODOMETRY
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core import qos

#: (package, message) of every pose_type that is a topic.
POSE_MESSAGES: Mapping[str, tuple[str, str]] = {
    "pose_with_covariance": ("geometry_msgs", "PoseWithCovarianceStamped"),
    "pose": ("geometry_msgs", "PoseStamped"),
    "odometry": ("nav_msgs", "Odometry"),
    "px4_odometry": ("px4_msgs", "VehicleOdometry"),
}
_WHERE = {
    "px4_msgs": "build https://github.com/PX4/px4_msgs of your PX4 release in this workspace, or use MAVROS with "
    "pose_type odometry",
    "tf2_msgs": "install ros-$ROS_DISTRO-tf2-msgs, or take the pose from a topic with another pose_type",
}
FROM_PX4 = "px4_odometry"
DEPTH = 50
"""Poses that may come while the node is busy."""


def pose_message(pose_type: str) -> Any:
    """The message class of a pose topic. Raises: RsdfmError that says what is missing and what to do."""
    package, name = POSE_MESSAGES[pose_type]
    kind = installed_message(package, name, f"pose_type {pose_type}")
    fields = [line.split()[1] for line in PX4_ODOMETRY.splitlines()] if pose_type == FROM_PX4 else []
    if lacking := [field for field in fields if field not in kind.get_fields_and_field_types()]:
        raise RsdfmError(
            f"the {package}/{name} that is installed here lacks {', '.join(lacking)}: pose_type {pose_type} needs that "
            f"of PX4 1.14 or later; {_WHERE[package]}"
        )
    return kind


def transform_message(reason: str) -> Any:
    """tf2_msgs/TFMessage. `reason`: the setting that needs it. Raises: as `pose_message`."""
    return installed_message("tf2_msgs", "TFMessage", reason)


def pose_qos(reliability: str, *, px4: bool) -> QoSProfile:
    """As configured; PX4's bridge offers best effort only."""
    return qos.sensor("best_effort" if px4 else reliability, depth=DEPTH)


def transform_qos(*, fixed: bool) -> QoSProfile:
    """QoS as that of tf2's listener: /tf reliable, /tf_static kept for late subscribers."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=100,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if fixed else DurabilityPolicy.VOLATILE,
    )


def installed_message(package: str, name: str, reason: str) -> Any:
    """A message class. `reason`: the setting that needs it. Raises: as `pose_message`."""
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        cure = _WHERE.get(package, f"install ros-$ROS_DISTRO-{package.replace('_', '-')}")
        raise RsdfmError(f"{reason} needs {package}/{name}, which is not installed here: {cure}") from error
