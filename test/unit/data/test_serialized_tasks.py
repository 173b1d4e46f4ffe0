"""Serialised detections, trajectories and truth are read as their messages are, and damaged ones are refused."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message
from rsdfm_ros.msg import GroundTruth, ObjectArray, TrajectoryArray

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.messages.answers.serialized_tasks import (
    READERS,
    Read,
    read_boxes,
    read_health,
    read_tracks,
    read_truth,
)
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.tasks import boxes_from_message, tracks_from_message, truth_from_message
from rsdfm_ros.data.outputs import Tracks, boxes_of_objects
from rsdfm_ros.nodes.convert import tasks as convert
from rsdfm_ros.nodes.convert.sensors import time_of
from support.tracks import tracks_to_message

NS = 12_345_678_901


def objects(count: int) -> Objects:
    rng = np.random.default_rng(count)
    return Objects(
        ids=np.arange(1, count + 1),
        classes=rng.integers(0, 4, count),
        centres=rng.uniform(-60, 60, (count, 3)),
        sizes=rng.uniform(1, 10, (count, 3)),
        yaws=rng.uniform(-np.pi, np.pi, count),
        velocities=rng.uniform(-20, 20, (count, 2)),
        visibility=rng.uniform(0, 1, (count, 3)).astype(np.float32).astype(np.float64),
    )


def detections(count: int, names: tuple[str, ...]) -> Any:
    about = {"agent": "uav12", "frame": 7, "ns": NS, "frame_id": "map"}
    return convert.boxes_to_message(boxes_of_objects(objects(count)), contributors=names, **about)


def truth(count: int) -> Any:
    return convert.truth_to_message(
        objects(count), agents=("a", "uav2", "uav33"), frame=3, ns=NS, frame_id="map"
    )


def trajectories(count: int) -> Any:
    rng = np.random.default_rng(count)
    tracks = Tracks(np.arange(count), rng.uniform(-60, 60, (count, 5, 2)), rng.uniform(0, 1, count))
    return tracks_to_message(tracks, agent="uav1", frame=7, ns=NS, frame_id="map")


def same(read: Any, expected: Any, fields: tuple[str, ...]) -> None:
    for name in fields:
        np.testing.assert_allclose(
            getattr(read, name), getattr(expected, name), rtol=0, atol=1e-9, err_msg=name
        )


BOXES = ("classes", "centres", "sizes", "yaws", "velocities")


@pytest.mark.parametrize("count", [0, 1, 2, 45])
@pytest.mark.parametrize("names", [(), ("uav1",), ("uav1", "u", "uav333")])
def test_boxes_are_those_of_the_message(count: int, names: tuple[str, ...]) -> None:
    message = detections(count, names)
    read = read_boxes(serialize_message(message))
    assert read.ns == NS and read.names == ("uav12",)
    same(read.content, boxes_from_message(message), (*BOXES, "scores", "ids"))


@pytest.mark.parametrize("count", [0, 1, 45])
def test_truth_is_that_of_the_message(count: int) -> None:
    message = truth(count)
    read = read_truth(serialize_message(message))
    assert read.ns == NS and read.names == ("a", "uav2", "uav33")
    same(read.content, truth_from_message(message), (*BOXES, "ids", "visibility"))


@pytest.mark.parametrize("count", [0, 1, 45])
def test_tracks_are_those_of_the_message(count: int) -> None:
    message = trajectories(count)
    read = read_tracks(serialize_message(message))
    assert read.ns == NS
    same(read.content, tracks_from_message(message), ("ids", "positions"))
    np.testing.assert_allclose(
        read.content.scores, tracks_from_message(message).scores, atol=1e-6
    )  # of single precision


def health(count: int) -> DiagnosticArray:
    message = DiagnosticArray()
    message.header.stamp = time_of(NS)
    for number in range(count):
        name = f"/uav1/node: {'peer ' * (number % 2)}uav{number}"
        values = [KeyValue(key=f"k{n}", value="1.5" * n) for n in range(number)]
        message.status.append(
            DiagnosticStatus(
                level=bytes([number % 4]), name=name, message="héalth", hardware_id="uav1", values=values
            )
        )
    return message


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_health_is_that_of_the_message_with_the_values_about_peers(count: int) -> None:
    message = health(count)
    read = read_health(serialize_message(message))
    assert read.ns == NS and len(read.content) == count
    for found, status in zip(read.content, message.status, strict=True):
        said = (found.level, found.name, found.sentence, found.hardware_id)
        assert said == (status.level[0], status.name, status.message, status.hardware_id)
        values = {v.key: v.value for v in status.values} if "peer" in status.name else {}
        assert dict(found.values) == values


def test_there_is_a_reader_for_each_of_the_types() -> None:
    kinds = {f"rsdfm_ros/msg/{kind.__name__}" for kind in (ObjectArray, TrajectoryArray, GroundTruth)}
    assert set(READERS) == {*kinds, "diagnostic_msgs/msg/DiagnosticArray"}


def test_strings_that_claim_to_be_longer_than_the_message_are_refused() -> None:
    raw = bytearray(serialize_message(health(1)))
    at = raw.index(b"\x05\x00\x00\x00uav1\x00")
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(MessageError, match="cannot be read"):
        read_health(bytes(raw))


@pytest.mark.parametrize(
    "make",
    [lambda: detections(3, ("uav1",)), lambda: truth(3), lambda: trajectories(3), lambda: health(3)],
)
def test_bytes_that_are_cut_or_changed_are_refused_or_read_but_never_fail(make: Any) -> None:
    message = make()
    package = type(message).__module__.partition(".")[0]
    raw, reader = serialize_message(message), READERS[f"{package}/msg/{type(message).__name__}"]
    for length in range(len(raw) - 3):  # DDS pads messages to whole words
        with pytest.raises(MessageError):
            reader(raw[:length])
    rng = np.random.default_rng(1)
    for _ in range(500):
        changed = bytearray(raw)
        for place in rng.integers(0, len(raw), 3):
            changed[place] = rng.integers(0, 256)
        with contextlib.suppress(MessageError):
            assert isinstance(reader(bytes(changed)), Read)


def test_what_cannot_be_drawn_is_refused() -> None:
    message = detections(2, ())
    message.objects[1].class_id = 200
    with pytest.raises(MessageError, match="class 200"):
        read_boxes(serialize_message(message))
    message = detections(2, ())
    message.objects[0].pose.pose.position.x = float("nan")
    with pytest.raises(MessageError, match="finite"):
        read_boxes(serialize_message(message))
    message = detections(2, ())
    message.objects[0].pose.pose.orientation.z = message.objects[0].pose.pose.orientation.w = 0.0
    with pytest.raises(MessageError, match="quaternion"):
        read_boxes(serialize_message(message))
    message = trajectories(2)
    message.trajectories[0].positions = message.trajectories[0].positions[:2]
    with pytest.raises(MessageError, match="5 positions"):
        read_tracks(serialize_message(message))
