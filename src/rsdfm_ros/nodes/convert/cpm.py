"""Detections as a Collective Perception Message (where etsi_its_cpm_ts_msgs exists: nodes/convert/optional.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.data.messages.answers import cpm
from rsdfm_ros.data.outputs import Boxes

_UNAVAILABLE = {
    "coordinate": 4096,
    "speed": 127,
    "angle": 127,
    "dimension": 32,
    "ellipse": 4095,
    "heading": 3601,
}
_ALTITUDE_UNAVAILABLE = 15
_MAX_CM = 131_070


def cpm_from_boxes(boxes: Boxes, *, stamp_ns: int, origin: Sequence[float], station: int, msg: Any) -> Any:
    """CollectivePerceptionMessage of boxes in the map whose x = y = 0 lies at `origin` (degrees, degrees, m), which is
    also the message's reference position; the best 255, without those farther than 1310 m.

    msg: the module etsi_its_cpm_ts_msgs.msg, or anything with its classes.
    """
    message = msg.CollectivePerceptionMessage()
    message.header.protocol_version.value = 2
    message.header.message_id.value = cpm.MESSAGE_ID
    message.header.station_id.value = int(station)
    management = message.payload.management_container
    management.reference_time.value = cpm.its_ms(stamp_ns)
    place = management.reference_position
    place.latitude.value, place.longitude.value = round(origin[0] * 1e7), round(origin[1] * 1e7)
    place.altitude.altitude_value.value = round(origin[2] * 100)
    place.altitude.altitude_confidence.value = _ALTITUDE_UNAVAILABLE
    ellipse = place.position_confidence_ellipse
    ellipse.semi_major_confidence.value = ellipse.semi_minor_confidence.value = _UNAVAILABLE["ellipse"]
    ellipse.semi_major_orientation.value = _UNAVAILABLE["heading"]
    near = (np.abs(boxes.centres[:, :2]) * 100 < _MAX_CM).all(axis=1)
    chosen = boxes.select(near)
    chosen = chosen.select(np.argsort(-chosen.scores, kind="stable")[: cpm.MAX_OBJECTS])
    container = msg.WrappedCpmContainer()
    container.container_id.value = cpm.PERCEIVED_OBJECTS
    objects = container.container_data_perceived_object_container
    objects.number_of_perceived_objects.value = len(chosen)
    objects.perceived_objects.array = [_object(chosen, n, msg) for n in range(len(chosen))]
    message.payload.cpm_containers.value.array = [container]
    return message


def _object(boxes: Boxes, n: int, msg: Any) -> Any:
    item = msg.PerceivedObject()
    if boxes.ids is not None and boxes.ids[n]:
        item.object_id.value, item.object_id_is_present = int(boxes.ids[n]) % 65_536, True
    item.measurement_delta_time.value = 0
    item.position.z_coordinate_is_present = True
    for axis, value in zip("xyz", boxes.centres[n], strict=True):
        coordinate = getattr(item.position, f"{axis}_coordinate")
        coordinate.value.value = int(np.clip(round(value * 100), -_MAX_CM, _MAX_CM))
        coordinate.confidence.value = _UNAVAILABLE["coordinate"]
    item.velocity_is_present, item.velocity.choice = True, 1
    for axis, value in zip("xy", boxes.velocities[n], strict=True):
        component = getattr(item.velocity.cartesian_velocity, f"{axis}_velocity")
        component.value.value = int(np.clip(round(value * 100), -16_381, 16_381))
        component.confidence.value = _UNAVAILABLE["speed"]
    item.angles_is_present = True
    item.angles.z_angle.value.value = round(np.rad2deg(boxes.yaws[n]) * 10) % 3600
    item.angles.z_angle.confidence.value = _UNAVAILABLE["angle"]
    for axis, value in zip("xyz", boxes.sizes[n], strict=True):
        dimension = getattr(item, f"object_dimension_{axis}")
        dimension.value.value = int(np.clip(round(value * 10), 1, 254))
        dimension.confidence.value = _UNAVAILABLE["dimension"]
        setattr(item, f"object_dimension_{axis}_is_present", True)
    score = float(np.clip(boxes.scores[n], 0.0, 1.0))
    item.object_perception_quality.value, item.object_perception_quality_is_present = round(score * 15), True
    kind = msg.ObjectClassWithConfidence()
    kind.object_class.choice = 0
    kind.object_class.vehicle_sub_class.value = cpm.TYPE_OF_CLASS[CLASSES[int(boxes.classes[n])]]
    kind.confidence.value = max(1, round(score * 100))
    item.classification.array, item.classification_is_present = [kind], True
    return item
