"""Detections, trajectories, ground truth and diagnostics as they come over the wire, for views: without the objects of
their message classes.

The serialisation is CDR, as in data/messages/serialized.py. The arrays are those of data/messages/tasks.py, but for the
last bits of headings; what is refused there is refused here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import CLASSES, Objects
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.serialized import LITTLE_ENDIAN
from rsdfm_ros.data.messages.stamps import NS
from rsdfm_ros.data.outputs import HORIZON, Boxes, Tracks
from rsdfm_ros.geometry.rotations import yaws_from_quaternions

MAX_ITEMS = 4096
"""Objects or trajectories of a message (msg/)."""
MAX_NAMES = 64
PEER = "peer "
"""How a node names what it has to say about a peer, behind its own name."""
_HEAD = 4
_OBJECT = np.dtype(
    [
        ("pose", "<f8", 7),
        ("covariance", "V288"),
        ("size_and_velocity", "<f8", 6),
        ("id", "<u4"),
        ("names", "<u4"),
    ]
)
_POSITIONS = np.dtype([("m", "<f8", (HORIZON, 3))])
_SCORE, _COUNT, _STAMP, _TRACK = (
    struct.Struct("<f"),
    struct.Struct("<I"),
    struct.Struct("<iI"),
    struct.Struct("<IfI"),
)


@dataclass(frozen=True)
class Read:
    """A message that was read: its stamp, its content (Boxes, Tracks, Objects or a list of Health), and the names in
    it."""

    ns: int
    content: Any
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """A diagnostic_msgs/DiagnosticStatus; `values` are empty where the status is not about a peer."""

    level: int
    name: str
    sentence: str
    hardware_id: str
    values: Mapping[str, str]


class _Cursor:
    """Goes through the bytes of a message; every step may raise struct.error at their end."""

    def __init__(self, data: bytes) -> None:
        if data[:2] != LITTLE_ENDIAN:
            raise MessageError("serialized", f"expected little-endian CDR, got {data[:2].hex()}")
        self.data, self.at = data, _HEAD

    def align(self, size: int) -> None:
        self.at += -(self.at - _HEAD) % size

    def take(self, layout: struct.Struct, size: int) -> tuple[Any, ...]:
        self.align(size)
        found = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return found

    def count(self, limit: int) -> int:
        (count,) = self.take(_COUNT, 4)
        if count > limit:
            raise MessageError("serialized", f"{count} items, expected at most {limit}")
        return int(count)

    def string(self) -> str:
        (length,) = self.take(_COUNT, 4)
        begin, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise struct.error(f"a string of {length} bytes")
        return self.data[begin : max(begin, self.at - 1)].decode()

    def leave_string(self) -> None:
        """Leave a string out."""
        at = self.at + -(self.at - _HEAD) % 4
        (length,) = _COUNT.unpack_from(self.data, at)
        self.at = at + _COUNT.size + length
        if self.at > len(self.data):
            raise struct.error(f"a string of {length} bytes")

    def array(self, kind: str, count: int, size: int) -> NDArray[Any]:
        if count:  # an empty sequence of doubles is not aligned
            self.align(size)
        if self.at + count * size > len(self.data):
            raise struct.error(f"{count} numbers")
        found = np.frombuffer(self.data, kind, count, self.at) if count else np.zeros(0, kind)
        self.at += count * size
        return found

    def skip(self, count: int, size: int) -> None:
        """Leave numbers out."""
        if count:
            self.align(size)
        self.at += count * size
        if self.at > len(self.data):
            raise struct.error(f"{count} numbers")

    def header(self) -> int:
        sec, nanosec = self.take(_STAMP, 4)
        self.string()
        return int(sec) * NS + int(nanosec)

    def objects(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Rows of 13 numbers, classes, scores and ids."""
        data, places, classes, scores = self.data, [], [], []
        count = self.count(MAX_ITEMS)
        at = self.at
        for _ in range(count):
            classes.append(data[at])
            at += 1
            at += -(at - _HEAD) % 4
            scores.append(_SCORE.unpack_from(data, at)[0])
            at += _SCORE.size
            at += -(at - _HEAD) % 8
            places.append(at)
            at += _OBJECT.itemsize
            (names,) = _COUNT.unpack_from(data, at - _COUNT.size)
            if names > MAX_NAMES:
                raise MessageError("serialized", f"{names} contributors, expected at most {MAX_NAMES}")
            for _ in range(names):  # as string() reads them: there are hundreds
                at += -(at - _HEAD) % 4 + _COUNT.size
                (length,) = _COUNT.unpack_from(data, at - _COUNT.size)
                at += length
                data[at - length : at].decode()
        if at > len(data):
            raise struct.error(f"{count} objects")
        self.at = at
        found = self.gathered(_OBJECT, places)
        table = np.concatenate([found["pose"], found["size_and_velocity"]], axis=1)
        kinds = np.array(classes, np.int64)
        if not np.isfinite(table).all() or not np.isfinite(scores).all():
            raise MessageError("object_not_finite", "objects must be finite")
        if len(kinds) and kinds.max() >= len(CLASSES):
            raise MessageError("object_class", f"class {kinds.max()} is unknown")
        return table, kinds, np.array(scores, np.float64), found["id"].astype(np.int64)

    def gathered(self, kind: np.dtype[Any], places: Sequence[int]) -> NDArray[Any]:
        """What lies at these places, as an array (N,) of a kind."""
        if places and places[-1] + kind.itemsize > len(self.data):
            raise struct.error(f"{len(places)} items")
        size = kind.itemsize
        return np.frombuffer(b"".join([self.data[place : place + size] for place in places]), kind)


