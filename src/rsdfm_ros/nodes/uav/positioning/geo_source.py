"""Satellite fixes of a node: the subscriptions, and the agreement on the world's origin over /geo_origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from sensor_msgs.msg import NavSatFix, NavSatStatus

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.fixes import FIX_READERS, TAKEOFF
from rsdfm_ros.data.messages.geo.messages import ORIGIN_TOPIC, origin_of
from rsdfm_ros.data.messages.geo.origin import OriginAgreement
from rsdfm_ros.data.messages.geo.poses import configured_origin, place_of
from rsdfm_ros.data.messages.geo.world import GeoOrigin
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.pose_source import installed_message, pose_qos

FIX, ATTITUDE = "fix", "attitude"
ORIGINS = 64
"""Publishers of an origin that may be heard at once."""
#: (package, message) of every geo_fix_type and geo_attitude_type.
FIX_MESSAGES: Mapping[str, tuple[str, str]] = {
    "navsat": ("sensor_msgs", "NavSatFix"),
    "px4": ("px4_msgs", "VehicleGlobalPosition"),
}
ATTITUDE_MESSAGES: Mapping[str, tuple[str, str]] = {
    "imu": ("sensor_msgs", "Imu"),
    "quaternion": ("geometry_msgs", "QuaternionStamped"),
    "pose": ("geometry_msgs", "PoseStamped"),
    "odometry": ("nav_msgs", "Odometry"),
    "px4": ("px4_msgs", "VehicleAttitude"),
}


class GeoSource:
    """Made when a node is configured, which refuses message types that are not installed; `subscribe` when it is
    activated. give: called with what matched."""

    def __init__(
        self, node: Any, config: InputConfig, inputs: Inputs, give: Callable[[list[Matched]], None]
    ) -> None:
        """Raises: RsdfmError for messages that are not installed."""
        self._node, self._config, self._inputs, self._give = node, config, inputs, give
        self._fix = installed_message(
            *FIX_MESSAGES[config.geo_fix_type], f"geo_fix_type {config.geo_fix_type}"
        )
        self._attitude = installed_message(
            *ATTITUDE_MESSAGES[config.geo_attitude_type], f"geo_attitude_type {config.geo_attitude_type}"
        )
        self._agreement = OriginAgreement(
            configured_origin(config), needs_altitude=config.geo_altitude != TAKEOFF
        )
        self._publisher: Any = None

    def subscribe(self) -> None:
        """Subscribe to fixes, attitudes and the origin; the node's phase ends the subscriptions."""
        node = self._node
        reliability = node.settings.image_reliability
        fix_qos = pose_qos(reliability, px4=self._config.geo_fix_type == "px4")
        attitude_qos = pose_qos(reliability, px4=self._config.geo_attitude_type == "px4")
        node.create_subscription(self._fix, FIX, self._on_fix, fix_qos)
        node.expect(FIX, "fix")
        node.create_subscription(self._attitude, ATTITUDE, self._on_attitude, attitude_qos)
        node.expect(ATTITUDE, "attitude")
        self._publisher = node.create_publisher(NavSatFix, ORIGIN_TOPIC, qos.latched())
        node.create_subscription(NavSatFix, ORIGIN_TOPIC, self._on_origin, qos.latched(ORIGINS))
        if self._agreement.origin is not None:
            self._publish(self._agreement.origin)

    def _on_fix(self, message: Any) -> None:
        if self._agreement.origin is None:
            self._propose(message)
        self._give(self._inputs.add_pose(message))

    def _on_attitude(self, message: Any) -> None:
        self._give(self._inputs.add_attitude(message))

    def _propose(self, message: Any) -> None:
        config = self._config
        try:
            place = place_of(FIX_READERS[config.geo_fix_type](message, config.geo_altitude), config)
        except MessageError:
            return  # counted where the fix is used
        if self._agreement.propose(place, monotonic()):
            self._use(place, "its own first fix")

    def _on_origin(self, message: Any) -> None:
        origin = origin_of(message)
        try:
            if self._agreement.hear(origin, monotonic()):
                self._use(origin, "told by another UAV")
        except MessageError as error:
            self._node.reject(error.reason, str(error))

    def _use(self, origin: GeoOrigin, whence: str) -> None:
        self._node.get_logger().info(
            f"geo_origin {origin.latitude:.7f} {origin.longitude:.7f} {origin.altitude_m:.2f}, {whence}"
        )
        self._publish(origin)
        self._give(self._inputs.set_geo_origin(origin))

    def _publish(self, origin: GeoOrigin) -> None:
        message = NavSatFix(latitude=origin.latitude, longitude=origin.longitude, altitude=origin.altitude_m)
        message.header.stamp, message.header.frame_id = time_of(origin.stamp_ns), self._config.frame_id
        message.status.status = NavSatStatus.STATUS_FIX
        self._node.send(self._publisher, message)
