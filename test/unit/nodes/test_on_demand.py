"""Outputs without a subscriber are not computed; a new subscriber gets them, and the work ends with the last one."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import rclpy
import torch
from nav_msgs.msg import OccupancyGrid
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rsdfm_ros.msg import ObjectArray, TrajectoryArray
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from rsdfm_ros.agent.types import Fused
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.model.heads.segmentation import InstanceMap
from rsdfm_ros.model.heads.trajectory import Prediction
from rsdfm_ros.model.perception import FusedMap
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav import detection_head_node, segmentation_head_node, trajectory_head_node
from rsdfm_ros.nodes.uav.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.uav.trajectory_head_node import TrajectoryHeadNode
from support.own_domains import new_domain

WINDOW = square_window(8.0, 0.5)
NS = 10_000_000_000
#: node, topic, type, module and name of the function that makes the message
OUTPUTS = [
    (DetectionHeadNode, "detections", ObjectArray, detection_head_node, "boxes_to_bytes"),
    (DetectionHeadNode, "markers", MarkerArray, detection_head_node, "box_markers"),
    (SegmentationHeadNode, "instance_mask", Image, segmentation_head_node, "masks_to_message"),
    (SegmentationHeadNode, "debug/bev_image", Image, segmentation_head_node, "bev_image"),
    (TrajectoryHeadNode, "trajectories", TrajectoryArray, trajectory_head_node, "tracks_to_bytes"),
    (TrajectoryHeadNode, "paths", MarkerArray, trajectory_head_node, "path_markers"),
]


class Model:
    """Answers the same two vehicles to everything."""

    config = types.SimpleNamespace(history=3, heads=("detection", "segmentation", "trajectory"))
    output_window = WINDOW
    window = region = WINDOW
    thresholds: ClassVar[dict[str, float]] = {"objects": 0.3}

    def acquire(self) -> Model:
        return self

    def release(self) -> None:
        pass

    def at(self, region: Any) -> Model:
        return self

    def with_thresholds(self, thresholds: Any) -> Model:
        return self

    def detect(self, maps: Any) -> Detections:
        two = np.arange(2)
        return Detections(
            two, np.array([0.9, 0.8]), np.zeros((2, 3)), np.ones((2, 3)), np.zeros(2), np.zeros((2, 2))
        )

    def segment(self, maps: Any) -> InstanceMap:
        ids = np.zeros(WINDOW.shape, np.int32)
        ids[3, 4] = 1
        return InstanceMap(ids.astype(np.float32), ids, np.zeros((1, 2)), np.ones(1))

    def predict(self, maps: Any, present: Any) -> Prediction:
        ids = np.zeros((5, *WINDOW.shape), np.int32)
        return Prediction(ids, np.array([1]), np.zeros((1, 5, 2)), np.ones(1))


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context, domain_id=new_domain())
    yield context
    rclpy.shutdown(context=context)


def until(condition: Callable[[], bool], what: str, *executors: SingleThreadedExecutor) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        for executor in executors:
            executor.spin_once(timeout_sec=0.02)


def fused(n: int) -> Fused:
    seen = torch.ones(WINDOW.shape, dtype=torch.bool)
    return Fused(
        NS + n * 500_000_000,
        n,
        FusedMap(torch.zeros(1, *WINDOW.shape), seen),
        None,
        ("uav1",),
        (0.0,),
        WINDOW,
    )


@pytest.mark.parametrize(
    ("kind", "topic", "message", "module", "builder"), OUTPUTS, ids=[o[1] for o in OUTPUTS]
)
def test_an_output_is_built_only_while_somebody_listens(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    topic: str,
    message: Any,
    module: Any,
    builder: str,
) -> None:
    built, original = [], getattr(module, builder)
    monkeypatch.setattr(module, builder, lambda *a, **k: (built.append(1), original(*a, **k))[1])
    node = kind(Model(), fused_from_topic=False, context=context, namespace="/uav1")
    listener = Node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    try:
        node.start()
        frame = iter(range(100))

        def answer() -> None:
            node.take(fused(next(frame)))
            assert node.worker.wait_idle(10.0) is not False

        def count() -> int:
            return node.count_subscribers(f"/uav1/{topic}")

        answer()
        assert not built
        for _ in range(2):  # a listener comes, and goes
            got: list[Any] = []
            subscription = listener.create_subscription(message, f"/uav1/{topic}", got.append, 10)
            publisher = node._outputs[topic]
            until(lambda p=publisher: p.get_subscription_count() == 1, "the listener is connected", executor)
            before = len(built)
            answer()
            assert len(built) == before + 1
            until(lambda g=got: len(g) == 1, "the message came", executor)
            listener.destroy_subscription(subscription)
            until(lambda p=publisher: p.get_subscription_count() == 0, "the listener is gone", executor)
            answer()
            assert len(built) == before + 1
    finally:
        executor.shutdown()
        listener.destroy_node()
        node.destroy_node()


def test_a_node_that_is_told_to_publish_vision_msgs_says_that_they_are_missing(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vision_msgs.msg", None)
    arguments = ["--ros-args", "-p", "publish_detections_3d:=always"]
    node = DetectionHeadNode(
        Model(), fused_from_topic=False, context=context, namespace="/uav1", cli_args=arguments
    )
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert "vision_msgs" in node.last_error and "publish_detections_3d" in node.last_error
    finally:
        node.destroy_node()


def test_the_lattice_frame_is_sent_once_and_again_when_the_window_changes(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    tf2_ros = types.ModuleType("tf2_ros")
    tf2_ros.StaticTransformBroadcaster = lambda node: types.SimpleNamespace(sendTransform=sent.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "tf2_ros", tf2_ros)
    model = Model()
    node = SegmentationHeadNode(model, fused_from_topic=False, context=context, namespace="/uav1")
    try:
        node.start()
        for n in range(3):
            if n == 2:
                model.output_window = square_window(4.0, 0.25)
            node.take(fused(n))
            node.worker.wait_idle(10.0)
        assert [t.child_frame_id for t in sent] == ["uav1/lattice"] * 2
        assert [t.transform.translation.x for t in sent] == [-8.0, -4.0]
        assert sent[0].header.frame_id == "map"
    finally:
        node.destroy_node()


def test_a_late_subscriber_such_as_nav2s_static_layer_gets_the_last_occupancy(context: Context) -> None:
    node = SegmentationHeadNode(Model(), fused_from_topic=False, context=context, namespace="/uav1")
    late = Node("late", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(late)
    try:
        node.start()
        for n in range(2):
            node.take(fused(n))
            assert node.worker.wait_idle(10.0)
        got: list[OccupancyGrid] = []
        late.create_subscription(OccupancyGrid, "/uav1/occupancy", got.append, qos.latched())
        until(lambda: len(got) == 1, "the last map comes", executor)
        stamp = got[0].header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == NS + 500_000_000
    finally:
        executor.shutdown()
        late.destroy_node()
        node.destroy_node()


def test_a_latched_output_is_made_for_those_who_come_late(context: Context) -> None:
    override = "qos_overrides./uav1/trajectories.publisher.durability:=transient_local"
    node = TrajectoryHeadNode(
        Model(),
        fused_from_topic=False,
        context=context,
        namespace="/uav1",
        cli_args=["--ros-args", "-p", override],
    )
    late = Node("late", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(late)
    try:
        node.start()
        node.take(fused(0))
        assert node.worker.wait_idle(10.0)
        got: list[Any] = []
        late.create_subscription(TrajectoryArray, "/uav1/trajectories", got.append, qos.latched())
        until(lambda: len(got) == 1, "the answer before us comes", executor)
    finally:
        executor.shutdown()
        late.destroy_node()
        node.destroy_node()
