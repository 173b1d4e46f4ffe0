"""TF of a UAV: the frames of its cameras, and of its body where that is known, by the poses its images are mapped with.

The frames are called `<agent>/<camera>_optical` and `<agent>/body`. All are children of the map frame, so that they
belong to no other tree, and a localisation beside this package keeps its own. Where poses or extrinsics come from TF,
there is such a tree already, and nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray

from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Matched
from rsdfm_ros.data.messages.poses import extrinsics
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.rotations import inverse, quaternion_from_matrix
from rsdfm_ros.nodes.convert.optional import ALWAYS, NEVER, optional_module
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.uav.pose_source import transform_qos

PARAMETER = "publish_pose_tf"


class PoseFrames:
    """Publishes the frames of the images of an instant on /tf while there is a subscriber."""

    def __init__(self, node: Any, wish: str, config: InputConfig) -> None:
        """wish: `auto`, `always` or `never`.

        Raises: MissingPackage; RsdfmError for `always` where poses come from TF.
        """
        self._node, self._config, self._publisher = node, config, None
        if config.needs_tf and wish == ALWAYS:
            raise RsdfmError(
                f"{PARAMETER} is `{ALWAYS}`, but poses or extrinsics come from TF, where the cameras have their frames "
                f"already: set it to `{NEVER}`, or take the poses from a topic"
            )
        messages = None if config.needs_tf else optional_module("tf2_msgs.msg", wish, PARAMETER)
        if messages is not None:
            self._message = messages.TFMessage
            self._publisher = node.create_publisher(self._message, "/tf", transform_qos(fixed=False))

    def show(self, matched: Matched) -> None:
        """Publish the frames of matched images."""
        if has_subscribers(self._publisher):
            message = self._message(transforms=list(transforms(matched, self._config)))
            self._node.send(self._publisher, message)


def transforms(matched: Matched, config: InputConfig) -> Iterator[TransformStamped]:
    """The frames of the cameras of an instant, and of the body that carries them unless the poses are the camera's."""
    T_map_body: NDArray[np.float64] | None = None
    for posed in matched.images:
        camera = posed.image.camera
        T_body_camera = extrinsics(config.extrinsics[7 * camera : 7 * camera + 7])
        if T_map_body is None and not np.array_equal(T_body_camera, np.eye(4)):
            T_map_body = posed.pose.T @ inverse(T_body_camera)
        name = f"{config.agent}/{config.cameras[camera]}_optical"
        yield _transform(posed.pose.T, name, posed.image.stamp_ns, config.frame_id)
    if T_map_body is not None:
        yield _transform(T_map_body, f"{config.agent}/body", matched.stamp_ns, config.frame_id)


def _transform(T: NDArray[np.float64], frame: str, ns: int, frame_id: str) -> TransformStamped:
    message = TransformStamped(child_frame_id=frame)
    message.header.stamp, message.header.frame_id = time_of(ns), frame_id
    t, r = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = (float(v) for v in T[:3, 3])
    r.x, r.y, r.z, r.w = (float(v) for v in quaternion_from_matrix(T[:3, :3]))
    return message
