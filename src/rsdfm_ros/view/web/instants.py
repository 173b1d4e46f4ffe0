"""The instants of a mission, as the page gets them: bounded in number and bytes, with a revision for every change."""

from __future__ import annotations

import bisect
import json
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import Boxes

MAX_INSTANTS = 20_000
"""Kept for scrubbing back: nearly three hours at 2 Hz."""
MAX_BYTES = 256_000_000
"""Of JSON and JPEG: beyond it the oldest images go first, then the oldest instants."""
OPEN_INSTANTS = 40
"""Newest instants that may still change."""
SETTLED_S = 1.0
"""An instant that nothing changed for so long is shown, whoever has not answered yet."""
SHORT = ("bytes_sent_frame", "latency_median_ms", "iou_single", "iou_collaborative")
"""Figures of a UAV in the index, by their keys in status.jsonl."""


@dataclass
class Instant:
    """content: what the page gets · images: JPEG by (UAV, camera) · true, cells:
    maps that are compared while the instant is open, and the true boxes."""

    number: int
    ns: int
    content: dict[str, Any]
    images: dict[tuple[str, str], bytes] = field(default_factory=dict)
    revision: int = 0
    changed_s: float = 0.0
    true: NDArray[np.bool_] | None = None
    true_boxes: Boxes | None = None
    cells: dict[tuple[str, str], NDArray[np.bool_]] = field(default_factory=dict)
    text: str | None = None
    size_bytes: int = 0

    def uav(self, agent: str) -> dict[str, Any]:
        """The entry of a UAV."""
        made: dict[str, Any] = self.content["uavs"].setdefault(agent, {})
        return made

    def answered(self) -> set[str]:
        """UAVs whose status, their last message about an image, is there."""
        return {name for name, entry in self.content["uavs"].items() if "facts" in entry}

    def row(self) -> list[Any]:
        """Its line in the index: number, stamp in s, and SHORT of every UAV."""
        facts = {n: e["facts"] for n, e in self.content["uavs"].items() if "facts" in e}
        return [self.number, self.content["t"], {n: [f.get(k) for k in SHORT] for n, f in facts.items()}]


class Instants:
    """Instants by stamp and by number. Every method may be called from any thread that holds `lock`."""

    def __init__(self, *, max_instants: int = MAX_INSTANTS, max_bytes: int = MAX_BYTES) -> None:
        self.lock = threading.RLock()
        self.revision = 0
        self._by_ns: dict[int, Instant] = {}
        self._stamps: list[int] = []
        """Sorted: instants may come late, as those that were recorded before a page opened."""
        self._by_number: dict[int, Instant] = {}
        self._open: deque[Instant] = deque()
        self._next = 0
        self._max_instants, self._max_bytes = max_instants, max_bytes
        self._bytes = 0
        self._with_images: OrderedDict[int, Instant] = OrderedDict()
        self._told_ns: int | None = None
        """Stamp of the newest instant that something is known about a UAV of."""

    def __len__(self) -> int:
        return len(self._by_ns)

    def at(self, ns: int) -> Instant:
        """The instant of a stamp, a new one if there is none."""
        if (instant := self._by_ns.get(ns)) is None:
            instant = Instant(self._next, ns, {"number": self._next, "t": ns / 1e9, "uavs": {}})
            self._next += 1
            self._by_ns[ns] = self._by_number[instant.number] = instant
            bisect.insort(self._stamps, ns)
            self._open.append(instant)
            if len(self._open) > OPEN_INSTANTS:
                old = self._open.popleft()
                old.true = old.true_boxes = None
                old.cells.clear()
            if len(self._by_ns) > self._max_instants:
                self._forget()
        return instant

    def touch(self, instant: Instant) -> None:
        """Note a change."""
        self.revision += 1
        instant.revision, instant.changed_s, instant.text = self.revision, monotonic(), None
        size = 1000 + sum(map(len, instant.images.values()))
        self._bytes += size - instant.size_bytes
        instant.size_bytes = size
        if instant.images:
            self._with_images.setdefault(instant.number, instant)
        if instant.content["uavs"]:
            self._told_ns = max(instant.ns, instant.ns if self._told_ns is None else self._told_ns)
        while self._bytes > self._max_bytes and len(self._by_ns) > 1:
            self._shrink()

    def text(self, instant: Instant) -> str:
        """The content as JSON, made once per change."""
        if instant.text is None:
            instant.text = json.dumps(instant.content, separators=(",", ":"), allow_nan=False)
            self._bytes += len(instant.text)
            instant.size_bytes += len(instant.text)
        return instant.text

    def numbered(self, number: int) -> Instant | None:
        """An instant by its number."""
        return self._by_number.get(number)

    def known(self, ns: int) -> bool:
        """Whether there is an instant of this stamp."""
        return ns in self._by_ns

    def all(self) -> list[Instant]:
        """Every instant, oldest first."""
        return [self._by_ns[ns] for ns in self._stamps]

    def since(self, revision: int) -> list[Instant]:
        """Instants that changed after a revision; those that change are among the last that were made."""
        changed: list[Instant] = []
        unchanged = 0
        for instant in reversed(self._by_number.values()):
            if instant.revision > revision:
                changed.append(instant)
            elif (unchanged := unchanged + 1) > OPEN_INSTANTS:
                break
        return changed[::-1]

    def newest_settled(self) -> Instant | None:
        """The newest instant that every UAV has answered that answered the one before, or that has ceased to change.

        Those behind the last one that something is known about a UAV of are left out: the truth goes on for two
        seconds after a mission, for the trajectories.
        """
        stamps = self._stamps
        if self._told_ns is not None:
            stamps = stamps[: bisect.bisect_right(stamps, self._told_ns)]
        newest = [self._by_ns[ns] for ns in stamps[-3:]]
        now_s = monotonic()
        for place in range(len(newest) - 1, -1, -1):
            instant = newest[place]
            before = newest[place - 1].answered() if place else set()
            complete = bool(instant.answered()) and before <= instant.answered()
            if complete or now_s - instant.changed_s > SETTLED_S:
                return instant
        return None

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        self._by_ns.clear()
        self._stamps.clear()
        self._open.clear()
        self._by_number.clear()
        self._with_images.clear()
        self._told_ns = None
        self._bytes = 0
        self.revision += 1

    def _shrink(self) -> None:
        newest = self._by_ns[self._stamps[-1]].number
        while self._with_images:
            number, instant = self._with_images.popitem(last=False)
            if instant.images and number != newest:
                freed = sum(map(len, instant.images.values()))
                instant.images.clear()
                instant.size_bytes -= freed
                self._bytes -= freed
                return
        self._forget()

    def _forget(self) -> None:
        old = self._by_ns.pop(self._stamps.pop(0))
        self._by_number.pop(old.number, None)
        self._with_images.pop(old.number, None)
        self._bytes -= old.size_bytes
