"""fault_injector_node in this process: every fault takes effect when it is set, and all of it is counted."""

from __future__ import annotations

import array
import dataclasses
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.mission.fault_injector_node import FaultInjectorNode
from rsdfm_ros.nodes.mission.settings import FaultInjectorSettings
from rsdfm_ros.wire.faults.link import LinkFaults
from support.ros_world import CONFIGURE, RosWorld, facts

TOPIC = "/uav2/bev/features"
PAYLOAD = bytes(range(200))
QOS = qos.features("reliable", 60.0, depth=1000)


class Ends:
    """A sender before and a receiver behind the link."""

    def __init__(self, world: RosWorld, **parameters: Any) -> None:
        self.world = world
        self.got: list[FeaturePacket] = []
        common = {"links": [TOPIC], "features_reliability": "reliable", "liveliness_lease_s": 60.0}
        options = world.options(**common, **parameters)
        self.node = world.up(world.add(FaultInjectorNode(**{**options, "namespace": ""})))
        world.manager.create_subscription(FeaturePacket, "/faulty" + TOPIC, self.got.append, QOS)
        self.sender = world.manager.create_publisher(FeaturePacket, TOPIC, QOS)
        world.until(lambda: world.manager.count_publishers("/faulty" + TOPIC), "the link is open")
        world.until(lambda: self.sender.get_subscription_count(), "the link listens")
        world.until(lambda: self.node._relays[0].publisher.get_subscription_count(), "the receiver is known")

    @property
    def counts(self) -> dict[str, int]:
        return self.node._relays[0].counts

    def send(self, frames: range) -> None:
        """Send messages, each after the one before was taken."""
        before = self.counts["received"]
        for done, frame in enumerate(frames, 1):
            message = FeaturePacket(agent="uav2", frame=frame, packet_count=1)
            message.payload = array.array("B", PAYLOAD)
            message.covariance[0] = 1.0
            self.sender.publish(message)
            self.world.until(lambda n=before + done: self.counts["received"] >= n, "the message is taken")

    def frames(self, number: int) -> list[int]:
        self.world.until(lambda: len(self.got) >= number, f"{number} messages arrive")
        return [message.frame for message in self.got]


def test_every_fault_acts_from_the_moment_when_it_is_set(world: RosWorld) -> None:
    ends = Ends(world)
    ends.send(range(5))
    assert ends.frames(5) == [0, 1, 2, 3, 4]
    assert all(bytes(m.payload) == PAYLOAD for m in ends.got)

    assert world.set(ends.node, loss=1.0) == [""]
    ends.send(range(5, 8))
    assert world.set(ends.node, loss=0.0, duplicate=1.0) == ["", ""]
    ends.send(range(8, 10))
    assert ends.frames(9)[5:] == [8, 8, 9, 9]

    assert world.set(ends.node, duplicate=0.0, corrupt=1.0) == ["", ""]
    ends.send(range(10, 12))
    assert ends.frames(11)[9:] == [10, 11]
    for message in ends.got[9:]:
        flipped = sum((a ^ b).bit_count() for a, b in zip(message.payload, PAYLOAD, strict=True))
        assert 1 <= flipped <= 4 and message.agent == "uav2"

    assert world.set(ends.node, corrupt=0.0, reorder=1.0, reorder_s=0.5) == ["", "", ""]
    ends.send(range(12, 13))
    assert world.set(ends.node, reorder=0.0) == [""]
    ends.send(range(13, 14))
    assert ends.frames(13)[11:] == [13, 12]

    assert world.set(ends.node, rate_bytes_s=1.0, queue_s=0.0) == ["", ""]
    ends.send(range(14, 16))
    assert ends.counts["overflowed"] == 1
    expected = {"received": 16, "lost": 3, "duplicated": 2, "corrupted": 2, "held_back": 1, "passed": 13}
    assert {name: ends.counts[name] for name in expected} == expected


def test_an_attack_begins_and_ends_when_the_parameter_is_set(world: RosWorld) -> None:
    ends = Ends(world)
    ends.send(range(2))
    assert world.set(ends.node, attack="covariance") == [""]
    ends.send(range(2, 5))
    assert ends.frames(5) == [0, 1, 2, 3, 4]
    assert world.set(ends.node, attack="none") == [""]
    ends.send(range(5, 6))
    assert ends.frames(6)[5:] == [5]
    assert [m.covariance[0] for m in ends.got] == [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    assert ends.counts["falsified"] == 3
    assert "expected one of 'none'" in world.set(ends.node, attack="polite")[0]


def test_messages_that_an_attack_cannot_read_pass_as_they_are_and_are_counted(world: RosWorld) -> None:
    ends = Ends(world, attack="saturated")
    ends.send(range(2))  # their payload is no packet
    assert ends.frames(2) == [0, 1] and all(bytes(m.payload) == PAYLOAD for m in ends.got)
    assert ends.counts["falsified"] == 0 and sum(ends.node.health.rejects.values()) == 2


def test_a_delay_holds_messages_and_the_end_of_the_node_drops_them(world: RosWorld) -> None:
    ends = Ends(world, delay_s=10.0, jitter_s=1.0)
    ends.send(range(3))
    assert ends.counts["passed"] == 0 and len(ends.node._waiting) == 3
    assert ends.node.trigger_deactivate().name == "SUCCESS"
    assert ends.node._waiting == [] and ends.got == []


def test_a_sender_that_leaves_is_gone_behind_the_link(world: RosWorld) -> None:
    ends = Ends(world)
    world.manager.destroy_publisher(ends.sender)
    world.until(lambda: not world.manager.count_publishers("/faulty" + TOPIC), "the link is closed")


def test_the_counts_of_every_link_are_in_the_diagnostics(world: RosWorld) -> None:
    store = world.diagnostics()
    ends = Ends(world, loss=1.0)
    ends.send(range(4))
    name = f"/fault_injector_node: link {TOPIC}"
    world.until(lambda: name in store and facts(store[name])["received"] == "4", "the counts are told")
    assert facts(store[name])["lost"] == "4" and store[name].message == "0 of 4 messages passed"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "set `links`"),
        ({"links": ["uav2"]}, "expected names such as /uav2/bev/features"),
        ({"links": [TOPIC, TOPIC]}, "listed twice"),
        ({"links": [TOPIC], "output_prefix": ""}, "expected names such as"),
        ({"links": [TOPIC], "loss": 1.5}, "from 0.0 to 1.0"),
        ({"links": [TOPIC], "held_bytes": 1}, "1000000"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    world: RosWorld, parameters: dict[str, Any], said: str
) -> None:
    node = world.add(FaultInjectorNode(**world.options(**parameters)))
    assert not world.change(node, CONFIGURE)
    assert said in node.last_error


def test_every_fault_of_a_link_is_a_bounded_dynamic_parameter() -> None:
    fields = {f.name: f for f in dataclasses.fields(FaultInjectorSettings)}
    for fault in dataclasses.fields(LinkFaults):
        limits = fields[fault.name].metadata
        assert limits["dynamic"] and limits["text"] and limits["low"] == 0.0 and limits["high"] is not None
        assert fields[fault.name].default == fault.default
