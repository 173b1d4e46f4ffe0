"""Boxes beside features, and what the collaboration node does with them: moved, corrected, doubted, and said so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import FeaturePacket, FusedBev, ObjectArray

from rsdfm_ros.agent.prefusion.evidence import Evidence, OwnAnswers
from rsdfm_ros.agent.solo import SoloHistory
from rsdfm_ros.data.messages import stamps
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.diagnostics import OK, WARN
from rsdfm_ros.nodes.uav.collaboration_node import CollaborationNode
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from rsdfm_ros.wire.boxes import SideBoxes, boxes_within, carries_boxes, decode_boxes
from support.node_flight import Flight, believed, camera, camera_image, matched_peers, stamp_of
from support.ros_world import RosWorld, facts, level

# --- sent -------------------------------------------------------------------------------------------------------------


class Sending:
    """An encoder and everything that it sends, by stamp."""

    def __init__(self, flight: Flight, model: Path, **parameters: Any) -> None:
        self.flight, world = flight, flight.world
        values = {"model": str(model), "image_reliability": "reliable", "features_reliability": "reliable"}
        self.node = world.up(world.add(EncoderNode(**world.options(**values, **parameters))))
        self.packets = flight.keep(FeaturePacket, "/uav1/bev/features", qos.features("reliable", 60.0))
        flight.sensors()
        world.until(lambda: flight.heard("/uav1/camera/image_raw"), "the encoder listens")

    def frame(self, k: int, **other: Any) -> list[FeaturePacket]:
        """Show an image; its packets, all of those that they announce."""
        self.flight.show(k, **other)
        return self.flight.world.until(lambda: self._whole(k), f"the packets of frame {k} are here")

    def boxes(self, k: int, **other: Any) -> SideBoxes | None:
        """The boxes that travel with an image."""
        found = [bytes(p.payload) for p in self.frame(k, **other) if carries_boxes(bytes(p.payload))]
        assert len(found) <= 1
        return decode_boxes(found[0]) if found else None

    def _whole(self, k: int) -> list[FeaturePacket]:
        here = [p for p in self.packets if stamps.stamp_ns(p.header.stamp) == stamp_of(k)]
        return here if here and len(here) == here[0].packet_count else []


def test_boxes_are_what_the_uav_detects_alone_and_come_last(flight: Flight, model: Path) -> None:
    sending = Sending(flight, model)
    perception, history = Perception.load(model), SoloHistory(3)
    for k in range(3):
        packets = sending.frame(k)
        assert [carries_boxes(bytes(p.payload)) for p in packets] == [False] * (len(packets) - 1) + [True]
        K, T, covariance = camera(1, k)
        bev = perception.perceive(camera_image(1, k), K, believed(T), covariance)
        alone = history.add(perception, stamp_of(k), bev).boxes()
        assert alone is not None and len(alone) > 3
        sent = decode_boxes(bytes(packets[-1].payload))
        best = np.argsort(-alone.scores, kind="stable")[: boxes_within(sending.node.settings.budget_bytes)]
        np.testing.assert_allclose(sent.centres, alone.centres[best], atol=0.006)
        np.testing.assert_allclose(sent.velocities, alone.velocities[best], atol=0.006)
    counts = sending.node.health.counts
    assert counts["boxes_sent"] == 3 and counts["packets_sent"] == len(sending.packets)


def test_boxes_are_sent_as_the_parameter_says(flight: Flight, model: Path) -> None:
    sending, world = Sending(flight, model), flight.world
    assert sending.boxes(0) is not None, "the pose is uncertain"
    assert sending.boxes(1, exact=True) is None, "the pose is exact and nobody is late"
    sending.node.on_peers_late(True)
    assert sending.boxes(2, exact=True) is not None, "peers are late, and we to them"
    assert world.set(sending.node, send_boxes="never") == [""]
    assert sending.boxes(3) is None
    sending.node.on_peers_late(False)
    assert world.set(sending.node, send_boxes="always") == [""]
    assert sending.boxes(4, exact=True) is not None
    (reason,) = world.set(sending.node, send_boxes="sometimes")
    assert "auto" in reason and "never" in reason


def test_boxes_count_in_the_budget_and_take_a_quarter_at_most(flight: Flight, model: Path) -> None:
    sending = Sending(flight, model, budget_bytes=4000)
    sizes = []
    for k in range(12):
        boxes = sending.boxes(k)
        assert boxes is not None and 0 < len(boxes) <= 4000 * 0.25 / 16
        sizes.append(sending.node.health.frame_bytes)
    assert 3200 < np.mean(sizes[3:]) < 4400


# --- received ---------------------------------------------------------------------------------------------------------


def grid_of_boxes(shift: float = 0.0, velocity: float = 0.0) -> SideBoxes:
    """Nine boxes of one size around the origin, all shifted by so many metres along x."""
    xy = np.array([[9.0 * i + (i * j) % 2, 8.0 * j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
    n = len(xy)
    return SideBoxes(
        np.zeros(n, np.int64),
        np.full(n, 0.9),
        np.column_stack([xy[:, 0] + shift, xy[:, 1], np.full(n, 0.8)]),
        np.tile([4.5, 1.9, 1.6], (n, 1)),
        np.zeros(n),
        np.tile([velocity, 0.0], (n, 1)),
    )


class Hearing:
    """A collaboration node of uav1 that gets its own features and those of peers as packets."""

    def __init__(self, flight: Flight, model: Path, *peers: str, **parameters: Any) -> None:
        self.flight, self.world = flight, flight.world
        self.maps = flight.keep(FusedBev, "/uav1/bev/fused", qos.fused())
        for agent in ("uav1", *peers):
            flight.features(agent)
        values = {"model": str(model), "features_reliability": "reliable", "liveliness_lease_s": 60.0}
        values |= {"discovery_period_s": 0.05, "peer_wait_s": 20.0, **parameters}
        self.node = self.world.up(self.world.add(CollaborationNode(**self.world.options(**values))))
        self.world.until(lambda: matched_peers(self.node) == sorted(peers), f"{peers} are heard")
        self.world.until(lambda: flight.heard("/uav1/bev/features"), "the UAV hears itself")
        self.world.until(lambda: self.node._outputs.fused.get_subscription_count(), "the map is listened to")

    def fuse(self, frame: int, **of: dict[str, Any]) -> FusedBev:
        """Send the packets of UAVs (name → what Flight.packets takes) and then the own ones; the fused map."""
        for agent, about in {"uav1": {}, **of}.items():
            if agent != "uav1":
                self.flight.send(frame, agent, **about)
        self.flight.send(frame, "uav1", **of.get("uav1", {}))
        return self.world.until(lambda: self.at(frame), f"frame {frame} is fused")

    def complete(self, agent: str, frame: int) -> bool:
        """Whether all packets of a peer's image have come."""
        peer = self.node.receiver.peer(agent)
        return self.node.receiver.inbox.complete(agent, stamp_of(frame), peer.gid)

    def at(self, frame: int) -> FusedBev | None:
        return next((m for m in self.maps if stamps.stamp_ns(m.header.stamp) == stamp_of(frame)), None)

    def told(self, seen: dict[str, Any], what: str, due: int, about: str) -> dict[str, str]:
        """The facts of a concern of the diagnostics, once it has that level and is about something: a key, or a part
        of the message. Earlier diagnostics may have the level already."""
        name = f"/uav1/collaboration_node: {what}"

        def found() -> dict[str, str] | None:
            if name not in seen or level(seen[name]) != due:
                return None
            told = {"message": seen[name].message, **facts(seen[name])}
            return told if about in told or about in told["message"] else None

        return self.world.until(found, f"{what} is reported as {due} with {about}")


