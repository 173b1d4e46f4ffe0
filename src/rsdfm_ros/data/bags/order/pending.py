"""Instants of a bag that wait for the images of other UAVs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rsdfm_ros.data.messages.inputs import Matched

PATIENCE_S = 2.0
LEAST_PENDING, MAX_PENDING = 64, 4096
"""Instants that wait at most: the first number in any case, the second while their images are few enough."""
MAX_PENDING_BYTES = 512 << 20


@dataclass(frozen=True)
class Packet:
    """A recorded FeaturePacket. uav: owner of its topic · size_bytes: of the serialised message."""

    uav: str
    message: Any
    size_bytes: int


@dataclass
class InstantInputs:
    """Everything of one stamp. images: by UAV · packets: recorded ones with this stamp or an older one · truths,
    statuses: messages that were recorded since the instant before, whatever their stamps · heights: of the ground, m,
    by UAV with such a topic."""

    stamp_ns: int
    images: dict[str, Matched] = field(default_factory=dict)
    packets: list[Packet] = field(default_factory=list)
    truths: list[Any] = field(default_factory=list)
    statuses: list[tuple[str, Any]] = field(default_factory=list)
    heights: dict[str, float] = field(default_factory=dict)


class PendingInstants:
    """Instants by stamp, until all of `uavs` have an image at or after them, or for PATIENCE_S of recorded time."""

    def __init__(self, uavs: Sequence[str]) -> None:
        self._uavs = uavs
        self._pending: dict[int, InstantInputs] = {}
        self._arrived_ns: dict[int, int] = {}
        self._newest: dict[str, int] = {}
        self._given_ns = -1
        self._bytes = 0

    def add(self, uav: str, one: Matched, log_ns: int) -> bool:
        """Take images of a UAV at this time of the recording; whether their instant was not given yet."""
        if one.stamp_ns <= self._given_ns:
            return False
        self._pending.setdefault(one.stamp_ns, InstantInputs(one.stamp_ns)).images[uav] = one
        self._arrived_ns.setdefault(one.stamp_ns, log_ns)
        self._newest[uav] = max(one.stamp_ns, self._newest.get(uav, -1))
        self._bytes += _size(one)
        return True

    def due(self, log_ns: int | None, *, patient: bool) -> Iterator[InstantInputs]:
        """Instants that need not wait any longer at this time of the recording, in the order of their stamps; all if
        None. patient: they wait for PATIENCE_S even if all images are there."""
        while self._pending:
            stamp = min(self._pending)
            seen = not patient and all(self._newest.get(uav, -1) >= stamp for uav in self._uavs)
            old = log_ns is None or log_ns - self._arrived_ns[stamp] > PATIENCE_S * 1e9
            if not (seen or old or self._crowded()):
                return
            self._given_ns = stamp
            del self._arrived_ns[stamp]
            instant = self._pending.pop(stamp)
            self._bytes -= sum(map(_size, instant.images.values()))
            yield instant

    def _crowded(self) -> bool:
        number = len(self._pending)
        return number > MAX_PENDING or (number > LEAST_PENDING and self._bytes > MAX_PENDING_BYTES)


def _size(matched: Matched) -> int:
    return sum(len(posed.image.message.data) for posed in matched.images)
