"""Nodes that play and record bags, in one process; and what messages keep of answers."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from rsdfm_ros.msg import AgentStatus, GroundTruth, ObjectArray, TrajectoryArray
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.data.messages.tasks import (
    boxes_from_message,
    published_boxes,
    published_tracks,
    tracks_from_message,
)
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.convert.installed_types import installed_types
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.convert.tasks import boxes_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.message_types import message_class
from rsdfm_ros.nodes.mission import lockstep
from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.mission.record_node import FLEET_TOPICS, RecordNode, fitting
from rsdfm_ros.nodes.mission.replay_node import ReplayNode
from support.bag_data import SIZE, START_NS, make_bag
from support.bag_data import STEP_NS as FRAME
from support.ros_world import RosWorld
from support.tracks import tracks_to_message

FRAMES = 3


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bag(tmp_path_factory.mktemp("bag") / "bag", FRAMES)


def made(world: RosWorld, kind: type[Any], **parameters: Any) -> Any:
    options = world.options(**parameters)
    return world.add(kind(**{**options, "namespace": ""}))


class Listener:
    """Takes what a UAV takes, and answers with its status when told to."""

    def __init__(self, world: RosWorld, agents: tuple[str, ...] = ("uav1", "uav2")) -> None:
        self.answered_ns = 0
        self.agents, self.stamps, self.clock = agents, Counter[tuple[str, int]](), [-1]
        node = self.node = world.manager
        sensor = qos.sensor("reliable", depth=20)
        self._status = {a: node.create_publisher(AgentStatus, f"/{a}/status", qos.outputs()) for a in agents}
        kinds = {
            "camera/image_raw": Image,
            "camera/camera_info": CameraInfo,
            "pose": PoseWithCovarianceStamped,
        }
        for agent in agents:
            for name, kind in kinds.items():
                node.create_subscription(kind, f"/{agent}/{name}", lambda m, n=name: self._take(n, m), sensor)
        node.create_subscription(
            GroundTruth, "/ground_truth", lambda m: self._take("truth", m), qos.outputs()
        )
        node.create_subscription(Clock, "/clock", lambda m: self.clock.append(stamp_ns(m.clock)), 10)

    def _take(self, name: str, message: Any) -> None:
        self.stamps[name, stamp_ns(message.header.stamp)] += 1
        if name == "camera/image_raw":
            assert (message.height, message.width) == SIZE

    def start(self) -> Listener:
        """From now on every UAV says often that it hears all others, and what it has answered last; itself."""
        self.node.create_timer(0.02, self._greet)
        return self

    def _greet(self) -> None:
        for agent, publisher in self._status.items():
            message = AgentStatus(agent=agent, peers=[a for a in self.agents if a != agent])
            message.header.stamp = time_of(self.answered_ns)
            publisher.publish(message)


def stamps(listener: Listener, name: str) -> list[int]:
    return sorted(ns for (n, ns), _ in listener.stamps.items() if n == name)


def test_lockstep_waits_for_every_answer(world: RosWorld, bag: Path) -> None:
    listener = Listener(world).start()
    node = world.up(made(world, ReplayNode, bag=str(bag), answer_timeout_s=30.0))
    for k in range(FRAMES):
        ns = START_NS + k * FRAME
        world.until(
            lambda: listener.stamps["camera/image_raw", ns] == 2,  # noqa: B023
            f"the images of frame {k} are there",
        )
        assert stamps(listener, "camera/image_raw")[-1] == ns and max(listener.clock) <= ns + FRAME
        assert not node.finished.is_set()
        listener.answered_ns = ns
    world.until(lambda: node.finished.is_set(), "the bag is over")
    world.until(lambda: len(stamps(listener, "truth")) == FRAMES + 4, "all the truth is there")
    assert node.failure == "" and listener.stamps["camera/camera_info", START_NS] >= 2
    assert listener.clock[1:] == sorted(listener.clock[1:])


def test_a_part_of_a_bag_is_played_at_a_rate(world: RosWorld, bag: Path) -> None:
    listener = Listener(world).start()
    node = made(
        world, ReplayNode, bag=str(bag), lockstep=False, real_time_factor=5.0, start_s=0.5, duration_s=0.6
    )
    world.up(node)
    world.until(lambda: node.finished.is_set(), "the part is over")
    world.until(lambda: listener.stamps["camera/image_raw", START_NS + 2 * FRAME] == 2, "the last images")
    assert stamps(listener, "camera/image_raw") == [START_NS + FRAME, START_NS + 2 * FRAME]


def test_a_uav_that_never_answers_holds_nothing_up_for_long(world: RosWorld, bag: Path) -> None:
    Listener(world).start()
    node = made(world, ReplayNode, bag=str(bag), first_answer_timeout_s=0.3, answer_timeout_s=0.3)
    world.up(node)
    world.until(lambda: node.finished.is_set(), "the bag is over")
    assert node.failure == "" and node.health.counts["answer_timeouts"] == 1  # not waited for again


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "set `bag`"),
        ({"bag": "/nowhere"}, "does not exist"),
        ({"agents": ["uav7"]}, "the bag has no uav7: it has uav1, uav2"),
        ({"topic_map": "/nowhere.yaml"}, "cannot read the topic map"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(
    world: RosWorld, bag: Path, parameters: dict[str, Any], words: str
) -> None:
    node = made(
        world,
        ReplayNode,
        **({"bag": str(bag)} if parameters.get("bag") is None and parameters else {}) | parameters,
    )
    with pytest.raises(RsdfmError, match=words):
        node.start()


def test_bytes_that_are_not_ours_are_not_played(world: RosWorld, tmp_path: Path) -> None:
    from rosbags.typesys import get_types_from_msg
    from rosbags.typesys.store import Typestore

    make_bag(tmp_path / "bag", 2)
    other = Typestore()
    fields = "std_msgs/Header header\nuint32 height\nuint8[] data"
    types = get_types_from_msg(fields, "sensor_msgs/msg/Image")
    ours = typestore().fielddefs
    other.register({**types, **{n: ours[n] for n in ("std_msgs/msg/Header", "builtin_interfaces/msg/Time")}})
    with open_bag(tmp_path / "bag") as source, BagWriter(tmp_path / "other") as writer:
        for agent in ("uav1", "uav2"):
            writer.add(f"/{agent}/camera/image_raw", "sensor_msgs/msg/Image", other)
        for message in source.messages():
            writer.write(message.topic, message.type_name, message.log_ns, message.raw)
    node = made(world, ReplayNode, bag=str(tmp_path / "other"))
    with pytest.raises(
        RsdfmError, match=r"not those of our messages: sensor_msgs/msg/Image differs from ours .*lacks"
    ):
        node.start()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_what_is_played_is_recorded(world: RosWorld, bag: Path, tmp_path: Path, storage: str) -> None:
    recorder = world.up(made(world, RecordNode, out=str(tmp_path / "out"), storage=storage, flush_s=0.1))
    listener = Listener(world)
    player = made(world, ReplayNode, bag=str(bag), lockstep=False, real_time_factor=2.0)
    world.up(player)
    # The player waits for the UAVs: time enough for the recorder to find its topics.
    compared = ("/uav1/camera/image_raw", "/uav2/pose")
    world.until(lambda: recorder_hears(recorder, *compared, "/uav1/status"), "the recorder listens too")
    listener.start()
    world.until(lambda: player.finished.is_set(), "the bag is over")
    world.until(lambda: all(written(tmp_path / "out", t) >= FRAMES for t in compared), "all of it is written")
    recorder.stop()
    with open_bag(bag) as source, open_bag(tmp_path / "out") as copy:
        assert copy.damage == [] and "/uav1/status" in copy.topics
        for topic in compared:
            there = [strip(m.raw) for m in source.messages([topic])]
            assert [strip(m.raw) for m in copy.messages([topic])] == there


def recorder_hears(recorder: RecordNode, *topics: str) -> bool:
    """Whether the recorder itself subscribes to all of these topics."""
    mine = recorder.get_fully_qualified_name()
    return all(
        any(f"/{i.node_name}" == mine for i in recorder.get_subscriptions_info_by_topic(t)) for t in topics
    )


def written(folder: Path, topic: str) -> int:
    """Number of messages of a topic that can be read from a bag that is still being recorded."""
    try:
        with open_bag(folder) as bag:
            return sum(message.topic == topic for message in bag.messages())
    except BagError:
        return 0


def strip(raw: bytes) -> bytes:
    """Without the zeros with which DDS fills up the last word."""
    return raw.rstrip(b"\0")


def test_a_recorder_takes_the_topics_that_were_chosen(world: RosWorld, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recorder = world.up(made(world, RecordNode, out=str(out), topics="/uav./pose|/clock", exclude="/uav2/.*"))
    node = world.manager
    publishers = [
        node.create_publisher(PoseWithCovarianceStamped, f"/{a}/pose", QoSProfile(depth=1, reliability=r))
        for a, r in (("uav1", ReliabilityPolicy.BEST_EFFORT), ("uav2", ReliabilityPolicy.RELIABLE))
    ]
    world.until(lambda: publishers[0].get_subscription_count() == 1, "the recorder listens")

    def recorded() -> bool:
        for publisher in publishers:
            publisher.publish(PoseWithCovarianceStamped())
        return recorder.health.counts["messages_recorded"] >= 3

    world.until(recorded, "poses are recorded")
    recorder.stop()
    with open_bag(out) as bag:
        assert set(bag.topics) == {"/uav1/pose"}


def test_what_an_evaluation_needs_is_recorded_and_what_is_for_eyes_is_not() -> None:
    for topic in ("/uav1/ground/height", "/uav1/ground/range", "/team/uav1/pose", "/ground_truth", "/clock"):
        assert re.fullmatch(FLEET_TOPICS, topic), topic
    for topic in ("/uav1/markers", "/uav1/debug/bev_image", "/ground/truth"):
        assert not re.fullmatch(FLEET_TOPICS, topic), topic


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "set `out`"),
        ({"topics": "("}, "no regular expression"),
        ({"exclude": "*"}, "no regular expression"),
    ],
)
def test_a_recorder_that_cannot_be_is_refused(
    world: RosWorld, tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    out = {"out": str(tmp_path / "out")} if parameters else {}
    node = made(world, RecordNode, **out, **parameters)
    with pytest.raises(RsdfmError, match=words):
        node.start()


def test_an_existing_bag_is_not_overwritten(world: RosWorld, bag: Path) -> None:
    with pytest.raises(RsdfmError, match="exists already"):
        made(world, RecordNode, out=str(bag)).start()


def test_the_recorders_quality_of_service_fits_every_publisher() -> None:
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    assert fitting([reliable]).reliability == ReliabilityPolicy.RELIABLE
    assert fitting([reliable, effort]).reliability == ReliabilityPolicy.BEST_EFFORT
    assert fitting([latched]).durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert fitting([latched, reliable]).durability == DurabilityPolicy.VOLATILE


def test_message_types_are_found_by_name_or_refused() -> None:
    assert message_class("sensor_msgs/msg/Image") is Image
    assert "lifecycle_msgs/msg/State" in installed_types("lifecycle_msgs/msg/TransitionEvent").fielddefs
    for name in ("sensor_msgs/msg/Nothing", "nothing_msgs/msg/Image", "os;/msg/system"):
        with pytest.raises(RsdfmError):
            message_class(name)
    with pytest.raises(RsdfmError, match="was not found"):
        installed_types("nothing_msgs/msg/Image")


def test_offline_answers_are_rounded_as_messages_round_them() -> None:
    rng = np.random.default_rng(5)
    boxes = Boxes(
        rng.integers(0, 4, 9),
        rng.random(9),
        rng.normal(size=(9, 3)) * 20,
        rng.random((9, 3)) + 1,
        rng.uniform(-np.pi, np.pi, 9),
        rng.normal(size=(9, 2)),
        rng.permutation(9),
    )
    message = boxes_to_message(boxes, agent="uav1", frame=1, ns=1, frame_id="map", contributors=["uav1"])
    arrived = deserialize_message(serialize_message(message), ObjectArray)
    there, here = boxes_from_message(arrived), published_boxes(boxes)
    for name in ("classes", "scores", "centres", "sizes", "yaws", "velocities", "ids"):
        assert np.array_equal(getattr(there, name), getattr(here, name)), name
    tracks = Tracks(np.arange(1, 5), rng.normal(size=(4, HORIZON, 2)), rng.random(4))
    raw = serialize_message(tracks_to_message(tracks, agent="uav1", frame=1, ns=1, frame_id="map"))
    sent = tracks_from_message(deserialize_message(raw, TrajectoryArray))
    ours = published_tracks(tracks)
    for name in ("ids", "positions", "scores"):
        assert np.array_equal(getattr(sent, name), getattr(ours, name)), name


def test_a_bag_ends_only_when_the_last_pose_is_in_it(world: RosWorld, tmp_path: Path) -> None:
    options = world.options(agents=["uav1"], out=str(tmp_path), record_bag=True, image_reliability="reliable")
    node = world.add(EvaluatorNode(**options | {"namespace": "/"}))
    world.up(node)
    kinds = {"camera/image_raw": Image, "camera/camera_info": CameraInfo, "pose": PoseWithCovarianceStamped}
    sensor = qos.sensor("reliable", depth=10)
    out = {n: world.manager.create_publisher(kind, f"/uav1/{n}", sensor) for n, kind in kinds.items()}
    world.until(lambda: all(p.get_subscription_count() for p in out.values()), "the evaluator listens")

    def say(name: str, ns: int) -> None:
        message = kinds[name]()
        message.header.stamp = time_of(ns)
        out[name].publish(message)

    last = START_NS + FRAME
    for name, ns in (("pose", START_NS), ("camera/camera_info", last), ("camera/image_raw", last)):
        say(name, ns)
    world.until(lambda: len(node._recorded_ns) == 3, "these are recorded")
    node._last, node._last_truth_s = (last, ("uav1", "uav2")), monotonic()  # answered, and the truth is over
    node._tick()
    assert node._last_truth_s is not None and not node.finished.is_set(), "the last pose is awaited"
    say("pose", last)
    world.until(node.finished.is_set, "the bag is closed")
    with open_bag(tmp_path / "bag") as bag:
        assert [stamp_ns(bag.decode(m).header.stamp) for m in bag.messages() if m.topic == "/uav1/pose"] == [
            START_NS,
            last,
        ]


def test_an_evaluator_that_cannot_write_ends_in_one_sentence(
    world: RosWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(BagWriter, "write", full)
    options = world.options(agents=["uav1"], out=str(tmp_path), record_bag=True, image_reliability="reliable")
    node = world.add(EvaluatorNode(**options | {"namespace": "/"}))
    world.up(node)
    pose = world.manager.create_publisher(
        PoseWithCovarianceStamped, "/uav1/pose", qos.sensor("reliable", depth=10)
    )
    world.until(lambda: pose.get_subscription_count() > 0, "the evaluator listens")
    message = PoseWithCovarianceStamped()
    message.header.stamp = time_of(START_NS)
    pose.publish(message)
    world.until(node.finished.is_set, "the evaluator ends")
    assert node.failure == "the mission cannot be recorded: No space left on device"
    assert not (tmp_path / "result.json").exists()


def test_all_publishers_share_the_time_for_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    now, allowed = [0.0], []

    class Publisher:
        def wait_for_all_acked(self, limit: Duration) -> None:
            allowed.append(limit.nanoseconds * 1e-9)
            now[0] += 3.0

    monkeypatch.setattr(lockstep, "monotonic", lambda: now[0])
    lockstep.acknowledged([Publisher(), Publisher(), Publisher()])
    assert allowed == pytest.approx([lockstep.ACKNOWLEDGED_S, lockstep.ACKNOWLEDGED_S - 3.0, 0.0])
