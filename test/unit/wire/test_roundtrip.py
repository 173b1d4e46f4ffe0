"""A frame survives the way through packets; a lost packet costs its tiles and nothing else."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.wire.errors import InconsistentParts, PacketTooSmall, TileOutOfBounds, WireError
from rsdfm_ros.wire.features import DenseFrame, FeatureFrame, half
from rsdfm_ros.wire.packet import FeaturePart, assemble, assemble_dense, decode_packet, encode_frame
from support.wire_frames import dense_frame, feature_frame, same


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tiles=st.integers(1, 80),
    cells=st.integers(0, 900),
    low_channels=st.integers(1, 24),
    high_channels=st.integers(1, 24),
    low=st.booleans(),
    limit=st.integers(2500, 20_000),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_frame_comes_back_equal_whatever_the_order_of_its_packets(
    seed: int,
    tiles: int,
    cells: int,
    low_channels: int,
    high_channels: int,
    low: bool,
    limit: int,
    shuffle: object,
) -> None:
    frame = feature_frame(seed, tiles, cells, low_channels, high_channels)
    frame = frame if low else without_low(frame)
    try:
        packets = encode_frame(frame, limit)
    except PacketTooSmall:
        assert limit < 8000  # 256 cells × 24 channels of noise
        return
    assert max(len(p) for p in packets) <= limit
    shuffle.shuffle(packets)  # type: ignore[attr-defined]
    parts = [decode_packet(p) for p in packets]
    assert same(assemble(parts, low_channels=low_channels, high_channels=high_channels), frame)


def without_low(frame: FeatureFrame) -> FeatureFrame:
    """The frame as receivers see one whose low band does not travel."""
    ones = np.ones_like(frame.low_scale)
    return dataclasses.replace(frame, low=np.zeros_like(frame.low), low_scale=ones)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tiles=st.integers(1, 12), channels=st.integers(1, 64))
def test_any_dense_frame_comes_back_equal(seed: int, tiles: int, channels: int) -> None:
    frame = dense_frame(seed, tiles, channels)
    packets = encode_frame(frame)
    assert same(assemble_dense([decode_packet(p) for p in reversed(packets)]), frame)


def test_a_frame_of_the_demo_size_needs_one_packet() -> None:
    frame = feature_frame(tiles=40, cells=600)
    (packet,) = encode_frame(frame)
    part = decode_packet(packet)
    assert isinstance(part, FeaturePart) and same(part.frame, frame)


def test_a_low_band_of_zeros_does_not_travel() -> None:
    frame = feature_frame(tiles=40, cells=600)
    silent = dataclasses.replace(frame, low=np.zeros_like(frame.low))
    (packet,), (whole,) = encode_frame(silent), encode_frame(frame)
    assert len(packet) < len(whole) - frame.low.size / 2
    assert same(assemble([decode_packet(packet)]), without_low(frame))


def test_a_frame_is_split_only_where_it_must_and_into_parts_of_similar_size() -> None:
    frame = feature_frame(tiles=60, cells=4000)
    (whole,) = encode_frame(frame, 65_536)
    assert encode_frame(frame, len(whole)) == [whole]
    packets = encode_frame(frame, len(whole) - 1)
    assert len(packets) == 2
    packets = encode_frame(frame, 8000)
    sizes = [len(p) for p in packets]
    assert max(sizes) <= 8000 and max(sizes) < 1.4 * min(sizes)
    assert len(packets) <= len(whole) / 8000 * 1.3 + 1


def test_all_of_the_largest_window_is_accepted_by_receivers() -> None:
    frame = feature_frame(tiles=64, cells=64 * 256, low_channels=64, high_channels=64)
    flat = dataclasses.replace(frame, high=np.ones_like(frame.high))  # hardly any bytes, many symbols
    assert same(assemble([decode_packet(p) for p in encode_frame(flat)]), flat)


def test_a_lost_packet_costs_its_tiles_only() -> None:
    frame = feature_frame(tiles=60, cells=900)
    lost, *kept = [decode_packet(p) for p in encode_frame(frame, 3000)]
    result = assemble(kept).validate()
    gone = {tuple(t) for t in lost.frame.tiles.tolist()}
    remaining = np.array([tuple(t) not in gone for t in frame.tiles.tolist()])
    assert 0 < remaining.sum() < len(remaining)
    assert same(result, frame.rows(remaining))


def test_nothing_received_is_an_empty_frame() -> None:
    result = assemble([], low_channels=4, high_channels=5).validate()
    assert len(result.tiles) == 0 and result.low.shape == (0, 4, 2, 2) and result.high.shape == (0, 5)


def test_a_frame_without_tiles_needs_no_packet() -> None:
    assert encode_frame(assemble([], low_channels=4, high_channels=4)) == []


def test_parts_that_cannot_be_of_one_frame_are_refused() -> None:
    frame = feature_frame()
    first, second = (decode_packet(p) for p in encode_frame(frame, 3500))
    assert isinstance(second, FeaturePart)
    other_model = dataclasses.replace(second, fingerprint=5)
    scales = {name: half(getattr(frame, name) * 2) for name in ("low_scale", "high_scale")}
    other = [FeaturePart(0, dataclasses.replace(second.frame, **{n: s})) for n, s in scales.items()]
    dense = decode_packet(encode_frame(dense_frame())[0])
    assert same(assemble([second, first]), frame)
    for wrong in (first, other_model, *other, dense):
        with pytest.raises(InconsistentParts):
            assemble([first, wrong])
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
        ("low_scale", np.array([1, 1, 1, 1.0001], np.float32)),
        ("low_scale", np.array([1, 1, 1, 70_000], np.float32)),
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


def test_scales_are_rounded_to_half_precision_and_stay_positive_and_finite() -> None:
    scale = np.array([1e-30, 1e-7, 0.1, 3.0, 1e9], np.float32)
    rounded = half(scale)
    assert rounded.dtype == np.float32 and np.array_equal(rounded, rounded.astype(np.float16))
    assert (rounded > 0).all() and np.isfinite(rounded).all() and np.array_equal(half(rounded), rounded)
    np.testing.assert_allclose(rounded[2:4], scale[2:4], rtol=2**-11)
    assert np.isnan(half(np.array([np.nan]))).all()
