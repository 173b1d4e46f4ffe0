"""A small fleet: traffic follows the neighbours, and the figures are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.scale.__main__ import measure, plot
from benchmarks.scale.fleet import Fleet, World

from rsdfm_ros.model.perception import Perception
from support.painted import tiny_perception


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception()


def test_near_uavs_send_and_fuse_and_far_ones_only_ask(perception: Perception) -> None:
    world = World(perception)
    near = Fleet(world, 3, 0.0001, demand=True).fly(2)
    assert [t.neighbours for t in near] == [[2, 2]] * 3
    assert all(t.features_out > 1000 and t.features_in > 2000 for t in near)
    assert all(peers == 2 and ms >= 0 for t in near for peers, ms in t.fusion_ms)
    far = Fleet(world, 3, 100.0, demand=True).fly(2)
    assert all(t.features_out == t.features_in == 0 and t.demand_in == 2 * t.demand_out > 0 for t in far)
    everybody = Fleet(world, 3, 100.0, demand=False).fly(2)
    assert all(t.features_in > 2000 and t.demand_in == 0 for t in everybody)


def test_figures_are_written_and_drawn(perception: Perception, tmp_path: Path) -> None:
    found = measure(perception, [(2, 0.0001)], 1)
    assert [f["demand"] for f in found] == [True, False] and found[0]["neighbours"] == 1.0
    assert found[0]["features_in_bytes_s"] == found[0]["features_out_bytes_s"] > 0
    plot(found, tmp_path / "scale.svg")
    assert (tmp_path / "scale.svg").read_text().startswith("<?xml")
