"""The encoder node with every kind of input over real middleware gives the same features."""

from __future__ import annotations

import array
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")
import cv2
import torch
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.aerospace import enu_from_ned
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, quaternion_from_matrix, transform
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.uav import camera_inputs
from rsdfm_ros.nodes.uav.pose_source import transform_qos
from support import encoder_bench, input_messages
from support.encoder_bench import (
    COVARIANCE,
    IDENTITY,
    START_NS,
    STEP_NS,
    Bench,
    camera_image,
    camera_pose,
    numbers,
    same,
    two_cameras,
)

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context


def test_every_way_of_giving_picture_and_pose_gives_the_same_features(bench: Callable[..., Bench]) -> None:
    usual = bench().start()
    usual.info()
    usual.pose()
    usual.image()
    expected = usual.answered(1)
    assert expected.bev.visible.any() and expected.stamp_ns == START_NS

    # PNG and the pose of a body that carries the camera.
    T_body_camera = transform(R_BODY_OPTICAL, [0.0, 0, 0])
    T_map_body = camera_pose() @ np.linalg.inv(T_body_camera)
    b = bench(image_transport="compressed", pose_type="odometry", extrinsics=numbers(T_body_camera)).start()
    b.info()
    odometry = Odometry(child_frame_id="base_link")
    odometry.header.stamp, odometry.header.frame_id = convert.time_of(START_NS), "map"
    convert.fill_pose(odometry.pose.pose, T_map_body)
    odometry.pose.covariance = COVARIANCE.ravel()
    b.publish("pose", odometry)
    png = cv2.imencode(".png", cv2.cvtColor(camera_image(), cv2.COLOR_RGB2BGR))[1].tobytes()
    message = CompressedImage(format="rgb8; png compressed bgr8", data=array.array("B", png))
    message.header.stamp = convert.time_of(START_NS)
    b.publish("camera/image_raw/compressed", message)
    got = b.answered(1)
    assert torch.equal(got.bev.visible, expected.bev.visible)
    assert torch.allclose(got.bev.features, expected.bev.features, atol=1e-4)
    assert torch.allclose(got.bev.sigma, expected.bev.sigma, atol=1e-4)

    # bgr8 and PoseStamped.
    c = bench(pose_type="pose", pose_sigma_m=0.2).start()
    c.info()
    pose = PoseStamped()
    pose.header.stamp, pose.header.frame_id = convert.time_of(START_NS), "map"
    convert.fill_pose(pose.pose, camera_pose())
    c.publish("pose", pose)
    swapped = array.array("B", np.ascontiguousarray(camera_image()[..., ::-1]).tobytes())
    c.image(encoding="bgr8", data=swapped)
    assert same(c.answered(1), expected)


