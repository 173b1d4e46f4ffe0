"""Peers' packets are assembled by instant; what is wrong, late, forged or too much is refused by reason."""

import dataclasses

import numpy as np
import pytest

from rsdfm_ros.agent.envelope import Envelope, Refused, checked_pose
from rsdfm_ros.agent.frame_store import FRAMES_AHEAD, FRAMES_KEPT
from rsdfm_ros.agent.inbox import Inbox, InboxLimits, features_of
from rsdfm_ros.wire.boxes import SideBoxes, encode_boxes
from rsdfm_ros.wire.concealment import conceal_loss
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import Expected, encode_frame
from support.wire_frames import dense_frame, feature_frame, same

FRAME = feature_frame(tiles=30, cells=300)
PACKETS = encode_frame(FRAME, 1500, fingerprint=5)
EXPECTED = Expected(fingerprint=5, low_channels=16, high_channels=16)
S = 1_000_000_000


def envelope(index: int = 0, **changes: object) -> Envelope:
    base = Envelope("uav2", 10 * S, 7, index, len(PACKETS), 5, np.eye(4), np.zeros((6, 6)))
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def inbox(**limits: int) -> Inbox:
    lost: list[tuple[str, int]] = []
    box = Inbox(EXPECTED, InboxLimits(**limits), lambda *fact: lost.append(fact))  # type: ignore[arg-type]
    box.lost = lost  # type: ignore[attr-defined]
    return box


def fill(box: Inbox, stamp_ns: int = 10 * S, agent: str = "uav2", skip: tuple[int, ...] = ()) -> None:
    for n, packet in enumerate(PACKETS):
        if n not in skip:
            box.put(envelope(n, stamp_ns=stamp_ns, agent=agent), packet, stamp_ns)


def test_a_whole_picture_comes_back_as_the_frame_that_was_sent() -> None:
    box = inbox()
    assert len(PACKETS) > 2
    fill(box)
    assert box.complete("uav2", 10 * S) and box.peers == ["uav2"]
    assert same(features_of(box.newest("uav2", 10 * S, 0.0), EXPECTED), FRAME)


def test_a_picture_with_lost_packets_is_used_with_the_tiles_that_arrived() -> None:
    box = inbox()
    fill(box, skip=(0,))
    assert not box.complete("uav2", 10 * S)
    assert 0 < len(features_of(box.newest("uav2", 10 * S, 0.0), EXPECTED).tiles) < len(FRAME.tiles)


