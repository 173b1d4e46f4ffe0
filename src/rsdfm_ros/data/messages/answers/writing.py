"""Detections and trajectories as the bytes of their messages, without the objects of the message classes, which take
far longer. The serialisation is little-endian CDR, as in data/messages/serialized.py.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.data.messages.serialized import LITTLE_ENDIAN
from rsdfm_ros.data.messages.stamps import NS
from rsdfm_ros.data.outputs import Boxes, Tracks

_HEAD = LITTLE_ENDIAN + bytes(2)
_ALIGNED = 8
"""Numbers of eight bytes stand at multiples of it, counted from behind the head."""


def boxes_to_bytes(
    boxes: Boxes, *, agent: str, frame: int, ns: int, frame_id: str, contributors: Sequence[str]
) -> bytes:
    """A serialised rsdfm_ros/ObjectArray, highest score first."""
    order = np.argsort(-np.asarray(boxes.scores), kind="stable")
    begin = _begin(agent, frame, ns, frame_id, len(order))
    names = bytearray()
    for name in contributors:
        names += bytes(-len(names) % 4) + _string(name)
    # Behind the first number of eight bytes all is alike in every object, and so is where the next one begins.
    body = np.dtype(
        [
            ("centre", "<f8", 3),
            ("turn", "<f8", 4),
            ("covariance", "<f8", 36),
            ("size", "<f8", 3),
            ("velocity", "<f8", 3),
            ("id", "<u4"),
            ("contributors", "<u4"),
            ("names", f"V{len(names)}"),
        ]
    )
    rows = np.zeros(len(order), body)
    rows["centre"], rows["size"] = boxes.centres[order], boxes.sizes[order]
    rows["turn"][:, 2], rows["turn"][:, 3] = np.sin(boxes.yaws[order] / 2), np.cos(boxes.yaws[order] / 2)
    rows["velocity"][:, :2] = boxes.velocities[order]
    rows["id"] = 0 if boxes.ids is None else boxes.ids[order]
    rows["contributors"], rows["names"] = len(contributors), np.void(bytes(names))
    scores = np.asarray(boxes.scores, "<f4")[order].tobytes()
    classes = np.asarray(boxes.classes, np.uint8)[order].tobytes()
    out, at = [begin], len(begin) - len(_HEAD)
    for n, row in enumerate(rows):
        at += 1
        kind = classes[n : n + 1] + bytes(-at % 4) + scores[4 * n : 4 * n + 4]
        at += len(kind) - 1
        out += [kind, bytes(-at % _ALIGNED), row.tobytes()]
        at += -at % _ALIGNED + body.itemsize
    return b"".join(out)


def tracks_to_bytes(tracks: Tracks, *, agent: str, frame: int, ns: int, frame_id: str) -> bytes:
    """A serialised rsdfm_ros/TrajectoryArray; positions lie on the ground (z = 0)."""
    count, steps = tracks.positions.shape[:2]
    begin = _begin(agent, frame, ns, frame_id, count)
    body = np.dtype([("positions", "<f8", (steps, 3)), ("offsets", "<u4"), ("offsets_s", "<f4", steps)])
    rows = np.zeros(count, body)
    rows["positions"][:, :, :2] = tracks.positions
    rows["offsets"], rows["offsets_s"] = steps, FRAME_PERIOD_S * np.arange(steps)
    kinds = np.zeros(count, np.dtype([("id", "<u4"), ("score", "<f4"), ("positions", "<u4")]))
    kinds["id"], kinds["score"], kinds["positions"] = tracks.ids, tracks.scores, steps
    out, at = [begin], len(begin) - len(_HEAD)
    for kind, row in zip(kinds, rows, strict=True):
        at += kinds.itemsize
        out += [kind.tobytes(), bytes(-at % _ALIGNED), row.tobytes()]
        at += -at % _ALIGNED + body.itemsize
    return b"".join(out)


def _begin(agent: str, frame: int, ns: int, frame_id: str, count: int) -> bytes:
    """The head, header, agent, number of the frame and number of items."""
    out = bytearray(struct.pack("<iI", *divmod(ns, NS))) + _string(frame_id)
    out += bytes(-len(out) % 4) + _string(agent)
    out += bytes(-len(out) % 4) + struct.pack("<II", frame % 2**32, count)
    return _HEAD + bytes(out)


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<I", len(data)) + data
