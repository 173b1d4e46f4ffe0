"""Errors, wrong fused maps, overload and clocks that jump: running nodes report them and go on."""

from __future__ import annotations

import array
import math
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rosgraph_msgs.msg import Clock
from rsdfm_ros.msg import AgentStatus, FusedBev, ObjectArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rsdfm_ros.agent.types import Fused
from rsdfm_ros.data.messages import stamps
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.reporting import RCLError
from rsdfm_ros.nodes.uav.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.node_flight import Flight, stamp_of
from support.ros_world import RosWorld, facts, level

# --- errors in callbacks ----------------------------------------------------------------------------------------------


def test_an_error_in_a_callback_is_reported_and_the_next_message_is_taken(
    world: RosWorld, model: Path
) -> None:
    flight = Flight(world, model)
    node = world.up(world.add(SegmentationHeadNode(**world.options(model=str(model)))))
    seen, taken = world.diagnostics(), []
    out = flight.publisher(FusedBev, "/uav1/bev/fused", qos.fused())
    world.until(lambda: flight.heard("/uav1/bev/fused"), "the head listens")

    def breaks(fused: Any) -> None:
        taken.append(fused)
        raise ZeroDivisionError("on purpose")

    node.take = breaks
    for frame in range(2):
        out.publish(flight.fused(frame)[1])
        world.until(lambda n=frame: len(taken) > n, "the message is taken")
    assert node.health.counts["errors"] == 2 and world.state(node) == "active"
    name = "/uav1/segmentation_head_node: pipeline"
    world.until(lambda: name in seen and facts(seen[name]).get("errors") == "2", "diagnostics count both")
    assert level(seen[name]) == 2 and "see the log" in seen[name].message


WRONG_MAPS = [
    ({"fingerprint": 1}, "fingerprint_mismatch"),
    ({"cell_size": math.nan}, "fused_window"),
    ({"ni": 0}, "fused_window"),
    ({"ni": 2**31 - 16, "nj": 2**31 - 16}, "fused_window"),
    ({"i0": -(2**31)}, "fused_window"),
    ({"i0": 5}, "fused_window"),
    ({"channels": 3}, "fused_size"),
    ({"scale": []}, "fused_size"),
    ({"scale": [math.nan]}, "fused_content"),
    ({"data": array.array("B", b"")}, "fused_size"),
    ({"visibility": array.array("B", b"\0")}, "fused_size"),
    ({"contributors": ["uav1"]}, "fused_content"),
    ({"ages_s": [0.0, math.inf]}, "fused_content"),
    ({"header": Header(frame_id="map")}, "stamp_zero"),
]


def test_fused_maps_that_cannot_be_are_refused_by_reason_and_the_next_good_one_is_answered(
    world: RosWorld, model: Path
) -> None:
    flight = Flight(world, model)
    node = world.up(world.add(SegmentationHeadNode(**world.options(model=str(model)))))
    expected: Counter[str] = Counter()
    for change, reason in WRONG_MAPS:
        message = flight.fused(0)[1]
        for name, value in change.items():
            setattr(
                message,
                name,
                value * len(message.scale) if reason == "fused_content" and name == "scale" else value,
            )
        node._on_fused(message)
        expected[reason] += 1
        assert node.health.rejects == expected, change
    wrong_frame = flight.fused(0)[1]
    wrong_frame.header.frame_id = "odom"
    node._on_fused(wrong_frame)
    assert node.health.rejects["frame_id"] == 1
    node._on_fused(flight.fused(1)[1])
    world.until(lambda: node.health.counts["frames"] == 1, "the good one is answered")


def test_what_the_middleware_does_not_take_is_counted_and_survived(world: RosWorld, model: Path) -> None:
    node = world.up(world.add(DetectionHeadNode(**world.options(model=str(model)))))

    class Flooded:
        topic_name = "/uav1/detections"

        def publish(self, message: Any) -> None:
            raise RCLError("cannot publish data")

    assert not node.send(Flooded(), ObjectArray())
    assert node.health.rejects == {"publish_failed": 1} and node.health.counts["errors"] == 0


