"""view_node through its lifecycle: it shows what comes while it is active, and says why it cannot start."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rerun", reason="the viewer is an extra: make setup-view")

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rsdfm_ros.msg import AgentStatus
from std_msgs.msg import String

from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.views import view_node, watching
from rsdfm_ros.nodes.views.view_node import ViewNode
from support import view_flight as flight
from support.own_domains import new_domain
from support.rerun_file import RerunFile

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Fixture:
    """A viewer and somebody who publishes status, in one executor."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.other = Node("other", context=context)
        self.status = self.other.create_publisher(AgentStatus, "/uav1/status", qos.outputs())
        self.messages = [m for topic, _, _, m in flight.messages() if topic == "/uav1/status"]
        self.executor.add_node(self.other)
        self.nodes: list[ViewNode] = []

    def node(self, **parameters: Any) -> ViewNode:
        arguments = ["--ros-args"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={json.dumps(value)}"]
        node = ViewNode(context=self.context, cli_args=arguments)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def send(self, node: ViewNode, message: Any) -> None:
        """Publish a status and wait until it is shown."""
        self.until(lambda: self.status.get_subscription_count() > 0, "the viewer listens")
        before = node.health.counts["messages_shown"]
        self.status.publish(message)
        self.until(lambda: node.health.counts["messages_shown"] > before, "the status is shown")


@pytest.fixture
def here() -> Iterator[Fixture]:
    context = Context()
    rclpy.init(context=context, domain_id=new_domain())
    made = Fixture(context)
    yield made
    made.executor.shutdown()
    for node in (*made.nodes, made.other):
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_it_shows_while_active_pauses_and_starts_anew(here: Fixture, tmp_path: Path) -> None:
    first, second = tmp_path / "first.rrd", tmp_path / "second.rrd"
    node = here.node(save=str(first))
    assert node.trigger_configure() == SUCCESS and here.status.get_subscription_count() == 0
    assert node.trigger_activate() == SUCCESS
    here.send(node, here.messages[0])
    assert node.trigger_deactivate() == SUCCESS
    here.until(lambda: here.status.get_subscription_count() == 0, "the viewer has stopped listening")
    assert node.trigger_activate() == SUCCESS
    here.send(node, here.messages[2])
    assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
    assert RerunFile(first).stamps("/plots/bytes/uav1") == [flight.STAMPS[0], flight.STAMPS[2]]
    node.set_parameters([rclpy.parameter.Parameter("save", value=str(second))])
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    here.send(node, here.messages[1])
    assert node.trigger_shutdown() == SUCCESS
    assert RerunFile(second).stamps("/plots/bytes/uav1") == [flight.STAMPS[1]]


def test_a_topic_that_comes_later_is_found_and_strangers_are_left_alone(
    here: Fixture, tmp_path: Path
) -> None:
    node = here.node(save=str(tmp_path / "a.rrd"))
    node.start()
    later = here.other.create_publisher(AgentStatus, "/drones/uav9/status", qos.sensor("best_effort"))
    stranger = here.other.create_publisher(String, "/uav1/detections", 10)  # a name of ours, another type
    assert node.router is not None
    topics = ["/drones/uav9/status", "/uav1/status"]
    here.until(lambda: node.router.topics == topics, "the new topic is found beside the old one")
    here.until(lambda: later.get_subscription_count() > 0, "it is listened to")
    assert stranger.get_subscription_count() == 0
    assert node.router.scene.agents == ["uav1", "uav9"]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"save": "/nowhere/a.rrd"}, "folder that exists"),
        ({"save": "", "connect": "somewhere"}, "rerun\\+http"),
        ({"topic_map": "/nowhere.yaml"}, "topic map"),
    ],
)
def test_it_says_why_it_cannot_start(here: Fixture, parameters: dict[str, Any], says: str) -> None:
    node = here.node(**parameters)
    assert node.trigger_configure() == FAILURE
    assert re.search(says, node.last_error), node.last_error


def test_without_rerun_it_says_how_to_get_it(
    here: Fixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    node = here.node(save=str(tmp_path / "a.rrd"))
    assert node.trigger_configure() == FAILURE and "make setup-view" in node.last_error


def test_a_viewer_that_is_too_slow_drops_and_counts(
    here: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(watching, "QUEUED", 2)
    node = here.node(save=str(tmp_path / "a.rrd"))
    take = view_node.Router.take
    monkeypatch.setattr(view_node.Router, "take", lambda self, *a: (gate.wait(60), take(self, *a))[1])
    node.start()
    here.until(lambda: here.status.get_subscription_count() > 0, "the viewer listens")
    for _ in range(9):
        here.status.publish(here.messages[0])
    here.until(lambda: node.health.counts["messages_dropped"] >= 6, "what is too much is dropped")
    gate.set()
    here.until(lambda: node.health.counts["messages_shown"] >= 2, "the rest is shown")
