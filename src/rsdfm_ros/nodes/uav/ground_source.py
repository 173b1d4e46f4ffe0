"""The ground model of a node: from its parameters, a file, or a topic.

From topics comes the height of level ground: on ground/height as it is in the lattice frame, on ground/range as the
height of the camera above it, from a range finder or an estimator. encoder_node turns the latter into ground/height,
which the nodes of the same UAV in other processes listen to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import Range

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.ground_heights import MAX_HEIGHT_M, Heights
from rsdfm_ros.data.terrain import load_height_grid
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.ground import Ground, GroundPlane, sloped_plane
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.ground_settings import DEM, RANGE, TOPIC, GroundSettings

HEIGHT, RANGE_TOPIC = "ground/height", "ground/range"
KEPT = 64
"""Values of the topic that are kept for images that come later than they do."""


def fixed_ground(settings: GroundSettings) -> Ground:
    """The ground that needs no topic. Raises: GroundError."""
    if settings.ground_model == DEM:
        if not settings.ground_dem:
            raise RsdfmError("ground_model dem needs ground_dem: the path of a height grid (.npz)")
        return load_height_grid(settings.ground_dem)
    x, y, z = settings.ground_normal
    return sloped_plane((x, y, z), settings.ground_height_m)


class GroundSource:
    """Made when a node is configured, which refuses unusable settings; `subscribe` when it is activated.

    node: a PipelineNode whose settings are GroundSettings too. takes_range: the node knows the camera and may therefore
    listen to ground/range and publish ground/height.
    """

    def __init__(self, node: Any, *, takes_range: bool = False) -> None:
        self._node, self._range = node, takes_range and node.settings.ground_model == RANGE
        self._topical = node.settings.ground_model in (TOPIC, RANGE)
        self._fixed = GroundPlane() if self._topical else fixed_ground(node.settings)
        self._heights = Heights(KEPT)
        self._height: Any = None
        if self._range:
            self._height = node.create_publisher(PointStamped, HEIGHT, qos.outputs())

    def subscribe(self) -> None:
        """Subscribe to the topic, if one is wanted; the node's phase ends the subscription."""
        node = self._node
        if self._range:
            node.create_subscription(Range, RANGE_TOPIC, self._on_range, qos.sensor("best_effort"))
            node.expect(RANGE_TOPIC, "height above the ground")
        elif self._topical:
            node.create_subscription(PointStamped, HEIGHT, self._on_height, qos.sensor("best_effort"))
            node.expect(HEIGHT, "height of the ground")

    def clear(self) -> None:
        """Forget everything that has a stamp."""
        self._heights.clear()

    def ground(self, stamp_ns: int, camera: Any = None) -> Ground | None:
        """The ground at an instant; None when the topic has no value within ground_max_age_s.

        camera: position (3,) in metres of the camera that the height above ground refers to. In the worker thread.
        """
        if not self._topical:
            return self._fixed
        value = self._heights.nearest(stamp_ns, self._node.settings.ground_max_age_s)
        if value is None:
            return None
        if not self._range:
            return GroundPlane(offset=value)
        ground = GroundPlane(offset=float(camera[2]) - value)
        self._publish(stamp_ns, camera, ground)
        return ground

    def known(self, stamp_ns: int) -> Ground:
        """As `ground`, else the last height from a topic, else z = 0: for answers that cannot be left out."""
        newest = self._heights.newest()
        return self.ground(stamp_ns) or (self._fixed if newest is None else GroundPlane(offset=newest))

    def _publish(self, stamp_ns: int, camera: Any, ground: GroundPlane) -> None:
        message = PointStamped()
        message.header.stamp, message.header.frame_id = time_of(stamp_ns), self._node.settings.frame_id
        message.point.x, message.point.y, message.point.z = float(camera[0]), float(camera[1]), ground.offset
        self._node.send(self._height, message)

    def _on_height(self, message: PointStamped) -> None:
        self._take(lambda: self._heights.add_point(message, self._node.settings.frame_id))

    def _on_range(self, message: Range) -> None:
        low, high = max(0.0, message.min_range), message.max_range if message.max_range > 0 else MAX_HEIGHT_M
        self._take(lambda: self._heights.add(message, message.range, low, min(high, MAX_HEIGHT_M)))

    def _take(self, add: Callable[[], None]) -> None:
        try:
            add()
        except MessageError as error:
            self._node.reject(error.reason, str(error))
            return
        self._node.health.count("ground_heights")
