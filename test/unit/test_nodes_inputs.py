"""The encoder node with every kind of input over real middleware: the same features, and nothing stops it for good."""

from __future__ import annotations

import array
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
import cv2
import input_messages
import rclpy
import torch
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rsdfm_ros.msg import FeaturePacket
from sensor_msgs.msg import CompressedImage

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.aerospace import enu_from_ned
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, quaternion_from_matrix, transform
from rsdfm_ros.nodes import camera_inputs, convert, qos
from rsdfm_ros.nodes.encoder_node import EncoderNode
from rsdfm_ros.nodes.handover import OwnFeatures
from rsdfm_ros.nodes.pose_source import transform_qos

TINY = Path(__file__).parents[1] / "integration" / "tiny.yaml"
SIZE = (64, 96)
K = np.array([[70.0, 0, 48], [0, 70.0, 32], [0, 0, 1]])
WAIT_S = 20.0
START_NS = 100_000_000_000
STEP_NS = 50_000_000
COVARIANCE = np.diag([0.04, 0.04, 0.09, 1e-4, 1e-4, 4e-4])
IDENTITY = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def camera_pose(heading: float = 0.0) -> np.ndarray:
    """T_map_camera at 30 m, looking down by 50° along the heading, from behind the origin."""
    c, s, p = np.cos(heading), np.sin(heading), np.deg2rad(50)
    R_map_body = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    R_down = np.array([[np.cos(p), 0, np.sin(p)], [0, 1, 0], [-np.sin(p), 0, np.cos(p)]])
    return transform(R_map_body @ R_down @ R_BODY_OPTICAL, [-20 * c, -20 * s, 30])


def numbers(T: np.ndarray) -> list[float]:
    return [float(v) for v in (*T[:3, 3], *quaternion_from_matrix(T[:3, :3]))]


def picture(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    """One participant for all tests of this file: every test has a namespace of its own."""
    made = Context()
    rclpy.init(context=made, domain_id=1 + os.getpid() % 99)
    yield made
    rclpy.shutdown(context=made)


class Bench:
    """An encoder node, a publisher of every input, and what came out."""

    def __init__(self, context: Context, name: str, **parameters: Any) -> None:
        defaults = {"model": f"random:{TINY}:3", "image_reliability": "reliable"}
        overrides = [Parameter(k, value=v) for k, v in {**defaults, **parameters}.items()]
        self.node = EncoderNode(context=context, namespace=name, parameter_overrides=overrides)
        self.outside = Node("outside", context=context, namespace=name, start_parameter_services=False)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.outside)
        self.own: list[OwnFeatures] = []
        self.packets: list[FeaturePacket] = []
        self.node.listeners.append(self.own.append)
        self.outside.create_subscription(
            FeaturePacket, "bev/features", self.packets.append, qos.features("best_effort", 1.0)
        )
        self._publishers: dict[str, Any] = {}

    def start(self) -> Bench:
        self.node.start()
        return self

    def publish(self, topic: str, message: Any) -> None:
        if topic not in self._publishers:
            profile = qos.sensor("reliable", depth=50)
            publisher = self.outside.create_publisher(type(message), topic, profile)
            self._publishers[topic] = publisher
            self.until(lambda: publisher.get_subscription_count() > 0, f"{topic} is connected")
        self._publishers[topic].publish(message)

    def info(self, camera: str = "camera", stamp: int = START_NS) -> None:
        self.publish(f"{camera}/camera_info", convert.intrinsics_to_message(K, SIZE, stamp, camera))

    def image(self, n: int = 0, camera: str = "camera", seed: int = 0, **changes: Any) -> None:
        message = convert.image_to_message(picture(seed), START_NS + n * STEP_NS, camera)
        for name, value in changes.items():
            setattr(message, name, value)
        self.publish(f"{camera}/image_raw", message)

    def pose(self, n: int = 0, T: np.ndarray | None = None, **changes: Any) -> None:
        at = camera_pose() if T is None else T
        message = convert.pose_to_message(at, COVARIANCE, START_NS + n * STEP_NS, "map")
        for name, value in changes.items():
            setattr(message.header, name, value)
        self.publish("pose", message)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, (
                f"waited in vain until {what}; refused {self.node.health.rejects}"
            )
            self.executor.spin_once(timeout_sec=0.02)

    def answered(self, count: int) -> OwnFeatures:
        self.until(lambda: len(self.own) >= count, f"{count} pictures are answered")
        return self.own[count - 1]

    def refused(self, reason: str, count: int = 1) -> None:
        self.until(lambda: self.node.health.rejects[reason] >= count, f"{reason} is counted")

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.outside.destroy_node()


