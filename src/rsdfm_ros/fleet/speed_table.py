"""The table of speed that is printed at the end of a mission: one line per UAV, at most 80 columns wide."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from rsdfm_ros.evaluation.report.timing import in_lockstep
from rsdfm_ros.fleet.live_table import figure

COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("answered", "images_answered", 0),
    ("of", "images", 0),
    ("dropped", "frames_dropped", 0),
    ("rate Hz", "rate_answered_hz", 1),
    ("of Hz", "rate_images_hz", 1),
    ("p50 ms", "stamp_to_output_p50_ms", 0),
    ("p95 ms", "stamp_to_output_p95_ms", 0),
)
"""Heading, key of a UAV's result, digits."""

NOTE = (
    "answered of: images with an answer, of all · dropped: by the UAV itself, because a newer one came first · "
    "rate of: answered images per second, of those that came · p50, p95: from the stamp of an image to the last output "
    "for it"
)
LOCKSTEP = "; in lockstep the world waits for all answers: rate and times are no real time"


def speed_table(result: dict[str, Any]) -> Table | None:
    """The table of a result.json; None for one without these figures, as older ones are."""
    agents = {name: facts for name, facts in result.get("agents", {}).items() if "images" in facts}
    if not agents:
        return None
    caption = NOTE + (LOCKSTEP if in_lockstep(result) else "")
    table = Table(title="Speed", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("UAV", no_wrap=True, overflow="ellipsis", max_width=12)
    for heading, _, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for name, facts in agents.items():
        table.add_row(name, *(figure(facts.get(key), digits) for _, key, digits in COLUMNS))
    return table
