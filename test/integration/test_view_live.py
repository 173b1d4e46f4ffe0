"""`rsdfm view` of a live fleet over real DDS, read back from the recording that it writes."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rerun", reason="the viewer is an extra: make setup-view")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from rsdfm_ros.nodes.core import qos
from support import view_flight as flight
from support.rerun_file import RerunFile

WAIT_S = 60.0


class Fleet:
    """Publishes the messages of the small flight, and hears how the viewer is doing."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("fleet", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.messages = list(flight.messages())
        self.publishers: dict[str, Any] = {}
        self.shown = 0
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def appear(self, only: str = "/") -> None:
        for topic, kind, _, _ in self.messages:
            if topic.startswith(only) and topic not in self.publishers:
                package, _, name = kind.partition("/msg/")
                kind_class = getattr(importlib.import_module(f"{package}.msg"), name)
                self.publishers[topic] = self.node.create_publisher(kind_class, topic, qos.outputs())

    def publish(self) -> int:
        sent = [(t, m) for t, _, _, m in self.messages if t in self.publishers]
        for topic, message in sent:
            self.publishers[topic].publish(message)
        return len(sent)

    def heard(self) -> bool:
        return all(p.get_subscription_count() > 0 for p in self.publishers.values())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {v.key: v.value for v in status.values}
            if "view_node" in status.name and "messages_shown" in values:
                self.shown = int(values["messages_shown"])

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@contextmanager
def view(domain: int, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running `rsdfm view`."""
    command = [sys.executable, "-m", "rsdfm_ros.cli", "view", *arguments]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait(60)


def test_a_live_fleet_is_shown_and_ctrl_c_keeps_the_recording(tmp_path: Path, domain: int) -> None:
    out, log, fleet = tmp_path / "live.rrd", tmp_path / "log", Fleet(domain)
    try:
        with view(domain, log, "--save", str(out)) as process:
            fleet.appear("/uav1/")
            fleet.until(fleet.heard, "the viewer hears uav1")
            fleet.appear()  # the others come later
            fleet.until(fleet.heard, "the viewer hears everybody")
            sent = fleet.publish()
            fleet.until(lambda: fleet.shown >= sent, f"all {sent} messages are shown")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, log.read_text()
    finally:
        fleet.close()
    shown, stamps = RerunFile(out), list(flight.STAMPS)
    for agent in flight.AGENTS:
        for name in ("camera/image", "boxes", "trajectories"):
            assert shown.stamps(f"/map/{agent}/{name}") == stamps, name
        assert shown.stamps(f"/bev/{agent}/contributors") == stamps
        assert shown.stamps(f"/plots/bytes/{agent}") == stamps
    assert shown.stamps("/map/truth") == stamps
    assert "Traceback" not in log.read_text()


def test_a_viewer_without_a_fleet_says_what_it_looks_for(tmp_path: Path, domain: int) -> None:
    log = tmp_path / "log"
    with view(domain, log, "--save", str(tmp_path / "live.rrd")) as process:
        deadline = time.monotonic() + WAIT_S
        while not re.search(r"nothing to show for \d+ s", log.read_text()):
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert f"ROS domain {domain}" in log.read_text() and "/uav1/status" in log.read_text()


def test_a_topic_that_falls_silent_is_named(tmp_path: Path, domain: int) -> None:
    log, fleet = tmp_path / "log", Fleet(domain)
    try:
        with view(domain, log, "--save", str(tmp_path / "live.rrd")):
            fleet.appear("/uav1/status")
            silent = re.compile(r"no AgentStatus on /uav1/status for \d+ s")
            fleet.until(lambda: bool(silent.search(log.read_text())), "the silent topic is named")
    finally:
        fleet.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--map", "/nowhere.yaml"], "topic map"), (["--save", "/dev/null/a.rrd"], "/dev/null is a file")],
)
def test_what_a_live_view_cannot_do_is_said_in_a_sentence(
    tmp_path: Path, domain: int, arguments: list[str], says: str
) -> None:
    with view(domain, tmp_path / "log", *arguments) as process:
        assert process.wait(60) == 2
    text = (tmp_path / "log").read_text()
    assert says in text and "Traceback" not in text