def read_boxes(data: bytes) -> Read:
    """A serialised rsdfm_ros/ObjectArray. Raises: MessageError."""

    def read(cursor: _Cursor) -> Read:
        ns = cursor.header()
        name = cursor.string()
        cursor.take(_COUNT, 4)
        t, classes, scores, ids = cursor.objects()
        boxes = Boxes(classes, scores, t[:, :3], t[:, 7:10], _yaws(t), t[:, 10:12], ids)
        return Read(ns, boxes, (name,))

    return _read(data, "objects", read)


def read_truth(data: bytes) -> Read:
    """A serialised rsdfm_ros/GroundTruth; names: the UAVs that `visibility` is of. Raises: MessageError."""

    def read(cursor: _Cursor) -> Read:
        ns = cursor.header()
        cursor.take(_COUNT, 4)
        agents = tuple(cursor.string() for _ in range(cursor.count(MAX_NAMES)))
        t, classes, _, ids = cursor.objects()
        visibility = cursor.array("<f4", cursor.count(MAX_ITEMS * MAX_NAMES), 4).astype(np.float64)
        if len(visibility) != len(t) * len(agents):
            raise MessageError("truth_size", f"{len(visibility)} visibilities of {len(t)} objects")
        shares = visibility.reshape(len(t), len(agents))
        return Read(ns, Objects(ids, classes, t[:, :3], t[:, 7:10], _yaws(t), t[:, 10:12], shares), agents)

    return _read(data, "truth", read)


def read_tracks(data: bytes) -> Read:
    """A serialised rsdfm_ros/TrajectoryArray. Raises: MessageError."""

    def read(cursor: _Cursor) -> Read:
        ns = cursor.header()
        name = cursor.string()
        cursor.take(_COUNT, 4)
        ids, scores, at = [], [], []
        for _ in range(cursor.count(MAX_ITEMS)):
            identity, score, steps = cursor.take(_TRACK, 4)
            if steps != HORIZON:
                raise MessageError(
                    "tracks_length", f"expected trajectories of {HORIZON} positions, got {steps}"
                )
            ids.append(identity)
            scores.append(score)
            cursor.align(8)
            at.append(cursor.at)
            cursor.at += _POSITIONS.itemsize
            cursor.skip(cursor.count(MAX_NAMES), 4)
        places = cursor.gathered(_POSITIONS, at)["m"][:, :, :2]
        if not np.isfinite(places).all():
            raise MessageError("tracks_not_finite", "trajectories must be finite")
        return Read(ns, Tracks(np.array(ids, np.int64), places, np.array(scores, np.float64)), (name,))

    return _read(data, "trajectories", read)


def read_health(data: bytes) -> Read:
    """A serialised diagnostic_msgs/DiagnosticArray. Raises: MessageError."""

    def read(cursor: _Cursor) -> Read:
        ns, found = cursor.header(), []
        for _ in range(cursor.count(MAX_ITEMS)):
            level = cursor.data[cursor.at]
            cursor.at += 1
            name, sentence, hardware_id = cursor.string(), cursor.string(), cursor.string()
            about_peer = PEER in name
            values: dict[str, str] = {}
            for _ in range(cursor.count(MAX_ITEMS)):
                if about_peer:
                    key = cursor.string()
                    values[key] = cursor.string()
                else:
                    cursor.leave_string()
                    cursor.leave_string()
            found.append(Health(level, name, sentence, hardware_id, values))
        return Read(ns, found)

    return _read(data, "diagnostics", read)


READERS: Mapping[str, Callable[[bytes], Read]] = MappingProxyType(
    {
        "rsdfm_ros/msg/ObjectArray": read_boxes,
        "rsdfm_ros/msg/TrajectoryArray": read_tracks,
        "rsdfm_ros/msg/GroundTruth": read_truth,
        "diagnostic_msgs/msg/DiagnosticArray": read_health,
    }
)
"""Type → its reader."""


def _read(data: bytes, what: str, read: Callable[[_Cursor], Read]) -> Read:
    try:
        return read(_Cursor(data))
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise MessageError("serialized", f"{what}: {len(data)} bytes that cannot be read: {error}") from error


def _yaws(table: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        return yaws_from_quaternions(table[:, 3:7])
    except ValueError as error:
        raise MessageError("object_orientation", str(error)) from error
