"""A UAV that has not flown yet tells the peers that it is connected with: those it hears and that hear it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node
from rsdfm_ros.msg import AgentStatus, FeaturePacket

from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.node_flight import Flight, matched_peers

FEATURES = qos.features("reliable", 60.0)


@pytest.fixture
def uav(flight: Flight, model: Path) -> Uav:
    values = {"model": str(model), "features_reliability": "reliable", "liveliness_lease_s": 60.0}
    made = Uav(**flight.world.options(discovery_period_s=0.05, **values))
    flight.world.add(*made.nodes)
    flight.world.up(*made.nodes)
    return made


def test_a_peer_is_connected_when_it_hears_too(flight: Flight, uav: Uav) -> None:
    world, status = flight.world, flight.keep(AgentStatus, "/uav1/status")
    peer = world.add(Node("collaboration_node", context=world.context, namespace="/uav2"))
    peer.create_publisher(FeaturePacket, "bev/features", FEATURES)
    world.until(lambda: matched_peers(uav.collaboration) == ["uav2"], "it is heard")
    told = len(status)
    world.until(lambda: len(status) > told + 1, "the status was told again")
    assert list(status[-1].peers) == []
    peer.create_subscription(FeaturePacket, "/uav1/bev/features", lambda _: None, FEATURES)
    world.until(lambda: list(status[-1].peers) == ["uav2"], "they are connected")


def test_no_peer_is_connected_while_a_subscription_that_is_known_is_not(
    flight: Flight, uav: Uav, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = flight.world
    peer = world.add(Node("collaboration_node", context=world.context, namespace="/uav2"))
    peer.create_publisher(FeaturePacket, "bev/features", FEATURES)
    peer.create_subscription(FeaturePacket, "/uav1/bev/features", lambda _: None, FEATURES)
    world.until(lambda: uav._connected() == ["uav2"], "they are connected")
    monkeypatch.setattr(uav.encoder._packets, "get_subscription_count", lambda: 0)
    assert uav._connected() == []


def test_what_is_heard_over_a_link_of_another_name_needs_no_node_there(flight: Flight, uav: Uav) -> None:
    flight.publisher(FeaturePacket, "/radio/uav2/bev/features", FEATURES)
    flight.world.until(lambda: uav._connected() == ["uav2"], "it is heard")


def test_a_peer_that_hears_over_a_relay_counts(flight: Flight, uav: Uav) -> None:
    world = flight.world
    peer = world.add(Node("collaboration_node", context=world.context, namespace="/uav2"))
    peer.create_publisher(FeaturePacket, "bev/features", FEATURES)
    relay = world.add(Node("relay", context=world.context))
    relay.create_subscription(FeaturePacket, "/uav1/bev/features", lambda _: None, FEATURES)
    world.until(lambda: uav.encoder.receivers(["/uav2"]) == {"/"}, "the relay is connected")
    assert uav._connected() == []
    relay.create_publisher(FeaturePacket, "/radio/uav1/bev/features", FEATURES)
    world.until(lambda: uav._connected() == ["uav2"], "it passes on what the peer hears")
