"""fault_injector_node in a process of its own, between a sender and a receiver on real DDS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import NodeSpec
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.wire.faults.link import LinkFaults, link_of
from support.harness import LEASE_S, TestWorld, flight, uav_spec

TOPICS = ("/uav2/bev/features", "/uav3/bev/features")
QOS = qos.features("reliable", LEASE_S, depth=1000)
MESSAGES = 120
SEED = 11


@pytest.fixture
def world(domain: int) -> Iterator[TestWorld]:
    made = TestWorld([], domain)
    yield made
    made.close()


def set_parameter(world: TestWorld, name: str, value: Any) -> None:
    client = world.node.create_client(SetParameters, "/fault_injector_node/set_parameters")
    world.until(client.service_is_ready, "the parameters can be set")
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    future = client.call_async(request)
    world.until(future.done, f"{name} is set")
    assert future.result().results[0].successful


def test_a_process_loses_the_messages_that_its_seed_tells_and_says_so(
    world: TestWorld, domain: int, tmp_path: Path
) -> None:
    node = world.node
    got: dict[str, list[int]] = {topic: [] for topic in TOPICS}
    told: dict[str, dict[str, str]] = {}

    def take_status(message: DiagnosticArray) -> None:
        told.update({s.name: {v.key: v.value for v in s.values} for s in message.status})

    node.create_subscription(DiagnosticArray, "/diagnostics", take_status, 10)
    senders = {topic: node.create_publisher(FeaturePacket, topic, QOS) for topic in TOPICS}
    for topic in TOPICS:
        node.create_subscription(
            FeaturePacket, f"/radio{topic}", lambda m, t=topic: got[t].append(m.frame), QOS
        )
    parameters = {"links": list(TOPICS), "output_prefix": "/radio", "seed": SEED, "loss": 0.3}
    parameters |= {"loss_correlation": 0.5, "delay_s": 0.05, "jitter_s": 0.03}
    parameters |= {"features_reliability": "reliable", "liveliness_lease_s": LEASE_S}
    environment = {"ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
    spec = NodeSpec("", "faults", "fault_injector_node", "/", parameters, environment)
    name = "/fault_injector_node: link " + TOPICS[0]
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(spec)
        world.until(lambda: all(s.get_subscription_count() for s in senders.values()), "the links listen")
        world.until(lambda: all(node.count_publishers(f"/radio{t}") for t in TOPICS), "the links are open")
        world.until(lambda: name in told, "the links report")

        sent = dict.fromkeys(TOPICS, 0)

        def send(topic: str) -> None:
            senders[topic].publish(FeaturePacket(frame=sent[topic]))
            sent[topic] += 1

        def answered() -> bool:
            """Publishers do not know their subscribers at once: messages are sent until one arrives."""
            for topic in TOPICS:
                if not got[topic]:
                    send(topic)
            return all(got.values())

        world.until(answered, "first messages arrive")
        for topic in TOPICS:
            for _ in range(MESSAGES):
                send(topic)
        faults = LinkFaults(loss=0.3, loss_correlation=0.5)
        for topic in TOPICS:
            link = link_of(topic, SEED)
            passed = [k for k in range(sent[topic]) if link.arrivals(1, 0.0, faults)]
            expected = [k for k in passed if k >= got[topic][0]]
            world.until(lambda t=topic, e=expected: len(got[t]) >= len(e), "what is not lost arrives")
            assert got[topic] == expected and len(expected) < MESSAGES
        total = sent[TOPICS[0]]
        world.until(lambda: told[name]["received"] == str(total), "the counts are told")
        assert int(told[name]["lost"]) > 0
        assert int(told[name]["passed"]) + int(told[name]["lost"]) == total

        set_parameter(world, "loss", 0.0)
        senders[TOPICS[0]].publish(FeaturePacket(frame=7777))
        world.until(lambda: got[TOPICS[0]][-1] == 7777, "nothing is lost any more")


def test_a_uav_hears_a_peer_over_a_link_only(tmp_path: Path, domain: int, model: Path) -> None:
    topic = TOPICS[0]
    parameters = {"links": [topic], "features_reliability": "reliable", "liveliness_lease_s": LEASE_S}
    injector = NodeSpec("", "faults", "fault_injector_node", "/", parameters, {"ROS_DOMAIN_ID": str(domain)})
    listed = {"peers": [f"/faulty{topic}"], "peer_wait_s": 1.0}
    specs = [uav_spec("uav1", model, domain, **listed), uav_spec("uav2", model, domain), injector]
    with flight(["uav1", "uav2"], specs, domain, tmp_path) as (world, _):
        world.until(lambda: world.connected(["uav1", "uav2"]), "the UAVs are connected")
        frame = 0
        while not world.status["uav1"].packets_received:
            world.fly(frame)
            frame += 1
            assert frame < 8, "nothing comes over the link"
        assert list(world.status["uav1"].peers) == ["uav2"]
        set_parameter(world, "loss", 1.0)
        world.fly(frame)  # what was on the way has come
        received = world.status["uav1"].packets_received
        world.fly(frame + 1)
        world.fly(frame + 2)
        assert world.status["uav1"].packets_received == received
        assert world.status["uav1"].packets_rejected == 0