def test_poses_are_corrected_by_common_boxes_unless_that_is_off(flight: Flight, model: Path) -> None:
    hearing, seen = Hearing(flight, model, "uav2"), flight.world.diagnostics()
    both = {"uav1": {"boxes": grid_of_boxes()}, "uav2": {"boxes": grid_of_boxes(0.6)}}
    corrected = hearing.fuse(0, **both)
    peer = hearing.node.receiver.peer("uav2")
    assert peer.common == 9 and 0.03 < peer.moved_m < 0.6 and peer.turned_deg is not None
    assert hearing.node.health.counts["poses_corrected"] == 2, "the own pose and the peer's"
    told = hearing.told(seen, "peer uav2", OK, "moved_m")
    assert float(told["moved_m"]) == pytest.approx(peer.moved_m, abs=0.01)
    assert float(hearing.told(seen, "interaction", OK, "own_moved_m")["own_moved_m"]) > 0.03
    assert flight.world.set(hearing.node, correct_poses=False) == [""]
    flight.world.until(lambda: hearing.node.settings.correct_poses is False, "it is set")
    plain = hearing.fuse(1, **both)
    assert peer.moved_m is None and hearing.node.health.moved_m is None
    assert list(plain.contributors) == list(corrected.contributors) == ["uav1", "uav2"]


