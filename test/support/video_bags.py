"""Bags whose raw images are H.264 in sensor_msgs/CompressedImage instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.topic_map import IMAGES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from support.videos import packets


def with_video(bag: Path, folder: Path) -> Path:
    t = typestore().types
    data = packets("h264")
    numbers: dict[str, int] = {}
    with open_bag(bag) as opened, BagWriter(folder) as writer:
        for m in opened.messages():
            raw, kind = bytes(m.raw), m.type_name
            if kind == IMAGES[0]:
                n = numbers[m.topic] = numbers.get(m.topic, -1) + 1
                header, kind = opened.decode(m).header, IMAGES[1]
                message = t[kind](header=header, format="h264", data=np.frombuffer(data[n], np.uint8))
                raw = bytes(typestore().serialize_cdr(message, kind))
            writer.write(m.topic, kind, m.log_ns, raw)
    return folder
