"""Images: sensor_msgs/Image to RGB arrays; data/messages/compressed.py reads sensor_msgs/CompressedImage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.encodings import ENCODINGS, Encoding, rgb_from_pixels
from rsdfm_ros.data.messages.errors import MessageError

#: Largest number of pixels; an RGB image has three times as many bytes.
MAX_PIXELS = 64_000_000
#: OpenCV's remap cannot address more than 32767.
MAX_SIDE = 16_384
SIGNIFICANT_BITS = (10, 12, 14, 16)


def image_from_message(message: Any, significant_bits: int = 16) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a sensor_msgs/Image; a view of the message where it is rgb8.

    significant_bits: 10, 12, 14 or 16 of a 16-bit encoding hold the value (mono16 of a 12-bit camera: 12).
    Raises: MessageError `image_encoding` for an encoding that is not in ENCODINGS, `image_size` for sizes that
    contradict each other.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise MessageError(
            "image_encoding", f"expected one of {', '.join(ENCODINGS)}, got encoding {message.encoding!r}"
        )
    check_size(width, height)
    check_sides(width, height, encoding, message.encoding)
    row = width * encoding.channels * encoding.bits // 8
    if step < row or step % (encoding.bits // 8):
        raise MessageError(
            "image_size",
            f"expected a row step of at least {row} bytes for {width} pixels of {message.encoding}, in whole "
            f"values of {encoding.bits} bits, got {step}",
        )
    data = np.frombuffer(message.data, np.uint8)
    rows = int(height * encoding.rows)
    if len(data) != step * rows:
        raise MessageError(
            "image_size",
            f"expected {step * rows} bytes of image ({rows} rows of {step}), got {len(data)}",
        )
    return rgb_from_pixels(
        _pixels(data, rows, width, step, encoding, bool(message.is_bigendian)), encoding, significant_bits
    )


def check_size(width: int, height: int) -> None:
    """Raises: MessageError `image_size` unless both sides and the number of pixels are within the limits."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise MessageError(
            "image_size",
            f"expected 1 to {MAX_SIDE} pixels a side and at most {MAX_PIXELS} in all, got {width} x {height}",
        )


def check_sides(width: int, height: int, encoding: Encoding, name: str) -> None:
    """Raises: MessageError `image_size` unless an image of this encoding can have these sides."""
    sides = {"width": width, "height": height}
    if any(sides[side] % 2 for side in encoding.even):
        raise MessageError(
            "image_size", f"expected an even {' and '.join(encoding.even)} for {name}, got {width} x {height}"
        )
    if min(width, height) < encoding.least:
        raise MessageError(
            "image_size",
            f"expected at least {encoding.least} pixels a side for {name}, got {width} x {height}",
        )


def _pixels(
    data: NDArray[np.uint8], rows: int, width: int, step: int, encoding: Encoding, big_endian: bool
) -> NDArray[Any]:
    """The stored values in native byte order, without padding: a view unless bytes must be swapped."""
    values = data.reshape(rows, step)
    if encoding.bits == 16:
        values = values.view(">u2" if big_endian else "<u2").astype(np.uint16, copy=False)
    values = values[:, : width * encoding.channels]
    return values if encoding.channels == 1 else values.reshape(rows, width, encoding.channels)