def test_a_peer_that_contradicts_is_left_out_and_named_unless_that_is_off(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnAnswers, "evidence", lambda self, probe, bev: Evidence(8.0, 8.0))
    hearing, seen = Hearing(flight, model, "uav2", map_consistency=0.2), flight.world.diagnostics()
    assert list(hearing.fuse(0, uav2={}).contributors) == ["uav1"]
    told = hearing.told(seen, "peer uav2", WARN, "left out")
    assert told["message"] == "left out: its map shows other vehicles than ours"
    told = hearing.told(seen, "interaction", WARN, "uav2 (contradicts)")
    assert told["peers_left_out_contradicts"] == "1"
    assert flight.world.set(hearing.node, doubt_peers=False) == [""]
    assert list(hearing.fuse(1, uav2={}).contributors) == ["uav1", "uav2"]
    assert flight.world.set(hearing.node, doubt_peers=True, map_consistency=-1.0) == ["", ""]
    assert list(hearing.fuse(2, uav2={}).contributors) == ["uav1", "uav2"], "the model believes everybody"
    assert hearing.node.receiver.peer("uav2").left_out == ""


def test_what_moves_in_an_older_map_is_carried_on_unless_that_is_off(flight: Flight, model: Path) -> None:
    fused = {}
    for moved in (True, False):
        world = RosWorld()
        there = Flight(world, model)
        hearing = Hearing(
            there, model, "uav2", peer_wait_s=0.05, max_age_s=5.0, correct_poses=False, move_peers=moved
        )
        late: list[bool] = []
        hearing.node.late_listeners.append(late.append)
        there.send(0, "uav2", boxes=grid_of_boxes(velocity=8.0))
        world.until(lambda h=hearing: h.node.receiver.inbox.peers == ["uav2"], "the older image is here")
        world.until(lambda h=hearing: h.complete("uav2", 0), "all of it")
        message = hearing.fuse(1)
        assert list(message.contributors) == ["uav1", "uav2"] and message.ages_s[1] == pytest.approx(0.5)
        assert late == [True]
        fused[moved] = bytes(message.data)
        world.close()
    assert fused[True] != fused[False]


def test_how_long_it_takes_is_told(flight: Flight, model: Path) -> None:
    hearing = Hearing(flight, model, "uav2")
    hearing.fuse(0, uav2={})
    stages = hearing.node.health.stages_ms()
    assert {"decode", "prepare", "fuse"} <= set(stages) and stages["prepare"] >= 0


def test_malformed_boxes_are_refused_counted_and_the_picture_is_still_used(
    flight: Flight, model: Path
) -> None:
    hearing = Hearing(flight, model, "uav2", peer_wait_s=0.1)
    messages = flight.packets(0, "uav2", boxes=grid_of_boxes())
    messages[-1].payload[-1] ^= 1
    for message in messages:
        flight.features("uav2").publish(message)
    hearing.world.until(lambda: hearing.node.health.rejects["checksum_mismatch"] == 1, "it is refused")
    assert list(hearing.fuse(0).contributors) == ["uav1", "uav2"]
    assert hearing.node.receiver.peer("uav2").moved_m is None


# --- composed ---------------------------------------------------------------------------------------------------------


def test_a_composed_uav_detects_alone_once_for_peers_and_for_people(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fuse", "detect"):
        real = getattr(Perception, name)
        monkeypatch.setattr(
            Perception, name, lambda self, *a, _n=name, _r=real, **k: (calls.append(_n), _r(self, *a, **k))[1]
        )
    world = flight.world
    reliable = {"image_reliability": "reliable", "features_reliability": "reliable"}
    uav = Uav(**world.options(model=str(model), publish_single=True, **reliable))
    world.add(*uav.nodes)
    world.up(*uav.nodes)
    single = flight.keep(ObjectArray, "/uav1/single/detections")
    packets = flight.keep(FeaturePacket, "/uav1/bev/features", qos.features("reliable", 60.0))
    flight.sensors()
    out = next(p for p in uav.heads[0].publishers if p.topic_name == "/uav1/single/detections")
    world.until(lambda: flight.heard("/uav1/camera/image_raw", "/uav1/pose"), "the encoder listens")
    world.until(lambda: out.get_subscription_count(), "the answer is listened to")
    calls.clear()  # of the rehearsal
    flight.show(0)
    world.until(lambda: single and uav.health.counts["frames"] == 1, "the answer comes")
    assert sorted(calls) == ["detect", "detect", "fuse"], "alone, together (with nobody here), and no more"
    world.until(lambda: packets and len(packets) == packets[0].packet_count, "all packets are here")
    boxes = [decode_boxes(bytes(p.payload)) for p in packets if carries_boxes(bytes(p.payload))]
    told = np.sort([o.score for o in single[0].objects if o.score >= 0.3])[::-1]
    assert len(boxes) == 1 and len(boxes[0]) <= len(told)
    np.testing.assert_allclose(boxes[0].scores, told[: len(boxes[0])], atol=0.003)
