"""Every dynamic parameter by what it does, set through the service of the running node."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from geometry_msgs.msg import PointStamped
from rsdfm_ros.msg import FeaturePacket, FusedBev

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.wire.boxes import carries_boxes
from rsdfm_ros.wire.decode import decode_packet
from support.dynamic_effects import shows, up
from support.node_flight import Flight, matched_peers, stamp_of
from support.ros_world import facts, level

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
    keys = np.concatenate([decode_packet(p).frame.tiles for p in payloads if not carries_boxes(p)])
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
    node = up(flight, EncoderNode, model, input_timeout_s=60.0)
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
    node = up(flight, EncoderNode, model, latency_warn_s=60.0, latency_error_s=60.0, input_timeout_s=60.0)
    seen = flight.world.diagnostics()
    flight.sensors()
    flight.world.until(lambda: flight.heard("/uav1/camera/image_raw"), "the encoder listens")
    encode(flight, node, 0)
    name = "/uav1/encoder_node: pipeline"
    flight.world.until(lambda: name in seen and "latency_p95_ms" in facts(seen[name]), "latency is told")
    assert level(seen[name]) == 0 and float(facts(seen[name])["latency_p95_ms"]) > 0
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
        self.world.until(lambda: matched_peers(self.node) == wanted, f"{wanted} are heard")
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
    world.until(lambda: matched_peers(node) == ["uav3", "uav4"], "the listed ones are heard")
    for name in ("uav2", "uav3", "uav4"):
        flight.send(0, name)
    world.until(lambda: all(p.packets for p in node.peers), "their packets come")
    assert list(hearing.fuse(0).contributors) == ["uav1", "uav3", "uav4"]
    assert world.set(node, max_peers=16, peers=[]) == ["", ""]
    world.until(lambda: matched_peers(node) == ["uav2", "uav3", "uav4"], "all are heard again")
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
