"""Peers: who is listened to, what their books say, and how garbage leads to quarantine and back."""

from __future__ import annotations

import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rclpy.serialization import serialize_message
from rsdfm_ros.msg import FeaturePacket, FusedBev

from rsdfm_ros.agent.fusion import Fusion
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.publishers import FORGIVEN_AFTER_S
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import ERROR, OK, STALE, WARN, peer_status
from rsdfm_ros.nodes.uav import peer_subscriptions
from rsdfm_ros.nodes.uav.collaboration.peer_topics import name_of, topic_of
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.peer_subscriptions import (
    HEARD,
    PUBLISHED,
    UNPUBLISHED,
    select_topics,
)
from support.node_flight import Flight, matched_peers, stamp_of
from support.ros_world import facts, level

AFTER, FIRST_S = 3, 10.0


def refuse(peer: Peer, times: int, now_s: float) -> list[float]:
    lengths = [peer.refused(now_s, AFTER, FIRST_S) for _ in range(times)]
    return [s for s in lengths if s is not None]


def test_refusals_in_a_row_lead_to_quarantine_and_time_ends_it() -> None:
    peer = Peer("uav2", "/uav2/bev/features")
    assert refuse(peer, AFTER - 1, 0.0) == [] and not peer.quarantined(0.0)
    assert refuse(peer, 1, 1.0) == [FIRST_S]
    assert peer.quarantined(1.0) and peer.quarantined(10.9) and not peer.quarantined(11.0)
    assert (peer.rejected, peer.quarantines) == (AFTER, 1)


def test_a_good_packet_in_between_keeps_an_honest_peer_out_of_quarantine() -> None:
    peer = Peer("uav2", "/uav2/bev/features")
    for k in range(50):
        assert refuse(peer, AFTER - 1, float(k)) == []
        peer.accepted(float(k))
    assert peer.quarantines == 0 and peer.rejected == 50 * (AFTER - 1)


def test_quarantines_grow_are_bounded_and_forgiven_after_good_behaviour() -> None:
    peer, now_s, lengths = Peer("uav2", "/uav2/bev/features"), 0.0, []
    for _ in range(8):
        lengths += refuse(peer, AFTER, now_s)
        now_s = peer.quarantined_until_s
    assert lengths == [10.0, 20.0, 40.0, 80.0, 100.0, 100.0, 100.0, 100.0]
    peer.accepted(now_s + 1.0)
    assert refuse(peer, AFTER, now_s + 2.0) == [100.0], "one good packet is no good behaviour"
    peer.accepted(peer.quarantined_until_s + FORGIVEN_AFTER_S + 1.0)
    assert refuse(peer, AFTER, 1e6) == [10.0]


def test_quarantine_can_be_switched_off() -> None:
    peer = Peer("uav2", "/uav2/bev/features")
    assert [peer.refused(0.0, 0, FIRST_S) for _ in range(100)] == [None] * 100


def test_rates_and_loss_are_those_of_the_last_seconds_and_of_what_was_announced() -> None:
    peer = Peer("uav2", "/uav2/bev/features")
    for k in range(40):
        peer.arrived(1000, 0.25 * k)
    packets, size = peer.rates(10.0)
    assert packets == pytest.approx(4.0, abs=0.3) and size == pytest.approx(4000, abs=300)
    assert peer.rates(100.0) == (0.0, 0.0)
    peer.lost = 10
    assert peer.loss() == pytest.approx(0.2)


