"""Nodes that take their inputs in batches, and odometry that is read without its message class."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.poses import from_odometry
from rsdfm_ros.data.messages.serialized import odometry_pose
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.polling import PollingNode
from rsdfm_ros.nodes.core.settings import NodeSettings
from support.ros_world import RosWorld


def odometry(frame: str = "map", child: str = "uav1/base_link") -> Odometry:
    message = Odometry(child_frame_id=child)
    message.header.stamp, message.header.frame_id = convert.time_of(12_345_678_901), frame
    p, q = message.pose.pose.position, message.pose.pose.orientation
    p.x, p.y, p.z = 1.5, -2.25, 40.0
    q.x, q.y, q.z, q.w = 0.1, -0.5, 0.5, 0.7
    return message


@pytest.mark.parametrize("frame", ["", "m", "ma", "map", "odom", "a/longer/name"])
@pytest.mark.parametrize("child", ["", "b", "uav1/base_link", "uav10/base_link"])
def test_serialised_odometry_reads_as_the_message_does(frame: str, child: str) -> None:
    message = odometry(frame, child)
    read, expected = odometry_pose(serialize_message(message)), from_odometry(message)
    np.testing.assert_array_equal(read.sample.T, expected.sample.T)
    assert (read.stamp_ns, read.frame_id, read.child_frame_id) == (12_345_678_901, frame, child)


@given(st.integers(0, 200), st.binary(max_size=8), st.integers(0, 200))
def test_damaged_odometry_is_refused_and_nothing_else_happens(cut: int, noise: bytes, at: int) -> None:
    data = serialize_message(odometry())
    data = (data[:at] + noise + data[at + len(noise) :])[: len(data) - cut * 5]
    with contextlib.suppress(MessageError):
        odometry_pose(data)


class Summing(PollingNode[NodeSettings]):
    """Sums what comes on ten topics."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[int] = []
        self.newest: dict[str, float] = {}
        self._new = 0
        super().__init__("summing", NodeSettings, **options)
        self.start_polling()

    def activate(self) -> None:
        for topic in "abcdefghij":
            take = lambda m, t=topic: self._take(t, m)  # noqa: E731
            self.create_subscription(
                Float64, topic, take, qos.sensor("reliable", depth=1), callback_group=self.unwaited
            )

    def _take(self, topic: str, message: Float64) -> None:
        if message.data < 0:
            raise MessageError("negative", "expected no negative number")
        self.newest[topic], self._new = message.data, self._new + 1

    def batch(self) -> None:
        self.batches.append(self._new)
        self._new = 0


def test_only_the_newest_is_taken_in_batches_and_errors_are_refusals() -> None:
    world = RosWorld()
    try:
        node = world.up(world.add(Summing(**world.options(use_sim_time=True))))
        publishers = [
            world.manager.create_publisher(Float64, f"/uav1/{t}", qos.sensor("reliable"))
            for t in "abcdefghij"
        ]
        clock = world.manager.create_publisher(Clock, "/clock", qos.outputs(depth=1))
        world.until(lambda: all(p.get_subscription_count() for p in publishers), "the node listens")
        for value in range(50):
            for publisher in publishers:
                publisher.publish(Float64(data=float(value)))
        world.until(lambda: list(node.newest.values()) == [49.0] * 10, "the newest numbers are there")
        assert sum(node.batches) < 500, "those that newer ones replaced are not taken"
        publishers[0].publish(Float64(data=-1.0))
        world.until(lambda: node.health.rejects.get("negative") == 1, "the error is counted")
        world.until(lambda: clock.get_subscription_count(), "the clock is heard")

        def told() -> bool:
            clock.publish(Clock(clock=convert.time_of(7_000_000_000)))
            return bool(node.get_clock().now().nanoseconds == 7_000_000_000)

        world.until(told, "the clock comes in batches too")
        node.deactivate()
        world.remove(node)
        assert not node._thread.is_alive()
    finally:
        world.close()
