"""Demands of peers: what is refused, who limits what, and what none of them can do."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.agent.envelope import Refused
from rsdfm_ros.agent.interest.demand import Demand, combined, demand_for, demand_of, demanded
from rsdfm_ros.agent.interest.interests import MAX_DEMANDS, PARTICIPANT_BYTES, SILENT_S, Interests
from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.errors import WireError
from support.painted import PaintedScene, tiny_perception

ALL = Demand((-1, -1), (2, 2))
NOTHING = Demand((0, 0), (0, 0))


@pytest.fixture(scope="module")
def perception() -> Perception:
    return tiny_perception()


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def gid(process: int, publisher: int = 0) -> bytes:
    return process.to_bytes(PARTICIPANT_BYTES, "big") + publisher.to_bytes(4, "big")


def process(number: int) -> bytes:
    return gid(number)[:PARTICIPANT_BYTES]


def message(**other: Any) -> Any:
    values = {
        "header": types.SimpleNamespace(frame_id="map"),
        "agent": "uav2",
        "fingerprint": 7,
        "cell_size": 1.0,
        "tile_i0": -4,
        "tile_j0": -4,
        "tiles_i": 8,
        "tiles_j": 8,
        "values": b"",
    }
    return types.SimpleNamespace(**{**values, **other})


def read(told: Any) -> Demand:
    return demand_of(told, topic_agent="uav2", frame_id="map", cell_size=1.0, fingerprint=7)


def test_a_demand_is_read() -> None:
    found = read(message(tiles_i=1, tiles_j=2, values=bytes(range(8))))
    assert found.corner == (-4, -4) and found.tiles.tolist() == [[-4, -4], [-4, -3]]
    assert found.blocks.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (read(message()).blocks == 255).all() and len(read(message()).tiles) == 64
    assert len(read(message(tiles_i=0, tiles_j=0)).tiles) == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"agent": "uav3"}, "agent_name"),
        ({"header": types.SimpleNamespace(frame_id="odom")}, "frame_id"),
        ({"cell_size": float("nan")}, "cell_size"),
        ({"cell_size": 0.5}, "cell_size"),
        ({"fingerprint": 8}, "fingerprint_mismatch"),
        ({"tiles_i": 33, "tiles_j": 33}, "over_limit"),
        ({"tiles_i": 65_535, "tiles_j": 0}, "over_limit"),
        ({"tile_i0": -(2**31)}, "tile_out_of_bounds"),
        ({"tile_j0": 8190, "tiles_j": 8}, "tile_out_of_bounds"),
        ({"values": bytes(255)}, "demand_size"),
        ({"values": bytes(4), "tiles_i": 0}, "demand_size"),
    ],
)
def test_what_no_demand_is_is_refused_by_reason(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(WireError) as caught:
        read(message(**wrong))
    assert caught.value.reason == reason


def test_a_region_is_asked_for_and_with_a_map_where_it_is_weak(perception: Perception) -> None:
    view = PaintedScene().load(0).views[0]
    bev = perception.perceive(view.image, view.K, view.T_map_camera)
    region, weak = demand_for(perception), demand_for(perception, bev)
    np.testing.assert_array_equal(region.tiles, perception.window.tiles())
    assert region.values is None and (demanded(perception, [region]) == 1.0).all()
    tiles, values = perception.demand(bev)
    np.testing.assert_array_equal(weak.tiles, tiles)
    np.testing.assert_array_equal(weak.blocks, values)
    np.testing.assert_array_equal(demanded(perception, [weak]), perception.demand_map(tiles, values))
    assert (demanded(perception, []) == 0.0).all()
    np.testing.assert_array_equal(demanded(perception, [weak, region, NOTHING]), 1.0)


def test_the_greatest_demand_of_a_cell_counts() -> None:
    a, b = np.array([[0.2, 0.9]], np.float32), np.array([[0.5, 0.0]], np.float32)
    np.testing.assert_array_equal(combined([a, b]), np.array([[0.5, 0.9]], np.float32))
    assert combined([]) is None


@pytest.mark.parametrize(
    ("corner", "size", "touches"),
    [
        ((0, 0), (1, 1), True),
        ((2, 0), (1, 1), False),
        ((-1, -1), (1, 1), False),
        ((-1, -1), (2, 2), True),
        ((-9, 1), (20, 1), True),
        ((0, 0), (0, 5), False),
    ],
)
def test_rectangles_meet_where_they_have_a_tile_in_common(
    corner: tuple[int, int], size: tuple[int, int], touches: bool
) -> None:
    assert Demand(corner, size).touches(Window(0, 0, 2 * TILE_CELLS, 2 * TILE_CELLS, 1.0)) == touches


def test_nobody_wants_nothing_one_that_never_asked_everything_and_the_silent_are_forgotten() -> None:
    clock = Clock()
    book = Interests(clock=clock)
    assert book.wishes([]) == []
    assert book.wishes([process(2)]) is None
    book.receive("uav2", gid(2), lambda: ALL)
    assert book.wishes([process(2)]) == [ALL]
    assert book.wishes([process(2), process(3)]) is None, "that one never asked"
    clock.now_s += SILENT_S / 2
    book.receive("uav3", gid(3), lambda: NOTHING)
    assert book.wishes([process(2), process(3), process(3)]) in ([ALL, NOTHING], [NOTHING, ALL])
    clock.now_s += SILENT_S / 2 + 0.1
    assert book.wishes([process(2), process(3)]) == [NOTHING], "the other one is silent"
    book.receive("uav2", gid(2, 5), lambda: ALL)
    assert ALL in (book.wishes([process(2), process(3)]) or [])
    assert book.counts() == (2, 0)


def test_a_forger_takes_nothing_from_others() -> None:
    book = Interests(clock=Clock())
    book.receive("uav2", gid(2), lambda: ALL)
    for name in ("uav2", "uav3"):
        book.receive(name, gid(66), lambda: NOTHING)  # in the names of two others
    assert book.wishes([process(2)]) == [ALL]
    assert book.wishes([process(3)]) is None, "the other one sends no demand and gets everything"
    here = Window(0, 0, TILE_CELLS, TILE_CELLS, 1.0)
    elsewhere = Demand((100, 100), (1, 1))
    for name in ("uav2", "uav3"):
        book.receive(name, gid(66), lambda: elsewhere)
        assert not book.far(name, [process(2 if name == "uav2" else 3)], here)
    assert not book.far("uav2", [process(2), process(66)], here), "one of both is near"


def test_a_peer_is_far_while_it_says_so() -> None:
    clock = Clock()
    book = Interests(clock=clock)
    here = Window(0, 0, TILE_CELLS, TILE_CELLS, 1.0)
    book.receive("uav2", gid(2), lambda: Demand((100, 100), (8, 8)))
    assert book.far("uav2", [process(2)], here)
    assert not book.far("uav2", [process(2), process(9)], here) and not book.far("uav2", [], here)
    book.receive("uav2", gid(2), lambda: ALL)
    assert not book.far("uav2", [process(2)], here)
    book.receive("uav2", gid(2), lambda: Demand((100, 100), (8, 8)))
    clock.now_s += SILENT_S + 0.1
    assert not book.far("uav2", [process(2)], here), "nobody knows"


def test_a_publisher_of_garbage_is_quarantined_and_silences_only_itself() -> None:
    clock = Clock()
    book = Interests(clock=clock)

    def garbage() -> Demand:
        raise Refused("not_cdr", "garbage")

    book.receive("uav2", gid(2), lambda: ALL)
    for _ in range(DEFAULTS.quarantine_after):
        with pytest.raises(Refused):
            book.receive("uav2", gid(66), garbage)
    assert not book.receive("uav2", gid(66), lambda: NOTHING) and book.counts() == (1, 1)
    assert book.receive("uav2", gid(2), lambda: ALL) and book.wishes([process(2)]) == [ALL]
    clock.now_s += DEFAULTS.quarantine_s + 1.0
    assert book.receive("uav2", gid(66), lambda: NOTHING)


def test_a_flood_of_publishers_is_bounded_and_makes_nobody_want_less() -> None:
    book = Interests(clock=Clock())
    book.receive("uav2", gid(2), lambda: NOTHING)
    for k in range(MAX_DEMANDS + 50):
        book.receive(f"x{k}", gid(1000 + k), lambda: ALL)
    assert book.counts()[0] == MAX_DEMANDS
    assert book.wishes([process(2)]) is None, "its demand was pushed out: it gets everything"