def test_the_books_become_a_status_with_a_level() -> None:
    peer = Peer("uav2", "/uav2/bev/features", alive=True, matched=True)
    assert peer_status(peer, 0.0, 5.0).level == STALE
    peer.arrived(1000, 1.0)
    peer.age_s = 0.5
    fresh = peer_status(peer, 2.0, 5.0)
    assert fresh.level == OK and fresh.values["age_s"] == "0.50" and fresh.message == "is fused"
    stale = peer_status(peer, 20.0, 5.0)
    assert stale.level == STALE and not {"age_s", "bytes_per_second"} & set(stale.values)
    peer.late = True
    assert peer_status(peer, 2.0, 5.0).level == WARN
    peer.late, peer.lost = False, 9
    assert "90 % of its packets are lost" in peer_status(peer, 2.0, 5.0).message
    refuse(peer, AFTER, 2.0)
    assert peer_status(peer, 3.0, 5.0).level == ERROR and "another 9 s" in peer_status(peer, 3.0, 5.0).message


def test_listed_peers_replace_those_of_the_graph_and_the_living_come_first() -> None:
    found = ["/uav1/bev/features", "/b/bev/features", "/a/bev/features"]
    own = "/uav1/bev/features"
    assert select_topics(found, (), own=own, most=9) == ["/a/bev/features", "/b/bev/features"]
    assert select_topics(found, (), own=own, most=1, rank=lambda t: t[1] == "a") == ["/b/bev/features"]
    assert select_topics(found, ("c", "/x/y/bev/features"), own=own, most=9) == [
        "/c/bev/features",
        "/x/y/bev/features",
    ]
    assert [name_of(topic_of(p)) for p in ("c", "/x/y/bev/features", "/x/radio")] == ["c", "y", "x"]
    assert name_of("/bev/features") == ""


# --- with a node ------------------------------------------------------------------------------------------------------


def hearing(
    flight: Flight, model: Path, *agents: str, expected: list[str] | None = None, **parameters: Any
) -> CollaborationNode:
    for agent in agents:
        flight.features(agent)
    values = {"model": str(model), "features_reliability": "reliable", "liveliness_lease_s": 60.0}
    values |= {"discovery_period_s": 0.05, "peer_wait_s": 0.05, **parameters}
    node = flight.world.up(flight.world.add(CollaborationNode(**flight.world.options(**values))))
    heard = sorted(a for a in agents if a != "uav1") if expected is None else expected
    if heard:
        flight.world.until(lambda: matched_peers(node) == heard, f"{heard} are heard")
    return node


def garbage(agent: str) -> FeaturePacket:
    return FeaturePacket(agent=agent, packet_count=1, payload=array.array("B", b"garbage"))


def test_a_peer_that_sends_garbage_is_quarantined_counted_reported_and_comes_back(
    flight: Flight, model: Path
) -> None:
    node = hearing(
        flight, model, "uav1", "uav2", "uav3", quarantine_after=4, quarantine_s=60.0, max_age_s=9.0
    )
    seen, world = flight.world.diagnostics(), flight.world
    maps = flight.keep(FusedBev, "/uav1/bev/fused", qos.fused())
    bad, good = node.receiver.peer("uav2"), node.receiver.peer("uav3")
    for _ in range(4):
        flight.features("uav2").publish(garbage("uav2"))
    world.until(lambda: bad.quarantines == 1, "it is quarantined")
    assert node.health.rejects and sum(node.health.rejects.values()) == 4
    flight.send(0, "uav2")
    flight.send(0, "uav3")
    world.until(lambda: bad.ignored and good.packets, "its packets are thrown away, good or not")
    assert node.receiver.inbox.peers == ["uav3"]
    levels = {"peer uav2": ERROR, "peer uav3": OK, "refused": WARN}

    def reported() -> bool:
        found = {what: seen.get(f"/uav1/collaboration_node: {what}") for what in levels}
        if any(s is None or level(s) != levels[what] for what, s in found.items()):
            return False
        return int(facts(found["peer uav3"])["bytes"]) > 500  # all packets of the image

    world.until(reported, "all of it is reported")
    told = seen["/uav1/collaboration_node: peer uav2"]
    assert "quarantined for another" in told.message and facts(told)["rejected"] == "4"
    bad.publishers.leading.quarantined_until_s = node.health.clock()  # a minute passes
    flight.send(1, "uav2")
    world.until(lambda: "uav2" in node.receiver.inbox.peers, "it is heard again")
    world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")
    flight.send(1, "uav1")
    world.until(lambda: maps, "the fused map comes")
    assert list(maps[-1].contributors) == ["uav1", "uav2", "uav3"]
    assert node.health.counts["quarantines"] == 1


