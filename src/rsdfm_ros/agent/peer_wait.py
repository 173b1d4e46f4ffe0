"""PeerWait: waiting of an own image for the packets of the peers. Free of ROS."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.types import OwnFeatures


class PeerWait:
    """The own image that waits for peers, at most one: a newer one takes its place.

    lock: protects the peer records; re-entrant, shared with the caller · missing(stamp_ns): peers whose packets of that
    instant are awaited and have not all arrived · wait_s(): longest wait of the steady clock · fuse(own): called when
    nothing is missing any more, or the wait has timed out · count(name, number): counters. All are called under the
    lock.
    """

    def __init__(
        self,
        lock: threading.RLock,
        missing: Callable[[int], list[Peer]],
        wait_s: Callable[[], float],
        fuse: Callable[[OwnFeatures], None],
        count: Callable[[str, int], None],
    ) -> None:
        self._lock, self._missing, self._wait_s, self._fuse, self._count = lock, missing, wait_s, fuse, count
        self._own: OwnFeatures | None = None
        self._deadline: threading.Timer | None = None

    @property
    def waiting(self) -> bool:
        """Whether an image waits."""
        return self._own is not None

    def take(self, own: OwnFeatures) -> None:
        """Fuse this image as soon as nothing is missing. May be called from any thread."""
        with self._lock:
            if self._own is not None:
                self._count("fusions_skipped", 1)
            self.stop()
            self._own = own
            if self._missing(own.stamp_ns):
                self._deadline = threading.Timer(self._wait_s(), self._give_up, [own])
                self._deadline.daemon = True
                self._deadline.start()
            else:
                self._go()

    def check(self) -> None:
        """Fuse if nothing is missing any more; call it when a packet arrived or a peer left."""
        with self._lock:
            if self._own is not None and not self._missing(self._own.stamp_ns):
                self._go()

    def stop(self) -> None:
        """Forget the image that waits."""
        with self._lock:
            self._own = None
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    def _give_up(self, own: OwnFeatures) -> None:
        with self._lock:
            if self._own is not own:
                return
            missing = self._missing(own.stamp_ns)
            for peer in missing:
                peer.late = True
                peer.waits += 1
            self._count("peers_late", len(missing))
            self._go()

    def _go(self) -> None:
        own = self._own
        self.stop()
        if own is not None:
            self._fuse(own)
