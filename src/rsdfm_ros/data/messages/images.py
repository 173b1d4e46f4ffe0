"""Pictures: sensor_msgs/Image to RGB arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError

MAX_PIXELS = 64_000_000


def image_from_message(message: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, a view of the message where it is rgb8 without padding.

    Raises: MessageError for another encoding than rgb8 or bgr8, or sizes that contradict each other.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    if message.encoding not in ("rgb8", "bgr8"):
        raise MessageError("image_encoding", f"expected rgb8 or bgr8, got encoding {message.encoding!r}")
    if not 0 < height * width <= MAX_PIXELS or step < 3 * width:
        raise MessageError("image_size", f"{width} x {height} pixels with a row step of {step} bytes")
    data = np.frombuffer(message.data, np.uint8)
    if len(data) != step * height:
        raise MessageError("image_size", f"expected {step * height} bytes of image, got {len(data)}")
    image = data.reshape(height, step)[:, : 3 * width].reshape(height, width, 3)
    return image if message.encoding == "rgb8" else image[..., ::-1]