def test_a_quarantined_peer_is_not_waited_for(flight: Flight, model: Path) -> None:
    node = hearing(flight, model, "uav1", "uav2", quarantine_after=1, quarantine_s=60.0, peer_wait_s=60.0)
    maps = flight.keep(FusedBev, "/uav1/bev/fused", qos.fused())
    flight.features("uav2").publish(garbage("uav2"))
    flight.world.until(lambda: node.health.counts["quarantines"] == 1, "it is quarantined")
    flight.world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")
    flight.world.until(lambda: node._outputs.fused.get_subscription_count(), "the map is listened to")
    flight.send(0, "uav1")
    flight.world.until(lambda: maps, "the fused map comes without that wait", 30.0)


def test_nobody_takes_the_name_of_another(flight: Flight, model: Path) -> None:
    node = hearing(flight, model, "uav1", "uav2")
    for topic in ("/elsewhere/uav2/bev/features", "/elsewhere/uav1/bev/features"):
        flight.publisher(FeaturePacket, topic, qos.features("reliable", 60.0))
    flight.world.until(lambda: node.health.rejects["peer_name"] == 2, "both are refused, once")
    assert [p.topic for p in node.peers] == ["/uav2/bev/features"]


def test_the_topic_of_the_name_itself_is_preferred_and_one_topic_is_taken_of_each_name() -> None:
    own, real, squat = "/uav1/bev/features", "/uav2/bev/features", "/a/uav2/bev/features"
    other = {"/x/uav1/bev/features", "/bev/features", own}

    def chosen(*found: str, rank: dict[str, int] | None = None, own: str = own) -> list[str]:
        ranks = rank or {}
        return select_topics(
            [*found, *other], (), own=own, most=9, agent="uav1", rank=lambda t: ranks.get(t, PUBLISHED)
        )

    assert chosen(squat) == [squat]
    assert chosen(squat, real) == [real] == chosen(squat, real, rank={squat: HEARD})
    assert chosen(squat, real, rank={real: UNPUBLISHED}) == [squat], "nobody has the name"
    inside = "/fleet/uav2/bev/features"
    fleet = "/fleet/uav1/bev/features"
    assert chosen(squat, inside, real, own=fleet)[-1] == inside, "fleets in a namespace prefer their own"


def test_a_squatter_makes_way_when_the_real_uav_comes_and_what_was_refused_is_tried_again(
    flight: Flight, model: Path
) -> None:
    world = flight.world
    squat = flight.publisher(FeaturePacket, "/a/uav2/bev/features", qos.features("reliable", 60.0))
    node = hearing(flight, model, "uav1")
    topics = lambda: [p.topic for p in node.peers if p.matched]  # noqa: E731
    world.until(lambda: topics() == ["/a/uav2/bev/features"], "the squatter has the name")
    flight.features("uav2")
    world.until(lambda: topics() == ["/uav2/bev/features"], "the real one has it")
    world.until(lambda: node.health.rejects["peer_name"] == 1, "the squatter is refused")
    flight.node.destroy_publisher(flight._publishers.pop("/uav2/bev/features"))
    world.until(lambda: topics() == ["/a/uav2/bev/features"], "the name is free again")
    flight.node.destroy_publisher(squat)
    flight.features("uav2")
    world.until(lambda: topics() == ["/uav2/bev/features"], "and taken again")


