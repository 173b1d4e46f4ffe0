"""Collective Perception Messages: out of detections, in as boxes, and merged; the definition is that of the package."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rsdfm_ros.msg import ObjectArray
from std_msgs.msg import String

from rsdfm_ros.data.messages.answers import cpm
from rsdfm_ros.data.messages.answers.cpm import objects_from_message
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.world import GeoOrigin, GeoWorld
from rsdfm_ros.data.outputs import Boxes, no_boxes
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.methods.late_fusion import merge_boxes
from rsdfm_ros.nodes.convert.cpm import cpm_from_boxes
from rsdfm_ros.nodes.convert.tasks import boxes_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.standards import cpm_node
from rsdfm_ros.nodes.standards.stations import MAX_STATIONS, Stations
from support.ros_world import RosWorld

ORIGIN = (50.78, 6.05, 180.0)
WORLD = GeoWorld(GeoOrigin(*ORIGIN))
NS = 1_700_000_000_250_000_000
BOXES = Boxes(
    np.array([0, 1, 2, 3]),
    np.array([0.91, 0.5, 0.3, 1.0]),
    np.array([[10.25, -4.5, 0.75], [-30.0, 12.0, 1.1], [0.0, 0.0, 1.5], [100.0, 55.5, 1.6]]),
    np.array([[4.4, 1.8, 1.5], [5.2, 2.0, 2.2], [7.5, 2.4, 3.0], [11.0, 2.6, 3.2]]),
    np.array([0.3, -2.0, 3.1, 0.0]),
    np.array([[3.0, -1.5], [0.0, 0.0], [-8.25, 0.5], [1.0, 1.0]]),
    np.array([7, 0, 65_540, 3]),
)


class Message(SimpleNamespace):
    """Stand-in for a message of any type: fields appear when they are read, as messages or as numbers.

    Names of fields of etsi_its_cpm_ts_msgs (2026-06): values stand in `value`, lists in `array`.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made: Any = (
            []
            if name == "array"
            else 0
            if name in ("choice",)
            else False
            if name.endswith("_present")
            else Message()
        )
        object.__setattr__(self, name, made)
        return made

    def __int__(self) -> int:
        return 0


MSG = SimpleNamespace(
    CollectivePerceptionMessage=Message,
    WrappedCpmContainer=Message,
    PerceivedObject=Message,
    ObjectClassWithConfidence=Message,
)


def sent(boxes: Boxes = BOXES, origin: Any = ORIGIN, station: int = 5, ns: int = NS) -> Any:
    return cpm_from_boxes(boxes, stamp_ns=ns, origin=origin, station=station, msg=MSG)


def items(message: Any) -> list[Any]:
    (container,) = message.payload.cpm_containers.value.array
    return list(container.container_data_perceived_object_container.perceived_objects.array)


def test_units_and_ranges_are_those_of_the_standard() -> None:
    message = sent()
    management = message.payload.management_container
    assert (message.header.message_id.value, message.header.station_id.value) == (14, 5)
    assert management.reference_time.value == 1_700_000_000_250 - 1_072_915_200_000 + 5000
    place = management.reference_position
    assert (place.latitude.value, place.longitude.value) == (507_800_000, 60_500_000)
    assert place.altitude.altitude_value.value == 18_000
    bus, car, van, truck = items(message)  # the surest first
    kinds = [c.classification.array[0].object_class.vehicle_sub_class.value for c in (bus, car, van, truck)]
    assert kinds == [6, 5, 7, 8]
    assert (car.position.x_coordinate.value.value, car.position.y_coordinate.value.value) == (1025, -450)
    assert car.velocity.cartesian_velocity.y_velocity.value.value == -150
    assert car.angles.z_angle.value.value == 172
    assert van.angles.z_angle.value.value == 3600 - 1146
    assert car.object_dimension_x.value.value == 44
    assert car.classification.array[0].confidence.value == 91
    assert (car.object_id.value, truck.object_id.value, van.object_id_is_present) == (7, 4, False)


