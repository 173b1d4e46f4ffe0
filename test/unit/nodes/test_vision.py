"""Detections as vision_msgs: the conversion fits the public definition, and the package may be missing."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosidl_generator_py.import_type_support_impl import UnsupportedTypeSupport
from rsdfm_ros.msg import Object3D, ObjectArray

from rsdfm_ros.data.outputs import Boxes, no_boxes
from rsdfm_ros.geometry.rotations import quaternion_from_yaw
from rsdfm_ros.nodes.convert import optional, vision
from rsdfm_ros.nodes.convert import tasks as convert_tasks

NS = 12_345_678_901
#: Field types and names of vision_msgs 4.1, as far as Detection3DArray needs them.
DEFINITIONS = {
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "Detection3D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox3D bbox\nstring id",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
}
ARRAY = "vision_msgs/msg/Detection3DArray"


@pytest.fixture(scope="module")
def store() -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, Any] = {}
    for name, text in DEFINITIONS.items():
        found.update(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    store.register(found)
    return store


@pytest.fixture(scope="module")
def vision_msgs(store: Any) -> Any:
    """Stand-in for `vision_msgs.msg`: classes that make empty messages."""
    empty = {name: lambda n=name: _empty(store, f"vision_msgs/msg/{n}") for name in DEFINITIONS}
    return types.SimpleNamespace(**empty)


def _empty(store: Any, name: str) -> Any:
    """A message with ROS's defaults."""
    values: dict[str, Any] = {}
    for field, (kind, about) in store.fielddefs[name][1]:
        if kind.name == "BASE":
            values[field] = "" if about[0] == "string" else 0
        elif kind.name == "NAME":
            values[field] = _empty(store, about)
        else:
            values[field] = [] if kind.name == "SEQUENCE" else np.zeros(about[1])
    return store.types[name](**values)


def objects(n: int) -> tuple[Boxes, ObjectArray]:
    rng = np.random.default_rng(n)
    boxes = Boxes(
        classes=rng.integers(0, 4, n),
        scores=np.sort(rng.random(n).astype(np.float32).astype(np.float64))[::-1],
        centres=rng.normal(0, 30, (n, 3)),
        sizes=rng.uniform(1, 10, (n, 3)),
        yaws=rng.uniform(-np.pi, np.pi, n),
        velocities=rng.normal(0, 5, (n, 2)),
    )
    about: dict[str, Any] = {
        "agent": "uav1",
        "frame": 3,
        "ns": NS,
        "frame_id": "map",
        "contributors": ["uav1"],
    }
    return boxes, convert_tasks.boxes_to_message(boxes, **about)


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_detections_survive_serialisation_as_vision_msgs(store: Any, vision_msgs: Any, n: int) -> None:
    boxes, message = objects(n)
    made = vision.detections_from_objects(message, vision_msgs)
    back = store.deserialize_cdr(store.serialize_cdr(made, ARRAY), ARRAY)
    assert back.header.frame_id == "map" and len(back.detections) == n
    assert back.header.stamp.sec * 10**9 + back.header.stamp.nanosec == NS
    for row, item in enumerate(back.detections):
        (result,) = item.results
        assert result.hypothesis.class_id == ("car", "van", "truck", "bus")[boxes.classes[row]]
        assert result.hypothesis.score == pytest.approx(boxes.scores[row], abs=1e-7)
        for pose in (result.pose.pose, item.bbox.center):
            p, q = pose.position, pose.orientation
            np.testing.assert_array_equal([p.x, p.y, p.z], boxes.centres[row])
            np.testing.assert_allclose([q.x, q.y, q.z, q.w], quaternion_from_yaw(boxes.yaws[row]))
        size = item.bbox.size
        np.testing.assert_array_equal([size.x, size.y, size.z], boxes.sizes[row])  # length, width, height
        assert item.header == back.header and item.id == "" and not result.pose.covariance.any()


def test_covariance_and_identity_go_where_vision_msgs_keeps_them(store: Any, vision_msgs: Any) -> None:
    item = Object3D(class_id=1, id=42)
    given = np.zeros((6, 6))
    given[np.ix_((0, 1, 5), (0, 1, 5))] = [[4.0, 0.5, 0.25], [0.5, 9.0, 0.125], [0.25, 0.125, 0.0625]]
    item.pose.covariance = given.ravel()
    made = vision.detections_from_objects(ObjectArray(objects=[item]), vision_msgs)
    (found,) = store.deserialize_cdr(store.serialize_cdr(made, ARRAY), ARRAY).detections
    assert found.id == "42"
    np.testing.assert_array_equal(found.results[0].pose.covariance.reshape(6, 6), given)


def test_nothing_detected_is_an_empty_message(vision_msgs: Any) -> None:
    about: dict[str, Any] = {"agent": "a", "frame": 0, "ns": NS, "frame_id": "map", "contributors": []}
    empty = convert_tasks.boxes_to_message(no_boxes(), **about)
    assert vision.detections_from_objects(empty, vision_msgs).detections == []


def test_a_missing_package_is_left_out_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vision_msgs", None)
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", None)
    assert optional.optional_module("vision_msgs.msg", optional.AUTO, "publish_detections_3d") is None
    with pytest.raises(
        optional.MissingPackage, match=r"publish_detections_3d.*vision_msgs.*ros-\$ROS_DISTRO-vision-msgs"
    ):
        optional.optional_module("vision_msgs.msg", optional.ALWAYS, "publish_detections_3d")


def test_a_package_that_is_there_is_used_unless_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    there = types.ModuleType("vision_msgs.msg")
    monkeypatch.setitem(sys.modules, "vision_msgs", types.ModuleType("vision_msgs"))
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", there)
    for wish in (optional.AUTO, optional.ALWAYS):
        assert optional.optional_module("vision_msgs.msg", wish, "p") is there
    assert optional.optional_module("vision_msgs.msg", optional.NEVER, "p") is None


def test_messages_without_their_libraries_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise UnsupportedTypeSupport("vision_msgs")

    kind = type("Detection3DArray", (), {"__import_type_support__": staticmethod(broken)})
    half = types.SimpleNamespace(Detection3DArray=kind)
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", half)
    assert optional.optional_module("vision_msgs.msg", optional.AUTO, "p") is None
    with pytest.raises(optional.MissingPackage, match="vision_msgs is not here"):
        optional.optional_module("vision_msgs.msg", optional.ALWAYS, "p")
