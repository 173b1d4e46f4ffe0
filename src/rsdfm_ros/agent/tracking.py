"""Persistent ids: the objects of successive frames are matched, also after an occlusion.

The heads answer every frame anew, with ids 1…N that are not related to those of the next one. A :class:`Tracker` gives
them ids over time: every track is predicted with its velocity, from the predicted flow, and matched with the nearest
object within its reach. Tracks seen last are matched first; one without a match coasts for a few seconds.

Several heads answer the same instant: a detector with boxes, a segmentation with instances. They are given one after
the other under one stamp, and an object within reach of another of that instant is the same one. :class:`Identities`
does that for all answers of a UAV.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.errors import RsdfmError

MAX_ID = 65_535
"""Ids fit into the 16 bits of a mask; after the last one they start anew, without those that are in use."""
Array = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class TrackerConfig:
    """reach_m: largest distance of an object from the expected place of its track, m · reach_mps: increase of it per
    second since the track was last seen, m/s · reach_share: and per metre of expected travel · coast_s: time that a
    track without a match is kept, s."""

    reach_m: float = 1.5
    reach_mps: float = 0.3
    reach_share: float = 0.3
    coast_s: float = DEFAULTS.id_memory_s


class Tracker:
    """Tracks of one sender of frames; ids count from 1."""

    def __init__(self, config: TrackerConfig = TrackerConfig()) -> None:
        self.config = config
        self._next = 1
        self.clear()

    def clear(self) -> None:
        """Forget all tracks; their ids are not given to others."""
        self._stamp_ns: int | None = None
        self._ids = np.zeros(0, np.int64)
        self._positions, self._velocities = np.zeros((0, 2)), np.zeros((0, 2))
        self._seen_ns = np.zeros(0, np.int64)

    def update(self, stamp_ns: int, positions: Array, velocities: Array | None = None) -> Ids:
        """Ids (N,) of the objects of a frame at positions (N, 2) m with velocities (N, 2) m/s, None if not known.

        A repeated stamp adds objects of the same instant: one within reach of an earlier object of it is the same, with
        the position of the first call and the velocity of the last. An earlier stamp forgets all tracks. Raises:
        RsdfmError for arrays that do not fit.
        """
        here = np.array(positions, np.float64).reshape(-1, 2)
        moving = np.zeros_like(here) if velocities is None else np.array(velocities, np.float64)
        if moving.shape != here.shape:
            raise RsdfmError(f"expected velocities of shape {here.shape}, got {moving.shape}")
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.clear()
        self._stamp_ns = stamp_ns
        self._keep((stamp_ns - self._seen_ns) * 1e-9 <= self.config.coast_s)
        track_of = self._match(here, np.asarray((stamp_ns - self._seen_ns) * 1e-9, np.float64))
        old = track_of >= 0
        known = track_of[old]
        ids, again = np.zeros(len(here), np.int64), np.zeros(len(here), np.bool_)
        ids[old], ids[~old] = self._ids[known], self._new_ids(int((~old).sum()))
        again[old] = self._seen_ns[known] == stamp_ns
        here[again] = self._positions[track_of[again]]
        if velocities is None:
            moving[old] = self._velocities[known]
        rest = np.ones(len(self._ids), np.bool_)
        rest[known] = False
        self._keep(rest)
        self._ids = np.concatenate([self._ids, ids])
        self._positions = np.concatenate([self._positions, here])
        self._velocities = np.concatenate([self._velocities, moving])
        self._seen_ns = np.concatenate([self._seen_ns, np.full(len(ids), stamp_ns, np.int64)])
        return ids

    def _new_ids(self, number: int) -> Ids:
        ring = (self._next - 1 + np.arange(number + len(self._ids))) % MAX_ID + 1
        free = ring[~np.isin(ring, self._ids)][:number]
        if number:
            self._next = int(free[-1]) % MAX_ID + 1
        return free

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        self._ids, self._positions = self._ids[mask], self._positions[mask]
        self._velocities, self._seen_ns = self._velocities[mask], self._seen_ns[mask]

    def _match(self, here: Array, age_s: Array) -> NDArray[np.int64]:
        """Track (row) of every object, −1 for a new one; the tracks seen last are matched first, each group as a
        whole."""
        c = self.config
        way = self._velocities * age_s[:, None]
        expected = self._positions + way
        reach = c.reach_m + c.reach_mps * age_s + c.reach_share * np.linalg.norm(way, axis=1)
        away = expected[:, None] - here[None]
        distance = np.sqrt(away[..., 0] ** 2 + away[..., 1] ** 2)
        near = distance < reach[:, None]
        track_of = np.full(len(here), -1, np.int64)
        for age in np.unique(age_s[near.any(axis=1)]):
            rows, free = np.flatnonzero(age_s == age), np.flatnonzero(track_of < 0)
            pairs = np.ix_(rows, free)
            allowed = near[pairs]
            if not allowed.any():
                continue
            r, f = _assign(distance[pairs], allowed)
            track_of[free[f]] = rows[r]
        return track_of


def _assign(cost: Array, allowed: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the allowed pairs that are matched: as many as possible, of these the cheapest together.

    cost (n, m): not negative. A column of its own stands for "no match" beside every row; it costs more than all
    allowed pairs together. (SciPy's sparse matching is exact as `scipy.optimize` is, and is loaded anyway.)
    """
    n, m = cost.shape
    r, f = np.nonzero(allowed)
    offset = 1.0  # a cost of zero would be no pair at all
    none = (offset + float(cost[r, f].max())) * (min(n, m) + 1)
    rows, columns = np.concatenate([r, np.arange(n)]), np.concatenate([f, m + np.arange(n)])
    costs = np.concatenate([cost[r, f] + offset, np.full(n, none)])
    row, column = min_weight_full_bipartite_matching(csr_array((costs, (rows, columns)), shape=(n, m + n)))
    found = column < m
    return row[found], column[found]