def test_a_whole_answer_is_given_although_one_head_fails(world: RosWorld, model: Path) -> None:
    flight = Flight(world, model)
    uav = Uav(**world.options(model=str(model), image_reliability="reliable"))
    world.add(*uav.nodes)
    world.up(*uav.nodes)
    masks, status = flight.keep(Image, "/uav1/instance_mask"), flight.keep(AgentStatus, "/uav1/status")

    def breaks(*arguments: Any) -> None:
        raise ZeroDivisionError("on purpose")

    uav.heads[0].work = breaks  # type: ignore[method-assign]
    flight.sensors()
    out = next(p for p in uav.heads[1].publishers if p.topic_name == "/uav1/instance_mask")
    world.until(lambda: flight.heard("/uav1/camera/image_raw", "/uav1/pose"), "the encoder listens")
    world.until(lambda: out.get_subscription_count(), "the mask is listened to")
    flight.show(0)
    world.until(lambda: masks and any(s.frames_processed == 1 for s in status), "the other heads answer")
    assert [n.health.counts["errors"] for n in uav.heads] == [1, 0, 0]


def test_in_overload_answers_are_whole_and_the_newest_wins(world: RosWorld, model: Path) -> None:
    uav = Uav(**world.options(model=str(model)))
    world.add(*uav.nodes)
    world.up(*uav.nodes)
    answered: dict[str, list[int]] = {head.task: [] for head in uav.heads}
    for head in uav.heads:
        head.work = lambda given, fused, model, task=head.task: answered[task].append(fused.frame)  # type: ignore
    nothing, region = None, uav.heads[0]._model.region  # no head looks into the map
    begun, go = threading.Event(), threading.Event()
    uav.worker.submit("block", lambda: (begun.set(), go.wait(60)))
    assert begun.wait(60)
    for frame in range(5):
        uav._take(Fused(stamp_of(frame), frame, nothing, None, ("uav1",), (0.0,), region, time.monotonic()))
    go.set()
    assert uav.worker.wait_idle(10)
    assert list(answered.values()) == [[4], [4], [4]]
    assert uav.collaboration.health.counts["answers_dropped"] == 4


# --- clock ------------------------------------------------------------------------------------------------------------


def test_a_jump_of_the_clock_back_clears_every_buffer(world: RosWorld, model: Path) -> None:
    flight = Flight(world, model)
    uav = Uav(**world.options(model=str(model), use_sim_time=True, image_reliability="reliable"))
    world.add(*uav.nodes)
    world.up(*uav.nodes)
    status = flight.keep(AgentStatus, "/uav1/status")
    flight.sensors()
    flight.publisher(Clock, "/clock", 1)
    world.until(lambda: flight.heard("/uav1/camera/image_raw", "/uav1/pose", "/clock"), "the UAV listens")

    def fly(frame: int) -> None:
        flight.tick(stamp_of(frame))
        world.until(
            lambda: all(n.get_clock().now().nanoseconds == stamp_of(frame) for n in uav.nodes),
            "the clock arrives",
        )
        flight.show(frame)
        stamp = stamp_of(frame)
        world.until(
            lambda: any(stamps.stamp_ns(s.header.stamp) == stamp for s in status), f"frame {frame} answered"
        )

    for frame in (100, 101, 102):
        fly(frame)
    assert len(uav.heads[0]._history._items) == 3
    status.clear()
    flight.tick(stamp_of(3))
    world.until(
        lambda: all(n.health.counts["clock_jumps"] == 1 for n in uav.nodes), "all nodes notice the jump"
    )
    assert uav.collaboration.receiver.newest_ns is None and not uav.collaboration.receiver.inbox.peers
    assert all(len(head._history._items) == 0 for head in uav.heads)
    fly(4)
    fly(5)
    assert len(uav.heads[0]._history._items) == 2
    assert uav.health.rate_hz() == pytest.approx(2.0)