def test_what_is_lost_of_a_picture_is_recalled_from_the_one_before_and_said_to_be_older() -> None:
    box = inbox()
    fill(box, 10 * S)
    fill(box, 10 * S + S // 2, skip=(0,))
    now = box.newest("uav2", 11 * S, 1.0)
    before = box.before(now, 1.0)
    assert before.first.stamp_ns == 10 * S
    recalled = conceal_loss(features_of(now, EXPECTED), features_of(before, EXPECTED), 0.5)
    arrived = features_of(now, EXPECTED)
    assert same(recalled.frame, FRAME) and recalled.stale_s == 0.5
    stale = {tuple(t) for t in recalled.frame.tiles[recalled.stale].tolist()}
    lost = {tuple(t) for t in FRAME.tiles.tolist()} - {tuple(t) for t in arrived.tiles.tolist()}
    assert lost and lost <= stale and len(stale) < len(FRAME.tiles)
    alone = conceal_loss(features_of(now, EXPECTED), None, 0.0)
    assert same(alone.frame, arrived) and not alone.stale.any()


def test_nothing_is_looked_up_for_a_whole_picture_nor_in_one_that_is_too_old_or_of_another() -> None:
    box = inbox()
    fill(box, 10 * S)
    fill(box, 11 * S)
    fill(box, 11 * S, agent="uav3", skip=(0,))
    assert box.before(box.newest("uav2", 11 * S, 1.0), 9.0) is None
    assert box.before(box.newest("uav3", 11 * S, 1.0), 9.0) is None, "it sent nothing before"
    fill(box, 12 * S, skip=(0,))
    partial = box.newest("uav2", 12 * S, 1.0)
    assert box.before(partial, 1.0).first.stamp_ns == 11 * S
    assert box.before(partial, 0.9) is None


def test_the_newest_picture_not_in_the_future_and_not_too_old_is_used() -> None:
    box = inbox()
    for stamp in (9 * S, 10 * S, 11 * S):
        fill(box, stamp)
    assert box.newest("uav2", 10 * S + 1, 1.0).first.stamp_ns == 10 * S
    assert box.newest("uav2", 13 * S, 1.0) is None
    assert box.newest("uav2", 8 * S, 1.0) is None
    assert box.newest("uav9", 10 * S, 1.0) is None


BOXES = encode_boxes(
    SideBoxes(
        np.zeros(2, np.int64),
        np.array([0.9, 0.5]),
        np.ones((2, 3)),
        np.ones((2, 3)),
        np.zeros(2),
        np.ones((2, 2)),
    )
)


def with_boxes(box: Inbox, index: int = len(PACKETS), payload: bytes = BOXES, **changes: object) -> None:
    """Put a message of boxes beside packets that announce one more."""
    box.put(envelope(index, count=len(PACKETS) + 1, **changes), payload, 10 * S)


def test_boxes_come_beside_the_features_in_any_order_and_belong_to_the_picture() -> None:
    for first in (True, False):
        box = inbox()
        if first:
            with_boxes(box)
            assert box.newest("uav2", 10 * S, 0.0) is None, "boxes alone are no map"
        for n, packet in enumerate(PACKETS):
            box.put(envelope(n, count=len(PACKETS) + 1), packet, 10 * S)
        if not first:
            assert not box.complete("uav2", 10 * S)
            with_boxes(box)
        assert box.complete("uav2", 10 * S)
        frame = box.newest("uav2", 10 * S, 0.0)
        assert frame is not None and frame.boxes is not None and len(frame.boxes) == 2
        assert same(features_of(frame, EXPECTED), FRAME)


def test_a_picture_whose_boxes_were_lost_is_used_without_them() -> None:
    box = inbox()
    for n, packet in enumerate(PACKETS):
        box.put(envelope(n, count=len(PACKETS) + 1), packet, 10 * S)
    frame = box.newest("uav2", 10 * S, 0.0)
    assert frame is not None and frame.boxes is None and not box.complete("uav2", 10 * S)
    for k in range(1, FRAMES_KEPT + 1):
        fill(box, (10 + k) * S)
    assert box.lost == [("uav2", 1)]


@pytest.mark.parametrize(
    ("index", "payload", "changes", "reason"),
    [
        (len(PACKETS), BOXES, {}, "duplicate_packet"),
        (1, BOXES, {}, "boxes_twice"),
        (len(PACKETS), BOXES[:-1], {"stamp_ns": 11 * S}, "truncated"),
        (len(PACKETS), BOXES + b"x", {"stamp_ns": 11 * S}, "trailing_bytes"),
        (len(PACKETS), BOXES[:-1] + b"x", {"stamp_ns": 11 * S}, "checksum_mismatch"),
        (len(PACKETS), b"RSBX\2" + BOXES[5:], {"stamp_ns": 11 * S}, "unsupported_version"),
        (len(PACKETS), BOXES, {"fingerprint": 6, "stamp_ns": 11 * S}, "fingerprint_mismatch"),
    ],
)
def test_wrong_boxes_are_refused_by_reason(index: int, payload: bytes, changes: dict, reason: str) -> None:
    box = inbox()
    with_boxes(box)
    with pytest.raises(WireError) as caught:
        with_boxes(box, index, payload, **changes)
    assert caught.value.reason == reason


def test_only_a_few_pictures_are_kept_and_lost_packets_are_counted() -> None:
    box = inbox()
    fill(box, 1 * S, skip=(0, 1))
    for k in range(FRAMES_KEPT):
        fill(box, (2 + k) * S)
    assert box.lost == [("uav2", 2)]
    with pytest.raises(WireError) as caught:
        fill(box, 1 * S)
    assert caught.value.reason == "old_stamp"


@pytest.mark.parametrize(
    ("changes", "payload", "reason"),
    [
        ({"count": 0}, PACKETS[0], "packet_count"),
        ({"index": len(PACKETS)}, PACKETS[0], "packet_count"),
        ({"count": 60_000}, PACKETS[0], "packet_count"),
        ({"stamp_ns": 25 * S}, PACKETS[0], "future_stamp"),
        ({"fingerprint": 6}, PACKETS[0], "envelope_fingerprint"),
        ({}, PACKETS[0][:-1], "truncated"),
        ({}, b"", "bad_magic"),
        ({}, encode_frame(FRAME, fingerprint=6)[0], "fingerprint_mismatch"),
        ({}, encode_frame(feature_frame(low_channels=4), fingerprint=5)[0], "count_mismatch"),
        ({"index": 1}, PACKETS[1], "duplicate_packet"),
        ({"index": 2, "count": len(PACKETS) + 1}, PACKETS[2], "envelope_changed"),
        ({"agent": "uav4"}, PACKETS[0], "too_many_peers"),
    ],
)
def test_wrong_packets_are_refused_by_reason(changes: dict, payload: bytes, reason: str) -> None:
    box = inbox(max_peers=2)
    box.put(envelope(1), PACKETS[1], 10 * S)
    box.put(envelope(0, agent="uav3"), PACKETS[0], 10 * S)
    with pytest.raises(WireError) as caught:
        box.put(envelope(**changes), payload, 10 * S)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("position", "xyzw", "covariance", "reason"),
    [
        ((np.nan, 0, 0), (0, 0, 0, 1), np.zeros((6, 6)), "pose_not_finite"),
        ((0, 0, 0), (0, 0, 0, 0), np.zeros((6, 6)), "pose_not_unit"),
        ((1e9, 0, 0), (0, 0, 0, 1), np.zeros((6, 6)), "pose_far"),
        ((0, 0, 0), (0, 0, 0, 1), np.full((6, 6), np.inf), "covariance_not_finite"),
        ((0, 0, 0), (0, 0, 0, 1), -np.eye(6), "covariance_invalid"),
        ((0, 0, 0), (0, 0, 0, 1), np.arange(36.0).reshape(6, 6), "covariance_invalid"),
    ],
)
def test_poses_that_cannot_be_are_refused(position, xyzw, covariance, reason: str) -> None:
    checked_pose((0, 0, 50), (0, 0, 0, 1), np.eye(6))
    with pytest.raises(WireError) as caught:
        checked_pose(position, xyzw, covariance)
    assert caught.value.reason == reason


