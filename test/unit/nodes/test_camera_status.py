"""A camera unlike those of the training is a warning of its encoder, and `rsdfm doctor --live` tells it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from rsdfm_ros import cli
from rsdfm_ros.doctor import live
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.checks.live_check import MAX_MESSAGE, MAX_STATUSES, Heard
from rsdfm_ros.nodes.core.diagnostics import OK, WARN
from support import encoder_bench
from support.encoder_bench import Bench
from support.harness import lively_model
from support.places import ROOT
from support.ros_world import RosWorld

#: Fixtures of this file too.
bench, encoder_context = encoder_bench.bench, encoder_bench.encoder_context


def model_trained_with(folder: Path, cameras: Any) -> str:
    """A model folder whose manifest tells these cameras."""
    lively_model(folder)
    path = folder / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest.setdefault("training", {})["cameras"] = cameras
    path.write_text(yaml.safe_dump(manifest))
    return str(folder)


@pytest.mark.parametrize(
    ("cameras", "level", "words"),
    [
        (
            {"altitude_m": [500.0, 600.0]},
            WARN,
            "m above the ground, the weights were trained with 500 to 600 m",
        ),
        ({"altitude_m": [1.0, 400.0], "pitch_deg": [-90.0, 90.0]}, OK, "like the cameras of the training"),
        ({}, OK, "the model does not say"),
    ],
)
def test_the_encoder_judges_its_cameras_by_the_manifest(
    bench: Callable[..., Bench], tmp_path: Path, cameras: Any, level: int, words: str
) -> None:
    b = bench(model=model_trained_with(tmp_path / "tiny", cameras)).start()
    assert "camera" not in dict(b.node.diagnostics.statuses()), "nothing is known before the first image"
    b.info()
    b.pose()
    b.image()
    b.answered(1)
    status = dict(b.node.diagnostics.statuses())["camera"]
    assert status.level == level and words in status.message
    assert set(status.values) == {"pitch_deg", "altitude_m", "fov_deg"}
    b.node.trigger_deactivate()
    assert "camera" not in dict(b.node.diagnostics.statuses())


def test_a_manifest_with_ranges_that_are_none_is_refused(bench: Callable[..., Bench], tmp_path: Path) -> None:
    with pytest.raises(
        RsdfmError, match=r"training\.cameras\.pitch_deg: expected the least and the greatest"
    ):
        bench(model=model_trained_with(tmp_path / "tiny", {"pitch_deg": "steep"})).start()


def status(name: str, level: int = WARN, message: str = "") -> DiagnosticStatus:
    return DiagnosticStatus(name=name, level=bytes([level]), message=message)


def test_the_look_takes_statuses_of_our_nodes_alone_and_bounds_them() -> None:
    heard = Heard()
    heard.take(
        DiagnosticArray(
            status=[
                status("/uav1/encoder_node: camera", WARN, "x" * 5000),
                status("/uav1/encoder_node: camera", OK, "fine " * 1000),
                status("/other/lidar: temperature"),
                status("cpu monitor"),
                status("/uav1/encoder_node: "),
            ]
        )
    )
    [found] = heard.statuses()
    assert (found["name"], found["level"]) == ("/uav1/encoder_node: camera", OK)
    assert len(found["message"]) == MAX_MESSAGE
    heard.take(
        DiagnosticArray(status=[status(f"/u{n}/encoder_node: camera") for n in range(MAX_STATUSES + 5)])
    )
    assert len(heard.statuses()) == MAX_STATUSES


def test_findings_are_told_with_what_to_do() -> None:
    statuses = [
        {
            "name": "/uav1/encoder_node: camera",
            "level": 1,
            "message": "the camera looks 90° below the horizon",
        },
        {"name": "/uav1/encoder_node: inputs", "level": 2, "message": "no pose"},
        {"name": "/uav1/encoder_node: pipeline", "level": 3, "message": "nothing answered yet"},
        {"name": "/uav2/encoder_node: camera", "level": 0, "message": "like the cameras of the training"},
    ]
    fleet, camera, inputs, pipeline = live.findings(statuses, "ROS domain 7, 5 s")
    assert (
        fleet.status == "ok"
        and fleet.found == "2 nodes in ROS domain 7, 5 s: 3 of 4 statuses tell of trouble"
    )
    assert (camera.name, camera.status) == ("/uav1/encoder_node: camera", "warning")
    assert "rsdfm train" in camera.cure
    assert (inputs.status, pipeline.status) == ("error", "warning")
    [nobody] = live.findings([], "ROS domain 7, 5 s")
    assert nobody.status == "missing" and "ROS_DOMAIN_ID" in nobody.cure


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "601", "inf"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected 1 to 600 seconds"):
        live.seconds(text)


def test_doctor_live_hears_a_node_and_fails_for_an_error_alone(
    world: RosWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher = world.manager.create_publisher(DiagnosticArray, "/diagnostics", 10)
    said = [status("/uav1/encoder_node: camera", WARN, "the lens has 120°")]
    monkeypatch.setenv("ROS_DOMAIN_ID", str(world.domain))
    started = subprocess.Popen

    def told_meanwhile(command: list[str], **options: Any) -> Any:
        """subprocess.run, with the diagnostics of a node published once a while."""
        for name in ("capture_output", "timeout", "check"):
            options.pop(name)
        process = started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

        def published_until_its_end() -> bool:
            publisher.publish(DiagnosticArray(status=said))
            return process.poll() is not None

        world.until(published_until_its_end, "the look ends")
        out, err = process.communicate()
        return types.SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)

    monkeypatch.setattr(live.subprocess, "run", told_meanwhile)
    assert cli.main(["doctor", "--live", "8", "--json"]) == 0
    fleet, camera, *steps = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in steps][:2] == ["step: topics", "step: rates"]
    assert fleet["status"] == "ok" and camera["found"] == "the lens has 120°"
    said.append(status("/uav1/encoder_node: inputs", 2, "no pose on /uav1/pose for 5 s"))
    assert cli.main(["doctor", "--live", "8"]) == 1
    told = capsys.readouterr().out
    assert "WARNING" in told and "ERROR  /uav1/encoder_node: inputs no pose on /uav1/pose for 5 s" in told


def test_doctor_live_says_that_no_fleet_is_there(world: RosWorld) -> None:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(world.domain)}
    command = [sys.executable, "-m", "rsdfm_ros.cli", "doctor", "--live", "1"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (
        done.returncode == 1
        and f"no diagnostics of a node of this package in ROS domain {world.domain}" in done.stdout
    )
