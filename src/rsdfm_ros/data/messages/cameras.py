"""Cameras: sensor_msgs/CameraInfo to intrinsics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError


def intrinsics_from_message(message: Any) -> NDArray[np.float64]:
    """K (3, 3) in pixels with the left edge of the image at 0.

    ROS puts the centre of the first pixel at 0, we put it at 0.5: half a pixel is added to the principal point.
    Raises: MessageError unless K is a finite pinhole matrix without distortion.
    """
    K = np.asarray(message.k, dtype=np.float64).reshape(3, 3)
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0 or not np.array_equal(K[2], [0, 0, 1]):
        raise MessageError("camera_info", f"expected a finite pinhole matrix k, got {K.ravel().tolist()}")
    if any(abs(d) > 1e-6 for d in message.d):
        raise MessageError(
            "camera_distorted", "expected rectified images (all d zero): put image_proc before"
        )
    K = K.copy()
    K[:2, 2] += 0.5
    return K
