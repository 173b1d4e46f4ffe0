"""Attacks on packets: what they make is accepted, and false in the way that is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.wire.boxes import SideBoxes, decode_boxes, encode_boxes
from rsdfm_ros.wire.errors import TileOutOfBounds, WireError
from rsdfm_ros.wire.faults.attack import (
    LARGEST_LATENT,
    REPLAYED_IMAGES,
    SHIFT_TILES,
    Replay,
    saturated,
    shifted_tiles,
)
from rsdfm_ros.wire.limits import Limits
from rsdfm_ros.wire.packet import Expected, assemble, decode_packet, encode_frame
from support.wire_frames import dense_frame, feature_frame, same

FINGERPRINT = 77
BOXES = encode_boxes(
    SideBoxes(
        np.array([0, 1]),
        np.array([0.9, 0.5]),
        np.array([[3.0, 4.0, 0.8], [-8.0, 1.0, 0.8]]),
        np.full((2, 3), 2.0),
        np.zeros(2),
        np.zeros((2, 2)),
    )
)


def packets(**fields: int) -> list[bytes]:
    return encode_frame(feature_frame(tiles=40, cells=600, **fields), 4_000, fingerprint=FINGERPRINT)


def test_saturated_packets_are_accepted_and_assemble_to_an_image_of_largest_values() -> None:
    honest = packets()
    assert len(honest) > 1
    parts = [decode_packet(saturated(p), expected=Expected(FINGERPRINT, 16, 16)) for p in honest]
    frame, true = assemble(parts), assemble(map(decode_packet, honest))
    assert (frame.low == LARGEST_LATENT).all() and (frame.high == LARGEST_LATENT).all()
    assert (frame.low_scale == Limits().max_scale).all() and (frame.high_scale == Limits().max_scale).all()
    np.testing.assert_array_equal(frame.tiles, true.tiles)
    np.testing.assert_array_equal(frame.high_cell, true.high_cell)


def test_dense_features_are_saturated_at_their_own_largest_values_and_boxes_not_at_all() -> None:
    (payload,) = encode_frame(dense_frame(tiles=2, channels=4), fingerprint=FINGERPRINT)
    true, false = decode_packet(payload).frame, decode_packet(saturated(payload)).frame
    np.testing.assert_array_equal(false.values, np.broadcast_to(true.values.max(axis=0), true.values.shape))
    np.testing.assert_array_equal(false.visible, true.visible)
    assert saturated(BOXES) == BOXES


def test_shifted_packets_are_the_same_features_at_tiles_further_on() -> None:
    for payload in packets():
        true, false = decode_packet(payload), decode_packet(shifted_tiles(payload, 1.0))
        assert false.fingerprint == FINGERPRINT
        np.testing.assert_array_equal(
            false.frame.tiles - true.frame.tiles, [SHIFT_TILES] * len(true.frame.tiles)
        )
        back = decode_packet(shifted_tiles(shifted_tiles(payload, 1.0), 1.0, (-1, 0))).frame
        assert same(back, true.frame)


def test_boxes_are_shifted_as_far_as_the_features() -> None:
    true, false = decode_boxes(BOXES), decode_boxes(shifted_tiles(BOXES, 0.5, (0, -2)))
    np.testing.assert_allclose(false.centres - true.centres, [[0.0, -16.0, 0.0]] * 2, atol=0.011)


def test_what_no_receiver_accepts_is_refused_typed() -> None:
    damaged = packets()[0][:-1] + b"x"
    for attack in (saturated, lambda p: shifted_tiles(p, 1.0)):
        with pytest.raises(WireError):
            attack(damaged)
    with pytest.raises(TileOutOfBounds):
        shifted_tiles(packets()[0], 1.0, (-Limits().max_tile_key, 0))


def replayed(replay: Replay[str], images: range, period_s: float, count: int = 2) -> list[list[str]]:
    """What is sent in the place of every image of `count` packets."""
    return [
        [p for n in range(count) for p in replay.packets(round(k * period_s * 1e9), f"{k}.{n}")]
        for k in images
    ]


def test_a_replay_repeats_the_first_image_and_later_the_one_of_five_seconds_ago() -> None:
    sent = replayed(Replay(), range(14), 0.5)
    assert sent[0] == ["0.0", "0.1"]
    assert sent[1:11] == [["0.0", "0.1"]] * 10
    assert sent[11:] == [["1.0", "1.1"], ["2.0", "2.1"], ["3.0", "3.1"]]


def test_a_replay_of_another_flight_starts_anew_and_memory_is_bounded() -> None:
    replay: Replay[str] = Replay()
    replayed(replay, range(100, 120), 0.5)
    assert replayed(replay, range(3), 0.5)[1:] == [["0.0", "0.1"]] * 2
    replayed(replay, range(1000), 0.001)
    assert len(replay._images) == REPLAYED_IMAGES
