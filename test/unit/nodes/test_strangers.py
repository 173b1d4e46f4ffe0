"""Peers that come and go leave nothing behind: no parameters, and no flood in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rsdfm_ros.nodes.core import qos, reporting
from rsdfm_ros.nodes.core.qos_overrides import forget, overridden
from rsdfm_ros.nodes.uav import peer_subscriptions
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from support.node_flight import Flight, matched_peers


def listener(flight: Flight, model: Path) -> CollaborationNode:
    values = {"model": str(model), "features_reliability": "reliable", "liveliness_lease_s": 60.0}
    values |= {"discovery_period_s": 0.05, "max_peers": 1}
    return flight.world.up(flight.world.add(CollaborationNode(**flight.world.options(**values))))


def test_parameters_of_a_peer_that_made_room_are_gone(flight: Flight, model: Path) -> None:
    node, world = listener(flight, model), flight.world

    def declared(peer: str) -> int:
        return sum(name.startswith(f"qos_overrides./{peer}/") for name in node._parameters)

    flight.features("uav2")
    world.until(lambda: matched_peers(node) == ["uav2"], "the first one is heard")
    assert declared("uav2") == 7
    flight.node.destroy_publisher(flight._publishers.pop("/uav2/bev/features"))
    flight.features("uav3")
    world.until(lambda: matched_peers(node) == ["uav3"], "another one takes its place")
    assert (declared("uav2"), declared("uav3")) == (0, 7)


def test_a_stranger_that_left_is_forgotten_although_there_is_room(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, world = listener(flight, model), flight.world
    flight.features("uav2")
    world.until(lambda: matched_peers(node) == ["uav2"], "it is heard")
    flight.node.destroy_publisher(flight._publishers.pop("/uav2/bev/features"))
    world.until(lambda: not matched_peers(node), "it has left")
    assert node.receiver.peer("uav2") is not None, "not forgotten at once"
    monkeypatch.setattr(peer_subscriptions, "GONE_S", 0.3)
    world.until(lambda: node.receiver.peer("uav2") is None, "it is forgotten")
    assert not [name for name in node._parameters if name.startswith("qos_overrides./uav2/")]
    flight.features("uav2")
    world.until(lambda: matched_peers(node) == ["uav2"], "it is heard again")


def test_overrides_that_somebody_has_set_stay(flight: Flight, model: Path) -> None:
    node, profile = listener(flight, model), qos.outputs()
    overridden(node, profile, "/x", "subscription")
    node._parameters["qos_overrides./x.subscription.depth"]._value = 77
    forget(node, profile, "/x", "subscription")
    assert [name for name in node._parameters if "./x." in name] == ["qos_overrides./x.subscription.depth"]


def test_events_of_one_kind_are_logged_every_few_seconds(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, now_s, said = listener(flight, model), [100.0], []
    monkeypatch.setattr(node, "time", lambda: now_s[0])
    monkeypatch.setattr(type(node.get_logger()), "warning", lambda logger, text: said.append(text))
    peer = node.receiver.listen("uav9", "/uav9/bev/features")
    for _ in range(50):
        peer.alive = True
        node._peer_topics._on_liveliness(peer, 0)
        node._on_jump(None)
    assert sorted(said) == ["the clock jumped back: all buffers cleared", "uav9 is gone"]
    assert node.health.counts["clock_jumps"] == 50
    now_s[0] += reporting.SILENCE_S
    node._on_jump(None)
    assert len(said) == 3