def test_what_goes_out_comes_in_again() -> None:
    found = objects_from_message(sent(), WORLD)
    assert (found.station, found.stamp_ns, found.left_out) == (5, NS, {})
    order = np.argsort(-BOXES.scores)
    assert found.boxes.classes.tolist() == BOXES.classes[order].tolist()
    for name, atol in (("centres", 0.006), ("sizes", 0.051), ("velocities", 0.006), ("scores", 0.006)):
        np.testing.assert_allclose(
            getattr(found.boxes, name), getattr(BOXES, name)[order], atol=atol, err_msg=name
        )
    turn = found.boxes.yaws - BOXES.yaws[order]
    np.testing.assert_allclose((turn + np.pi) % (2 * np.pi) - np.pi, 0.0, atol=1e-3)


def test_a_station_elsewhere_is_moved_into_the_map() -> None:
    """A degree of latitude at 50.78° is 111.24 km, of longitude 70.53 km (WGS 84)."""
    there, offset_m = (50.781, 6.051, 182.0), (70.53, 111.24, 2.0)
    found = objects_from_message(sent(origin=there), WORLD)
    offset = found.boxes.centres - BOXES.centres[np.argsort(-BOXES.scores)]
    np.testing.assert_allclose(offset, np.broadcast_to(offset_m, offset.shape), atol=0.02)


def test_the_delay_of_a_measurement_and_polar_velocities_count() -> None:
    message = sent()
    car = items(message)[1]
    car.measurement_delta_time.value = -200
    car.velocity.choice = 0
    car.velocity.polar_velocity.velocity_magnitude.speed_value.value = 1000
    car.velocity.polar_velocity.velocity_direction.value.value = 900
    found = objects_from_message(message, WORLD).boxes
    np.testing.assert_allclose(found.velocities[1], [0.0, 10.0], atol=1e-9)
    np.testing.assert_allclose(found.centres[1, :2], [10.25, -4.5 + 2.0], atol=0.006)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o: setattr(o, "object_dimension_x_is_present", False), "cpm_no_size"),
        (lambda o: setattr(o.object_dimension_z.value, "value", 256), "cpm_no_size"),
        (lambda o: setattr(o.position.x_coordinate.value, "value", 131_071), "cpm_no_position"),
        (lambda o: setattr(o, "angles_is_present", False), "cpm_no_heading"),
        (lambda o: setattr(o.angles.z_angle.value, "value", 3601), "cpm_no_heading"),
        (lambda o: setattr(o.classification.array[0].object_class, "choice", 1), "cpm_class"),
        (lambda o: setattr(o, "classification_is_present", False), "cpm_class"),
    ],
)
def test_an_object_that_cannot_be_used_is_counted_and_the_others_stay(change: Any, reason: str) -> None:
    message = sent()
    change(items(message)[0])
    found = objects_from_message(message, WORLD)
    assert (found.left_out, len(found.boxes)) == ({reason: 1}, 3)


def place(message: Any) -> Any:
    return message.payload.management_container.reference_position


def overfill(message: Any) -> None:
    (container,) = message.payload.cpm_containers.value.array
    container.container_data_perceived_object_container.perceived_objects.array *= 64


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: setattr(m.header.message_id, "value", 2), "cpm_id"),
        (lambda m: setattr(place(m).latitude, "value", 900_000_001), "cpm_place"),
        (lambda m: setattr(place(m).latitude, "value", 510_000_000), "cpm_place"),
        (lambda m: m.payload.cpm_containers.value.array.extend([Message()] * 8), "cpm_size"),
        (overfill, "cpm_size"),
    ],
)
def test_messages_that_are_none_are_refused(change: Any, reason: str) -> None:
    message = sent()
    change(message)
    with pytest.raises(MessageError) as refused:
        objects_from_message(message, WORLD)
    assert refused.value.reason == reason


def test_an_unavailable_altitude_is_that_of_the_origin() -> None:
    message = sent()
    message.payload.management_container.reference_position.altitude.altitude_value.value = 800_001
    assert objects_from_message(message, WORLD).boxes.centres[1, 2] == pytest.approx(0.75, abs=0.006)


