"""Dynamic parameters of heads and of a whole UAV by what they do; every dynamic parameter is shown to do something."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import AgentStatus, FusedBev, ObjectArray, ProcessingTime
from sensor_msgs.msg import Image

from rsdfm_ros.agent.tasks import TaskInput
from rsdfm_ros.data.messages import stamps
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav import settings
from rsdfm_ros.nodes.uav.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.uav.trajectory_head_node import TrajectoryHeadNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.dynamic_effects import shown_in, shows, up
from support.node_flight import Flight, stamp_of

ELSEWHERE = {"marker_lifetime_s"} | {
    *("send_boxes", "move_peers", "correct_poses", "doubt_peers", "map_consistency"),
}
"""Shown in test_visuals.py and test_interaction.py."""


# --- heads ------------------------------------------------------------------------------------------------------------


class Answers:
    """A head node, fed with fused maps, and what it answers on one topic."""

    def __init__(self, flight: Flight, model: Path, kind: type[Any], of: Any, topic: str, **parameters: Any):
        self.flight, self.world = flight, flight.world
        self.got = flight.keep(of, f"/uav1/{topic}")
        self.out = flight.publisher(FusedBev, "/uav1/bev/fused", qos.fused())
        self.node = up(flight, kind, model, **parameters)
        out = next(p for p in self.node.publishers if p.topic_name == f"/uav1/{topic}")
        self.world.until(
            lambda: flight.heard("/uav1/bev/fused") and out.get_subscription_count(), "all is connected"
        )
        self.maps: list[Any] = []

    def ask(self, frame: int, region: Any = None) -> Any:
        fused, message = self.flight.fused(frame, region)
        self.maps.append(fused)
        self.out.publish(message)
        return self.answer(frame)

    def answer(self, frame: int) -> Any:
        stamp = stamp_of(frame)

        def answer() -> Any:
            return next((m for m in self.got if stamps.stamp_ns(m.header.stamp) == stamp), None)

        return self.world.until(answer, f"frame {frame} is answered")


@shows("detection_score")
def test_boxes_below_the_score_are_not_published(flight: Flight, model: Path) -> None:
    answers = Answers(flight, model, DetectionHeadNode, ObjectArray, "detections")
    scores = [o.score for o in answers.ask(0).objects]
    middle = float(np.median(scores))
    assert len(scores) > 5 and min(scores) < middle
    assert flight.world.set(answers.node, detection_score=middle) == [""]
    kept = [o.score for o in answers.ask(1).objects]
    assert kept and min(kept) > middle
    assert flight.world.set(answers.node, detection_score=-1.0) == [""]
    assert min(o.score for o in answers.ask(2).objects) < middle, "the model's own threshold is back"


@shows("object_score")
def test_the_score_of_objects_decides_what_counts(flight: Flight, model: Path) -> None:
    answers = Answers(flight, model, DetectionHeadNode, ObjectArray, "detections")
    assert flight.world.set(answers.node, object_score=0.0) == [""]
    count = len(answers.ask(0).objects)
    flight.world.until(lambda: answers.node.health.objects == count > 0, "all boxes count")
    assert flight.world.set(answers.node, object_score=1.0) == [""]
    answers.ask(1)
    flight.world.until(lambda: answers.node.health.objects == 0, "no box counts")


@shows("id_memory_s")
def test_an_object_that_is_not_seen_keeps_its_id_as_long_as_is_set(flight: Flight, model: Path) -> None:
    alone = {"object_score": 0.0, "max_gap_s": 0.1}  # no history: the same map gives the same boxes
    answers = Answers(flight, model, DetectionHeadNode, ObjectArray, "detections", **alone)
    _, message = flight.fused(0)

    def ids(frame: int) -> list[int]:
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_of(frame), 10**9)
        answers.out.publish(message)
        return [o.id for o in answers.answer(frame).objects]

    first = ids(0)
    assert len(set(first)) == len(first) > 5 and min(first) > 0
    assert ids(1) == first and ids(7) == first, "a gap of three seconds"
    assert flight.world.set(answers.node, id_memory_s=0.4) == [""]
    assert not set(ids(8)) & set(first)
    assert flight.world.set(answers.node, object_score=1.0) == [""]
    assert set(ids(9)) == {0}, "what is no object is not tracked"


@shows("segmentation_probability")
def test_cells_below_the_probability_belong_to_no_instance(flight: Flight, model: Path) -> None:
    answers = Answers(flight, model, SegmentationHeadNode, Image, "instance_mask")
    assert np.frombuffer(answers.ask(0).data, np.uint16).any()
    assert flight.world.set(answers.node, segmentation_probability=1.0) == [""]
    assert not np.frombuffer(answers.ask(1).data, np.uint16).any()


@shows("trajectory_probability")
def test_cells_below_the_probability_have_no_future(flight: Flight, model: Path) -> None:
    answers = Answers(flight, model, TrajectoryHeadNode, Image, "future_masks", publish_future=True)

    def future(message: Any) -> np.ndarray:
        rows = message.height // 5
        return np.frombuffer(message.data, np.uint16).reshape(5, rows, message.width)

    before = future(answers.ask(0))
    assert before[0].any() and before[1:].any()
    assert flight.world.set(answers.node, trajectory_probability=1.0) == [""]
    after = future(answers.ask(1))
    assert after[0].any() and not after[1:].any()


@shows("max_gap_s")
def test_a_longer_gap_than_is_set_starts_the_history_anew(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(flight, model, DetectionHeadNode, ObjectArray, "detections")
    lengths, work = [], answers.node.work

    def counted(given: TaskInput, *rest: Any) -> None:
        lengths.append(len(given.maps))
        work(given, *rest)

    monkeypatch.setattr(answers.node, "work", counted)
    for frame in range(4):
        answers.ask(frame)
    assert lengths == [1, 2, 3, 3]
    assert flight.world.set(answers.node, max_gap_s=0.2) == [""]
    answers.ask(4)
    answers.ask(5)
    assert lengths[4:] == [1, 1]


def test_a_head_follows_the_region_of_the_fused_maps(flight: Flight, model: Path) -> None:
    answers = Answers(flight, model, SegmentationHeadNode, Image, "instance_mask")
    own = flight.perception.window  # type: ignore[union-attr]
    whole = answers.ask(0)
    assert (whole.height, whole.width) == (2 * own.nj, 2 * own.ni)
    region = dataclasses.replace(own, i0=0, j0=0, ni=16, nj=32)
    part = answers.ask(1, region)
    assert (part.height, part.width) == (64, 32)
    p = flight.perception.at(region)  # type: ignore[union-attr]
    ids = p.segment(answers.maps[-1:]).ids  # maps of another region are no history
    from rsdfm_ros.data.messages import tasks as task_messages

    # The objects of the other maps keep their ids.
    mask = task_messages.masks_from_message(part, p.output_window)[0]
    pairs = np.unique(np.stack([mask, ids], axis=-1).reshape(-1, 2), axis=0)
    assert ids.any() and len(pairs) == len(np.unique(mask)) == len(np.unique(ids))
    np.testing.assert_array_equal(mask > 0, ids > 0)
    assert answers.node.health.rejects == {}


# --- a whole UAV ------------------------------------------------------------------------------------------------------


def test_a_whole_uav_flies_ten_kilometres_away_once_its_region_is_there(flight: Flight, model: Path) -> None:
    world, far = flight.world, (10_000.0, 20_000.0)
    values = {
        "model": str(model),
        "image_reliability": "reliable",
        "input_timeout_s": 60.0,
        "max_speed_mps": 0.0,
    }
    uav = Uav(**world.options(**values))
    world.add(*uav.nodes)
    world.up(*uav.nodes)
    masks, boxes = flight.keep(Image, "/uav1/instance_mask"), flight.keep(ObjectArray, "/uav1/detections")
    times = flight.keep(ProcessingTime, "/uav1/debug/processing_time")
    status = flight.keep(AgentStatus, "/uav1/status")
    flight.sensors()
    world.until(lambda: flight.heard("/uav1/camera/image_raw", "/uav1/pose"), "the encoder listens")
    outputs = {p.topic_name: p for n in uav.nodes for p in n.publishers if "single" not in p.topic_name}
    world.until(
        lambda: all(
            outputs[f"/uav1/{t}"].get_subscription_count()
            for t in ("instance_mask", "detections", "status", "debug/processing_time")
        ),
        "all is connected",
    )
    (reason,) = world.set(uav.collaboration, region_m=[0.0, 0.0, 5.0, 5.0])
    assert "is that of encoder_node: set it there" in reason
    flight.show(0)
    world.until(lambda: any(s.frames_processed == 1 for s in status), "frame 0 is answered")
    bounds = [far[0] - 16, far[1] - 16, far[0] + 16, far[1] + 16]
    assert world.set(uav.encoder, region_m=bounds) == [""]
    flight.show(1, offset_m=far)
    world.until(lambda: any(s.frames_processed == 2 for s in status), "frame 1 is answered")
    world.until(lambda: len(masks) == len(boxes) == 2, "the outputs come")
    assert (masks[1].height, masks[1].width) == (64, 64) and np.frombuffer(masks[1].data, np.uint16).any()
    assert boxes[1].objects
    for o in boxes[1].objects:
        assert (
            bounds[0] <= o.pose.pose.position.x <= bounds[2]
            and bounds[1] <= o.pose.pose.position.y <= bounds[3]
        )
    names = {
        "encoder_node",
        "collaboration_node",
        "detection_head_node",
        "segmentation_head_node",
        "trajectory_head_node",
    }
    world.until(lambda: {t.node for t in times} == names, "every node tells its times")
    for t in times:
        assert t.agent == "uav1" and len(t.stages) == len(t.stage_times_s) > 0
        assert sum(t.stage_times_s) <= t.latency_s * 1.01 and stamps.stamp_ns(t.header.stamp) in map(
            stamp_of, (0, 1)
        )


def test_every_dynamic_parameter_is_shown_to_do_something() -> None:
    kinds = [v for v in vars(settings).values() if isinstance(v, type) and dataclasses.is_dataclass(v)]
    pipeline = [k for k in kinds if issubclass(k, settings.NodeSettings)]
    dynamic = {f.name for k in pipeline for f in dataclasses.fields(k) if f.metadata["dynamic"]}
    assert dynamic == shown_in(Path(__file__).parent) | ELSEWHERE
