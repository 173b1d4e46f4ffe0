"""Compressed images: sensor_msgs/CompressedImage with JPEG or PNG to RGB arrays.

The size is read from the file's own header before anything is decoded, so that a small message cannot ask for a huge
image; files that end early are refused, because a decoder would fill the missing part with grey.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.encodings import ENCODINGS, rgb_from_pixels
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import check_sides, check_size

MAX_BYTES = 64_000_000
#: A progressive JPEG refines the image scan by scan; encoders make about ten, an attacker may send any number.
MAX_SCANS = 64
#: Encoders make chunks of 8 kB and more.
MAX_CHUNKS = 65_536
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
#: Formats that are refused by name: no camera driver of ROS sends them.
_OTHERS = {
    "WebP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "AVIF": re.compile(rb".{4}ftypavi[fs]", re.DOTALL),
    "HEIC": re.compile(rb".{4}ftyp(?:hei[cx]|mif1)", re.DOTALL),
}
# Start of frame: baseline, extended and progressive DCT with Huffman coding; the others are not decoded anywhere.
_SOF = (0xC0, 0xC1, 0xC2)
_OTHER_SOF = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_SOS, _EOI = 0xDA, 0xD9
#: Markers without a length: a restart within a scan, a temporary one.
_BARE = (0x01, *range(0xD0, 0xD8))
#: In the data of a scan: the next marker that is no stuffed byte, fill byte or restart.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]", re.DOTALL)


def image_from_compressed(message: Any, significant_bits: int = 16) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a sensor_msgs/CompressedImage that holds a JPEG or PNG file.

    The format is read from the bytes; `format`, as image_transport writes it, tells whether colours were swapped before
    encoding and whether a single channel is a Bayer mosaic. significant_bits: as in `image_from_message`.
    Raises: MessageError `image_compression` for other formats and damaged files, `image_size` beyond the limits.
    """
    data = np.frombuffer(message.data, np.uint8)
    if len(data) > MAX_BYTES:
        raise MessageError("image_size", f"expected at most {MAX_BYTES} compressed bytes, got {len(data)}")
    size = size_of_file(data.tobytes(), str(message.format))
    check_size(*size)
    try:
        # Not rotated by EXIF: camera_info refers to the pixels as they are stored.
        values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise MessageError("image_compression", f"the compressed image is damaged: {error.err}") from error
    if values is None or values.shape[1::-1] != size or values.dtype not in (np.uint8, np.uint16):
        raise MessageError("image_compression", "the compressed image is damaged: it cannot be decoded")
    return _rgb(values, str(message.format), significant_bits)


def size_of_file(data: bytes, said: str = "") -> tuple[int, int]:
    """(width, height) from the header of a complete JPEG or PNG file. `said`: the format it came as, for the sentence.

    Bytes behind the end, as drivers pad with and phones append a second image, are left out.

    Raises: MessageError `image_compression` for anything else, and for a file without its end.
    """
    if data.startswith(_PNG):
        if len(data) < 33 or data[12:16] != b"IHDR" or not _png_ends(data):
            raise MessageError("image_compression", f"the PNG of {len(data)} bytes is truncated or damaged")
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if data.startswith(_JPEG):
        return _size_of_jpeg(data)
    what = next((f"a {name} file" for name, form in _OTHERS.items() if form.match(data)), "other bytes")
    raise MessageError(
        "image_compression",
        f"expected a JPEG or PNG file, or video in h264 or hevc, got {what}, {len(data)} bytes (format {said!r})",
    )


def _png_ends(data: bytes) -> bool:
    """Whether the chunks of a PNG lead to its end."""
    at = len(_PNG)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int(struct.unpack(">I", data[at : at + 4])[0])
    return False


def _size_of_jpeg(data: bytes) -> tuple[int, int]:
    """Walks the segments and scans up to the end marker, so that neither a thumbnail's end nor bytes behind the image
    count."""
    at, size, scans = 2, None, 0
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _EOI:
            if size is None or not scans:
                break
            return size
        if marker in _BARE:
            at += 2
            continue
        if at + 4 > len(data):
            break
        if marker in _OTHER_SOF:
            raise MessageError("image_compression", "expected a baseline or progressive JPEG")
        if marker in _SOF:
            if size is not None or at + 9 > len(data):
                break
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            size = (int(width), int(height))
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise MessageError("image_compression", f"expected a JPEG of at most {MAX_SCANS} scans")
            following = _AFTER_SCAN.search(data, at)
            at = len(data) if following is None else following.start()
    if scans and at >= len(data) - 1:
        raise MessageError("image_compression", f"the JPEG of {len(data)} bytes is truncated: no end marker")
    raise MessageError("image_compression", "the header of the JPEG is damaged")


def _rgb(values: NDArray[Any], said: str, significant_bits: int) -> NDArray[np.uint8]:
    """RGB of what OpenCV decoded, which is blue first unless the encoder was handed red first."""
    source, _, rest = said.replace(" ", "").partition(";")
    target = rest.rpartition("compressed")[2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    bits = 8 * values.dtype.itemsize
    if channels == 1:
        # What the encoder was handed: the target if it is named (a mosaic may have been made grey), else the source.
        handed = target or source
        mosaic = f"{handed.rstrip('0123456789')}{bits}" if handed.startswith("bayer_") else ""
        name = mosaic if mosaic in ENCODINGS else f"mono{bits}"
        values = values.reshape(values.shape[:2])
        check_sides(values.shape[1], values.shape[0], ENCODINGS[name], name)
    elif channels in (3, 4):
        order = "rgb" if target.startswith("rgb") else "bgr"
        name = f"{order}{'a' if channels == 4 else ''}{bits}"
    else:
        raise MessageError("image_compression", f"expected 1, 3 or 4 channels, got {channels}")
    return rgb_from_pixels(values, ENCODINGS[name], significant_bits)
