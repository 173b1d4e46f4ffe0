"""`rsdfm bench` over real DDS: one UAV with its peers from a bag, and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rsdfm_ros.evaluation.bags.evaluate import load_perception
from rsdfm_ros.evaluation.speed.bag import write_bag
from rsdfm_ros.evaluation.speed.scene import render
from rsdfm_ros.evaluation.speed.uav_frame import packets_of
from rsdfm_ros.fleet.alone import replayed_alone
from support.fleets import left_behind, wait_until
from support.places import TINY

MODEL = f"random:{TINY}"
IMAGES = 3


def test_one_uav_answers_every_image_with_the_packets_of_three_peers(
    tmp_path: Path, domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    scene = render(4, frames=2)
    uav = write_bag(
        tmp_path / "bag", scene, packets_of(load_perception(MODEL), scene, scene.agents[1:]), IMAGES
    )
    found = replayed_alone(MODEL, tmp_path / "bag", uav, tmp_path / "out")
    assert (found["images"], found["images_answered"], found["images_not_answered"]) == (IMAGES, IMAGES, 0)
    assert found["peers_fused_min"] == 3 and found["packets_rejected"] == 0
    assert found["rate_answered_hz"] > 0 and found["stamp_to_output_p50_ms"] > found["latency_median_ms"]


def test_ctrl_c_ends_a_bench_and_leaves_nothing_behind(tmp_path: Path, domain: int) -> None:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "rsdfm_ros.cli", "bench", "--model", MODEL]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        logs = "rsdfm-bench-*/out/logs/uav1*"
        wait_until(lambda: list(tmp_path.glob(logs)) or process.poll() is not None, "the replay begins", 300)
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and said == "" and "nothing was written" in told
    assert "Traceback" not in told and list(tmp_path.glob("rsdfm-bench-*")) == []
    wait_until(lambda: left_behind(str(tmp_path)) == [], "the processes of the replay have ended", 30)
