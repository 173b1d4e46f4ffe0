"""Every dynamic parameter by what it does, set through the service of the running node."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from geometry_msgs.msg import PointStamped
from node_flight import Flight, lively_model, stamp_of
from ros_world import RosWorld, facts, level
from rsdfm_ros.msg import AgentStatus, FeaturePacket, FusedBev, ObjectArray, ProcessingTime
from sensor_msgs.msg import Image

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.nodes import qos, settings
from rsdfm_ros.nodes.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.convert import time_of
from rsdfm_ros.nodes.detection_head_node import DetectionHeadNode
from rsdfm_ros.nodes.encoder_node import EncoderNode
from rsdfm_ros.nodes.segmentation_head_node import SegmentationHeadNode
from rsdfm_ros.nodes.trajectory_head_node import TrajectoryHeadNode
from rsdfm_ros.nodes.uav_node import Uav
from rsdfm_ros.wire.boxes import carries_boxes
from rsdfm_ros.wire.decode import decode_packet

COVERED: set[str] = set()
"""Dynamic parameters whose effect a test of this file shows; the last test compares it with the settings."""
ELSEWHERE = {"marker_lifetime_s"} | {
    *("send_boxes", "move_peers", "correct_poses", "doubt_peers", "resemblance"),
}
"""Shown in test_nodes_visuals.py and test_nodes_interaction.py."""


def shows(*names: str) -> Any:
    COVERED.update(names)
    return lambda test: test


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lively_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def flight(model: Path) -> Iterator[Flight]:
    world = RosWorld()
    yield Flight(world, model)
    world.close()


def up(flight: Flight, kind: type[Any], model: Path, **parameters: Any) -> Any:
    values = {"model": str(model), "input_timeout_s": 60.0, **parameters}
    if hasattr(kind, "slots") and kind is EncoderNode:
        values |= {"image_reliability": "reliable", "max_speed_mps": 0.0}
    if kind in (EncoderNode, CollaborationNode):
        values["features_reliability"] = "reliable"
    if kind is CollaborationNode:
        values["liveliness_lease_s"] = 60.0
    return flight.world.up(flight.world.add(kind(**flight.world.options(**values))))


# --- encoder ----------------------------------------------------------------------------------------------------------


def encode(flight: Flight, node: Any, frame: int, **other: Any) -> int:
    """Show a frame and wait until it is encoded; the bytes that were sent for it."""
    done = node.health.counts["frames"]
    flight.show(frame, **other)
    flight.world.until(lambda: node.health.counts["frames"] > done, f"frame {frame} is encoded")
    return int(node.health.frame_bytes)


@shows("budget_bytes")
def test_a_smaller_budget_makes_smaller_pictures(flight: Flight, model: Path) -> None:
    node = up(flight, EncoderNode, model, budget_bytes=8000)
    flight.sensors()
    flight.world.until(lambda: flight.heard("/uav1/camera/image_raw"), "the encoder listens")
    rich = [encode(flight, node, frame) for frame in range(6)]
    assert flight.world.set(node, budget_bytes=3000) == [""]
    poor = [encode(flight, node, frame) for frame in range(6, 16)]
    assert np.mean(rich[1:]) > 5000 and 2000 < np.mean(poor[2:]) < 3600


@shows("region_m")
def test_the_encoder_maps_the_region_and_sends_its_tiles(flight: Flight, model: Path) -> None:
    node = up(flight, EncoderNode, model)
    packets = flight.keep(FeaturePacket, "/uav1/bev/features", qos.features("reliable", 60.0))
    flight.sensors()
    flight.world.until(lambda: flight.heard("/uav1/camera/image_raw"), "the encoder listens")
    far = (10_000.0, -20_000.0)
    encode(flight, node, 0, offset_m=far)
    assert node.health.counts["packets_sent"] == 0, "nothing of the own window is seen from there"
    own = flight.perception.window  # type: ignore[union-attr]
    bounds = [far[0] - 10, far[1] - 10, far[0] + 10, far[1] + 10]
    assert flight.world.set(node, region_m=bounds) == [""]
    encode(flight, node, 1, offset_m=far)
    flight.world.until(lambda: packets, "packets come")
    payloads = [bytes(p.payload) for p in packets]
    keys = np.concatenate([decode_packet(p).tiles for p in payloads if not carries_boxes(p)])
    assert (np.abs(keys * 16.0 * own.cell_size - far) < 16 * own.ni).all() and len(keys) > 3
    (reason,) = flight.world.set(node, region_m=[0.0, 0.0, 9000.0, 10.0])
    assert "the model maps at most" in reason and "make it smaller" in reason
    assert node.settings.region_m == tuple(bounds)
    assert flight.world.set(node, region_m=[]) == [""]
    assert encode(flight, node, 2) > 0, "back at home"


@shows("ground_max_age_s")
def test_a_picture_is_mapped_on_a_height_as_old_as_is_set(flight: Flight, model: Path) -> None:
    node = up(flight, EncoderNode, model, ground_model="topic", ground_max_age_s=0.2)
    flight.sensors()
    told = flight.publisher(PointStamped, "/uav1/ground/height", qos.sensor("reliable"))
    flight.world.until(
        lambda: flight.heard("/uav1/camera/image_raw", "/uav1/ground/height"), "the encoder listens"
    )
    height = PointStamped()
    height.header.stamp, height.header.frame_id = time_of(stamp_of(0)), "map"
    told.publish(height)
    flight.world.until(lambda: node.health.counts["ground_heights"] == 1, "the height is taken")
    encode(flight, node, 0)
    flight.show(1)
    flight.world.until(lambda: node.health.rejects["ground_unknown"] == 1, "half a second is too old")
    assert flight.world.set(node, ground_max_age_s=1.5) == [""]
    encode(flight, node, 2)


@shows("input_timeout_s")
def test_an_input_is_missing_after_the_time_that_is_set(flight: Flight, model: Path) -> None:
    node = up(flight, EncoderNode, model)
    seen = flight.world.diagnostics()
    name = "/uav1/encoder_node: inputs"
    flight.world.until(lambda: name in seen, "diagnostics come")
    assert level(seen[name]) == 0
    assert flight.world.set(node, input_timeout_s=0.1) == [""]
    flight.world.until(lambda: level(seen[name]) == 2, "missing inputs are an error")
    assert "no camera_info on /uav1/camera/camera_info for" in seen[name].message
    assert "nobody publishes there" in seen[name].message
    assert flight.world.set(node, input_timeout_s=60.0) == [""]
    flight.world.until(lambda: level(seen[name]) == 0, "60 s have not passed")


@shows("latency_warn_s", "latency_error_s")
def test_latency_warns_and_then_is_an_error(flight: Flight, model: Path) -> None:
    node = up(flight, EncoderNode, model)
    seen = flight.world.diagnostics()
    flight.sensors()
    flight.world.until(lambda: flight.heard("/uav1/camera/image_raw"), "the encoder listens")
    encode(flight, node, 0)
    name = "/uav1/encoder_node: pipeline"
    flight.world.until(lambda: name in seen and level(seen[name]) == 0, "all is well")
    assert float(facts(seen[name])["latency_p95_ms"]) > 0
    assert flight.world.set(node, latency_warn_s=0.0) == [""]
    flight.world.until(lambda: level(seen[name]) == 1, "a warning")
    assert flight.world.set(node, latency_error_s=0.0) == [""]
    flight.world.until(lambda: level(seen[name]) == 2, "an error")
    assert "more than 0.00 s" in seen[name].message


# --- collaboration ----------------------------------------------------------------------------------------------------


class Hearing:
    """A collaboration node that hears itself and one peer or more, and its fused maps."""

    def __init__(
        self, flight: Flight, model: Path, agents: tuple[str, ...] = ("uav1", "uav2"), **parameters: Any
    ):
        self.flight, self.world = flight, flight.world
        self.maps = flight.keep(FusedBev, "/uav1/bev/fused", qos.fused())
        for agent in agents:
            flight.features(agent)
        self.node = up(flight, CollaborationNode, model, discovery_period_s=0.05, **parameters)
        wanted = [a for a in agents if a != "uav1"]
        self.world.until(lambda: self.node.peers_matched == wanted, f"{wanted} are heard")
        self.world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")

    def fuse(self, frame: int) -> FusedBev:
        """Send the own packets of a frame; its fused map."""
        self.flight.send(frame, "uav1")
        return self.world.until(lambda: self.at(frame), f"frame {frame} is fused")

    def at(self, frame: int) -> FusedBev | None:
        return next((m for m in self.maps if stamps.stamp_ns(m.header.stamp) == stamp_of(frame)), None)


@shows("max_age_s")
def test_features_older_than_max_age_are_not_fused(flight: Flight, model: Path) -> None:
    hearing = Hearing(flight, model, max_age_s=5.0, peer_wait_s=0.05)
    flight.send(0, "uav2")
    flight.world.until(lambda: hearing.node.health.counts["packets_received"] >= 1, "the peer's packets come")
    assert list(hearing.fuse(4).contributors) == ["uav1", "uav2"]
    assert hearing.maps[-1].ages_s[1] == pytest.approx(2.0)
    assert flight.world.set(hearing.node, max_age_s=1.0) == [""]
    assert list(hearing.fuse(5).contributors) == ["uav1"]


@shows("peer_wait_s")
def test_a_silent_peer_is_waited_for_as_long_as_is_set(flight: Flight, model: Path) -> None:
    hearing = Hearing(flight, model, peer_wait_s=60.0)
    flight.send(0, "uav1")
    deadline = time.monotonic() + 0.5
    flight.world.until(lambda: time.monotonic() > deadline, "half a second passes")
    assert not hearing.maps, "the silent peer is waited for"
    assert flight.world.set(hearing.node, peer_wait_s=0.05) == [""]
    assert list(hearing.fuse(1).contributors) == ["uav1"]
    assert hearing.node.health.counts["peers_late"] == 1


@shows("max_peers", "peers")
def test_peers_are_listened_to_as_many_and_whichever_are_set(flight: Flight, model: Path) -> None:
    hearing = Hearing(flight, model, ("uav1", "uav2", "uav3", "uav4"))
    world, node = flight.world, hearing.node
    assert world.set(node, max_peers=2) == [""]
    assert len(node.peers) == 2
    assert world.set(node, peers=["uav4", "/uav3/bev/features"]) == [""]
    assert [p.name for p in node.peers] == ["uav3", "uav4"]
    world.until(lambda: node.peers_matched == ["uav3", "uav4"], "the listed ones are heard")
    for name in ("uav2", "uav3", "uav4"):
        flight.send(0, name)
    world.until(lambda: all(p.packets for p in node.peers), "their packets come")
    assert list(hearing.fuse(0).contributors) == ["uav1", "uav3", "uav4"]
    assert world.set(node, max_peers=16, peers=[]) == ["", ""]
    world.until(lambda: node.peers_matched == ["uav2", "uav3", "uav4"], "all are heard again")
    assert world.set(node, max_peers=0) == [""]
    assert node.peers == []
    assert list(hearing.fuse(1).contributors) == ["uav1"]


@shows("publish_fused")
def test_fused_maps_are_published_while_that_is_on(flight: Flight, model: Path) -> None:
    hearing = Hearing(flight, model, ("uav1",))
    hearing.fuse(0)
    assert flight.world.set(hearing.node, publish_fused=False) == [""]
    flight.send(1, "uav1")
    flight.world.until(lambda: hearing.node.health.counts["frames"] == 2, "frame 1 is fused")
    assert flight.world.set(hearing.node, publish_fused=True) == [""]
    hearing.fuse(2)
    assert hearing.at(1) is None


@shows("region_m")
def test_only_tiles_of_the_region_are_fused_and_the_map_says_where_it_is(flight: Flight, model: Path) -> None:
    hearing = Hearing(flight, model, ("uav1",))
    whole = hearing.fuse(0)
    own = flight.perception.window  # type: ignore[union-attr]
    assert (whole.i0, whole.j0, whole.ni, whole.nj) == (own.i0, own.j0, own.ni, own.nj)
    assert flight.world.set(hearing.node, region_m=[0.0, 0.0, 15.0, 30.0]) == [""]
    part = hearing.fuse(1)
    assert (part.i0, part.j0, part.ni, part.nj) == (0, 0, 16, 32)
    assert len(part.data) == part.channels * 16 * 32


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

    def counted(prefix: str, maps: Any, *rest: Any) -> None:
        lengths.append(len(maps))
        work(prefix, maps, *rest)

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
    from rsdfm_ros.evaluation import task_messages

    np.testing.assert_array_equal(task_messages.masks_from_message(part, p.output_window)[0], ids)
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
        assert bounds[0] <= o.pose.position.x <= bounds[2] and bounds[1] <= o.pose.position.y <= bounds[3]
    names = {
        "encoder_node",
        "collaboration_node",
        "detection_head_node",
        "segmentation_head_node",
        "trajectory_head_node",
    }
    world.until(lambda: {t.node for t in times} == names, "every node tells its times")
    for t in times:
        assert t.agent == "uav1" and len(t.stages) == len(t.stage_ms) > 0
        assert sum(t.stage_ms) <= t.latency_ms * 1.01 and stamps.stamp_ns(t.header.stamp) in map(
            stamp_of, (0, 1)
        )


def test_every_dynamic_parameter_is_shown_to_do_something() -> None:
    kinds = [v for v in vars(settings).values() if isinstance(v, type) and dataclasses.is_dataclass(v)]
    pipeline = [k for k in kinds if issubclass(k, settings.NodeSettings)]
    dynamic = {f.name for k in pipeline for f in dataclasses.fields(k) if f.metadata["dynamic"]}
    assert dynamic == COVERED | ELSEWHERE
