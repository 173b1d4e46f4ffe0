"""Packets and boxes of an own map: what is sent, in which order, and when boxes travel."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.sender import Sender
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.boxes import SideBoxes, carries_boxes, decode_boxes
from rsdfm_ros.wire.message import (
    DATAGRAM_PACKET_BYTES,
    RTPS_BYTES,
    UDP_PAYLOAD_BYTES,
    envelope_bytes,
)
from rsdfm_ros.wire.packet import assemble, decode_packet
from support.maps import boxes_at
from support.painted import PaintedScene, tiny_perception

EXACT, UNSURE = np.zeros((6, 6)), 0.01 * np.eye(6)
OVERHEAD = 300


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception()


@pytest.fixture(scope="module")
def bev(perception: Perception) -> AgentBev:
    view = PaintedScene().load(0).views[0]
    return perception.perceive(view.image, view.K, view.T_map_camera)


class Radio:
    """Keeps what was transmitted."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, int, int]] = []

    def __call__(self, payload: bytes, index: int, count: int) -> int:
        self.sent.append((payload, index, count))
        return len(payload) + OVERHEAD


def some_boxes() -> SideBoxes:
    return boxes_at(np.array([[1.0, 2.0], [-3.0, 4.0]]), np.ones((2, 2)))


def no_boxes() -> SideBoxes:
    raise AssertionError("boxes are not asked for when they do not travel")


def test_features_come_first_and_boxes_are_the_last_of_the_announced_packets(
    perception: Perception, bev: AgentBev
) -> None:
    radio, known = Radio(), []

    def boxes() -> SideBoxes:
        known.append(len(radio.sent))
        return some_boxes()

    sent = Sender(AgentOptions(send_boxes="always", max_packet_bytes=1200)).send(
        perception, bev, EXACT, radio, boxes
    )
    assert known == [len(radio.sent) - 1], "boxes are made after the features were sent"
    assert [(index, count) for _, index, count in radio.sent] == [
        (n, len(radio.sent)) for n in range(len(radio.sent))
    ]
    assert tuple(payload for payload, _, _ in radio.sent) == sent.packets and sent.boxes
    assert all(not carries_boxes(p) for p in sent.packets[:-1]) and len(sent.packets) > 2
    assert len(decode_boxes(sent.packets[-1])) == 2
    assert sent.box_bytes == len(sent.packets[-1]) + OVERHEAD
    assert sent.message_bytes == sum(len(p) + OVERHEAD for p in sent.packets)


@pytest.mark.parametrize(
    ("send_boxes", "covariance", "late", "travel"),
    [
        ("never", UNSURE, True, False),
        ("always", EXACT, False, True),
        ("auto", EXACT, False, False),
        ("auto", UNSURE, False, True),
        ("auto", EXACT, True, True),
    ],
)
def test_boxes_travel_when_they_are_wanted_or_of_use(
    perception: Perception, bev: AgentBev, send_boxes: str, covariance: np.ndarray, late: bool, travel: bool
) -> None:
    sender, radio = Sender(AgentOptions(send_boxes=send_boxes)), Radio()
    sender.peers_late = late
    sent = sender.send(perception, bev, covariance, radio, some_boxes if travel else no_boxes)
    assert sent.boxes == travel == carries_boxes(radio.sent[-1][0])


def test_boxes_do_not_travel_alone_nor_without_a_detector(perception: Perception, bev: AgentBev) -> None:
    nothing = AgentBev(bev.features * 0, bev.visible & False, bev.sigma)
    radio = Radio()
    sent = Sender(AgentOptions(send_boxes="always")).send(perception, nothing, UNSURE, radio, no_boxes)
    assert radio.sent == [] and sent.message_bytes == 0 and not sent.boxes


@pytest.mark.parametrize("names", [("uav1", "map"), ("u" * 64, "world")])
@pytest.mark.parametrize("budget", [2_500, 30_000])
def test_whole_messages_stay_within_the_limit_and_an_ethernet_frame(
    perception: Perception, bev: AgentBev, names: tuple[str, str], budget: int
) -> None:
    """As serialised for the network; the larger budget fills tiles with more cells than fit into one packet."""
    agent, frame_id = names
    frame = dict.fromkeys(("frame", "stamp_ns"), 1) | {"fingerprint": 7}
    sizes: list[int] = []

    def transmit(payload: bytes, index: int, count: int) -> int:
        about = {"T_map_camera": np.eye(4), "covariance": UNSURE, "agent": agent, **frame}
        raw = feature_message(payload, index=index, count=count, **about)
        sizes.append(len(raw) - len(FRAME_ID) + len(frame_id))
        return sizes[-1]

    many = boxes_at(np.random.default_rng(0).uniform(-50, 50, (200, 2)), np.ones((200, 2)))
    options = AgentOptions(budget_bytes=budget, max_packet_bytes=DATAGRAM_PACKET_BYTES, send_boxes="always")
    around = envelope_bytes(agent, frame_id)
    sent = Sender(options, envelope_bytes=around).send(perception, bev, UNSURE, transmit, lambda: many)
    assert sent.boxes and len(sizes) >= (2 if budget < 10_000 else 4)
    assert max(sizes) <= DATAGRAM_PACKET_BYTES and max(sizes) + RTPS_BYTES <= UDP_PAYLOAD_BYTES
    if budget > 10_000:
        assert len(decode_boxes(sent.packets[-1])) == (DATAGRAM_PACKET_BYTES - around - 20) // 16
        assert sum(size > 0.7 * DATAGRAM_PACKET_BYTES for size in sizes) > len(sizes) / 2


