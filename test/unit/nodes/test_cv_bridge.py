"""Our images against those of cv_bridge, encoding by encoding, where it is installed."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image

from rsdfm_ros.data.messages.encodings import ENCODINGS
from rsdfm_ros.data.messages.images import image_from_message

cv_bridge: Any = pytest.importorskip("cv_bridge", reason="it comes with a ROS installation")

SIZE = (24, 32)
INSIDE = (slice(2, -2), slice(2, -2))
"""Demosaicing at the border is up to the version of OpenCV."""
TOLERANCE = {"yuv422": 3, "uyvy": 3, "yuv422_yuy2": 3, "yuyv": 3}
"""Grey levels of difference that are allowed; else 1: rounding of 16 bits."""


def message(name: str) -> Image:
    encoding = ENCODINGS[name]
    rng = np.random.default_rng(3)
    rows, values = int(SIZE[0] * encoding.rows), SIZE[1] * encoding.channels
    data = rng.integers(0, 256, (rows, values * encoding.bits // 8), dtype=np.uint8)
    image = Image(height=SIZE[0], width=SIZE[1], encoding=name, step=data.shape[1], is_bigendian=0)
    image.data = array.array("B", data.tobytes())
    return image


@pytest.mark.parametrize("name", [n for n in ENCODINGS if "UC" not in n])
def test_the_same_rgb_image(name: str) -> None:
    """Encodings such as 8UC3 do not name their colours: cv_bridge makes no colour image of them."""
    sent = message(name)
    try:
        expected = np.asarray(cv_bridge.CvBridge().imgmsg_to_cv2(sent, "rgb8"))
    except cv_bridge.CvBridgeError as error:
        pytest.skip(f"this cv_bridge does not convert {name}: {error}")
    found = image_from_message(sent)
    assert found.shape == expected.shape == (*SIZE, 3)
    difference = np.abs(found[INSIDE].astype(int) - expected[INSIDE].astype(int)).max()
    assert difference <= TOLERANCE.get(name, 1)
