"""Facts of payloads for people: what packets hold, and what is wrong with damaged ones."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from rsdfm_ros.geometry.box_table import Detections
from rsdfm_ros.wire.boxes import encode_boxes
from rsdfm_ros.wire.inspect import inspect_payload
from support.places import GOLDEN


def golden(name: str) -> bytes:
    return (GOLDEN / f"wire_v3_{name}.bin").read_bytes()


def test_a_compressed_packet_is_described_in_full() -> None:
    payload = golden("compressed")
    facts = inspect_payload(payload)
    assert facts["bytes"] == len(payload) and facts["kind"] == "compressed" and facts["error"] is None
    assert facts["header"]["fingerprint"] == "0123456789abcdef" and facts["header"]["version"] == 3
    assert facts["header"]["crc32"] == facts["header"]["crc32_of_bytes"] == "dc80feca"
    content = facts["content"]
    assert (content["tiles"], content["sent_cells"]) == (4, 7)
    assert (content["low_channels"], content["high_channels"]) == (2, 3)
    assert (content["tile_min"], content["tile_max"]) == ([-2, -4], [0, 3])
    assert content["low_scale_range"] == [0.03125, 0.5] and content["high_scale_range"] == [0.25, 2.0]
    parts = facts["parts"]
    assert sum(parts[name] for name in ("header", "scales", "tables", "words", "body")) == len(payload)
    assert (parts["scales"], parts["tables"]) == (10, 10 + 6 + 8)
    body = {name: size for name, size in parts.items() if name.startswith("body_")}
    assert body == {
        "body_tile_keys": 16,
        "body_visibility": 128,
        "body_counts": 8,
    }


def test_low_latents_that_are_not_sent_have_no_scales() -> None:
    facts = inspect_payload(golden("high"))
    assert facts["content"]["low_scale_range"] is None and facts["header"]["flags"] == 0


def test_a_dense_packet_is_described() -> None:
    facts = inspect_payload(golden("dense"))
    assert facts["kind"] == "dense" and facts["content"]["channels"] == 3
    assert facts["parts"]["body_values"] == 2 * 3 * facts["content"]["visible_cells"]


@pytest.mark.parametrize("count", [0, 2])
def test_boxes_are_described(count: int) -> None:
    ones = np.ones((count, 3))
    boxes = Detections(
        np.zeros(count, int), np.full(count, 0.6), ones, ones, np.zeros(count), np.zeros((count, 2))
    )
    facts = inspect_payload(encode_boxes(boxes))
    assert facts["kind"] == "boxes" and facts["content"]["boxes"] == count
    assert facts["parts"] == {"header": 20, "boxes": 16 * count} and facts["error"] is None
    assert facts["content"]["best_score"] == (0.6 if count else None)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "bad_magic"),
        (b"hello", "bad_magic"),
        (golden("dense")[:20], "truncated"),
        (golden("dense")[:-1], "truncated"),
        (golden("dense") + b"\0", "trailing_bytes"),
        (golden("dense")[:-1] + b"\xff", "checksum_mismatch"),
        (golden("dense")[:5] + b"\x07" + golden("dense")[6:], "unknown_kind"),
        (golden("dense") + bytes(65_536), "over_limit"),
        ((GOLDEN / "wire_v1_low.bin").read_bytes(), "unsupported_version"),
        (b"RSBX", "truncated"),
    ],
)
def test_damage_is_named_and_the_header_is_shown_as_far_as_it_goes(payload: bytes, reason: str) -> None:
    facts = inspect_payload(payload)
    assert facts["error"]["reason"] == reason and facts["content"] is None and facts["parts"] is None
    readable = 32 <= len(payload) <= 65_536
    assert (facts["header"] is not None) == readable
    json.dumps(facts, allow_nan=False)


def test_both_checksums_of_a_damaged_packet_are_shown() -> None:
    damaged = bytearray(golden("compressed"))
    struct.pack_into("<I", damaged, 16, 0)
    facts = inspect_payload(bytes(damaged))
    assert facts["header"]["crc32"] == "00000000" and facts["header"]["crc32_of_bytes"] == "dc80feca"
    assert "dc80feca" in facts["error"]["text"]


def test_no_bytes_raise_anything() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        payload = bytearray(golden(str(rng.choice(["compressed", "high", "dense"]))))
        payload[rng.integers(len(payload))] = rng.integers(256)
        json.dumps(inspect_payload(bytes(payload)), allow_nan=False)
