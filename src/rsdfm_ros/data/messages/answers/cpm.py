"""Collective Perception Messages (ETSI TS 103 324, as etsi_its_cpm_ts_msgs): their objects as boxes, and units.

Units of the standard: centimetres, centimetres per second, decimetres of size, tenths of a degree counter-clockwise
from east, milliseconds since 2004 that count leap seconds. Positions are those of the middle of a box, in metres east,
north and up from the reference position.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.world import GeoWorld
from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.geometry.rotations import wrap_angle

MESSAGE_ID = 14
"""Of a CPM, among the messages of ETSI."""
PERCEIVED_OBJECTS = 5
"""Container that holds objects."""
TYPE_OF_CLASS = dict(zip(CLASSES, (5, 7, 8, 6), strict=True))
"""Our classes as types of traffic participants: passenger car, light truck, heavy truck, bus."""
_CLASS_OF_TYPE = {kind: n for n, kind in enumerate(TYPE_OF_CLASS.values())}
MAX_OBJECTS = 255
MAX_CONTAINERS = 8
MAX_DISTANCE_M = 5000.0
"""A sender's reference position this far from the origin at most: vehicles farther off are in no map of ours."""
UTC_2004_MS = 1_072_915_200_000
LEAP_SECONDS_MS = 5000
"""Leap seconds since 2004; the last one was at the end of 2016."""
_MAX_SPEED_CM_S = 16_381
_MAX_OFFSET_CM = 131_070
_DEFAULT_SCORE = 0.5
"""Of an object that tells no confidence."""


@dataclass(frozen=True)
class CpmObjects:
    """The vehicles of a message: its station, the time of its objects (ns of UTC), boxes in the map, and how many
    objects were left out, by reason."""

    station: int
    stamp_ns: int
    boxes: Boxes
    left_out: dict[str, int]


