"""The benchmark of a node's cost runs a node with peers and gives every figure that it promises."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("rclpy")
from benchmarks.node_cost import measure

from support.own_domains import new_domain
from support.places import ROOT, TINY


def test_every_figure_is_given_of_frames_that_were_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    found = measure(f"random:{TINY}", peers=2, frames=3, rate_hz=10.0, idle_s=0.5, domain=new_domain())
    assert found["frames"] == 3 and found["peers"] == 2
    assert found["model_ms"] > 0 and found["codec_ms"] > 0 and found["node_ms"] > 0
    assert 0 < found["node_share"] < 1 and found["threads_ms"]["main"] > 0
    assert found["first_answer_s"] > 0 and found["idle_share"] >= 0
    assert found["peak_mb"] >= found["rss_mb"] > 50
    assert found["latency_ms"] > 0 and found["overload_ratio"] > 0
    assert found["overload_shown"] >= found["overload_answered"] + found["overload_dropped"]
    assert found["overload_dropped"] > 0, "more images than can be answered"
