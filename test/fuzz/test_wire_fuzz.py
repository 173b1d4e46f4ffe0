"""Damaged packets raise a WireError or decode; they never raise anything else, hang, or allocate without bound."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import DensePart, assemble, assemble_dense, decode_packet, encode_frame
from support.wire_frames import dense_frame, feature_frame

PACKETS = [
    *encode_frame(feature_frame(seed=1, tiles=6, cells=60), fingerprint=9),
    *encode_frame(feature_frame(seed=2, tiles=6, cells=0), fingerprint=9),
    *encode_frame(dense_frame(tiles=2, channels=8)),
]
ROUNDS = 4000


def survives(packet: bytes) -> None:
    try:
        part = decode_packet(packet)
        if isinstance(part, DensePart):
            assemble_dense([part]).validate()
        else:
            assemble([part], low_channels=16, high_channels=16).validate()
    except WireError:
        pass


def reseal(packet: bytes) -> bytes:
    """Let the damage past the checksum."""
    if len(packet) < 20:
        return packet
    crc = zlib.crc32(packet[:16] + b"\0\0\0\0" + packet[20:])
    return packet[:16] + struct.pack("<I", crc) + packet[20:]


@pytest.mark.parametrize("sealed", [False, True], ids=["damaged", "damaged with a matching checksum"])
def test_flipped_bytes_never_escape_as_another_error(sealed: bool) -> None:
    rng = np.random.default_rng(20)
    for _ in range(ROUNDS):
        packet = bytearray(PACKETS[rng.integers(len(PACKETS))])
        head_only = rng.random() < 0.5
        for place in rng.integers(0, 48 if head_only else len(packet), rng.integers(1, 5)):
            packet[place] = rng.integers(256)
        survives(reseal(bytes(packet)) if sealed else bytes(packet))


def test_truncated_and_joined_packets_never_escape_as_another_error() -> None:
    rng = np.random.default_rng(21)
    for _ in range(ROUNDS // 4):
        a, b = (PACKETS[i] for i in rng.integers(len(PACKETS), size=2))
        survives(reseal(a[: rng.integers(len(a) + 1)]))
        survives(reseal(a[: rng.integers(len(a) + 1)] + b[rng.integers(len(b) + 1) :]))


def test_noise_never_escapes_as_another_error() -> None:
    rng = np.random.default_rng(22)
    for _ in range(ROUNDS // 4):
        noise = rng.bytes(int(rng.integers(0, 300)))
        survives(noise)
        survives(reseal(PACKETS[0][:8] + noise))
