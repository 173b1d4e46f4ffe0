"""Boxes beside the features: round trip, refusal of everything else."""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.wire.boxes import BOX_BYTES, MAX_BOXES, SideBoxes, decode_boxes, encode_boxes
from rsdfm_ros.wire.errors import (
    BadMagic,
    ChecksumMismatch,
    InvalidFrame,
    OverLimit,
    ReservedBits,
    TrailingBytes,
    Truncated,
    UnsupportedVersion,
    WireError,
)
from support.places import ROOT


def some_boxes(count: int, seed: int = 0, far_m: float = 0.0) -> SideBoxes:
    rng = np.random.default_rng(seed)
    return SideBoxes(
        rng.integers(0, 4, count),
        np.sort(rng.uniform(0.3, 1.0, count))[::-1],
        np.column_stack([rng.uniform(-60, 60, (count, 2)) + far_m, rng.uniform(0, 2, count)]),
        rng.uniform(1.0, 12.0, (count, 3)),
        rng.uniform(-np.pi, np.pi, count),
        rng.uniform(-20, 20, (count, 2)),
    )


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, MAX_BOXES), seed=st.integers(0, 2**32 - 1), far=st.sampled_from([0.0, 130_000.0]))
def test_boxes_come_back_to_within_the_steps_of_the_format(count: int, seed: int, far: float) -> None:
    boxes = some_boxes(count, seed, far)
    data = encode_boxes(boxes)
    assert len(data) == 20 + count * BOX_BYTES
    back = decode_boxes(data)
    np.testing.assert_array_equal(back.classes, boxes.classes)
    np.testing.assert_allclose(back.scores, boxes.scores, atol=0.5 / 255 + 1e-9)
    np.testing.assert_allclose(back.centres, boxes.centres, atol=0.0051)
    np.testing.assert_allclose(back.sizes, boxes.sizes, atol=0.0501)
    np.testing.assert_allclose(back.velocities, boxes.velocities, atol=0.0051)
    turn = (back.yaws - boxes.yaws + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(turn, 0.0, atol=np.pi / 256 + 1e-9)


def test_the_bytes_are_those_of_the_documentation() -> None:
    example = SideBoxes(
        np.array([1]),
        np.array([0.8]),
        np.array([[12.34, -5.6, 0.85]]),
        np.array([[4.5, 1.9, 1.7]]),
        np.array([np.pi / 2]),
        np.array([[0.0, 8.25]]),
    )
    text = encode_boxes(example).hex(" ")
    documented = (ROOT / "docs" / "wire_format.md").read_text()
    assert text[: 3 * 16 - 1] in documented and text[3 * 16 :] in documented


def test_the_best_boxes_are_kept_best_first_and_far_ones_left_out() -> None:
    boxes = some_boxes(300)
    shuffled = np.random.default_rng(1).permutation(300)
    mixed = SideBoxes(*(getattr(boxes, f.name)[shuffled] for f in dataclasses.fields(boxes)))
    back = decode_boxes(encode_boxes(mixed))
    np.testing.assert_allclose(back.scores, boxes.scores[:MAX_BOXES], atol=0.5 / 255 + 1e-9)
    centres = some_boxes(3).centres.copy()
    centres[2, 0] += 900.0
    assert len(decode_boxes(encode_boxes(dataclasses.replace(some_boxes(3), centres=centres)))) == 2


@pytest.mark.parametrize("field", ["scores", "centres", "sizes", "yaws", "velocities"])
def test_what_is_not_finite_is_not_sent(field: str) -> None:
    values = getattr(some_boxes(3), field).copy()
    values.flat[1] = np.nan
    with pytest.raises(InvalidFrame):
        encode_boxes(dataclasses.replace(some_boxes(3), **{field: values}))
    with pytest.raises(InvalidFrame):
        encode_boxes(some_boxes(2, far_m=3e6))


def _sealed(data: bytes) -> bytes:
    blank = data[:16] + bytes(4) + data[20:]
    return data[:16] + struct.pack("<I", zlib.crc32(blank)) + data[20:]


GOOD = encode_boxes(some_boxes(4))
NO_SIZE = bytearray(GOOD)
NO_SIZE[20 + 8] = 0


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Truncated),
        (GOOD[:19], Truncated),
        (GOOD[:-1], Truncated),
        (GOOD + b"\0", TrailingBytes),
        (b"RSDF" + GOOD[4:], BadMagic),
        (_sealed(GOOD[:4] + b"\x02" + GOOD[5:]), UnsupportedVersion),
        (_sealed(GOOD[:5] + b"\x01" + GOOD[6:]), ReservedBits),
        (_sealed(GOOD[:6] + struct.pack("<H", 256) + GOOD[8:]), OverLimit),
        (_sealed(GOOD[:8] + struct.pack("<i", 2_000_000) + GOOD[12:]), OverLimit),
        (GOOD[:30] + bytes([GOOD[30] ^ 1]) + GOOD[31:], ChecksumMismatch),
        (_sealed(bytes(NO_SIZE)), InvalidFrame),
    ],
)
def test_what_is_not_exactly_such_a_message_is_refused(data: bytes, error: type[WireError]) -> None:
    with pytest.raises(error):
        decode_boxes(data)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_damage_never_does_more_than_a_refusal(place: int, value: int, cut: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] = value
    for data in (bytes(damaged), bytes(damaged[:cut]), _sealed(bytes(damaged))):
        try:
            boxes = decode_boxes(data)
        except WireError:
            continue
        assert np.isfinite(boxes.centres).all() and (boxes.sizes > 0).all() and len(boxes) <= MAX_BOXES
