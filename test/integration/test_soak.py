"""A short soak over real DDS: it disturbs, measures, ends everything and says so, also after Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from support.fleets import left_behind, wait_until
from support.places import ROOT, TINY

LIMIT_S = 240.0


def start(out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.soak",
        "--model",
        f"random:{TINY}",
        "--json",
        str(out / "r.json"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.Popen([*command, *options], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def test_a_fleet_is_disturbed_and_nothing_of_it_stays(tmp_path: Path) -> None:
    process = start(tmp_path, "--minutes", "0.2", "--uavs", "2", "--rate", "1", "--gap", "3")
    assert process.wait(LIMIT_S) in (0, 1), "1: a bar is missed, which a busy machine may do"
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["complete"] and result["minutes"] >= 0.2 and sum(result["events"].values()) > 0
    assert {"uav1", "uav2", "radio", "attacker"} <= result["memory"].keys()
    assert all(answers > 0 for answers in result["answers"].values())
    for bar in ("no_orphan", "no_crash", "no_untyped_error"):
        assert result["bars"][bar]["verdict"] == "met", result["bars"][bar]
    assert left_behind(str(tmp_path)) == []


def test_ctrl_c_ends_the_fleet_and_keeps_what_was_measured(tmp_path: Path) -> None:
    process = start(tmp_path, "--minutes", "30", "--uavs", "2", "--rate", "1", "--gap", "3")
    log = tmp_path / "log" / "uav2.log"
    wait_until(lambda: log.exists() and "listening to" in log.read_text(), "the fleet flies", LIMIT_S)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130
    result = json.loads((tmp_path / "r.json").read_text())
    assert not result["complete"] and result["bars"]["no_orphan"]["verdict"] == "met"
    assert left_behind(str(tmp_path)) == []
