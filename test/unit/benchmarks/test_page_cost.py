"""The measurement of the page's cost, on a small mission."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import page_cost
from benchmarks.errors import BenchError

from support import view_flight as flight
from support.own_domains import new_domain


def test_a_page_is_sent_instants_and_its_cost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(new_domain()))
    found = page_cost.measure(flight.write_bag(tmp_path / "bag"), seconds=6.0)
    assert found["uavs"] == 2 and found["rate_hz"] == 2.0 and found["instants_per_s"] > 0
    assert 0 <= found["idle_percent"] < 100 and 0 < found["viewer_percent"] < 100


def test_a_bag_without_a_mission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(new_domain()))
    monkeypatch.setattr(flight, "STAMPS", flight.STAMPS[:1])
    with pytest.raises(BenchError, match="at least two instants"):
        page_cost.measure(flight.write_bag(tmp_path / "bag"))
