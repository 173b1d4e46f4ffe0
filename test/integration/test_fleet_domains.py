"""Two fleets on one machine: each in a domain of its own, or the second refused; what mixes is void."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from rsdfm_ros.domains import holders
from support.fleets import wait_until
from support.places import ROOT

DEMO = ROOT / "config" / "fleet" / "demo.yaml"
WAIT_S = 180.0
PATIENT = ("world.first_answer_timeout_s=100.0", "world.answer_timeout_s=60.0", "uav.liveliness_lease_s=10.0")


def fleet(out: Path, *options: str, model: Path | str, frames: int = 3) -> subprocess.Popen[str]:
    """`rsdfm fleet` of two UAVs."""
    settings = (f"--set={text}" for text in PATIENT)
    size = ("--uavs", "2", "--frames", str(frames))
    return start("fleet", str(DEMO), "--out", str(out), *size, "--model", str(model), *settings, *options)


def start(*arguments: str) -> subprocess.Popen[str]:
    """`rsdfm …` without a domain in its environment."""
    command = [sys.executable, "-m", "rsdfm_ros.cli", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def stranger(domain: int) -> Iterator[None]:
    """A node that publishes /clock; it needs nobody who spins it."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = Node("stranger", context=context)
    executor = SingleThreadedExecutor(context=context)
    try:
        node.create_publisher(Clock, "/clock", 1)
        yield
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_two_fleets_at_once_do_not_meet(tmp_path: Path, model: Path) -> None:
    outs = [tmp_path / "a", tmp_path / "b"]
    started = [fleet(out, "--json", model=model) for out in outs]
    try:
        ended = [process.communicate(timeout=WAIT_S) for process in started]
    finally:
        for process in started:
            process.kill()
    domains = []
    for process, (printed, errors), out in zip(started, ended, outs, strict=True):
        assert process.returncode == 0, errors
        result = json.loads(printed)
        assert result == json.loads((out / "result.json").read_text())
        assert result["protocol"]["frames_answered"] == 3 and result["protocol"]["answers_missing"] == 0
        domains.append(result["protocol"]["ros_domain"])
        assert f"ROS domain {domains[-1]} (ROS_DOMAIN_ID={domains[-1]} ros2 topic list)" in errors
        assert "jump" not in "".join(log.read_text() for log in (out / "logs").glob("*.log"))
    assert domains[0] != domains[1]
    # One seed, one model, in lockstep: what differs would have come from the other fleet.
    first, second = (json.loads((out / "result.json").read_text())["results"] for out in outs)
    assert first == second


def test_a_domain_in_use_is_refused_and_a_mission_that_hears_others_is_void(
    tmp_path: Path, domain: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Locks of this test alone: the recorder joins the only fleet of the machine.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    out, other, bag = tmp_path / "a", tmp_path / "b", tmp_path / "bag"
    flying = fleet(out, f"--domain={domain}", model=model, frames=120)
    try:
        status = out / "status.jsonl"
        wait_until(lambda: status.is_file() and status.stat().st_size > 0, "the fleet flies", WAIT_S)
        assert holders()[domain].pid == flying.pid
        second = fleet(other, f"--domain={domain}", model=model)
        _, errors = second.communicate(timeout=WAIT_S)
        assert second.returncode == 2 and f"process {flying.pid} " in errors and str(out) in errors
        assert not other.exists()
        recorder = start("bag", "record", "--out", str(bag), "--topics", "/clock", "--duration", "0.1")
        _, errors = recorder.communicate(timeout=WAIT_S)
        assert (
            recorder.returncode == 0 and f"ROS domain {domain}: the fleet of process {flying.pid} " in errors
        )
        assert "recording /clock" in errors
        with stranger(domain):
            printed, errors = flying.communicate(timeout=WAIT_S)
    finally:
        flying.kill()
    assert flying.returncode == 2, printed + errors
    assert errors.startswith("error: the mission is void and has no result: /clock has 2 publishers"), errors
    assert "/sim_node" in errors and errors.count("\n") == 1
    assert not (out / "result.json").exists()
    assert "/clock has 2 publishers" in json.loads((out / "void.json").read_text())["reason"]


def test_a_living_clock_is_refused_before_anything_starts(tmp_path: Path, domain: int, model: Path) -> None:
    out = tmp_path / "out"
    with stranger(domain):
        process = fleet(out, f"--domain={domain}", model=model)
        printed, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2 and printed == ""
    assert f"ROS domain {domain} (network.domain) is in use" in errors and "/clock from /stranger" in errors
    assert not out.exists()
