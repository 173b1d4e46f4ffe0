"""The table of speed at the end of a mission."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from rsdfm_ros.fleet.speed_table import speed_table

FACTS = {
    "images": 600,
    "images_answered": 599,
    "images_not_answered": 1,
    "rate_images_hz": 5.0001,
    "rate_answered_hz": 4.9917,
    "stamp_to_output_p50_ms": 123.4,
    "stamp_to_output_p95_ms": 10_456.7,
    "frames_dropped": 3,
}


def printed(result: dict[str, Any], width: int = 80) -> list[str]:
    """Lines of the table on a terminal of that width."""
    console = Console(width=width, record=True, file=None, quiet=False, force_terminal=False)
    table = speed_table(result)
    assert table is not None
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def test_every_uav_has_a_whole_line_on_80_columns() -> None:
    lines = printed({"agents": {"uav1": FACTS, "a_long_name_of_a_uav": FACTS}})
    assert max(map(len, lines)) <= 80
    (heading,) = [line for line in lines if "UAV" in line and "rate Hz" in line]
    for word in ("answered", "of", "dropped", "rate Hz", "of Hz", "p50 ms", "p95 ms"):
        assert word in heading
    (row,) = [line for line in lines if "uav1" in line]
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert cells == ["uav1", "599", "600", "3", "5.0", "5.0", "123", "10457"]


def test_what_was_not_measured_is_a_dash() -> None:
    silent = {**FACTS, "stamp_to_output_p50_ms": None, "stamp_to_output_p95_ms": None}
    (row,) = [line for line in printed({"agents": {"uav1": silent}}) if "uav1" in line]
    assert row.count("–") == 2


def test_in_lockstep_the_table_says_that_times_are_no_real_time() -> None:
    assert "no real time" not in " ".join(printed({"agents": {"uav1": FACTS}}))
    locked = {"agents": {"uav1": FACTS}, "protocol": {"lockstep": True}}
    assert "no real time" in " ".join(printed(locked))


def test_results_of_earlier_versions_have_no_such_table() -> None:
    assert speed_table({"agents": {"uav1": {"latency_median_ms": 5.0}}}) is None
    assert speed_table({}) is None