def test_poses_from_tf_reach_the_same_camera(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tf2_msgs is not needed to check the path: transforms are handed over as its messages would be."""
    monkeypatch.setattr(camera_inputs, "transform_message", lambda reason: TransformStamped)
    usual = bench().start()
    usual.info()
    usual.pose()
    usual.image()
    b = bench(pose_type="tf", pose_sigma_m=0.2).start()
    inputs = b.node._inputs
    T_base_camera = transform(R_BODY_OPTICAL, [0.1, 0, 0])
    T_map_base = camera_pose() @ np.linalg.inv(T_base_camera)
    message = input_messages.tf(input_messages.transform("base_link", "camera", T_base_camera))
    inputs._on_transforms(True, message)
    b.info()
    b.image(1)
    b.until(lambda: b.node.health.counts["images"] == 1, "the image came")
    assert not b.own
    for n in (0, 1):
        at = START_NS + n * STEP_NS
        inputs._on_transforms(
            False, input_messages.tf(input_messages.transform("map", "base_link", T_map_base, at))
        )
    expected, got = usual.answered(1), b.answered(1)
    assert torch.equal(got.bev.visible, expected.bev.visible)
    assert torch.allclose(got.bev.features, expected.bev.features, atol=1e-3)


def test_poses_from_tf_over_the_middleware(bench: Callable[..., Bench]) -> None:
    tf2 = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    usual = bench().start()
    usual.info()
    usual.pose()
    usual.image()
    b = bench(pose_type="tf", pose_sigma_m=0.2).start()
    T_base_camera = transform(R_BODY_OPTICAL, [0.1, 0, 0])
    T_map_base = camera_pose() @ np.linalg.inv(T_base_camera)
    fixed = b.outside.create_publisher(tf2.TFMessage, "/tf_static", transform_qos(fixed=True))
    fixed.publish(tf2.TFMessage(transforms=[stamped("base_link", "camera", T_base_camera, 0)]))
    moving = b.outside.create_publisher(tf2.TFMessage, "/tf", transform_qos(fixed=False))
    b.until(lambda: moving.get_subscription_count() > 0, "/tf is connected")
    b.info()
    b.image(1)
    for n in (0, 1):
        at = START_NS + n * STEP_NS
        moving.publish(tf2.TFMessage(transforms=[stamped("map", "base_link", T_map_base, at)]))
    expected, got = usual.answered(1), b.answered(1)
    assert torch.equal(got.bev.visible, expected.bev.visible)
    assert torch.allclose(got.bev.features, expected.bev.features, atol=1e-3)


def stamped(parent: str, child: str, T: np.ndarray, ns: int) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.stamp, message.header.frame_id = convert.time_of(ns), parent
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = (float(v) for v in T[:3, 3])
    q.x, q.y, q.z, q.w = (float(v) for v in quaternion_from_matrix(T[:3, :3]))
    return message


def test_px4_odometry_over_the_middleware(bench: Callable[..., Bench]) -> None:
    px4 = pytest.importorskip("px4_msgs.msg", reason="px4_msgs is not installed")
    usual = bench().start()
    usual.info()
    usual.pose()
    usual.image()
    T_map_body = transform(np.eye(3), camera_pose()[:3, 3])
    T_body_camera = np.linalg.inv(T_map_body) @ camera_pose()
    b = bench(pose_type="px4_odometry", extrinsics=numbers(T_body_camera)).start()
    ned = enu_from_ned(T_map_body)
    x, y, z, w = quaternion_from_matrix(ned[:3, :3])
    message = px4.VehicleOdometry(timestamp_sample=START_NS // 1000, pose_frame=1)
    message.position = ned[:3, 3].astype(np.float32)
    message.q = np.array([w, x, y, z], np.float32)
    message.position_variance = np.full(3, 0.04, np.float32)
    b.info()
    b.publish("pose", message)
    b.image()
    expected, got = usual.answered(1), b.answered(1)
    assert torch.equal(got.bev.visible, expected.bev.visible)
    assert torch.allclose(got.bev.features, expected.bev.features, atol=1e-3)


@pytest.mark.parametrize(
    ("pose_type", "package", "cure"),
    [("px4_odometry", "px4_msgs", "MAVROS"), ("tf", "tf2_msgs", "another pose_type")],
)
def test_a_missing_package_is_named_when_the_node_is_configured(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, pose_type: str, package: str, cure: str
) -> None:
    monkeypatch.setitem(sys.modules, f"{package}.msg", None)  # also where it is installed
    b = bench(pose_type=pose_type)
    with pytest.raises(RsdfmError, match=rf"pose_type {pose_type} needs {package}/.*{cure}"):
        b.node.start()
    # Repaired without a new process.
    b.node.set_parameters([Parameter("pose_type", value="pose_with_covariance")])
    b.start()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"cameras": ["a", "b"]}, "14 numbers"),
        ({"cameras": ["a", "a"], "extrinsics": IDENTITY * 2}, "different names"),
        ({"extrinsics": [0.0] * 7}, "unit quaternion"),
        ({"significant_bits": 11}, "10, 12, 14, 16"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_a_sentence(
    bench: Callable[..., Bench], parameters: dict, says: str
) -> None:
    with pytest.raises(RsdfmError, match=says):
        bench(**parameters).node.start()


def test_two_cameras_see_more_than_one_and_a_dead_one_does_not_stop_the_other(
    bench: Callable[..., Bench],
) -> None:
    b = two_cameras(bench, camera_wait_s=0.5)
    for camera in ("front", "left"):
        b.info(camera)
        b.connect(f"{camera}/image_raw", Image)  # or the second image would be late by the discovery
    for n in range(3):
        b.pose(n)
    b.image(0, "front", 1)
    b.image(0, "left", 2)
    both = b.answered(1)
    b.image(1, "front", 1)  # the left one is silent
    front = b.answered(2)
    b.image(2, "left", 2)  # and now the front one
    left = b.answered(3)
    a, c = front.bev.visible, left.bev.visible
    assert torch.equal(both.bev.visible, a | c) and both.bev.visible.sum() > max(a.sum(), c.sum())
    alone = a & ~c
    assert alone.any() and torch.equal(both.bev.features[:, alone], front.bev.features[:, alone])
    assert [o.stamp_ns for o in b.own] == [START_NS + n * STEP_NS for n in range(3)]


def test_one_named_camera_equals_the_unnamed_one(bench: Callable[..., Bench]) -> None:
    usual, named = bench().start(), bench(cameras=["nadir"]).start()
    for b, camera in ((usual, "camera"), (named, "nadir")):
        b.info(camera)
        b.pose()
        b.image(0, camera)
    assert same(usual.answered(1), named.answered(1))


def test_a_px4_msgs_that_is_too_old_is_named_when_the_node_is_configured(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    class VehicleOdometry:
        @staticmethod
        def get_fields_and_field_types() -> dict[str, str]:
            return dict.fromkeys(["timestamp", "timestamp_sample", "local_frame", "q", "pose_covariance"], "")

    monkeypatch.setitem(sys.modules, "px4_msgs.msg", SimpleNamespace(VehicleOdometry=VehicleOdometry))
    b = bench(pose_type="px4_odometry")
    with pytest.raises(RsdfmError, match=r"lacks pose_frame, position, .*PX4 1\.14"):
        b.node.start()
