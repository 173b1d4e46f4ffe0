"""Mutated packets with valid checksums through decoding, inbox and fusion: typed refusals or answers, bounded memory.

`make fuzz` runs a million of them and tells the slowest one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.agent.frame_store import StoreLimits
from rsdfm_ros.agent.fusion import Fusion
from rsdfm_ros.agent.prefusion.prepare import Prepared
from rsdfm_ros.wire.body import CodedPart
from support.fuzz_campaign import EPOCH, Campaign
from support.places import ROOT

SEED = 1
EXPECTED_REASONS = {
    "bad_magic", "boxes_twice", "corrupt_body", "count_mismatch", "covariance_invalid", "covariance_not_finite",
    "covariance_too_large", "decoded_size_mismatch", "dense_packet", "duplicate_packet", "envelope_changed",
    "envelope_fingerprint", "fingerprint_mismatch", "future_stamp", "inconsistent_parts", "non_finite",
    "over_limit", "packet_count", "reserved_bits", "tile_out_of_bounds", "tiles_unsorted", "trailing_bytes",
    "truncated", "unknown_kind", "unsupported_version",
}  # fmt: skip
"""Refusals that every campaign of some thousand packets meets: the mutations reach these checks."""


def test_mutated_packets_are_refused_by_reason_or_fused_and_nothing_else() -> None:
    report = Campaign(SEED).run(0, 2 * EPOCH)
    assert report.untyped == []
    assert report.reasons.keys() >= EXPECTED_REASONS
    assert report.taken > 300 and report.fused_peers > 50, "and many get through"
    assert report.held_bytes <= StoreLimits().total_bytes
    assert report.rss_mb[-1] - report.rss_mb[0] < 64


def test_a_packet_depends_on_the_seed_and_its_number_alone() -> None:
    one, other = Campaign(SEED), Campaign(SEED)
    one.run(0, 50)
    assert [one.payload(n) for n in range(60)] == [other.payload(n) for n in range(60)]
    assert Campaign(SEED + 1).payload(3) != one.payload(3)


def test_errors_of_other_types_are_found_wherever_they_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    part, merge = CodedPart.part, Fusion.merge

    def failing_part(self: CodedPart, *content: Any) -> Any:
        if self.header.tiles == 4:
            raise IndexError("cell")
        return part(self, *content)

    def failing_merge(self: Fusion, model: Any, ready: Prepared, with_dominant: bool) -> Any:
        if any(peer.name == "uav2" for peer in ready.peers):
            raise np.linalg.LinAlgError("Singular matrix")
        return merge(self, model, ready, with_dominant)

    monkeypatch.setattr(CodedPart, "part", failing_part)
    monkeypatch.setattr(Fusion, "merge", failing_merge)
    untyped = Campaign(SEED).run(0, 1000).untyped
    for fault in ("IndexError: cell", "(fusion of uav2): LinAlgError: Singular matrix"):
        assert any(fault in line for line in untyped)


def test_the_command_tells_what_happened_as_json() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/fuzz.py", "--first", "7", "--count", "40", "--bags", "3"],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["packets"] == 40 and report["untyped"] == [] and report["reasons"]
    assert report["bags"]["bags"] == 3 and report["bags"]["untyped"] == []