def test_the_mean_stays_on_the_budget_whatever_else_is_sent(perception: Perception, bev: AgentBev) -> None:
    for other in (0, 400):
        sender = Sender(AgentOptions(budget_bytes=2000, send_boxes="always"))
        spent = [
            sender.send(perception, bev, EXACT, Radio(), some_boxes, other_bytes=other).message_bytes + other
            for _ in range(30)
        ]
        assert np.mean(spent) == pytest.approx(2000, rel=0.06)
    sender.configure(AgentOptions(budget_bytes=1500, send_boxes="always"))
    spent = [sender.send(perception, bev, EXACT, Radio(), some_boxes).message_bytes for _ in range(30)]
    assert np.mean(spent[5:]) == pytest.approx(1500, rel=0.06)


def test_what_travels_is_what_the_codec_made_of_the_map(perception: Perception, bev: AgentBev) -> None:
    sender, radio = Sender(AgentOptions(budget_bytes=20_000)), Radio()
    plan = sender.plan()
    sender.send(perception, bev, EXACT, radio, no_boxes)
    frame = assemble(
        [decode_packet(p) for p, _, _ in radio.sent],
        low_channels=perception.config.low_channels,
        high_channels=perception.config.high_channels,
    )
    direct = perception.compress(bev, plan.cells, low=plan.low)
    np.testing.assert_array_equal(frame.tiles, direct.tiles)
    np.testing.assert_array_equal(frame.high, direct.high)
    np.testing.assert_array_equal(frame.low, direct.low)


def wanted(perception: Perception, tiles: int) -> np.ndarray:
    """A demand for the first rows of tiles."""
    demand = np.zeros(perception.window.shape, np.float32)
    demand[: 16 * tiles] = 1.0
    return demand


@pytest.mark.parametrize("budget_bytes", [2_500, 20_000])
def test_only_tiles_that_somebody_wants_are_sent(
    perception: Perception, bev: AgentBev, budget_bytes: int
) -> None:
    radio = Radio()
    Sender(AgentOptions(budget_bytes=budget_bytes)).send(
        perception, bev, EXACT, radio, no_boxes, demand=wanted(perception, 1)
    )
    frame = assemble(
        [decode_packet(p) for p, _, _ in radio.sent],
        low_channels=perception.config.low_channels,
        high_channels=perception.config.high_channels,
    )
    first = perception.window.tiles()[:, 0].min()
    assert len(frame.tiles) and (frame.tiles[:, 0] == first).all() and len(frame.high_cell)


def test_nothing_is_sent_when_nobody_wants_it_and_the_budget_stays(
    perception: Perception, bev: AgentBev
) -> None:
    sender, radio = Sender(AgentOptions(send_boxes="always")), Radio()
    before = sender.plan()
    for _ in range(5):
        sent = sender.send(perception, bev, UNSURE, radio, no_boxes, demand=wanted(perception, 0))
        assert not sent.wanted and sent.packets == () and sent.message_bytes == 0
    assert radio.sent == [] and sender.plan() == before
    everything = wanted(perception, perception.window.ni // 16)
    asked, plain = Radio(), Radio()
    sender.send(perception, bev, EXACT, asked, some_boxes, demand=everything)
    Sender(AgentOptions(send_boxes="always")).send(perception, bev, EXACT, plain, some_boxes)
    assert asked.sent == plain.sent, "those who want everything get what is sent without demands"


def test_a_demand_for_everything_by_a_hostile_peer_costs_no_more_than_the_budget(
    perception: Perception, bev: AgentBev
) -> None:
    sender = Sender(AgentOptions(budget_bytes=2_000, budget_bytes_s=4_000))
    everything = wanted(perception, perception.window.ni // 16)
    spent = [
        sender.send(perception, bev, EXACT, Radio(), no_boxes, demand=everything, now_s=k / 2).message_bytes
        for k in range(30)
    ]
    assert sum(spent[10:]) <= 1.05 * 2_000 * 20


def test_the_rate_holds_for_all_that_is_sent_and_follows_the_radio(
    perception: Perception, bev: AgentBev
) -> None:
    sender, radio = Sender(AgentOptions(budget_bytes=4_000, send_boxes="always")), Radio()

    def fly(start: int, images: int) -> int:
        spent, kinds = 0, set()
        for k in range(start, start + images):
            sent = sender.send(perception, bev, EXACT, radio, some_boxes, now_s=k / 2)
            spent += sent.message_bytes
            kinds |= set(sent.reduced)
            if k % 2:
                sender.spend(100)  # a demand
                spent += 100
        reduced.append(kinds)
        return spent

    reduced: list[set[str]] = []
    free = fly(0, 20)
    assert reduced == [set()] and free > 20 * 2_000
    sender.limit(3_000)
    assert sender.bytes_per_s == 3_000
    fly(20, 4)
    assert fly(24, 20) == pytest.approx(30_000, rel=0.05)
    assert "fewer_cells" in reduced[-1]
    sender.configure(AgentOptions(budget_bytes=4_000, budget_bytes_s=2_400, send_boxes="always"))
    assert sender.bytes_per_s == 2_400, "the lower one counts"
    fly(44, 4)
    assert fly(48, 20) == pytest.approx(24_000, rel=0.05)
    sender.limit(0)
    fly(68, 1)
    number = len(radio.sent)
    fly(69, 10)
    assert reduced[-1] == {"not_sent"} and len(radio.sent) == number
    sender.limit(None)
    assert sender.bytes_per_s == 2_400