def test_a_forgotten_or_cleared_inbox_is_empty() -> None:
    box = inbox()
    fill(box)
    fill(box, agent="uav3")
    box.forget("uav3")
    assert box.peers == ["uav2"]
    box.clear()
    assert box.peers == []


def test_a_peer_whose_stamps_jump_far_back_has_started_anew() -> None:
    box = inbox()
    for stamp in (100 * S, 101 * S, 102 * S, 103 * S):
        fill(box, stamp)
    with pytest.raises(Refused, match="older than"):
        fill(box, 99 * S)
    fill(box, 10 * S)
    assert box.newest("uav2", 10 * S, 1.0) is not None and box.newest("uav2", 103 * S, 1.0) is None


def test_frames_ahead_take_no_room_from_those_that_may_be_fused() -> None:
    box = inbox()
    fill(box, 10 * S, skip=(0,))
    for k in range(FRAMES_AHEAD):
        box.put(envelope(0, stamp_ns=(19 - k) * S), PACKETS[0], 10 * S)
    for n, packet in enumerate(PACKETS):
        box.put(envelope(n, stamp_ns=10 * S + S // 10), packet, 10 * S)
        box.put(envelope(n, stamp_ns=9 * S), packet, 10 * S)
    assert box.newest("uav2", 10 * S, 1.0).first.stamp_ns == 10 * S
    assert box.newest("uav2", 10 * S, 1.0).indices == set(range(1, len(PACKETS)))
    assert box.newest("uav2", 10 * S + S // 5, 1.0).complete, "the farthest one made room"
    assert box.newest("uav2", 19 * S, 0.0) is None
    with pytest.raises(Refused) as caught:
        box.put(envelope(0, stamp_ns=20 * S), PACKETS[0], 10 * S)
    assert caught.value.reason == "stamp_ahead" and not caught.value.blames


def test_frames_of_publishers_are_apart() -> None:
    box = inbox(max_peers=1)
    box.put(envelope(0, stamp_ns=10 * S), PACKETS[0], 10 * S, b"forger")
    for n, packet in enumerate(PACKETS):
        box.put(envelope(n), packet, 10 * S, b"honest")
    assert box.complete("uav2", 10 * S, b"honest") and not box.complete("uav2", 10 * S, b"forger")
    assert box.peers == ["uav2"] and box.newest("uav2", 10 * S, 0.0) is None
    box.forget("uav2", b"forger")
    assert box.newest("uav2", 10 * S, 0.0, b"honest") is not None
    box.forget("uav2")
    assert box.peers == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (encode_frame(dense_frame(), fingerprint=5)[0], "dense_packet"),
        (PACKETS[0], "inconsistent_parts"),
        (encode_frame(feature_frame(9, tiles=1, cells=1), fingerprint=5)[0], "inconsistent_parts"),
    ],
)
def test_what_does_not_go_with_the_packets_before_is_refused_when_it_comes(
    payload: bytes, reason: str
) -> None:
    box = inbox()
    fill(box, skip=(1,))
    with pytest.raises(WireError) as caught:
        box.put(envelope(1), payload, 10 * S)
    assert caught.value.reason == reason
    assert len(features_of(box.newest("uav2", 10 * S, 0.0), EXPECTED).tiles) > 0
    box.put(envelope(1), PACKETS[1], 10 * S)
    assert same(features_of(box.newest("uav2", 10 * S, 0.0), EXPECTED), FRAME)
