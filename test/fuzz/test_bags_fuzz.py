"""Damaged bags through everything that reads bags: typed refusals or content, in bounded time and memory.

`make fuzz` reads thousands of them and tells the slowest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.data.bags.types import BagTypes
from support.bag_campaign import EVALUATED, BagCampaign

SEED, BAGS = 1, 150
LIMIT_MS = 5000.0
"""Of CPU time for all readers together; see test_files_refused.py."""


def test_damaged_bags_are_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    report = BagCampaign(SEED, tmp_path).run(0, BAGS)
    assert report.untyped == []
    assert 0.4 * BAGS < report.opened < BAGS and report.refused > 0.05 * BAGS
    assert report.messages > 5 * BAGS and report.instants > 0.3 * BAGS
    assert report.evaluated > 0.3 * BAGS / EVALUATED, "whole flights are evaluated too"
    assert {"broken_message", "unknown_type", "pose_repeated"} <= report.left_out.keys()
    assert report.slowest_ms < LIMIT_MS, report.slowest
    assert report.rss_mb[-1] - report.rss_mb[0] < 64


def test_a_bag_depends_on_the_seed_and_its_number_alone(tmp_path: Path) -> None:
    one, other = (BagCampaign(SEED, tmp_path / name) for name in ("one", "other"))

    def content(campaign: BagCampaign, n: int) -> dict[str, bytes]:
        place = campaign.make(n)
        return {p.name: p.read_bytes() for p in (place.iterdir() if place.is_dir() else [place])}

    first = [content(one, n) for n in range(12)]
    assert first[5:] == [content(other, n) for n in range(5, 12)]
    assert len({str(c) for c in first}) == 12


def test_errors_of_other_types_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = BagTypes.decode

    def failing(self: BagTypes, raw: bytes, name: str) -> Any:
        if name.endswith("CameraInfo"):
            raise IndexError("row")
        return decode(self, raw, name)

    monkeypatch.setattr(BagTypes, "decode", failing)
    untyped = BagCampaign(SEED, tmp_path).run(0, 6).untyped
    assert any("(decode): IndexError: row" in line for line in untyped)
    assert any("(sense): IndexError: row" in line for line in untyped)
