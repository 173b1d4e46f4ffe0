"""Demands as messages: they survive, and whatever bytes come instead, nothing but a typed refusal does."""

from __future__ import annotations

import contextlib
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy")
from rclpy.serialization import serialize_message

from rsdfm_ros.agent.interest.demand import Demand
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.nodes.convert.features import MAX_DEMAND_BYTES, demand_from_raw, demand_to_message
from rsdfm_ros.wire.errors import WireError

MODEL = types.SimpleNamespace(fingerprint=7, region=square_window(64.0, 1.0))
OWN = OwnFeatures(5, 1, None, None, None, None, None)  # type: ignore[arg-type]


def raw(demand: Demand) -> bytes:
    return bytes(serialize_message(demand_to_message(demand, MODEL, OWN, agent="uav2", frame_id="map")))


def read(data: bytes) -> Demand:
    return demand_from_raw(data, MODEL, agent="uav2", frame_id="map")


def test_a_demand_survives_and_the_largest_one_fits() -> None:
    plain = read(raw(Demand((-4, 3), (8, 2))))
    assert (plain.corner, plain.size, plain.values) == ((-4, 3), (8, 2), None)
    values = np.arange(4096, dtype=np.uint8).reshape(1024, 4)
    largest = raw(Demand((-16, -16), (32, 32), values))
    np.testing.assert_array_equal(read(largest).blocks, values)
    assert len(largest) <= MAX_DEMAND_BYTES and len(raw(Demand((-4, -4), (8, 8)))) < 100


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 400),
)
def test_mutated_bytes_are_a_demand_within_the_limits_or_refused_by_type(
    changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(raw(Demand((-4, -4), (8, 8), np.full((64, 4), 9, np.uint8))))
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(WireError):
        found = read(bytes(data[:length] if length < 300 else data))
        assert len(found.tiles) == len(found.blocks) <= 1024
        assert np.abs(found.tiles).max(initial=0) <= 8192


def test_what_is_too_long_is_not_even_read() -> None:
    with pytest.raises(WireError) as caught:
        read(bytes(MAX_DEMAND_BYTES + 1))
    assert caught.value.reason == "over_limit"
