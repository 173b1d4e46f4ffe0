"""A frame survives the way through packets; a lost packet costs its tiles and nothing else."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_frames import dense_frame, feature_frame, same

from rsdfm_ros.wire.errors import InconsistentParts, PacketTooSmall, TileOutOfBounds, WireError
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame
from rsdfm_ros.wire.packet import (
    HighPart,
    LowPart,
    assemble,
    assemble_dense,
    decode_packet,
    encode_frame,
    orphan_tiles,
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tiles=st.integers(1, 80),
    cells=st.integers(0, 900),
    low_channels=st.integers(1, 24),
    high_channels=st.integers(1, 24),
    limit=st.integers(2500, 20_000),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_frame_comes_back_equal_whatever_the_order_of_its_packets(
    seed: int, tiles: int, cells: int, low_channels: int, high_channels: int, limit: int, shuffle: object
) -> None:
    frame = feature_frame(seed, tiles, cells, low_channels, high_channels)
    try:
        packets = encode_frame(frame, limit)
    except PacketTooSmall:
        assert limit < 8000  # 256 cells × 24 channels of noise
        return
    assert max(len(p) for p in packets) <= limit
    shuffle.shuffle(packets)  # type: ignore[attr-defined]
    parts = [decode_packet(p) for p in packets]
    assert same(assemble(parts, low_channels=low_channels, high_channels=high_channels), _sent(frame))


def _sent(frame: FeatureFrame) -> FeatureFrame:
    """A scale without a single cell does not travel."""
    if len(frame.high_tile):
        return frame
    return dataclasses.replace(frame, high_scale=np.ones_like(frame.high_scale))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tiles=st.integers(1, 12), channels=st.integers(1, 64))
def test_any_dense_frame_comes_back_equal(seed: int, tiles: int, channels: int) -> None:
    frame = dense_frame(seed, tiles, channels)
    packets = encode_frame(frame)
    assert same(assemble_dense([decode_packet(p) for p in reversed(packets)]), frame)


def test_a_frame_of_the_demo_size_needs_two_packets_and_stays_below_the_limit() -> None:
    packets = encode_frame(feature_frame(tiles=40, cells=600))
    assert [type(decode_packet(p)) for p in packets] == [LowPart, HighPart]
    assert max(len(p) for p in packets) <= 16_384


def test_low_packets_come_first_and_split_packets_are_filled() -> None:
    packets = encode_frame(feature_frame(tiles=60, cells=4000), 8000)
    bands = [isinstance(decode_packet(p), LowPart) for p in packets]
    assert bands == sorted(bands, reverse=True)
    full = [len(p) for p, low in zip(packets, bands, strict=True) if not low][:-1]
    assert np.mean(full) > 0.85 * 8000


def test_a_lost_low_packet_costs_its_tiles_only() -> None:
    frame = feature_frame(tiles=60, cells=900)
    packets = encode_frame(frame, 3000)
    parts = [decode_packet(p) for p in packets]
    lost, kept = parts[0], parts[1:]
    assert isinstance(lost, LowPart)
    result = assemble(kept).validate()
    gone = {tuple(t) for t in lost.tiles.tolist()}
    remaining = [tuple(t) for t in frame.tiles.tolist() if tuple(t) not in gone]
    assert [tuple(t) for t in result.tiles.tolist()] == remaining
    with_cells = {tuple(t) for t in frame.tiles[np.unique(frame.high_tile)].tolist()}
    assert orphan_tiles(kept) == len(gone & with_cells) > 0


def test_a_lost_high_packet_leaves_the_low_band_whole() -> None:
    frame = feature_frame(tiles=60, cells=900)
    parts = [p for p in map(decode_packet, encode_frame(frame)) if isinstance(p, LowPart)]
    result = assemble(parts, high_channels=16).validate()
    assert np.array_equal(result.low, frame.low) and result.high.shape == (0, 16)


def test_nothing_received_is_an_empty_frame() -> None:
    result = assemble([], low_channels=4, high_channels=5).validate()
    assert len(result.tiles) == 0 and result.low.shape == (0, 4, 2, 2) and result.high.shape == (0, 5)


def test_a_frame_without_tiles_needs_no_packet() -> None:
    assert encode_frame(assemble([], low_channels=4, high_channels=4)) == []


def test_parts_that_cannot_be_of_one_frame_are_refused() -> None:
    frame = feature_frame()
    low, high = (decode_packet(p) for p in encode_frame(frame))
    other_model, _ = (decode_packet(p) for p in encode_frame(frame, fingerprint=5))
    other_scale = dataclasses.replace(low, tiles=low.tiles + 100, scale=low.scale * 2)
    dense = decode_packet(encode_frame(dense_frame())[0])
    for parts in ([low, low], [low, high, high], [low, other_model], [low, other_scale], [low, dense]):
        with pytest.raises(InconsistentParts):
            assemble(parts)
    with pytest.raises(InconsistentParts):
        assemble_dense([dense, dense])


def test_a_single_tile_beyond_the_packet_limit_is_named() -> None:
    with pytest.raises(PacketTooSmall, match="raise max_packet_bytes") as caught:
        encode_frame(feature_frame(tiles=1, cells=256), 500)
    assert caught.value.limit == 500 < caught.value.actual


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tiles", np.array([[1, 1], [0, 0]], np.int32)),
        ("tiles", np.array([[1, 1], [1, 1]], np.int32)),
        ("tiles", np.array([[0, 0], [0, 1]], np.int64)),
        ("tiles", np.array([[0, 0], [0, 9000]], np.int32)),
        ("low", np.zeros((3, 4, 2, 2), np.int8)),
        ("low", np.zeros((2, 0, 2, 2), np.int8)),
        ("low_scale", np.array([1, 1, 1, np.nan], np.float32)),
        ("low_scale", np.array([1, 1, 1, 0], np.float32)),
        ("high_scale", np.array([1, 1], np.float32)),
        ("visible", np.zeros((2, 16, 16), np.uint8)),
        ("high_tile", np.array([0, 2], np.int32)),
        ("high_tile", np.array([1, 0], np.int32)),
        ("high_cell", np.array([7, 7], np.uint8)),
        ("high", np.zeros((1, 4), np.int8)),
    ],
)
def test_a_malformed_frame_is_refused_before_it_is_sent(field: str, value: np.ndarray) -> None:
    frame = FeatureFrame(
        tiles=np.array([[0, 0], [0, 1]], np.int32),
        low=np.zeros((2, 4, 2, 2), np.int8),
        low_scale=np.ones(4, np.float32),
        visible=np.ones((2, 16, 16), np.bool_),
        high_tile=np.array([0, 0], np.int32),
        high_cell=np.array([7, 9], np.uint8),
        high=np.zeros((2, 4), np.int8),
        high_scale=np.ones(4, np.float32),
    )
    assert encode_frame(frame)
    with pytest.raises(WireError):
        encode_frame(dataclasses.replace(frame, **{field: value}))


def test_a_far_tile_is_refused_by_the_sender() -> None:
    frame = dense_frame()
    with pytest.raises(TileOutOfBounds, match=r"8192"):
        encode_frame(DenseFrame(frame.tiles + np.int32(9000), frame.visible, frame.values))
