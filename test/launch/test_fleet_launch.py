"""fleet.launch.py under the real launch: the fleet comes up, topics flow, a killed UAV leaves the other working, and it
ends cleanly. The same for `rsdfm fleet`, on every machine: test/integration/test_fleet_processes.py."""

from __future__ import annotations

import os
import signal
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest

from support.places import ROOT

pytest.importorskip(
    "launch_testing", reason="launch_testing is not installed: it comes with a ROS installation"
)
pytest.importorskip("launch_ros", reason="launch_ros is not installed: it comes with a ROS installation")

import launch_testing
import launch_testing.actions
import rclpy
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rsdfm_ros.msg import ObjectArray, TrajectoryArray

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.nodes.core import qos

DOMAIN = 101 + os.getpid() % 100
LEASE_S = 2.0
WAIT_S = 90.0
END_S = 60.0  # from Ctrl-C to a harder signal: the default is short for a busy machine
KILLED = "uav2"
SETTINGS = (
    "world.first_answer_timeout_s=60.0",
    "world.answer_timeout_s=4.0",
    "uav.peer_wait_s=3.0",
    f"uav.liveliness_lease_s={LEASE_S}",
    "evaluator.end_timeout_s=5.0",
)


@pytest.mark.launch_test
@launch_testing.parametrize("composed", ["true", "false"])
def generate_test_description(composed: str) -> tuple[LaunchDescription, dict]:
    """A long mission of two UAVs; the tests end it."""
    arguments = {
        "description": str(ROOT / "config/fleet/demo.yaml"),
        "uavs": "2",
        "frames": "120",
        "model": f"random:{ROOT / 'test/support/tiny.yaml'}",
        "composed": composed,
        "when_lost": "continue",
        "domain": str(DOMAIN),
        "sigterm_timeout_s": str(END_S),
        "set": " ".join(SETTINGS),
    }
    source = PythonLaunchDescriptionSource(str(ROOT / "launch/fleet.launch.py"))
    fleet = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    return LaunchDescription([fleet, launch_testing.actions.ReadyToTest()]), {}


class TestWhileFlying(unittest.TestCase):
    """Messages that a subscriber beside the fleet receives; the methods run in the order of their names."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.context = Context()
        rclpy.init(context=cls.context, domain_id=DOMAIN)
        cls.node = Node("listener", context=cls.context)
        cls.executor = SingleThreadedExecutor(context=cls.context)
        cls.executor.add_node(cls.node)
        cls.newest: dict[str, int] = {}
        for agent in ("uav1", "uav2"):
            for name, kind in (("detections", ObjectArray), ("trajectories", TrajectoryArray)):
                topic = f"/{agent}/{name}"
                cls.newest[topic] = -1
                cls.node.create_subscription(kind, topic, lambda m, t=topic: cls.take(t, m), qos.outputs())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.executor.shutdown()
        cls.node.destroy_node()
        rclpy.shutdown(context=cls.context)

    @classmethod
    def take(cls, topic: str, message: ObjectArray | TrajectoryArray) -> None:
        cls.newest[topic] = stamps.stamp_ns(message.header.stamp)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited {WAIT_S:.0f} s in vain until {what}: {self.newest}"
            self.executor.spin_once(timeout_sec=0.1)

    def test_1_the_answers_of_all_uavs_flow(self) -> None:
        self.until(lambda: min(self.newest.values()) > 0, "every UAV answers")

    def test_2_a_killed_uav_leaves_the_other_working(self) -> None:
        pids = processes_of(KILLED)
        assert pids, f"{KILLED} has no process"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: not processes_of(KILLED), f"{KILLED} is gone")
        before = dict(self.newest)
        self.until(
            lambda: all(self.newest[t] > before[t] + 10**9 for t in before if t.startswith("/uav1/")),
            "uav1 flies on",
        )
        assert self.newest[f"/{KILLED}/detections"] <= before[f"/{KILLED}/detections"] + 10**9


def processes_of(agent: str) -> list[int]:
    """Living processes of a UAV of this test, known by their ROS domain and namespace."""
    mark, namespace = f"ROS_DOMAIN_ID={DOMAIN}".encode(), f"__ns:=/{agent}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if namespace in command and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile, or is another's
            continue
    return found


@launch_testing.post_shutdown_test()
class TestTheEnd(unittest.TestCase):
    """After Ctrl-C of launch."""

    def test_every_process_ended_with_status_0_but_the_killed_ones(self, proc_info: object) -> None:
        codes = {info.process_name: info.returncode for info in proc_info}  # type: ignore[attr-defined]
        assert len(codes) >= 4, codes
        for name, code in codes.items():
            assert code == (-signal.SIGKILL if name.startswith(KILLED) else 0), codes

    def test_nothing_crashed(self, proc_output: object) -> None:
        said = [line.text.decode(errors="replace") for line in proc_output]  # type: ignore[attr-defined]
        assert not [text for text in said if "Traceback" in text or "Segmentation" in text]

    def test_nothing_is_left_running(self) -> None:
        assert not processes_of("uav1")
