"""replay.launch.py under the real launch: a bag is played to its end, judged, and everything ends cleanly. The same for
`rsdfm replay`, on every machine: test/integration/test_bags_live.py."""

from __future__ import annotations

import json
import os
import tempfile
import time
import unittest
from pathlib import Path

import pytest

from support.places import ROOT

pytest.importorskip(
    "launch_testing", reason="launch_testing is not installed: it comes with a ROS installation"
)
pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with a ROS installation")

import launch_testing
import launch_testing.actions
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from support.bag_data import AGENTS, make_bag

DOMAIN = 101 + (os.getpid() + 50) % 100
WAIT_S = 120.0
END_S = 60.0  # from Ctrl-C to a harder signal: the default is short for a busy machine
FRAMES = 4
SETTINGS = (
    "world.first_answer_timeout_s=60.0",
    "world.answer_timeout_s=30.0",
    "uav.peer_wait_s=20.0",
    "uav.liveliness_lease_s=10.0",
    "uav.publish_single=true",
    "uav.publish_future=true",
)


@pytest.mark.launch_test
def generate_test_description() -> tuple[LaunchDescription, dict]:
    """A bag of two UAVs, made here."""
    folder = Path(tempfile.mkdtemp(prefix="rsdfm-replay-"))
    arguments = {
        "bag": str(make_bag(folder / "bag", FRAMES)),
        "rate": "max",
        "out": str(folder / "out"),
        "description": str(ROOT / "config/fleet/demo.yaml"),
        "model": f"random:{ROOT / 'test/support/tiny.yaml'}",
        "domain": str(DOMAIN),
        "sigterm_timeout_s": str(END_S),
        "set": " ".join(SETTINGS),
    }
    source = PythonLaunchDescriptionSource(str(ROOT / "launch/replay.launch.py"))
    replay = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([replay, launch_testing.actions.ReadyToTest()]), {"out": folder / "out"}


class TestWhilePlaying(unittest.TestCase):
    """The bag ends by itself."""

    def test_the_answers_are_judged(self, out: Path) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not (out / "result.json").is_file():
            assert time.monotonic() < deadline_s, f"waited {WAIT_S:.0f} s in vain for {out / 'result.json'}"
            time.sleep(0.1)
        result = json.loads((out / "result.json").read_text())
        assert set(result["agents"]) == set(AGENTS) and result["protocol"]["frames_answered"] == FRAMES


@launch_testing.post_shutdown_test()
class TestTheEnd(unittest.TestCase):
    """After the end of the bag."""

    def test_every_process_ended_with_status_0(self, proc_info: object) -> None:
        codes = {info.process_name: info.returncode for info in proc_info}  # type: ignore[attr-defined]
        assert len(codes) == 4 and set(codes.values()) == {0}, codes

    def test_nothing_crashed(self, proc_output: object) -> None:
        said = [line.text.decode(errors="replace") for line in proc_output]  # type: ignore[attr-defined]
        assert not [text for text in said if "Traceback" in text or "Segmentation" in text]
