"""Detections and trajectories that are written as bytes are those of their messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from rclpy.serialization import deserialize_message, serialize_message
from rsdfm_ros.msg import ObjectArray, TrajectoryArray

from rsdfm_ros.data.messages.answers.serialized_tasks import read_boxes, read_tracks
from rsdfm_ros.data.messages.answers.writing import boxes_to_bytes, tracks_to_bytes
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks
from rsdfm_ros.nodes.convert.tasks import boxes_to_message
from support.tracks import tracks_to_message

NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)
ABOUT = st.fixed_dictionaries(
    {
        "agent": NAMES,
        "frame": st.integers(0, 2**33),
        "ns": st.integers(0, 2**31 * 10**9 - 1),
        "frame_id": st.sampled_from(["", "map", "a/frame"]),
    }
)


def boxes(seed: int, count: int, *, ids: bool = True, turned: bool = True) -> Boxes:
    rng = np.random.default_rng(seed)
    return Boxes(
        rng.integers(0, 4, count),
        np.round(rng.uniform(0, 1, count), 1),  # some are equal: their order counts
        rng.uniform(-60, 60, (count, 3)),
        rng.uniform(1, 10, (count, 3)),
        rng.uniform(-np.pi, np.pi, count) * turned,
        rng.uniform(-20, 20, (count, 2)),
        rng.integers(0, 2**32, count) if ids else None,
    )


def tracks(seed: int, count: int) -> Tracks:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-60, 60, (count, HORIZON, 2))
    return Tracks(rng.integers(0, 2**32, count), positions, rng.uniform(0, 1, count))


@given(st.integers(0, 99), st.integers(0, 6), st.booleans(), ABOUT, st.lists(NAMES, max_size=5))
def test_boxes_of_any_number_and_names(
    seed: int, count: int, ids: bool, about: dict[str, Any], names: list[str]
) -> None:
    straight = boxes(seed, count, ids=ids, turned=False)
    written = boxes_to_bytes(straight, contributors=names, **about)
    expected = boxes_to_message(straight, contributors=names, **about)
    raw = serialize_message(expected)
    assert deserialize_message(written, ObjectArray) == deserialize_message(raw, ObjectArray)
    assert len(written) == len(raw)  # what stands between numbers is anything


@given(st.integers(0, 99), st.integers(0, 6), ABOUT)
def test_trajectories_of_any_number(seed: int, count: int, about: dict[str, Any]) -> None:
    written = tracks_to_bytes(tracks(seed, count), **about)
    expected = tracks_to_message(tracks(seed, count), **about)
    raw = serialize_message(expected)
    assert deserialize_message(written, TrajectoryArray) == deserialize_message(raw, TrajectoryArray)
    assert len(written) == len(raw)


def test_headings_differ_in_their_last_bits_at_most() -> None:
    about = {"agent": "uav1", "frame": 3, "ns": 5, "frame_id": "map", "contributors": ["uav1", "uav22"]}
    found = deserialize_message(boxes_to_bytes(boxes(1, 60), **about), ObjectArray)
    expected = boxes_to_message(boxes(1, 60), **about)
    for one, other in zip(found.objects, expected.objects, strict=True):
        a, b = one.pose.pose.orientation, other.pose.pose.orientation
        np.testing.assert_allclose((a.x, a.y, a.z, a.w), (b.x, b.y, b.z, b.w), rtol=0, atol=1e-15)


def test_what_is_written_is_read_again() -> None:
    about = {"agent": "uav1", "frame": 3, "ns": 7_000_000_005, "frame_id": "map"}
    read = read_tracks(tracks_to_bytes(tracks(2, 9), **about))
    assert (read.ns, read.names) == (7_000_000_005, ("uav1",))
    np.testing.assert_array_equal(read.content.positions, tracks(2, 9).positions)
    assert len(read_boxes(boxes_to_bytes(boxes(2, 9), contributors=("uav1",), **about)).content) == 9
    assert deserialize_message(tracks_to_bytes(tracks(2, 0), **about), TrajectoryArray).trajectories == []