@pytest.fixture
def bench(context: Context, request: pytest.FixtureRequest) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**parameters: Any) -> Bench:
        name = f"/t{abs(hash(request.node.name)) % 10**9}_{len(made)}"
        made.append(Bench(context, name, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def same(a: OwnFeatures, b: OwnFeatures) -> bool:
    return torch.equal(a.bev.features, b.bev.features) and torch.equal(a.bev.visible, b.bev.visible)


# --- the same picture by different ways ---------------------------------------------------------------------------


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
    png = cv2.imencode(".png", cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR))[1].tobytes()
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
    swapped = array.array("B", np.ascontiguousarray(picture()[..., ::-1]).tobytes())
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
    b.until(lambda: b.node.health.counts["images"] == 1, "the picture came")
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


# --- several cameras ----------------------------------------------------------------------------------------------


def two_cameras(bench: Callable[..., Bench], **parameters: Any) -> Bench:
    """The second camera looks 40° to the left of the first."""
    second = np.linalg.inv(camera_pose()) @ camera_pose(0.7)
    extrinsics = IDENTITY + numbers(second)
    return bench(cameras=["front", "left"], extrinsics=extrinsics, **parameters).start()


def test_two_cameras_see_more_than_one_and_a_dead_one_does_not_stop_the_other(
    bench: Callable[..., Bench],
) -> None:
    b = two_cameras(bench, camera_wait_s=0.2)
    for camera in ("front", "left"):
        b.info(camera)
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


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_the_node_works_again_after_every_kind_of_bad_input(bench: Callable[..., Bench]) -> None:
    b = bench(max_speed_mps=30.0).start()
    nan, far = camera_pose(), camera_pose()
    nan[0, 3], far[0, 3] = np.nan, 5000.0
    b.pose(0)
    b.image(0)
    b.refused("no_camera_info")
    b.info()
    zero = convert.image_to_message(picture(), 0, "camera")
    b.publish("camera/image_raw", zero)
    b.refused("stamp_zero")
    n = 1
    for reason, changes in (
        ("image_encoding", {"encoding": "jpeg2000"}),
        ("image_size", {"step": 5}),
        ("image_size", {"height": 0}),
        ("image_size", {"data": array.array("B", b"")}),
        ("camera_info_size", {"height": 32, "data": array.array("B", bytes(32 * 288))}),
    ):
        before = b.node.health.rejects[reason]
        b.pose(n)
        b.image(n, **changes)
        b.refused(reason, before + 1)
        n += 1
    b.pose(n, nan)
    b.refused("pose_not_finite")
    b.pose(n, far)
    b.refused("pose_jump")
    b.pose(n, frame_id="somewhere")
    b.refused("frame_id")
    assert b.own == []
    b.pose(n)
    b.image(n)
    good = b.answered(1)
    b.image(n)
    b.refused("image_repeated")
    b.pose(0)
    b.refused("pose_old" if n * STEP_NS > 1_000_000_000 else "pose_repeated")
    b.image(n - 1)
    b.refused("old_stamp")
    broken = convert.intrinsics_to_message(K, SIZE, START_NS, "camera")
    broken.k = np.full(9, np.nan)
    b.publish("camera/camera_info", broken)
    b.pose(n + 1)
    b.image(n + 1)
    b.refused("camera_info")
    b.info(stamp=START_NS + (n + 2) * STEP_NS)
    b.pose(n + 2)
    b.image(n + 2)
    assert same(b.answered(2), good)
    assert b.node.health.counts["errors"] == 0
    b.until(lambda: len({p.frame for p in b.packets}) == 2, "both pictures were sent")


def test_a_picture_waits_for_its_pose_and_the_pose_is_interpolated(bench: Callable[..., Bench]) -> None:
    b = bench().start()
    b.info()
    start, end = camera_pose(), camera_pose()
    end[0, 3] += 2.0
    b.pose(0, start)
    message = convert.image_to_message(picture(), START_NS + STEP_NS // 4, "camera")
    b.publish("camera/image_raw", message)
    b.until(lambda: b.node.health.counts["images"] == 1, "the picture came")
    assert b.own == []
    b.pose(1, end)
    b.answered(1)
    b.until(lambda: bool(b.packets), "a packet came")
    assert b.packets[0].camera_pose.position.x == pytest.approx(start[0, 3] + 0.5)


def test_a_camera_that_changes_its_size_and_focal_length_is_followed(bench: Callable[..., Bench]) -> None:
    b = bench().start()
    for n, scale in enumerate((1, 2, 1)):
        stamp = START_NS + n * STEP_NS
        size = (SIZE[0] * scale, SIZE[1] * scale)
        k = np.diag([scale, scale, 1.0]) @ K
        b.publish("camera/camera_info", convert.intrinsics_to_message(k, size, stamp, "camera"))
        b.pose(n)
        large = np.repeat(np.repeat(picture(), scale, axis=0), scale, axis=1)
        b.publish("camera/image_raw", convert.image_to_message(large, stamp, "camera"))
        b.answered(n + 1)
    assert torch.equal(b.own[0].bev.features, b.own[2].bev.features)
    assert torch.allclose(b.own[0].bev.features, b.own[1].bev.features, atol=1e-4)


def test_pictures_faster_than_the_pipeline_are_dropped_counted_and_the_newest_answered(
    bench: Callable[..., Bench],
) -> None:
    b = bench().start()
    b.info()
    for n in range(12):
        b.pose(n)
    b.node.worker.submit("encode", lambda: time.sleep(0.5))  # a picture that takes long
    for n in range(12):
        b.image(n)
    b.until(lambda: b.own and b.own[-1].stamp_ns == START_NS + 11 * STEP_NS, "the newest is answered")
    taken = b.node.health.counts
    assert taken["images_dropped"] >= 1 and len(b.own) + taken["images_dropped"] == taken["images"]


def test_the_inputs_survive_a_cycle_of_the_lifecycle(bench: Callable[..., Bench]) -> None:
    b = bench().start()
    for n in range(3):
        b.info(stamp=START_NS + n)
        b.pose(n)
        b.image(n)
        b.answered(n + 1)
        b.node.trigger_deactivate()
        assert not b.node.ready
        b.node.trigger_activate()
        assert b.node.ready
        publishers = b._publishers.values()
        b.until(
            lambda publishers=publishers: all(p.get_subscription_count() for p in publishers),
            "connected again",
        )


def test_missing_inputs_are_named(bench: Callable[..., Bench]) -> None:
    b = two_cameras(bench)
    topics = set(b.node.expectations._inputs)
    prefix = b.node.get_namespace()
    expected = ("pose", "front/camera_info", "front/image_raw", "left/camera_info", "left/image_raw")
    assert topics == {f"{prefix}/{topic}" for topic in expected}
