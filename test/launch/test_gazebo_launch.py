"""gazebo.launch.py under the real launch, with stand-ins for `gz` and ros_gz_bridge: the right programs start with the
right arguments, a whole mission is flown and scored, and everything ends by itself."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from support.places import ROOT, TEST

pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with a ROS installation")

from support.launched import TINY, launch

FILE = "gazebo.launch.py"
FRAMES = 6
GZ = """#!{python}
import json, os, signal, sys
if "--versions" in sys.argv:
    print(os.environ.get("PLAYED_VERSIONS", "8.9.0"))
    sys.exit(0)
json.dump({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}, open({record!r}, "w"))
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
signal.pause()
"""
BRIDGE = """#!{python}
import json, runpy, sys
json.dump(sys.argv[1:], open({record!r}, "w"))
runpy.run_path({played!r}, run_name="__main__")
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with Gazebo, as far as launch can tell."""
    prefix, programs = tmp_path / "prefix", tmp_path / "bin"
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    (index / "ros_gz_bridge").touch()
    (prefix / "share/ros_gz_bridge").mkdir(parents=True)
    names = {"python": sys.executable, "played": str(TEST / "support" / "played_gazebo.py")}
    for path, text, record in (
        (programs / "gz", GZ, "gz.json"),
        (prefix / "lib/ros_gz_bridge/parameter_bridge", BRIDGE, "bridge.json"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(record=str(tmp_path / record), **names))
        path.chmod(0o755)
    before = os.environ
    return {
        **before,
        "AMENT_PREFIX_PATH": f"{prefix}:{before.get('AMENT_PREFIX_PATH', '')}",
        "PATH": str(programs),  # whatever Gazebo this machine has
        "ROS_LOG_DIR": str(tmp_path / "log"),
        "ROS_DOMAIN_ID": str(101 + os.getpid() % 100),
    }


@pytest.mark.timeout(280)
def test_a_mission_in_a_played_gazebo_is_flown_scored_and_ended(
    stand_ins: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out with blanks"
    slow = {**stand_ins, "PLAYED_RATE": "0.4", "PLAYED_PATIENCE": "30"}  # busy machines answer in time, too
    status, said = launch(
        slow, FILE, "uavs:=2", "seed:=9001", f"frames:={FRAMES}", "headless:=true", f"out:={out}",
        TINY, "gz_args:=--seed 3",
        "set:=world.start_s=2.0 evaluator.end_timeout_s=20.0 uav.peer_wait_s=2.0",
    )  # fmt: skip
    assert status == 0, said
    world = out / "gazebo/world.sdf"
    gz = json.loads((tmp_path / "gz.json").read_text())
    assert gz["arguments"] == [
        "sim",
        "-r",
        "-s",
        "--headless-rendering",
        "-v",
        "2",
        str(world),
        "--seed",
        "3",
    ]
    bridge = json.loads((tmp_path / "bridge.json").read_text())
    assert "__node:=gazebo_bridge" in bridge and "--params-file" in bridge
    assert "seed=9001 uavs=2 frames=6 start_s=2" in world.read_text()[:300]
    result = json.loads((out / "result.json").read_text())
    assert result["protocol"]["frames_answered"] >= FRAMES - 2, said
    for process in ("gazebo_truth", "gazebo_flight", "uav1", "uav2", "evaluator"):
        assert f"[{process}-" in said and "process has died" not in said, said


def test_another_version_than_the_one_asked_for_is_refused(stand_ins: dict[str, str], tmp_path: Path) -> None:
    environment = {**stand_ins, "PLAYED_VERSIONS": "7.8.0"}
    status, said = launch(environment, FILE, f"out:={tmp_path / 'out'}", "frames:=2", timeout_s=120)
    assert status != 0 and "expected Gazebo's simulator in version" in said


@pytest.mark.parametrize("missing", ["there is no Gazebo", "ros_gz_bridge is missing"])
def test_without_gazebo_what_is_missing_is_named(
    stand_ins: dict[str, str], tmp_path: Path, missing: str
) -> None:
    environment = {**stand_ins, "ROS_DISTRO": "kilted"}
    if "bridge" in missing:
        prefixes = environment["AMENT_PREFIX_PATH"].split(os.pathsep)
        others = [p for p in prefixes if p and not (Path(p) / "share/ros_gz_bridge").is_dir()]
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(others)
    else:
        environment["PATH"] = str(tmp_path)
    status, said = launch(environment, FILE, f"out:={tmp_path / 'out'}", "frames:=2", timeout_s=120)
    assert status != 0 and missing in said and "apt install ros-kilted-ros-gz" in said
    assert "process started" not in said and not (tmp_path / "out").exists()


def test_a_world_of_another_seed_is_refused(stand_ins: dict[str, str]) -> None:
    folder = f"world_folder:={ROOT / 'config/gazebo'}"
    status, said = launch(stand_ins, FILE, folder, "seed:=1", timeout_s=120)
    assert status != 0 and "was made for seed 9000, the fleet has 1" in said
