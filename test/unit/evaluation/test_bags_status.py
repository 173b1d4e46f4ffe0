"""Figures of a recorded status in the result of a bag."""

from __future__ import annotations

import json
from types import SimpleNamespace

from rsdfm_ros.evaluation.bags.evaluate import _status_of


def test_figures_that_are_no_numbers_are_none() -> None:
    counts = dict.fromkeys(
        ("frames_processed", "frames_dropped", "bytes_sent", "packets_lost", "packets_rejected"), 3
    )
    status = SimpleNamespace(
        **counts, rate_hz=float("nan"), latency_median_s=0.25, latency_p95_s=float("inf")
    )
    found = _status_of(status)
    assert (found["rate_hz"], found["latency_median_ms"], found["latency_p95_ms"]) == (None, 250.0, None)
    json.dumps(found, allow_nan=False)
