"""Detections as vision_msgs/Detection3DArray, for programs that use this type (where the package exists:
nodes/convert/optional.py)."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.nodes.convert.markers import class_name


def detections_from_objects(objects: Any, msg: Any) -> Any:
    """Detection3DArray of an ObjectArray, in its order and with its header. msg: the module vision_msgs.msg, or
    anything with its classes.

    One hypothesis per detection: its class id is the name of the class. The pose of the hypothesis and the centre of
    the box are the same, the middle of the box, x forward; a covariance of zeros means unknown. `id` is empty unless
    the object is tracked.
    """
    message = msg.Detection3DArray()
    message.header = objects.header
    detections = []
    for source in objects.objects:
        item, result = msg.Detection3D(), msg.ObjectHypothesisWithPose()
        item.header = objects.header
        result.hypothesis.class_id = class_name(int(source.class_id))
        result.hypothesis.score = float(source.score)
        result.pose = source.pose
        item.bbox.center, item.bbox.size = source.pose.pose, source.size
        item.results = [result]
        item.id = str(source.id) if source.id else ""
        detections.append(item)
    message.detections = detections
    return message
