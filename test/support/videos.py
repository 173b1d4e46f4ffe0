"""Short videos of moving squares, encoded by PyAV, as messages."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace as Message
from typing import Any

import numpy as np

from support.input_messages import header


def picture(n: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """(H, W, 3) RGB: a bright square that moves by two pixels per image on grey."""
    out = np.full((*size, 3), 90, np.uint8)
    out[20:40, 4 + 2 * n : 24 + 2 * n] = (220, 220, 220)
    return out


def packets(codec: str, number: int = 20, gop: int = 8, size: tuple[int, int] = (64, 96)) -> list[bytes]:
    """One packet per image in Annex B form, a key frame every `gop`."""
    import av

    encoder = {"h264": "libx264", "hevc": "libx265"}[codec]
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = size[1], size[0], "yuv420p"
    context.framerate, context.time_base = 10, Fraction(1, 10)
    quiet = (
        {"x265-params": f"log-level=none:keyint={gop}:min-keyint={gop}:scenecut=0"} if codec == "hevc" else {}
    )
    context.gop_size = gop
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "12"} | quiet
    out = []
    for n in range(number):
        frame = av.VideoFrame.from_ndarray(picture(n, size), format="rgb24")
        frame.pts = n
        out += [bytes(p) for p in context.encode(frame)]
    out += [bytes(p) for p in context.encode(None)]
    return out


def as_compressed(data: bytes, said: str, ns: int) -> Message:
    return Message(header=header(ns, "cam0"), format=said, data=data)


def as_image(data: bytes, encoding: str, ns: int) -> Message:
    """As DJI's psdk publishes its stream."""
    return Message(
        header=header(ns, "cam0"), height=0, width=0, encoding=encoding, is_bigendian=0, step=0, data=data
    )


def as_foxglove(data: bytes, said: str, ns: int) -> Any:
    stamp = header(ns).stamp
    return Message(timestamp=stamp, frame_id="cam0", format=said, data=data)