def test_boxes_too_far_for_the_format_stay_at_home() -> None:
    far = BOXES.select(np.array([0, 1]))
    far.centres[0, 0] = 1400.0
    assert len(items(sent(far))) == 1
    assert objects_from_message(sent(no_boxes()), WORLD).boxes.centres.shape == (0, 3)


def test_stations_are_peers_of_late_fusion() -> None:
    stations, own = Stations(), BOXES.select(np.array([0]))
    other = objects_from_message(sent(BOXES.select(np.array([0, 1])), station=9, ns=NS - 100_000_000), WORLD)
    assert stations.take(other)
    assert not stations.take(other)
    merged, names = stations.merged(own, NS, 1.0, merge_boxes)
    assert names == ["station9"]
    assert len(merged) == 2
    assert merged.scores[0] > own.scores[0]
    np.testing.assert_allclose(
        merged.centres[0, :2], own.centres[0, :2] + 0.05 * own.velocities[0], atol=0.01
    )
    alone, nobody = stations.merged(own, NS + 2_000_000_000, 1.0, merge_boxes)
    assert (len(alone), nobody) == (1, [])


def test_so_many_stations_are_remembered() -> None:
    stations = Stations()
    for number in range(MAX_STATIONS + 3):
        stations.take(objects_from_message(sent(BOXES.select(np.array([0])), station=number), WORLD))
    _, names = stations.merged(no_boxes(), NS, 1.0, lambda parts: parts[0])
    assert len(names) == MAX_STATIONS
    assert names[0] == "station3"


def test_the_node_sends_and_merges(world: RosWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a text in place of the message type, which is not installed everywhere."""
    monkeypatch.setattr(
        cpm_node, "optional_module", lambda *a: SimpleNamespace(CollectivePerceptionMessage=String)
    )
    monkeypatch.setattr(
        cpm_node, "cpm_from_boxes", lambda boxes, **o: String(data=f"{len(boxes)} {o['station']}")
    )
    node = world.add(cpm_node.CpmNode(**world.options(geo_origin=list(ORIGIN), station_id=5)))
    node.start()
    late: list[ObjectArray] = []
    out: list[String] = []
    world.manager.create_subscription(ObjectArray, "/uav1/late/detections", late.append, qos.outputs())
    world.manager.create_subscription(String, "/uav1/cpm", out.append, qos.outputs())
    publisher = world.manager.create_publisher(ObjectArray, "/uav1/detections", qos.outputs())
    matched = (publisher, node._late, node._cpm)
    world.until(lambda: all(p.get_subscription_count() for p in matched), "topics are connected")
    node.on_message(sent(BOXES.select(np.array([1])), station=9))
    node.on_message(sent(BOXES.select(np.array([2])), station=5))  # its own
    own = BOXES.select(np.array([0]))
    publisher.publish(
        boxes_to_message(own, agent="uav1", frame=3, ns=NS, frame_id="map", contributors=["uav1"])
    )
    world.until(lambda: late and out, "both outputs come")
    assert out[0].data == "1 5"
    assert [o.class_id for o in late[0].objects] == [0, 1]
    assert late[0].objects[0].contributors == ["uav1", "station9"]
    assert (late[0].agent, late[0].frame) == ("uav1", 3)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (None, "expected latitude, longitude and height"),
        ([95.0, 6.0, 0.0], "expected latitude -90 to 90"),
        (list(ORIGIN), "needs the ROS package etsi_its_cpm_ts_msgs, which is not here: install it"),
    ],
)
def test_the_node_refuses_to_start_with_a_sentence(
    origin: Any, words: str, world: RosWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpm_node, "optional_module", lambda *a: None)
    given = {} if origin is None else {"geo_origin": origin}
    node = world.add(cpm_node.CpmNode(**world.options(**given)))
    with pytest.raises(RsdfmError, match=words):
        node.start()


def test_simulated_clocks_give_no_date() -> None:
    assert cpm.its_ms(10_000_000_000) == 0
    assert cpm.stamp_of_its(cpm.its_ms(NS)) == NS
