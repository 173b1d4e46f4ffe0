"""Images of several UAVs are published one after the other: shared memory does not hold all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from rclpy.duration import Duration

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.nodes.mission.lockstep import IMAGE_RECEIVED_S
from rsdfm_ros.nodes.mission.replay_node import ReplayNode
from rsdfm_ros.nodes.mission.sim_node import SimNode
from support.bag_data import AGENTS, frame, make_bag
from support.ros_world import RosWorld


class Outlet:
    """A publisher that notes what is asked of it."""

    def __init__(self, topic: str, notes: list[str]) -> None:
        self.topic, self._notes = topic, notes

    def publish(self, _: Any) -> None:
        self._notes.append(f"publish {self.topic}")

    def wait_for_all_acked(self, limit: Duration) -> bool:
        assert 0 < limit.nanoseconds * 1e-9 <= IMAGE_RECEIVED_S
        self._notes.append(f"wait {self.topic}")
        return True


def made(world: RosWorld, kind: type[Any], **parameters: Any) -> Any:
    return world.add(kind(**{**world.options(**parameters), "namespace": ""}))


def test_the_simulator_waits_for_each_image_to_be_received(world: RosWorld) -> None:
    notes: list[str] = []
    node = made(world, SimNode, uavs=len(AGENTS))
    node.trigger_configure()
    for agent, outlets in node._cameras.items():
        for topic in outlets:
            outlets[topic] = Outlet(f"{agent}/{topic}", notes)
    given = frame(0)
    node._publish(WorldFrame(0, 0, given.views, given.objects))
    images = [note for note in notes if "image_raw" in note]
    assert images == [f"{step} {a}/camera/image_raw" for a in AGENTS for step in ("publish", "wait")]


def test_a_replay_waits_for_each_image_to_be_received(world: RosWorld, tmp_path: Path) -> None:
    notes: list[str] = []
    node = made(world, ReplayNode, bag=str(make_bag(tmp_path / "bag")), lockstep=False, real_time_factor=50.0)
    node.trigger_configure()
    for topic in node._outputs:
        node._outputs[topic] = Outlet(topic, notes)
    node.send = lambda publisher, _: publisher.publish(None)
    node._turn(node._plan, node._lockstep)
    images = [note for note in notes if "image_raw" in note]
    sent = [note.removeprefix("publish ") for note in images[::2]]
    assert len(sent) >= 4 and all(note.startswith("publish") for note in images[::2])
    assert images[1::2] == [f"wait {topic}" for topic in sent[:-1]], (
        "each before the next, not before other messages"
    )
    assert not any(note.startswith("wait") for note in notes if "image_raw" not in note)
