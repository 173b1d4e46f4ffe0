"""The time between images and poses of one camera, estimated from the last images while it flies or a bag is read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.timing.flow import FlowPair, FlowTracker
from rsdfm_ros.data.messages.timing.offset import PoseTrack, TimeOffset, estimate_offset

Array = NDArray[np.float64]
PoseAt = Callable[[int], Array | None]
"""T_map_camera (4, 4) at a stamp in ns; None while it is not known yet. Raises: MessageError where it never will be."""

SAMPLE_NS = 10_000_000
"""The track of poses is kept at this distance."""
BEFORE_NS = 500_000_000
"""Before the first image the track begins so much earlier."""
MAX_SAMPLES = 1000
"""Samples that are taken at once at most: 10 s, as long as poses are kept."""


class OffsetMonitor:
    """May be used by two threads: one gives images, one samples poses.

    pose_at: of the camera · keep: pairs of images that are kept, 0 for all.
    """

    def __init__(self, pose_at: PoseAt, *, keep: int = 0) -> None:
        self._pose_at = pose_at
        self._tracker, self._lock = FlowTracker(), threading.Lock()
        self._pairs: deque[FlowPair] = deque(maxlen=keep or None)
        self._stamps: deque[int] = deque()
        self._Ts: deque[Array] = deque()
        self._next_ns = -1

    def clear(self) -> None:
        """Forget everything, after the clock jumped or the pose source was restarted."""
        with self._lock:
            self._tracker.clear()
            for book in (self._pairs, self._stamps, self._Ts):
                book.clear()
            self._next_ns = -1

    @property
    def pairs(self) -> int:
        """Pairs of images so far."""
        return len(self._pairs)

    def add(self, stamp_ns: int, image: NDArray[np.uint8], K: Array) -> None:
        """Take a rectified image (H, W, 3) RGB with its intrinsics K (3, 3)."""
        if self._next_ns < 0:
            self._next_ns = stamp_ns - BEFORE_NS
        pair = self._tracker.add(stamp_ns, image, K)
        with self._lock:
            if pair is not None:
                self._pairs.append(pair)
            while self._pairs and self._stamps and self._stamps[0] < self._pairs[0].t0_ns - 2 * BEFORE_NS:
                self._stamps.popleft()
                self._Ts.popleft()

    def sample(self) -> None:
        """Take the poses that have become known; in the thread that receives them."""
        for _ in range(MAX_SAMPLES):
            if self._next_ns < 0:
                return
            try:
                T = self._pose_at(self._next_ns)
            except MessageError:
                self._next_ns += SAMPLE_NS  # a gap between poses
                continue
            if T is None:
                return
            with self._lock:
                self._stamps.append(self._next_ns)
                self._Ts.append(T)
            self._next_ns += SAMPLE_NS

    def estimate(self, ground_z: float = 0.0) -> TimeOffset:
        """As estimate_offset."""
        with self._lock:
            pairs, stamps, Ts = list(self._pairs), list(self._stamps), list(self._Ts)
        return estimate_offset(pairs, PoseTrack(stamps, Ts), ground_z)
