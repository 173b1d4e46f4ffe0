"""A fused map of a megabyte reaches head nodes in other processes: more than the shared memory of Fast DDS holds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy")

from rsdfm_ros.msg import FusedBev

from rsdfm_ros.nodes.core import qos
from support.ros_world import RosWorld

BYTES, WAIT_S = 1_200_000, 60.0
_SENDER = f"""
import array, sys, time
import rclpy
from rclpy.duration import Duration
from rsdfm_ros.msg import FusedBev
from rsdfm_ros.nodes.core import qos
rclpy.init()
node = rclpy.create_node("sender")
publisher = node.create_publisher(FusedBev, "/bev/fused", qos.fused())
message = FusedBev(data=array.array("B", bytes({BYTES})))
deadline = time.monotonic() + {WAIT_S}
while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
    time.sleep(0.05)
for number in range(3):
    message.frame = number
    publisher.publish(message)
    publisher.wait_for_all_acked(Duration(seconds={WAIT_S}))
sys.stdin.read()
"""


def test_large_maps_arrive_whole(world: RosWorld) -> None:
    came: list[tuple[int, int]] = []
    world.manager.create_subscription(
        FusedBev, "/bev/fused", lambda m: came.append((m.frame, len(m.data))), qos.fused()
    )
    environment = {**os.environ, "ROS_DOMAIN_ID": str(world.domain)}
    sender = subprocess.Popen([sys.executable, "-c", _SENDER], env=environment, stdin=subprocess.PIPE)
    try:
        world.until(lambda: came and came[-1][0] == 2, "the last map is there", WAIT_S)
    finally:
        sender.kill()
        sender.wait()
    assert {size for _, size in came} == {BYTES}, "whole; a newer one may take the place of one not yet taken"