def test_silent_squatters_make_room_for_those_that_wait(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_subscriptions, "UNHEARD_S", 0.5)
    world = flight.world
    for k in range(3):
        flight.features(f"a{k}")
    node = hearing(flight, model, "uav1", expected=["a0", "a1"], max_peers=2)
    flight.features("uav5")

    def heard() -> bool:
        if node.receiver.peer("uav5") is not None:
            flight.send(0, "uav5")
        return "uav5" in node.receiver.inbox.peers

    world.until(heard, "it gets its turn")
    assert len(node.peers) == 2


def test_a_forger_on_the_topic_of_an_honest_uav_silences_only_itself(flight: Flight, model: Path) -> None:
    node = hearing(flight, model, "uav1", "uav2", quarantine_after=4, quarantine_s=60.0, max_age_s=9.0)
    world, peer = flight.world, node.receiver.peer("uav2")
    flight.send(0, "uav2")
    world.until(lambda: "uav2" in node.receiver.inbox.peers, "the honest one is heard")
    profile = qos.features("reliable", 60.0)
    forger = flight.node.create_publisher(FeaturePacket, "/uav2/bev/features", profile)
    world.until(forger.get_subscription_count, "the forger is heard")
    for _ in range(9):
        forger.publish(garbage("uav2"))
    world.until(lambda: peer.ignored == 5, "the forger is in quarantine")
    assert peer.quarantines == 1 and not peer.quarantined(node.health.clock())
    before = peer.ignored
    flight.send(1, "uav2")
    newest = stamp_of(1)
    world.until(lambda: node.receiver.inbox.complete("uav2", newest, peer.gid), "the honest one still is")
    assert peer.ignored == before


