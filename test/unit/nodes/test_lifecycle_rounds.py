"""Rounds through the lifecycle leave nothing behind: entities, parameters, threads, file descriptors, books of peers.

`python -m benchmarks.soak --lifecycle 200` does the same for every node in a process of its own, with its memory."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.mission.fault_injector_node import FaultInjectorNode
from rsdfm_ros.nodes.mission.gazebo_flight_node import GazeboFlightNode
from rsdfm_ros.nodes.mission.gazebo_truth_node import GazeboTruthNode
from rsdfm_ros.nodes.mission.record_node import RecordNode
from rsdfm_ros.nodes.mission.replay_node import ReplayNode
from rsdfm_ros.nodes.mission.sim_node import SimNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.bag_data import make_bag
from support.node_flight import Flight
from support.ros_world import RosWorld

ROUNDS, WARM = 10, 3
"""After the first rounds everything that is made once, and kept, is there."""

MOST_DEAD = 60
"""Entities of one round whose memory the collector may free after the last of them has ended."""


def left(nodes: list[RsdfmNode[Any]]) -> dict[str, int]:
    """What nodes and their process hold."""
    gc.collect()
    members = [member() for node in nodes for member in node.default_callback_group.entities]
    assert members.count(None) < MOST_DEAD, (
        "those of former rounds are forgotten with the next entity that ends"
    )
    return {
        "entities": sum(
            len(list(held))
            for node in nodes
            for held in (node.publishers, node.subscriptions, node.timers, node.services, node.clients)
        ),
        "members of callback groups": len(members) - members.count(None),
        "parameters": sum(len(node._parameters) for node in nodes),
        "python threads": threading.active_count(),
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
    }


def go_round(nodes: list[RsdfmNode[Any]], fly: Callable[[], None]) -> None:
    for node in nodes:
        node.start()
    fly()
    for step in ("trigger_deactivate", "trigger_cleanup"):
        for node in nodes:
            getattr(node, step)()
    assert {node.state for node in nodes} == {"unconfigured"}, [node.last_error for node in nodes]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (FaultInjectorNode, {"links": ["/uav2/bev/features", "/uav3/bev/features"], "delay_s": 0.1}),
        (SimNode, {"uavs": 2}),
        (EvaluatorNode, {"agents": ["uav1", "uav2"]}),
        (ReplayNode, {"bag": "bag"}),
        (RecordNode, {"out": "out"}),
        (GazeboFlightNode, {"agents": ["uav1"]}),
        (GazeboTruthNode, {"agents": ["uav1"]}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_rounds_of_a_node_of_a_mission_leave_nothing(
    world: RosWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Any],
    parameters: dict[str, Any],
) -> None:
    monkeypatch.setattr(
        SimNode, "play", lambda self, lockstep: None
    )  # no renderer: the node around it counts
    if kind is ReplayNode:
        parameters = {"bag": str(make_bag(tmp_path / "bag", frames=1, truth=0))}
    node = world.add(kind(**world.options(**parameters | {"out": ""} if kind is RecordNode else parameters)))
    after = []
    for number in range(ROUNDS):
        if kind is RecordNode:
            assert world.set(node, out=str(tmp_path / f"{number}")) == [""]
        go_round([node], lambda: None)
        after.append(left([node]))
    assert after[-1] == after[WARM - 1]


def test_rounds_of_a_uav_that_flies_with_a_peer_leave_nothing_but_its_counts(
    world: RosWorld, flight: Flight, model: Path
) -> None:
    uav = Uav(**world.options(model=str(model), peer_wait_s=0.2, image_reliability="reliable",
                              features_reliability="reliable", liveliness_lease_s=60.0))  # fmt: skip
    nodes = world.add(*uav.nodes) and uav.nodes
    sensors, peer = flight.sensors(), flight.features("uav2")
    after, books = [], []

    def fly() -> None:
        frame = len(after)
        heard = [*sensors, peer]
        world.until(lambda: all(p.get_subscription_count() > 0 for p in heard), "the UAV listens")
        flight.send(frame)
        flight.show(frame)
        world.until(lambda: uav.collaboration.health.snapshot()[0].get("packets_received"), "a packet came")
        world.until(lambda: uav.encoder.health.snapshot()[0].get("frames"), "the image is answered")
        receiver = uav.collaboration.receiver
        assert receiver is not None and [p.name for p in receiver.peers] == ["uav2"]
        books.append(weakref.ref(receiver))

    for _ in range(ROUNDS):
        go_round(nodes, fly)
        assert uav.collaboration.receiver is None and uav.collaboration.peers == []
        world.until(lambda: gc.collect() >= 0 and books[-1]() is None, "the last job is done with the books")
        after.append(left(nodes))
    world.until(
        lambda: left(nodes) == after[WARM - 1], f"what was left is {after[WARM - 1]} again, not {after[-1]}"
    )
