"""A whole mission in a played Gazebo without launch files: the command writes the world, the fleet flies it, and the
bag that it records can be evaluated anew by others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.own_domains import new_domain

FRAMES = 4
PATIENT = {"PLAYED_RATE": "0.5", "PLAYED_PATIENCE": "30"}
"""Both cores may be busy with something else: the next image comes when the UAVs have answered."""


def rsdfm(*arguments: object, environment: dict[str, str], timeout_s: float = 240.0) -> str:
    command = [sys.executable, "-m", "rsdfm_ros.cli", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_a_mission_in_a_played_gazebo_leaves_a_bag_that_others_can_evaluate(
    root: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(new_domain()), **PATIENT}
    sizes = ["--seed", 9001, "--uavs", 2, "--frames", FRAMES]
    world, out, model = tmp_path / "world", tmp_path / "out", f"random:{root / 'test/support/tiny.yaml'}"
    rsdfm(
        "gazebo", *sizes, "--start-s", 1, "--ground-px", 64, "--out", world, "--json", environment=environment
    )
    played = [
        sys.executable,
        root / "test/support/played_gazebo.py",
        "--ros-args",
        "-p",
        "use_sim_time:=true",
    ]
    with subprocess.Popen(
        [*map(str, played), "-p", f"config_file:={world / 'bridge.yaml'}"], env=environment
    ) as bridge:
        try:
            rsdfm(
                "fleet", root / "config/fleet/gazebo.yaml", *sizes, "--model", model, "--out", out,
                "--set", "world.start_s=1.0", "--set", "evaluator.record_bag=true",
                "--set", "evaluator.end_timeout_s=20.0", "--set", "uav.peer_wait_s=0.4",
                environment=environment,
            )  # fmt: skip
        finally:
            bridge.send_signal(signal.SIGINT)
    flown = json.loads((out / "result.json").read_text())
    assert flown["protocol"]["frames_answered"] >= FRAMES - 1
    again = tmp_path / "again.json"
    rsdfm("bag", "evaluate", out / "bag", "--model", model, "--json", again, environment=environment)
    judged = json.loads(again.read_text())
    assert {row["method"] for row in judged["results"]} >= {"single", "rsdfm"}