def its_ms(stamp_ns: int) -> int:
    """TimestampIts of a stamp in ns of UTC; 0 before 2004, as of simulated clocks."""
    return max(0, stamp_ns // 1_000_000 - UTC_2004_MS + LEAP_SECONDS_MS)


def stamp_of_its(value_ms: int) -> int:
    """Nanoseconds of UTC of a TimestampIts."""
    return (int(value_ms) + UTC_2004_MS - LEAP_SECONDS_MS) * 1_000_000


def objects_from_message(message: Any, world: GeoWorld) -> CpmObjects:
    """The vehicles of a CollectivePerceptionMessage in the map whose x = y = z = 0 is the origin of `world`.

    Raises: MessageError `cpm_id`, `cpm_place` or `cpm_size`. Objects without a usable position, size, heading or class
    are left out and counted.
    """
    if int(message.header.message_id.value) != MESSAGE_ID:
        raise MessageError(
            "cpm_id", f"expected message id {MESSAGE_ID} of a CPM, got {int(message.header.message_id.value)}"
        )
    payload = message.payload
    reference = _reference(payload.management_container.reference_position, world)
    reference_ns = stamp_of_its(payload.management_container.reference_time.value)
    containers = list(payload.cpm_containers.value.array)
    if len(containers) > MAX_CONTAINERS:
        raise MessageError("cpm_size", f"expected at most {MAX_CONTAINERS} containers, got {len(containers)}")
    rows: list[list[float]] = []
    left_out: Counter[str] = Counter()
    for container in containers:
        if int(container.container_id.value) != PERCEIVED_OBJECTS:
            continue
        items = list(container.container_data_perceived_object_container.perceived_objects.array)
        if len(items) + len(rows) > MAX_OBJECTS:
            raise MessageError("cpm_size", f"expected at most {MAX_OBJECTS} objects")
        for item in items:
            try:
                rows.append(_row(item, reference))
            except MessageError as error:
                left_out[error.reason] += 1
    table = np.array(rows, np.float64).reshape(-1, 11)
    boxes = Boxes(
        table[:, 0].astype(np.int64), table[:, 1], table[:, 2:5], table[:, 5:8], table[:, 8], table[:, 9:11]
    )
    return CpmObjects(int(message.header.station_id.value), reference_ns, boxes, dict(left_out))


def _reference(position: Any, world: GeoWorld) -> np.ndarray:
    lat, lon = int(position.latitude.value) / 1e7, int(position.longitude.value) / 1e7
    altitude = int(position.altitude.altitude_value.value) / 100.0
    height = altitude if -1000.0 < altitude < 8000.0 else world.origin.altitude_m  # else it is unavailable
    if not (-90 <= lat <= 90 and -180 < lon <= 180):
        raise MessageError("cpm_place", "the reference position is unavailable")
    place = world.position(lat, lon, height)
    if float(np.linalg.norm(place)) > MAX_DISTANCE_M:
        raise MessageError(
            "cpm_place",
            f"the reference position is {float(np.linalg.norm(place)) / 1000:.1f} km from geo_origin, expected "
            f"at most {MAX_DISTANCE_M / 1000:g} km",
        )
    return place


def _row(item: Any, reference: np.ndarray) -> list[float]:
    """Class, score, centre, size, yaw and velocity of an object, moved to the reference time."""
    kind, score = _class(item)
    size = []
    for axis in "xyz":
        value = int(getattr(item, f"object_dimension_{axis}").value.value)
        if not getattr(item, f"object_dimension_{axis}_is_present") or not 1 <= value <= 254:
            raise MessageError("cpm_no_size", "an object has no size")
        size.append(value / 10.0)
    offset = [int(getattr(item.position, f"{axis}_coordinate").value.value) for axis in "xy"]
    if max(map(abs, offset)) > _MAX_OFFSET_CM:
        raise MessageError("cpm_no_position", "an object has no position")
    angle = int(item.angles.z_angle.value.value)
    if not item.angles_is_present or not 0 <= angle < 3600:
        raise MessageError("cpm_no_heading", "an object has no heading")
    velocity = _velocity(item)
    late_s = -int(item.measurement_delta_time.value) / 1000.0
    x, y = (reference[n] + offset[n] / 100.0 + late_s * velocity[n] for n in range(2))
    z = size[2] / 2  # on the ground, unless told
    if item.position.z_coordinate_is_present:
        z = float(reference[2]) + int(item.position.z_coordinate.value.value) / 100.0
    return [kind, score, x, y, z, *size, float(wrap_angle(np.deg2rad(angle / 10.0))), *velocity]


def _class(item: Any) -> tuple[int, float]:
    quality = (
        int(item.object_perception_quality.value) / 15.0
        if item.object_perception_quality_is_present
        else None
    )
    best: tuple[int, float] | None = None
    for one in list(item.classification.array)[:8] if item.classification_is_present else []:
        kind = _CLASS_OF_TYPE.get(int(one.object_class.vehicle_sub_class.value))
        if int(one.object_class.choice) != 0 or kind is None:
            continue
        told = int(one.confidence.value)
        score = told / 100.0 if 1 <= told <= 100 else _DEFAULT_SCORE if quality is None else quality
        if best is None or score > best[1]:
            best = (kind, min(1.0, score))
    if best is None:
        raise MessageError("cpm_class", "an object is of no class of ours")
    return best


def _velocity(item: Any) -> list[float]:
    """East and north, m/s; zero where it is not told."""
    if not item.velocity_is_present:
        return [0.0, 0.0]
    if int(item.velocity.choice) == 1:
        parts = item.velocity.cartesian_velocity
        values = [int(parts.x_velocity.value.value), int(parts.y_velocity.value.value)]
        return [v / 100.0 for v in values] if max(map(abs, values)) <= _MAX_SPEED_CM_S else [0.0, 0.0]
    polar = item.velocity.polar_velocity
    speed, angle = int(polar.velocity_magnitude.speed_value.value), int(polar.velocity_direction.value.value)
    if not (0 <= speed <= _MAX_SPEED_CM_S and 0 <= angle < 3600):
        return [0.0, 0.0]
    direction = np.deg2rad(angle / 10.0)
    return [float(speed / 100.0 * np.cos(direction)), float(speed / 100.0 * np.sin(direction))]
