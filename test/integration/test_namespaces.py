"""UAVs on computers of their own, that is, in network namespaces, with the real Fast DDS over UDP between them: what
they do when the network loses, delays and slows down, and what they put on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rsdfm_ros.wire.faults.link import LinkFaults
from rsdfm_ros.wire.message import DATAGRAM_PACKET_BYTES, UDP_PAYLOAD_BYTES
from support.network import Network, missing
from support.places import TEST

AGENTS = ("uav1", "uav2")
BUDGET_BYTES, RATE_HZ = 2_500, 5.0
IMAGES = 12
"""Images of a UAV, for which a fault lasts: their packets are counted."""
WAIT_S = 90.0
LEASE_S = 3.0
HEADERS = 14 + 20 + 8 + 20 + 12 + 24
"""Bytes of Ethernet, IP, UDP and RTPS around a message, without those that depend on the DDS."""
DISCOVERY_BYTES_S = 6_000
"""What discovery and liveliness of the four participants put on the wire of each computer, at most."""
DOMAIN = 0
"""Each namespace has ports of its own."""


class Uav:
    """The process of a UAV and its camera; `statuses` fills while it runs."""

    def __init__(self, network: Network, agent: str, model: Path, logs: Path) -> None:
        self.name = agent
        self.statuses: list[dict[str, Any]] = []
        parameters = {"budget_bytes": BUDGET_BYTES, "max_packet_bytes": DATAGRAM_PACKET_BYTES}
        parameters |= {"liveliness_lease_s": LEASE_S, "peer_wait_s": 0.1, "publish_single": False}
        parameters |= {"publish_future": False, "features_reliability": "best_effort"}
        settings = {"agent": agent, "model": str(model), "domain": DOMAIN, "logs": str(logs)}
        settings |= {"rate_hz": RATE_HZ, "parameters": parameters}
        environment = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
            "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",  # shared memory would connect the namespaces
        }
        words = (sys.executable, TEST / "support" / "networked_uav.py", json.dumps(settings))
        self.process = subprocess.Popen(
            network.command(agent, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.statuses.append(json.loads(line))

    def get(self, name: str) -> Any:
        """A field of the newest status."""
        return self.statuses[-1][name] if self.statuses else 0

    def leave(self) -> None:
        """Tell the processes to end."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> None:
        """Wait until they have ended."""
        try:
            self.process.wait(20.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Fleet:
    """The UAVs and the network between them."""

    def __init__(self, network: Network, uavs: list[Uav]) -> None:
        self.network, self.uavs = network, uavs

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert all(u.process.poll() is None for u in self.uavs), "a UAV has ended"
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            time.sleep(0.05)

    def quiet(self) -> bool:
        """Whether discovery, whose messages are longer than a frame, and parameter events have passed."""
        self.network.set_faults(LinkFaults())
        time.sleep(0.5)
        return not self.network.set_faults(LinkFaults())["fragments"]

    def together(self) -> bool:
        """Whether every UAV fuses the features of the others."""
        return all(len(u.get("peers") or ()) == len(self.uavs) - 1 for u in self.uavs)

    def fly(self, faults: LinkFaults, images: int = IMAGES) -> Flight:
        """Let every UAV answer so many images more with these faults."""
        self.network.set_faults(faults)
        before = Flight(self, {})
        wanted = {u.name: u.get("frames_processed") + images for u in self.uavs}
        self.until(
            lambda: all(u.get("frames_processed") >= wanted[u.name] for u in self.uavs),
            f"every UAV has answered {images} images with {faults}",
        )
        return Flight(self, self.network.set_faults(faults), before)


class Flight:
    """Counts at an instant, or since another one: fields by UAV, `wire` of the interfaces. switch: its counts."""

    def __init__(self, fleet: Fleet, switch: dict[str, int], since: Flight | None = None) -> None:
        self.at_s = time.monotonic()
        names = ("frames_processed", "bytes_sent", "packets_sent", "packets_received", "packets_rejected")
        self.now = {u.name: {n: u.get(n) for n in names} for u in fleet.uavs}
        for uav in fleet.uavs:
            self.now[uav.name]["wire"] = fleet.network.sent_bytes(uav.name)
        self.switch, self._since = switch, since

    @property
    def seconds(self) -> float:
        """Time since the other instant."""
        assert self._since is not None
        return self.at_s - self._since.at_s

    def of(self, uav: str, name: str) -> int:
        """The increase of a field since the other instant."""
        assert self._since is not None
        return int(self.now[uav][name] - self._since.now[uav][name])

    def arrived(self) -> float:
        """Share of all packets that arrived."""
        sent = sum(self.of(u, "packets_sent") for u in AGENTS)
        return sum(self.of(u, "packets_received") for u in AGENTS) / sent


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Fleet]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Network(AGENTS) as network:
        uavs: list[Uav] = []
        try:
            for agent in AGENTS:
                uavs.append(Uav(network, agent, model, tmp_path_factory.mktemp(agent)))
            found = Fleet(network, uavs)
            found.until(found.together, "the UAVs have found each other and fuse")
            yield found
        finally:
            for uav in uavs:
                uav.leave()
            for uav in uavs:
                uav.end()


