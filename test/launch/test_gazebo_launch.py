"""gazebo.launch.py under the real launch, with stand-ins for `gz` and ros_gz_bridge: the right programs start with the
right arguments, a whole mission is flown and scored, and everything ends by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with a ROS installation")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FRAMES = 6
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [tuple(a.split(":=", 1)) for a in sys.argv[2:]]
service = LaunchService(noninteractive=True)
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""
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
    names = {"python": sys.executable, "played": str(HERE / "played_gazebo.py")}
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
        "PATH": f"{programs}:{before['PATH']}",
        "ROS_LOG_DIR": str(tmp_path / "log"),
        "ROS_DOMAIN_ID": str(101 + os.getpid() % 100),
    }


def launch(
    environment: dict[str, str], *arguments: str, timeout_s: float = 240.0
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, str(ROOT / "launch/gazebo.launch.py"), *arguments]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, errors = process.communicate(timeout=timeout_s)
        finally:  # a launch that hangs takes its nodes with it; one that has ended leaves no group
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


@pytest.mark.timeout(280)
def test_a_mission_in_a_played_gazebo_is_flown_scored_and_ended(
    stand_ins: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out with blanks"
    done = launch(
        stand_ins, "uavs:=2", "seed:=9001", f"frames:={FRAMES}", "headless:=true", f"out:={out}",
        f"model:=random:{ROOT / 'test/integration/tiny.yaml'}", "gz_args:=--seed 3",
        "set:=world.start_s=2.0 evaluator.end_timeout_s=20.0 uav.peer_wait_s=2.0",
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
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
    done = launch(environment, f"out:={tmp_path / 'out'}", "frames:=2", timeout_s=120)
    assert done.returncode != 0
    assert "expected Gazebo's simulator in version" in done.stdout + done.stderr


@pytest.mark.parametrize("missing", ["gz", "ros_gz_bridge"])
def test_without_gazebo_what_is_missing_is_named(
    stand_ins: dict[str, str], tmp_path: Path, missing: str
) -> None:
    name = "PATH" if missing == "gz" else "AMENT_PREFIX_PATH"
    environment = {**stand_ins, name: os.environ.get(name, ""), "ROS_DISTRO": "kilted"}
    done = launch(environment, f"out:={tmp_path / 'out'}", "frames:=2", timeout_s=120)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and missing in said and "apt install ros-kilted-ros-gz" in said


def test_a_world_of_another_seed_is_refused(stand_ins: dict[str, str]) -> None:
    done = launch(stand_ins, f"world_folder:={ROOT / 'config/gazebo'}", "seed:=1", timeout_s=120)
    assert done.returncode != 0
    assert "was made for seed 9000, the fleet has 1" in done.stdout + done.stderr
