"""What UAVs ask of each other and the rate of the radio, in running nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rsdfm_ros.msg import AgentStatus, DemandMap, FeaturePacket
from std_msgs.msg import UInt32

from rsdfm_ros.agent.interest.demand import Demand
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.nodes.convert.features import demand_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.uav.collaboration import demand_exchange
from rsdfm_ros.nodes.uav.encoder_node import EncoderNode
from rsdfm_ros.nodes.uav.uav_node import Uav
from support.dynamic_effects import shows, up
from support.node_flight import Flight, matched_peers
from support.ros_world import facts, level

FAR, NOTHING = Demand((500, 500), (2, 2)), Demand((0, 0), (0, 0))
ALL = Demand((-16, -16), (32, 32))


class Asked:
    """A whole UAV, and a peer that asks it for features."""

    def __init__(self, flight: Flight, model: Path, *, hears: bool = True) -> None:
        self.flight, self.world = flight, flight.world
        values = {"image_reliability": "reliable", "max_speed_mps": 0.0, "features_reliability": "reliable"}
        values |= {"liveliness_lease_s": 60.0}
        self.uav = Uav(
            **self.world.options(
                model=str(model), input_timeout_s=60.0, discovery_period_s=0.05, peer_wait_s=0.0, **values
            )
        )
        self.world.add(*self.uav.nodes)
        self.world.up(*self.uav.nodes)
        self.packets: list[Any] = []
        self.demands = flight.keep(DemandMap, "/uav1/bev/demand", qos.demand())
        self.status = flight.keep(AgentStatus, "/uav1/status")
        if hears:
            self.packets = flight.keep(FeaturePacket, "/uav1/bev/features", qos.features("reliable", 60.0))
            self.until(lambda: len(self.node._demand._receivers) == 1, "the peer is in the graph")
        flight.sensors()
        self.until(lambda: flight.heard("/uav1/camera/image_raw", "/uav1/pose"), "the encoder listens")
        self.number = 0

    @property
    def node(self) -> Any:
        return self.uav.collaboration

    def until(self, condition: Any, what: str) -> None:
        self.world.until(condition, what)

    def ask(self, demand: Demand, agent: str = "uav2", reason: str = "", **other: Any) -> None:
        """Ask for tiles until that has come, or is refused for a reason."""
        perception = self.flight.perception
        own = OwnFeatures(1, 0, None, None, None, None, None)  # type: ignore[arg-type]
        message = demand_to_message(demand, perception, own, agent=agent, frame_id="map")
        for name, value in other.items():
            setattr(message, name, value)
        publisher = self.flight.publisher(DemandMap, "/uav2/bev/demand", qos.demand())
        books = self.node.health.rejects if reason else self.node.health.counts
        name = reason or "demand_bytes_received"
        before = books[name]

        def came() -> bool:
            publisher.publish(message)
            return bool(books[name] > before)

        self.until(came, "the demand comes")

    def image(self) -> int:
        """Fly an image; the packets that were sent for it."""
        counts, before = self.uav.encoder.health.counts, self.uav.encoder.health.counts["packets_sent"]
        answered = self.uav.health.counts["frames"]
        self.flight.show(self.number)
        self.number += 1
        self.until(lambda: self.uav.health.counts["frames"] > answered, "the image is answered")
        return int(counts["packets_sent"] - before)


def test_a_uav_sends_what_its_receivers_ask_for(flight: Flight, model: Path) -> None:
    asked = Asked(flight, model)
    counts = asked.uav.encoder.health.counts
    assert asked.image(), "a receiver that never asked wants everything"
    asked.ask(NOTHING)
    assert asked.image() == 0 and counts["images_unwanted"] == 1
    asked.ask(FAR)
    assert asked.image() == 0 and counts["images_unwanted"] == 2
    asked.ask(ALL)
    assert asked.image() and counts["images_unwanted"] == 2
    health = asked.node.health
    asked.ask(NOTHING, agent="uav3", reason="agent_name")
    asked.ask(NOTHING, cell_size=float("nan"), reason="cell_size")
    assert health.counts["demands_rejected"] >= 2 and not health.counts["errors"]
    assert asked.image()
    asked.until(lambda: asked.status[-1].images_unwanted == 2, "it is in the status")
    assert asked.status[-1].demand_bytes_sent > 0


def test_without_a_receiver_nothing_is_sent(flight: Flight, model: Path) -> None:
    asked = Asked(flight, model, hears=False)
    assert asked.image() == 0 and asked.uav.encoder.health.counts["images_unwanted"] == 1


@shows("demand")
def test_a_uav_asks_for_its_region_as_often_and_as_much_as_is_set(
    flight: Flight, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(flight, model)
    asked.image()
    asked.until(lambda: asked.demands, "it asks")
    told, window = asked.demands[-1], flight.perception.window  # type: ignore[union-attr]
    assert (16 * told.tile_i0, 16 * told.tiles_i) == (window.i0, window.ni) and not len(told.values)
    assert told.agent == "uav1" and told.cell_size == window.cell_size
    asked.image()
    monkeypatch.setattr(demand_exchange, "PERIOD_S", 0.0)
    assert asked.world.set(asked.node, demand="evidence") == [""]
    number = len(asked.demands)
    asked.image()
    asked.until(lambda: len(asked.demands) > number, "it asks again")
    assert len(asked.demands[-1].values) == 4 * told.tiles_i * told.tiles_j
    asked.ask(NOTHING)
    assert asked.image() == 0
    assert asked.world.set(asked.node, demand="off") == [""]
    sent = asked.node.health.counts["demand_bytes_sent"]
    assert asked.image(), "everything is sent"
    assert asked.node.health.counts["demand_bytes_sent"] == sent


def test_far_uavs_are_not_listened_to_until_they_are_near(flight: Flight, model: Path) -> None:
    asked = Asked(flight, model)
    world = asked.world
    flight.features("uav2")
    asked.until(lambda: matched_peers(asked.node) == ["uav2"], "it is heard")
    asked.image()
    asked.ask(FAR)
    asked.until(lambda: asked.node.peers == [], "it is far")
    asked.ask(ALL)
    asked.until(lambda: matched_peers(asked.node) == ["uav2"], "it is near")
    asked.ask(FAR)
    asked.until(lambda: asked.node.peers == [], "it is far again")
    assert world.set(asked.node, peers=["uav2"]) == [""]
    asked.until(lambda: matched_peers(asked.node) == ["uav2"], "listed ones are listened to")


@shows("budget_bytes_s")
def test_the_rate_of_the_parameter_and_of_the_radio_holds(flight: Flight, model: Path) -> None:
    node = up(flight, EncoderNode, model, budget_bytes=8000)
    told = flight.world.diagnostics()
    radio = flight.publisher(UInt32, "/uav1/radio/rate", qos.outputs(1))
    flight.sensors()
    flight.world.until(lambda: flight.heard("/uav1/camera/image_raw", "/uav1/radio/rate"), "it listens")
    now_s = 0.0

    def passed() -> float:
        return now_s

    node.time = passed
    sizes = []
    for frame in range(12):
        if frame == 3:
            assert flight.world.set(node, budget_bytes_s=8000) == [""]
        if frame == 8:
            radio.publish(UInt32(data=0))
            flight.world.until(lambda: node.sender.bytes_per_s == 0, "the radio takes nothing")
        done = node.health.counts["frames"]
        flight.show(frame)
        flight.world.until(lambda n=done: node.health.counts["frames"] > n, "it is encoded")
        sizes.append(node.health.frame_bytes)
        now_s += 0.5
    assert sizes[1] > 4500 and 2500 < sum(sizes[5:8]) / 3 < 4400, sizes
    assert sizes[9:] == [0, 0, 0]
    counts = node.health.counts
    assert counts["images_fewer_cells"] and counts["images_no_low_band"] and counts["images_not_sent"] >= 3
    assert 3 <= counts["images_reduced"] <= 6
    name = "/uav1/encoder_node: features out"
    flight.world.until(lambda: name in told and level(told[name]) == 1, "diagnostics warn")
    flight.world.until(lambda: "images left out" in told[name].message, "and say how")
    assert facts(told[name])["budget_bytes_per_second"] == "0"


def test_demands_count_against_the_rate(flight: Flight, model: Path) -> None:
    asked = Asked(flight, model)
    spent: list[int] = []
    asked.uav.encoder.sender.spend = spent.append  # type: ignore[method-assign]
    asked.image()
    asked.until(lambda: asked.demands, "it asks")
    assert spent == [asked.node.health.counts["demand_bytes_sent"]] and 60 < spent[0] < 200
