"""Frames of cameras and body on /tf: from the poses of the images, and only where there is no tree already."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Matched
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, matrix_from_quaternion, transform
from rsdfm_ros.nodes.uav.frames.pose_frames import PoseFrames, transforms
from support import encoder_bench, input_bench
from support.encoder_bench import START_NS, Bench, camera_pose
from support.input_bench import TWO, at, ms, numbers

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context

FRONT = numbers(transform(R_BODY_OPTICAL, [0.1, 0.0, -0.05]))


def matched(**config: Any) -> tuple[Matched, InputConfig]:
    """Images of all cameras at 10 ms between two poses, x = 0 and 2 m."""
    b = input_bench.Bench(**config)
    b.infos()
    b.pose(0, 0.0)
    found: list[Matched] = []
    for camera in range(len(b.inputs.config.cameras)):
        found += b.image(10, camera)
    found += b.pose(20, 2.0)
    assert len(found) == 1
    return found[0], b.inputs.config


def matrix(message: Any) -> np.ndarray:
    t, r = message.transform.translation, message.transform.rotation
    return transform(matrix_from_quaternion([r.x, r.y, r.z, r.w]), [t.x, t.y, t.z])


def test_a_pose_of_the_camera_gives_its_frame_alone_at_the_time_of_the_image() -> None:
    [frame] = transforms(*matched(max_speed_mps=0.0))
    assert (frame.header.frame_id, frame.child_frame_id) == ("map", "uav1/camera_optical")
    assert frame.header.stamp.sec * 10**9 + frame.header.stamp.nanosec == ms(10)
    np.testing.assert_allclose(matrix(frame), at(1.0), atol=1e-12)


def test_a_pose_of_the_body_gives_the_body_too() -> None:
    camera, body = transforms(*matched(extrinsics=FRONT, max_speed_mps=0.0))
    assert (camera.child_frame_id, body.child_frame_id) == ("uav1/camera_optical", "uav1/body")
    assert body.header.frame_id == "map"
    np.testing.assert_allclose(matrix(body), at(1.0), atol=1e-6)
    np.testing.assert_allclose(matrix(camera)[:3, 3], [1.1, 0.0, -0.05], atol=1e-6)
    np.testing.assert_allclose(
        matrix(camera)[:3, 2], [1.0, 0.0, 0.0], atol=1e-6
    )  # the optical axis looks ahead


def test_several_cameras_have_a_frame_each_and_one_body() -> None:
    names = [f.child_frame_id for f in transforms(*matched(**TWO, max_speed_mps=0.0))]
    assert names == ["uav1/front_optical", "uav1/rear_optical", "uav1/body"]


@dataclass
class TFMessage:
    """Stands for tf2_msgs/TFMessage."""

    transforms: list[Any] = field(default_factory=list)


class Stand:
    """A node whose publisher has a number of subscribers."""

    def __init__(self) -> None:
        self.listeners, self.sent, self.topics = 0, [], []

    def create_publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        self.topics.append(topic)
        return types.SimpleNamespace(qos_profile=profile, get_subscription_count=lambda: self.listeners)

    def send(self, publisher: Any, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
def tf2_msgs(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("tf2_msgs.msg")
    module.TFMessage = TFMessage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tf2_msgs", types.ModuleType("tf2_msgs"))
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", module)


@pytest.mark.usefixtures("tf2_msgs")
def test_frames_are_published_while_there_is_a_subscriber() -> None:
    node, (images, config) = Stand(), matched(max_speed_mps=0.0)
    frames = PoseFrames(node, "auto", config)
    frames.show(images)
    assert node.topics == ["/tf"] and node.sent == []
    node.listeners = 1
    frames.show(images)
    assert [t.child_frame_id for t in node.sent[0].transforms] == ["uav1/camera_optical"]


@pytest.mark.usefixtures("tf2_msgs")
@pytest.mark.parametrize("source", [{"pose_type": "tf"}, {"extrinsics_source": "tf"}])
def test_no_second_parent_is_given_to_frames_of_a_tree_that_is_there(source: dict[str, str]) -> None:
    node, config = Stand(), InputConfig(agent="uav1", **source)
    PoseFrames(node, "auto", config)
    assert node.topics == []
    with pytest.raises(RsdfmError, match="publish_pose_tf is `always`, but poses or extrinsics come from TF"):
        PoseFrames(node, "always", config)


@pytest.mark.usefixtures("tf2_msgs")
def test_never_means_never() -> None:
    node = Stand()
    PoseFrames(node, "never", InputConfig(agent="uav1"))
    assert node.topics == []


def test_the_encoder_says_that_tf2_msgs_is_missing_where_it_must_publish(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    with pytest.raises(
        RsdfmError, match="publish_pose_tf is `always`, but the ROS package tf2_msgs is not here"
    ):
        bench(publish_pose_tf="always").start()


def test_the_encoder_publishes_the_pose_that_its_packets_carry(bench: Callable[..., Bench]) -> None:
    messages = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed: it comes with ROS")
    b = bench().start()
    got: list[Any] = []
    heard = b.outside.create_subscription(messages.TFMessage, "/tf", got.append, 100)
    b.until(lambda: b.outside.count_publishers("/tf") == 1, "/tf is there")
    publisher = next(p for p in b.node.publishers if p.topic_name == "/tf")
    b.until(lambda: publisher.get_subscription_count() == 1, "/tf is heard")
    b.info()
    b.pose()
    b.image()
    b.answered(1)
    b.until(lambda: got and b.packets, "frames and packets come")
    [frame] = got[0].transforms
    packet: FeaturePacket = b.packets[0]
    assert packet.header.stamp == frame.header.stamp
    assert frame.header.stamp.sec * 10**9 + frame.header.stamp.nanosec == START_NS
    np.testing.assert_allclose(matrix(frame), camera_pose(), atol=1e-9)
    assert packet.camera_pose.position.x == frame.transform.translation.x
    b.outside.destroy_subscription(heard)
