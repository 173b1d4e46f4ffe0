"""Sources of a node's ground: parameters, a file, topics with their ages, ranges and refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import Range

from rsdfm_ros.data.terrain import save_height_grid
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.ground import GroundPlane, sloped_plane
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.uav.ground_source import GroundSource, fixed_ground
from rsdfm_ros.nodes.uav.settings import EncoderSettings
from support import encoder_bench
from support.encoder_bench import START_NS, Bench, camera_pose, same

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context
S = 1_000_000_000
CAMERA = np.array([5.0, 6.0, 70.0])


class Node:
    """Interface of a node that GroundSource needs."""

    def __init__(self, **settings: Any) -> None:
        self.settings = replace(EncoderSettings(), **settings)
        self.health, self.sent, self.takes = Health(), [], {}
        self.rejected: Counter[str] = Counter()

    def create_publisher(self, kind: type, topic: str, _: Any) -> str:
        return topic

    def create_subscription(self, kind: type, topic: str, callback: Any, _: Any) -> None:
        self.takes[topic] = callback

    def expect(self, topic: str, what: str) -> None:
        assert topic in self.takes

    def send(self, publisher: str, message: Any) -> None:
        self.sent.append((publisher, message))

    def reject(self, reason: str, text: str) -> None:
        self.rejected[reason] += 1


def source(node: Node, **options: Any) -> GroundSource:
    out = GroundSource(node, **options)
    out.subscribe()
    return out


def height(z: float, stamp_s: float, frame: str = "map") -> PointStamped:
    message = PointStamped()
    message.header.frame_id = frame
    message.header.stamp.sec, message.header.stamp.nanosec = int(stamp_s), int((stamp_s % 1) * S)
    message.point.z = z
    return message


def distance(value: float, stamp_s: float) -> Range:
    message = Range(range=value, min_range=1.0, max_range=120.0)
    message.header.stamp.sec = int(stamp_s)
    return message


def test_a_plane_may_be_raised_and_tilted() -> None:
    node = Node(ground_height_m=12.0, ground_normal=(0.0, 0.2, 2.0))
    assert source(node).ground(5 * S) == sloped_plane((0.0, 0.1, 1.0), 12.0)
    assert source(Node()).ground(5 * S) == GroundPlane()
    assert not node.takes


def test_a_grid_comes_from_its_file(tmp_path: Path) -> None:
    save_height_grid(tmp_path / "g.npz", HeightGrid(np.full((3, 3), 4.0, np.float32), 0.0, 0.0, 1.0))
    ground = source(Node(ground_model="dem", ground_dem=str(tmp_path / "g.npz"))).ground(1)
    assert isinstance(ground, HeightGrid) and ground.elevation([0.5, 0.5]) == 4.0


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"ground_model": "dem"}, "ground_dem"),
        ({"ground_model": "dem", "ground_dem": "/nowhere.npz"}, "no height grid"),
        ({"ground_normal": (0.0, 1.0, 0.0)}, "point up"),
    ],
)
def test_what_is_no_ground_is_refused_when_a_node_is_configured(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(RsdfmError, match=word):
        fixed_ground(Node(**settings).settings)


def test_the_height_nearest_in_time_counts_and_an_old_one_does_not() -> None:
    node = Node(ground_model="topic", ground_max_age_s=0.5)
    ground = source(node)
    assert ground.ground(10 * S) is None and ground.known(10 * S) == GroundPlane()
    for z, at in ((3.0, 10.0), (4.0, 10.4), (5.0, 11.0)):
        node.takes["ground/height"](height(z, at))
    assert ground.ground(10 * S) == GroundPlane(offset=3.0)
    assert ground.ground(10 * S + S // 2) == GroundPlane(offset=4.0)
    assert ground.ground(int(11.4 * S)) == GroundPlane(offset=5.0)
    assert ground.ground(12 * S) is None and ground.known(12 * S) == GroundPlane(offset=5.0)
    assert node.health.counts["ground_heights"] == 3
    ground.clear()
    assert ground.ground(11 * S) is None


def test_a_range_is_counted_down_from_the_camera_and_told_to_other_processes() -> None:
    node = Node(ground_model="range")
    ground = source(node, takes_range=True)
    node.takes["ground/range"](distance(58.5, 10.0))
    assert ground.ground(10 * S, CAMERA) == GroundPlane(offset=11.5)
    ((topic, message),) = node.sent
    assert topic == "ground/height" and message.point.z == 11.5 and message.header.frame_id == "map"
    listener = Node(ground_model="range")
    other = source(listener)  # a node that knows no camera
    listener.takes["ground/height"](message)
    assert other.ground(10 * S) == GroundPlane(offset=11.5)


@pytest.mark.parametrize(
    ("model", "message", "reason"),
    [
        ("topic", height(np.nan, 1.0), "ground_value"),
        ("topic", height(2e4, 1.0), "ground_value"),
        ("topic", height(1.0, 1.0, "odom"), "ground_frame"),
        ("topic", height(1.0, 0.0), "stamp_zero"),
        ("range", distance(0.2, 1.0), "ground_value"),
        ("range", distance(float("inf"), 1.0), "ground_value"),
    ],
)
def test_a_height_that_cannot_be_is_refused_and_counted(model: str, message: Any, reason: str) -> None:
    node = Node(ground_model=model)
    ground = source(node, takes_range=True)
    (take,) = node.takes.values()
    take(message)
    assert node.rejected == {reason: 1} and ground.ground(S, CAMERA) is None


def test_an_encoder_maps_onto_the_height_that_it_is_told_and_waits_for_none(
    bench: Callable[..., Bench],
) -> None:
    raised = camera_pose()
    raised[2, 3] += 25.0
    usual = bench().start()
    usual.info()
    usual.pose()
    usual.image()
    expected = usual.answered(1)

    told = bench(ground_model="topic").start()
    told.info()
    told.pose(T=raised)
    told.image()
    told.refused("ground_unknown")
    told.publish("ground/height", height(25.0, START_NS / S))
    told.until(lambda: told.node.health.counts["ground_heights"] == 1, "the height is taken")
    told.pose(1, T=raised)
    told.image(1)
    assert same(told.answered(1), expected)
    assert told.own[0].ground == GroundPlane(offset=25.0)

    measured = bench(ground_model="range").start()
    measured.info()
    measured.publish("ground/range", distance(float(raised[2, 3]) - 25.0, START_NS / S))
    measured.until(lambda: measured.node.health.counts["ground_heights"] == 1, "the range is taken")
    measured.pose(T=raised)
    measured.image()
    assert same(measured.answered(1), expected)