class Identities:
    """Ids of all answers of one UAV, by variant (with its peers, or alone): one id for the box, the instance and the
    trajectory of an object, from frame to frame.

    The heads are called one after the other, detection first; any of them may be missing. May be used from several
    threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trackers: dict[str, Tracker] = {}

    def clear(self) -> None:
        """Forget all tracks; their ids are not given to others."""
        with self._lock:
            for tracker in self._trackers.values():
                tracker.clear()

    def of_boxes(
        self,
        variant: str,
        stamp_ns: int,
        memory_s: float,
        centres: Array,
        velocities: Array,
        sure: NDArray[np.bool_],
    ) -> Ids:
        """Ids (N,) of boxes at centres (N, 3) m with velocities (N, 2) m/s; 0 for those (N,) below the threshold.

        memory_s: time that an unseen object keeps its id.
        """
        ids = np.zeros(len(sure), np.int64)
        ids[sure] = self._update(variant, stamp_ns, memory_s, centres[sure, :2], velocities[sure])
        return ids

    def of_instances(self, variant: str, stamp_ns: int, memory_s: float, centres: Array) -> Ids:
        """Ids (N,) of instances at centres (N, 2) m; their velocities come from boxes or trajectories of the
        instant."""
        return self._update(variant, stamp_ns, memory_s, centres, None)

    def of_trajectories(self, variant: str, stamp_ns: int, memory_s: float, positions: Array) -> Ids:
        """Ids (N,) of objects with positions (N, steps, 2) m, the present first."""
        return self._update(variant, stamp_ns, memory_s, positions[:, 0], velocities_along(positions))

    def _update(
        self, variant: str, stamp_ns: int, memory_s: float, positions: Array, velocities: Array | None
    ) -> Ids:
        with self._lock:
            tracker = self._trackers.setdefault(variant, Tracker())
            tracker.config = replace(tracker.config, coast_s=memory_s)
            return tracker.update(stamp_ns, positions, velocities)


def velocities_along(positions: Array) -> Array:
    """Velocities (N, 2) m/s at the beginning of positions (N, steps, 2) m that are a frame apart."""
    return np.asarray((positions[:, 1] - positions[:, 0]) / FRAME_PERIOD_S, np.float64)


def with_ids(instances: NDArray[np.int32], ids: Ids) -> NDArray[np.int32]:
    """A map of instances 1…N, of any shape, with other ids (N,); 0 stays 0."""
    table = np.concatenate([np.zeros(1, np.int64), ids]).astype(np.int32)
    return table.take(instances)
