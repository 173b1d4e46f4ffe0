"""web_node through its lifecycle: it subscribes while a page is open, and says why it cannot start."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from nav_msgs.msg import OccupancyGrid
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node

from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.views import web_node
from rsdfm_ros.nodes.views.web_node import WebNode
from rsdfm_ros.view.web import backfill
from rsdfm_ros.view.web.access import Address
from rsdfm_ros.view.web.activation import activated
from support import view_flight as flight
from support.own_domains import new_domain
from support.web_client import Client, free_port, get

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
WAIT_S = 60.0


def listening_ports() -> str:
    """Lines of the sockets of this machine that listen."""
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return "\n".join(line for line in lines if " 0A " in line)


class Fleet:
    """Publishes the small flight, in one executor with the node."""

    def __init__(self, context: Context, *only: str) -> None:
        """only: ends of the topics that are published, all without one: Fast DDS takes seconds for each in the second
        context of a process."""
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.other = Node("other", context=context)
        self.executor.add_node(self.other)
        self.publishers: dict[str, Any] = {}
        self.messages = [m for m in flight.messages() if not only or m[0].endswith(only)]
        for topic, kind, _, _ in self.messages:
            if topic not in self.publishers:
                package, _, name = kind.partition("/msg/")
                made = getattr(importlib.import_module(f"{package}.msg"), name)
                self.publishers[topic] = self.other.create_publisher(made, topic, qos.outputs())
        self.health = self.other.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.nodes: list[WebNode] = []

    def node(self, **parameters: Any) -> WebNode:
        arguments = ["--ros-args"]
        for name, value in parameters.items():
            arguments += ["-p", f"{name}:={json.dumps(value)}"]
        node = WebNode(context=self.context, cli_args=arguments)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def listened(self, topic: str) -> bool:
        return self.publishers[topic].get_subscription_count() > 0

    def publish(self, frame: int) -> None:
        for topic, _, ns, message in self.messages:
            if ns == flight.STAMPS[frame]:
                self.publishers[topic].publish(message)

    def show(self, client: Client, condition: Callable[[], bool], what: str) -> None:
        """Spin and take what the page is sent until a condition holds."""

        def received() -> bool:
            try:
                while True:
                    client.take(client.line.recv(timeout=0.01))
            except TimeoutError:
                return condition()

        self.until(received, what)


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    context = Context()
    rclpy.init(context=context, domain_id=new_domain())
    made = Fleet(context, *getattr(request, "param", ()))
    yield made
    made.executor.shutdown()
    for node in (*made.nodes, made.other):
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_it_subscribes_only_while_a_page_is_open_and_shows_what_comes(
    here: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_node, "LINGER_S", 0.0)
    address = Address("127.0.0.1", free_port())
    node = here.node(port=address.port, title="two UAVs")
    node.start()
    here.until(lambda: get(address, "/")[0] == 200, "the page is there")
    assert not node.watching and not any(map(here.listened, here.publishers))
    with Client(address) as client:
        # Not to packets: the bytes of features are many. Not to what UAVs compute for subscribers only.
        alone = [t for t in here.publishers if "/single/" in t]
        wanted = [t for t in here.publishers if not t.endswith("bev/features") and t not in alone]
        here.until(lambda: all(map(here.listened, wanted)), "it subscribes")
        assert not here.listened("/uav1/bev/features") and not any(map(here.listened, alone))
        client.ask(alone=True)
        here.until(lambda: all(map(here.listened, alone)), "it subscribes to what UAVs answer alone")
        here.publish(0)
        here.show(client, lambda: bool(client.instants) and bool(client.images), "the first instant is shown")
        content = client.instants[-1]["content"]
        assert client.about["title"] == "two UAVs" and set(content["uavs"]) == {"uav1", "uav2"}
        entry = content["uavs"]["uav1"]
        assert [b[0] for b in entry["collaborative"]["boxes"]] == [0, 3] and len(
            entry["single"]["boxes"]
        ) == 1
        assert entry["facts"]["peers"] == ["uav2"] and entry["facts"]["iou_collaborative"] == 1.0
        assert entry["contributors"]["shape"] == [32, 32] and len(entry["collaborative"]["tracks"]) == 2
        assert len(content["truth"]["boxes"]) == 2 and content["truth"]["agents"] == ["uav1", "uav2"]
        status = DiagnosticStatus(
            level=bytes([1]), name="/uav1/collaboration_node: peer uav2", hardware_id="uav1", message="lossy",
            values=[KeyValue(key="loss", value="0.5")],
        )  # fmt: skip
        here.health.publish(DiagnosticArray(status=[status]))
        here.show(client, lambda: "uav1" in client.health.get("links", {}), "its links are shown")
        assert client.health["links"]["uav1"]["uav2"]["loss"] == 0.5
    here.until(node.finished.is_set, "it finishes when the page is closed")
    node.trigger_deactivate()
    here.until(lambda: not any(map(here.listened, here.publishers)), "nothing is subscribed to")


@pytest.mark.parametrize("here", [("/status", "/occupancy")], indirect=True)
def test_answers_of_uavs_alone_are_shown_while_a_page_or_somebody_else_has_them_computed(
    here: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_node, "LINGER_S", 0.0)
    address, topic = Address("127.0.0.1", free_port()), "/uav1/single/occupancy"
    node = here.node(port=address.port)
    node.start()

    def listening() -> bool:
        return here.publishers[topic].get_subscription_count() > own

    own = 0
    with Client(address) as client:
        here.until(lambda: here.listened("/uav1/occupancy"), "it subscribes")
        client.ask(alone=True)
        here.until(listening, "the page shows it")
        client.ask(alone=False)
        here.until(lambda: not listening(), "the page shows it no more")
        other = here.other.create_subscription(OccupancyGrid, topic, lambda message: None, 10)
        own = 1
        here.until(listening, "somebody else takes it")
        here.other.destroy_subscription(other)
        own = 0
        here.until(lambda: not listening(), "nobody else takes it")


@pytest.mark.parametrize("here", [("/status",)], indirect=True)
def test_a_page_that_opens_later_gets_what_was_recorded(
    here: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "SHARE", 1.0)
    run = flight.write_run(tmp_path / "run")
    (run / "result.json").unlink()  # the mission still flies
    (run / "frames" / "000001.npz").write_bytes(b"being written")
    address = Address("127.0.0.1", free_port())
    node = here.node(port=address.port, run=str(run))
    node.start()
    with Client(address) as client:
        here.show(client, lambda: len(client.rows) == 2, "the recorded instants are listed")
        assert sorted(row[1] for row in client.rows.values()) == [10.0, 11.0]
        assert len(client.about["roads"]) == 1
        here.until(lambda: here.listened("/uav1/status"), "it subscribes")
        here.publish(1)
        here.show(client, lambda: len(client.rows) == 3, "the new one is beside them")


@pytest.mark.parametrize("here", [("/status", "occupancy")], indirect=True)
def test_messages_of_another_definition_are_counted_and_survived(here: Fleet) -> None:
    address = Address("127.0.0.1", free_port())
    node = here.node(port=address.port)
    node.start()
    with Client(address) as client:
        here.until(lambda: here.listened("/uav1/status"), "it subscribes")
        for topic in ("/uav1/status", "/uav2/status", "/uav1/occupancy"):
            here.until(lambda topic=topic: here.listened(topic), "it subscribes to this one")
            here.publishers[topic].publish(b"\x00\x01\x00\x00" + b"\xff" * 40)
        here.until(lambda: node.health.rejects["serialized"] >= 3, "they are counted")
        here.publish(0)
        here.show(client, lambda: bool(client.instants), "the rest is shown")


@pytest.mark.parametrize("here", [("/status",)], indirect=True)
def test_a_clock_that_jumps_back_begins_a_new_mission(here: Fleet) -> None:
    address = Address("127.0.0.1", free_port())
    node = here.node(port=address.port)
    node.start()
    assert node.record is not None
    node.record.status("uav1", 10, {"objects": 1})
    node.clear()
    assert len(node.record.instants) == 0


@pytest.mark.parametrize("here", [("/status",)], indirect=True)
def test_it_says_why_it_cannot_start(here: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    node = here.node(topic_map="/nowhere.yaml")
    assert node.trigger_configure() == FAILURE and "topic map" in node.last_error
    monkeypatch.setenv("RSDFM_WEB_TOKEN", "short")
    node = here.node(host="0.0.0.0", port=free_port())
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == FAILURE
    assert "at least 16" in node.last_error
    node = here.node(host="192.0.2.1", port=free_port())
    monkeypatch.delenv("RSDFM_WEB_TOKEN")
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == FAILURE
    assert re.search("cannot be served", node.last_error)


def test_nothing_is_loaded_before_the_first_browser_comes(tmp_path: Path) -> None:
    address = Address("127.0.0.1", free_port())
    code = "from rsdfm_ros.nodes.views import web_node; web_node.LINGER_S = 0.5; web_node.main()"
    node = [sys.executable, "-c", code, "--ros-args", "-p", f"port:={address.port}"]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(new_domain())}
    process = subprocess.Popen(
        activated(address.host, address.port, node),
        env=environment,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + WAIT_S
        maps = Path(f"/proc/{process.pid}/maps")
        while f":{address.port:04X} " not in listening_ports():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        assert "rclpy" not in maps.read_text() and "numpy" not in maps.read_text()
        assert get(address, "/")[0] == 200  # it waited for this
        assert "rclpy" in maps.read_text()
        with Client(address) as client:
            client.until(lambda: bool(client.about))
            time.sleep(1.0)  # the node looks for pages twice a second
        while "rclpy" in maps.read_text():  # it sleeps again
            assert time.monotonic() < deadline + WAIT_S and process.poll() is None
            time.sleep(0.05)
        while f":{address.port:04X} " not in listening_ports():
            assert time.monotonic() < deadline + WAIT_S and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=WAIT_S)[0].decode()
        assert process.returncode == 0 and f"look at it in a browser: {address.url}" in said
    finally:
        process.kill()
        process.communicate()


def test_a_sleeping_page_ends_without_a_word_and_a_taken_port_is_said() -> None:
    port = free_port()
    sleeping = subprocess.Popen(
        activated("127.0.0.1", port, ["/bin/false"]), stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    while f":{port:04X} " not in listening_ports():
        assert sleeping.poll() is None
        time.sleep(0.05)
    other = subprocess.run(
        activated("127.0.0.1", port, ["/bin/false"]), capture_output=True, text=True, timeout=WAIT_S
    )
    assert other.returncode == 2 and f"error: no page on port {port}" in other.stderr
    sleeping.send_signal(signal.SIGTERM)
    assert sleeping.communicate(timeout=WAIT_S) == (b"", b"") and sleeping.returncode == 0
