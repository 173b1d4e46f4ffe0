"""Worlds for every Gazebo that docs/gazebo.md names, and which of them is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.gazebo import check_world
from rsdfm_ros.fleet.gazebo_installed import AUTO, installed
from rsdfm_ros.sim.gazebo.versions import FORTRESS, GAZEBOS, HARMONIC, IONIC
from support.gazebo_files import CHECKER, complaints

#: What gz-sim 6.17 has of the plugins here: their libraries, and the only class name that all of them know.
FORTRESS_SYSTEMS = {
    "physics": "Physics", "user-commands": "UserCommands", "scene-broadcaster": "SceneBroadcaster",
    "sensors": "Sensors", "imu": "Imu", "velocity-control": "VelocityControl",
    "joint-position-controller": "JointPositionController", "joint-state-publisher": "JointStatePublisher",
    "odometry-publisher": "OdometryPublisher",
}  # fmt: skip


@pytest.mark.parametrize("name", GAZEBOS)
def test_the_command_writes_a_world_with_the_names_of_a_version(name: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "rsdfm_ros.cli",
        "gazebo",
        "--gazebo",
        name,
        "--uavs",
        "2",
        "--frames",
        "4",
    ]
    small = ["--ground-px", "64", "--start-s", "0", "--out", str(tmp_path)]
    done = subprocess.run([*command, *small], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    starts = "ign gazebo -r" if name == "fortress" else "gz sim -r"
    assert starts in done.stdout and ("gazebo:=" in done.stdout) == (name != "harmonic")
    gazebo = GAZEBOS[name]
    for file in (tmp_path / "world.sdf", tmp_path / "models/rsdfm_uav/model.sdf"):
        plugins = [
            (p.get("filename", ""), p.get("name", "")) for p in ET.parse(file).getroot().iter("plugin")
        ]
        known = {
            (f"{gazebo.library}-{library}-system", f"{gazebo.system}::{system}")
            for library, system in FORTRESS_SYSTEMS.items()
        }
        assert plugins and set(plugins) <= known
        if CHECKER:
            assert complaints(file) == ""
    types = {row["gz_type_name"] for row in yaml.safe_load((tmp_path / "bridge.yaml").read_text())}
    prefix = "ignition.msgs." if name == "fortress" else "gz.msgs."
    assert all(kind.startswith(prefix) for kind in types) and prefix + "Odometry" in types


def test_an_unknown_version_is_refused_with_those_that_are_known() -> None:
    command = [sys.executable, "-m", "rsdfm_ros.cli", "gazebo", "--gazebo", "classic"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "fortress" in done.stderr and "ionic" in done.stderr


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, *versions: str, status: int = 0) -> None:
    lines = "".join(f"echo {v}\n" for v in versions)
    asked = 'for last; do :; done\n[ "$last" = --versions ] || exit 3'
    (folder / name).write_text(f"#!/bin/sh\n{asked}\n{lines}exit {status}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("asked", "gz", "ign", "found", "choosing"),
    [
        (AUTO, ["8.9.0"], [], HARMONIC, ()),
        (AUTO, ["9.2.0"], ["6.17.0"], IONIC, ()),
        (AUTO, [], ["6.17.0"], FORTRESS, ()),
        (AUTO, ["7.8.0"], ["6.17.0"], FORTRESS, ()),
        (AUTO, ["8.9.0", "9.2.0"], [], IONIC, ("--force-version", "9.2.0")),
        (AUTO, ["10.1.0", "8.9.0"], [], HARMONIC, ("--force-version", "8.9.0")),
        ("harmonic", ["8.9.0", "9.2.0"], [], HARMONIC, ("--force-version", "8.9.0")),
        ("fortress", ["8.9.0"], ["6.18.0"], FORTRESS, ()),
    ],
)
def test_the_newest_version_that_is_known_is_found(
    programs: Path, asked: str, gz: list[str], ign: list[str], found: object, choosing: tuple[str, ...]
) -> None:
    for name, versions in (("gz", gz), ("ign", ign)):
        if versions:
            program(programs, name, *versions)
    there = installed(asked, "jazzy")
    assert (there.gazebo, there.choosing, there.notes) == (found, choosing, ())


@pytest.mark.parametrize(
    ("name", "version", "minimum"),
    [("gz", "8.5.0", "harmonic 8.5.0"), ("ign", "6.16.0", "fortress 6.16.0")],
)
def test_a_version_without_weightless_links_is_told_what_to_do(
    programs: Path, name: str, version: str, minimum: str
) -> None:
    program(programs, name, version)
    (note,) = installed(AUTO, "jazzy").notes
    assert minimum in note and "sink" in note and "update it to" in note


@pytest.mark.parametrize("asked", ["ionic", "fortress"])
def test_another_version_than_the_one_asked_for_is_refused(programs: Path, asked: str) -> None:
    program(programs, "gz", "8.9.0")
    program(programs, "ign", "5.4.0")
    with pytest.raises(RsdfmError, match=r"expected Gazebo's simulator in version .*, got .*gazebo:="):
        installed(asked, "jazzy")


def test_without_gazebo_or_without_an_answer_it_is_said(programs: Path) -> None:
    missing = r"no Gazebo .`gz sim` or `ign gazebo`. on the PATH: apt install ros-jazzy-ros-gz"
    with pytest.raises(RsdfmError, match=missing):
        installed(AUTO, "jazzy")
    # The tools alone: they fail on the command of a simulator that is not installed.
    for name in ("gz", "ign"):
        program(programs, name, "usage", status=255)
    with pytest.raises(RsdfmError, match=missing):
        installed(AUTO, "jazzy")
    program(programs, "gz", "7.8.0")
    with pytest.raises(RsdfmError, match=r"got 7\.8\.0"):
        installed(AUTO, "jazzy")
    program(programs, "gz", "unreleased")
    there = installed(AUTO, "jazzy")
    assert there.gazebo is HARMONIC and "names no version" in there.notes[0]


def test_worlds_of_other_names_and_of_earlier_versions_are_refused(tmp_path: Path) -> None:
    fleet = fleet_from_dict({"uavs": 2, "world": {"kind": "gazebo", "frames": 10}})
    made = "<!-- Made by `rsdfm gazebo` for seed=9000 uavs=2 frames=10 start_s=20{}: do not edit, make it anew. -->"
    world = tmp_path / "world.sdf"
    world.write_text(made.format(" gazebo=harmonic"))
    check_world(fleet, tmp_path, IONIC)
    with pytest.raises(
        FleetDescriptionError, match=r"was made for Gazebo harmonic.*rsdfm gazebo --gazebo fortress"
    ):
        check_world(fleet, tmp_path, FORTRESS)
    world.write_text(made.format(""))
    with pytest.raises(FleetDescriptionError, match="vehicles would never move: make it anew"):
        check_world(fleet, tmp_path)


def test_json_names_the_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rsdfm_ros.cli import main

    arguments = ["--uavs", "1", "--frames", "4", "--ground-px", "64", "--out", str(tmp_path), "--json"]
    assert main(["gazebo", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["gazebo"] == "harmonic"