def test_a_peer_that_breaks_fusion_costs_no_own_map_and_is_quarantined(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = hearing(flight, model, "uav1", "uav2", "uav3", quarantine_after=2, doubt_peers=False)
    world, maps = flight.world, flight.keep(FusedBev, "/uav1/bev/fused", qos.fused())
    world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")
    world.until(lambda: node._outputs.fused.get_subscription_count(), "the map is listened to")
    merge = Fusion.merge

    def failing(self: Fusion, model: Any, ready: Any, with_dominant: bool) -> Any:
        if any(peer.name == "uav2" for peer in ready.peers):
            raise np.linalg.LinAlgError("Singular matrix")
        return merge(self, model, ready, with_dominant)

    monkeypatch.setattr(Fusion, "merge", failing)
    for frame in range(2):
        for agent in ("uav2", "uav3"):
            flight.send(frame, agent)
            peer = node.receiver.peer(agent)
            world.until(
                lambda p=peer, f=frame: node.receiver.inbox.complete(p.name, stamp_of(f), p.gid), "it is here"
            )
        flight.send(frame, "uav1")
        world.until(lambda f=frame: len(maps) == f + 1, "the fused map comes")
        assert list(maps[-1].contributors) == ["uav1", "uav3"]
    assert node.health.rejects["fusion_failed"] == 2 and node.health.counts["errors"] == 0
    assert node.receiver.peer("uav2").quarantined(node.health.clock())
    assert not node.receiver.peer("uav3").quarantined(node.health.clock())


def test_a_peer_with_a_covariance_that_no_pose_has_is_quarantined(flight: Flight, model: Path) -> None:
    node = hearing(flight, model, "uav1", "uav2", quarantine_after=2)
    for frame in range(2):
        for message in flight.packets(frame, "uav2", max_packet_bytes=16_384):
            message.covariance[[0, 1, 6]] = 1e20
            flight.features("uav2").publish(message)
    flight.world.until(lambda: node.receiver.peer("uav2").quarantines == 1, "it is quarantined")
    assert node.health.rejects["covariance_too_large"] >= 2


def test_a_flood_of_names_does_not_push_out_a_peer_that_is_heard(flight: Flight, model: Path) -> None:
    node = hearing(flight, model, "uav1", "uav5", max_peers=2)
    for k in range(6):
        flight.features(f"a{k}")
    flight.world.until(lambda: len(node.peers) == 2, "one of them is listened to")
    ticks = node.count_publishers("/a5/bev/features")
    flight.world.until(lambda: node.count_publishers("/a5/bev/features") or ticks, "all are in the graph")
    node._peer_topics.refresh_peers()
    assert "uav5" in [p.name for p in node.peers] and len(node.peers) == 2


def test_what_is_no_message_at_all_is_refused(flight: Flight, model: Path) -> None:
    node = hearing(flight, model, "uav1", "uav2")
    peer = node.receiver.peer("uav2")
    for raw in (b"", b"\x00\x01\x00\x00", bytes(200), b"\xff" * 300, bytes(90_000)):
        node._on_packet(raw, peer)
    assert node.health.counts["packets_rejected"] == 5 and sum(node.health.rejects.values()) == 5
    assert node.health.rejects["over_limit"] == 1 and node.health.counts["errors"] == 0


def test_what_a_lost_packet_took_away_is_fused_from_the_picture_before_as_older(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = hearing(flight, model, "uav1", "uav2", correct_poses=False, move_peers=False)
    world, decode = flight.world, node._decoder.decode
    world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")
    decoded: list[tuple[str, Any]] = []

    def spied(model: Any, frame: Any, before: Any) -> Any:
        found = decode(model, frame, before)
        decoded.append((frame.first.agent, found.bev))
        return found

    monkeypatch.setattr(node._decoder, "decode", spied)
    peer, recalled = node.receiver.peer("uav2"), []
    for frame, lost in ((0, False), (1, True), (2, False)):
        packets = flight.packets(frame, "uav2", max_packet_bytes=340)
        assert len(packets) > 2
        arriving, so_far = packets[lost:], peer.packets
        for message in arriving:
            flight.features("uav2").publish(message)
        world.until(lambda: peer.packets - so_far == len(arriving), "the packets come")  # noqa: B023
        flight.send(frame, "uav1")
        world.until(lambda: node.health.counts["frames"] > frame, f"frame {frame} is fused")  # noqa: B023
        recalled.append(node.health.counts["tiles_recalled"])
    assert recalled[0] == 0 < recalled[1] == recalled[2] < len(flight.perception.window.tiles())
    maps = [bev for agent, bev in decoded if agent == "uav2"]
    assert maps[0].lag_s is None and maps[2].lag_s is None
    assert int((maps[1].lag_s > 0).sum()) == recalled[1] * 256
    assert maps[1].lag_s.max() == 0.5 and (maps[1].visible & (maps[1].lag_s > 0)).any()


def test_a_peer_that_leaves_is_forgotten_at_once_and_heard_again_when_it_is_back(
    flight: Flight, model: Path
) -> None:
    node = hearing(flight, model, "uav1", "uav2", peer_wait_s=60.0, max_age_s=0.1)
    world, maps = flight.world, flight.keep(FusedBev, "/uav1/bev/fused", qos.fused())
    world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")
    world.until(lambda: node._outputs.fused.get_subscription_count(), "the map is listened to")
    flight.send(0, "uav2")
    world.until(lambda: node.receiver.inbox.peers == ["uav2"], "its packets are here")
    flight.node.destroy_publisher(flight._publishers.pop("/uav2/bev/features"))
    world.until(lambda: matched_peers(node) == [], "it is gone")
    peer = node.receiver.peer("uav2")
    for message in flight.packets(0, "uav2"):  # a packet that is handled after the news
        node._on_packet(serialize_message(message), peer)
    assert not peer.alive
    flight.send(1, "uav1")
    world.until(lambda: maps, "nobody is waited for")
    assert list(maps[-1].contributors) == ["uav1"]
    flight.features("uav2")
    world.until(lambda: matched_peers(node) == ["uav2"], "it is heard again")
    flight.send(2, "uav2")
    flight.send(2, "uav1")
    world.until(lambda: len(maps) == 2, "the next map comes")
    assert list(maps[-1].contributors) == ["uav1", "uav2"]
