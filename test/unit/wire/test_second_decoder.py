"""docs/wire_decoder.py, written from docs/wire_format.md alone, reads and refuses what the package's decoder does."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from rsdfm_ros.agent.envelope import envelope_of
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.wire.boxes import decode_boxes, encode_boxes
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.limits import Limits
from rsdfm_ros.wire.packet import DensePart, decode_packet, encode_frame
from support.places import GOLDEN, ROOT
from support.wire_frames import dense_frame, feature_frame

FILE = ROOT / "docs" / "wire_decoder.py"
STORED = [path.read_bytes() for path in sorted(GOLDEN.glob("wire_v3_*.bin"))]
MADE = [
    *encode_frame(feature_frame(1, tiles=30, cells=900), fingerprint=5, max_packet_bytes=4000),
    *encode_frame(feature_frame(2, tiles=6, cells=0, low_channels=3), fingerprint=9),
    *encode_frame(dense_frame(tiles=3, channels=8)),
]
ROUNDS = 800


@pytest.fixture(scope="module")
def second() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wire_decoder", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_its_limits_are_those_of_a_receiver(second: ModuleType) -> None:
    for name, value in vars(Limits()).items():
        assert value == getattr(second, name.upper()), name


def assert_same(second: ModuleType, packet: bytes) -> None:
    part, found = decode_packet(packet), second.decode(packet)
    frame = part.frame
    assert found.fingerprint == part.fingerprint
    assert np.array_equal(found.tiles, frame.tiles)
    assert np.array_equal(found.visible, frame.visible.reshape(-1, 256))
    if isinstance(part, DensePart):
        assert np.array_equal(found.values, part.frame.values)
        return
    frame = part.frame
    assert found.cell_tile == frame.high_tile.tolist() and found.cell == frame.high_cell.tolist()
    assert np.array_equal(found.high, frame.high) and np.array_equal(found.high_scale, frame.high_scale)
    low = frame.low.reshape(len(frame.tiles), -1, 4).transpose(0, 2, 1)  # tile, block, channel
    assert np.array_equal(found.low, low)
    if len(found.low_scale):
        assert np.array_equal(found.low_scale, frame.low_scale)


@pytest.mark.parametrize("packet", [*STORED, *MADE])
def test_both_decoders_read_the_same(second: ModuleType, packet: bytes) -> None:
    assert_same(second, packet)


def test_it_reads_the_stored_message(second: ModuleType) -> None:
    data = (GOLDEN / "message_2.bin").read_bytes()
    read, ours = second.decode_message(data), typestore().deserialize_cdr(data, FEATURES)
    envelope = envelope_of(ours, topic_agent=read["agent"], frame_id=read["frame_id"])
    assert (read["agent"], read["frame_id"]) == ("uav2", "map")
    assert read["stamp"].tolist() == [ours.header.stamp.sec, ours.header.stamp.nanosec]
    for name, value in {
        "frame": 7,
        "packet_index": 1,
        "packet_count": 3,
        "fingerprint": ours.fingerprint,
    }.items():
        assert read[name] == value
    assert read["position"].tolist() == envelope.T_map_camera[:3, 3].tolist()
    assert read["orientation"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert np.array_equal(read["covariance"], envelope.covariance)
    assert_same(second, read["payload"])
    for end in (0, 3, 20, 100, len(data) - 1):
        assert refusal(second.decode_message, second.Refused, data[:end]) == "not_cdr"


def test_stored_packets_of_every_kind_are_compared() -> None:
    assert len(STORED) == 3 and {packet[5] for packet in STORED} == {0, 1}


def reseal(packet: bytes) -> bytes:
    crc = zlib.crc32(packet[:16] + bytes(4) + packet[20:])
    return packet[:16] + struct.pack("<I", crc) + packet[20:]


def refusal(decode: Callable[[bytes], object], kind: type[Exception], data: bytes) -> str | None:
    """Reason for which a decoder refuses data; None if it reads them."""
    try:
        decode(data)
    except kind as error:
        return str(error.reason)  # type: ignore[attr-defined]
    return None


def test_both_decoders_refuse_damaged_packets_for_the_same_reason(second: ModuleType) -> None:
    rng = np.random.default_rng(40)
    packets = [*STORED, MADE[-2], MADE[-1]]
    refused = set()
    for _ in range(ROUNDS):
        damaged = bytearray(packets[rng.integers(len(packets))])
        damaged[rng.integers(48 if rng.random() < 0.5 else len(damaged))] = rng.integers(256)
        packet = reseal(bytes(damaged)) if rng.random() < 0.9 else bytes(damaged)
        reason = refusal(decode_packet, WireError, packet)
        assert refusal(second.decode, second.Refused, packet) == reason
        if reason is None:
            assert_same(second, packet)
        else:
            refused.add(reason)
    assert len(refused) > 10


def boxes(count: int) -> bytes:
    rng = np.random.default_rng(count)
    return encode_boxes(
        Detections(
            rng.integers(0, 3, count),
            rng.random(count),
            rng.uniform(-90, 90, (count, 3)),
            rng.uniform(1, 9, (count, 3)),
            rng.uniform(-3, 3, count),
            rng.uniform(-20, 20, (count, 2)),
        )
    )


def test_both_decoders_read_the_same_boxes(second: ModuleType) -> None:
    for count in (0, 1, 30):
        ours, theirs = decode_boxes(boxes(count)), second.decode_boxes(boxes(count))
        assert len(ours.classes) == len(theirs) == count
        for k, box in enumerate(theirs):
            assert box["class"] == ours.classes[k] and box["score"] == pytest.approx(ours.scores[k])
            assert np.allclose(box["centre"], ours.centres[k]) and np.allclose(box["size"], ours.sizes[k])
            assert np.cos(box["heading"] - ours.yaws[k]) == pytest.approx(1.0)
            assert np.allclose(box["velocity"], ours.velocities[k])


def test_both_decoders_refuse_damaged_boxes_for_the_same_reason(second: ModuleType) -> None:
    rng = np.random.default_rng(41)
    for _ in range(400):
        damaged = bytearray(boxes(2))
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        payload = reseal(
            bytes(damaged[: rng.integers(1, len(damaged) + 1)] if rng.random() < 0.2 else damaged)
        )
        reason = refusal(decode_boxes, WireError, payload)
        assert refusal(second.decode_boxes, second.Refused, payload) == reason


def test_it_needs_nothing_of_the_package_and_prints_a_packet() -> None:
    assert "rsdfm_ros" not in FILE.read_text().split('"""', 2)[2]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    golden = GOLDEN / "wire_v3_compressed.bin"
    done = subprocess.run(
        [sys.executable, "-P", FILE, golden], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "fingerprint=81985529216486895" in done.stdout
    done = subprocess.run(
        [sys.executable, "-P", FILE, GOLDEN / "wire_v1_low.bin"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr == "refused: unsupported_version\n"