def test_every_packet_is_one_ethernet_frame_and_the_wire_carries_the_budget_and_little_else(
    fleet: Fleet,
) -> None:
    fleet.until(fleet.quiet, "discovery is over")
    flight = fleet.fly(LinkFaults(), 2 * IMAGES)
    assert flight.arrived() > 0.95
    assert flight.switch["fragments"] == 0
    assert flight.switch["largest"] <= 14 + 20 + 8 + UDP_PAYLOAD_BYTES
    for uav in AGENTS:
        assert flight.of(uav, "packets_rejected") == 0
        packets, sent, wire = (flight.of(uav, n) for n in ("packets_sent", "bytes_sent", "wire"))
        assert packets > flight.of(uav, "frames_processed"), "an image takes more than one packet"
        assert sent < 1.1 * BUDGET_BYTES * (flight.of(uav, "frames_processed") + 2)
        # One peer: every message goes over the wire once.
        least = sent + HEADERS * packets
        assert 0.9 * least < wire < 1.1 * least + DISCOVERY_BYTES_S * flight.seconds


@pytest.mark.parametrize("loss", [0.05, 0.2, 0.5])
def test_with_lost_datagrams_the_others_arrive_and_every_image_is_answered(fleet: Fleet, loss: float) -> None:
    flight = fleet.fly(LinkFaults(loss=loss))
    assert abs(flight.arrived() - (1 - loss)) < 0.2
    assert all(flight.of(uav, "packets_rejected") == 0 for uav in AGENTS)
    fleet.network.set_faults(LinkFaults())
    fleet.until(fleet.together, "all fuse again")


def test_a_delay_that_varies_makes_packets_late_and_loses_none(fleet: Fleet) -> None:
    flight = fleet.fly(LinkFaults(delay_s=0.05, jitter_s=0.03))
    assert flight.arrived() > 0.85  # some are on the way when the counting ends
    fleet.until(fleet.together, "the UAVs fuse what is late")


def test_two_megabits_per_second_are_enough(fleet: Fleet) -> None:
    for uav in AGENTS:
        fleet.network.limit_rate(uav, "2mbit")
    flight = fleet.fly(LinkFaults())
    for uav in AGENTS:
        fleet.network.limit_rate(uav, None)
        assert flight.of(uav, "wire") < 2e6 / 8 * (flight.seconds + 1)
    assert flight.arrived() > 0.9


def test_a_peer_that_is_cut_off_leaves_and_returns_and_nobody_waits_for_it(fleet: Fleet) -> None:
    fleet.network.set_faults(LinkFaults(loss=1.0))
    fleet.until(lambda: not any(u.get("peers") for u in fleet.uavs), "nobody fuses what cannot come")
    flight = fleet.fly(LinkFaults(loss=1.0))
    assert flight.arrived() == 0
    assert all(flight.of(uav, "frames_processed") >= IMAGES for uav in AGENTS)
    fleet.network.set_faults(LinkFaults(loss=0.2))
    fleet.until(fleet.together, "the UAVs have found each other again, although datagrams are lost")
