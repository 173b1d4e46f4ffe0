"""A small flood: what is kept stays within the budget, and the figures are there."""

from __future__ import annotations

from benchmarks.packet_flood import flood

from rsdfm_ros.agent.frame_store import StoreLimits


def test_a_flood_is_bounded_and_its_figures_are_told() -> None:
    found = flood(peers=3, publishers=2, images=4, packets=3)
    assert found["packets"] == 3 * 2 * 4 * 3 and found["wire_mb"] > 0
    assert 0 < found["held_mb"] * 2**20 <= StoreLimits().total_bytes
    assert found["refused"]["image_memory"] > 0 and found["receive_us"] > 0
