"""Ids that last: the objects of successive frames are matched, and known again after an occlusion.

The heads answer every frame anew, with ids 1…N that mean nothing in the next one. A :class:`Tracker` gives them ids
over time: every track is carried on by its velocity, which the predicted flow tells, and takes the nearest object
within its reach. Tracks seen last are matched first; one that finds nothing coasts on, for a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from rsdfm_ros.errors import RsdfmError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackerConfig:
    """reach_m: how far an object may be from where its track is expected, m · reach_mps: how much farther per second
    since it was last seen, m/s · reach_share: and per metre that it should have travelled · coast_s: how long a track
    that finds nothing is kept, s."""

    reach_m: float = 1.5
    reach_mps: float = 0.3
    reach_share: float = 0.3
    coast_s: float = 3.5


class Tracker:
    """Tracks of one sender of frames; ids count from 1 and are never used twice until `clear`."""

    def __init__(self, config: TrackerConfig = TrackerConfig()) -> None:
        self.config = config
        self.clear()

    def clear(self) -> None:
        """Forget everything, ids too."""
        self._next = 1
        self._stamp_ns: int | None = None
        self._ids = np.zeros(0, np.int64)
        self._positions, self._velocities = np.zeros((0, 2)), np.zeros((0, 2))
        self._seen_ns = np.zeros(0, np.int64)

    def update(self, stamp_ns: int, positions: Array, velocities: Array) -> NDArray[np.int64]:
        """Ids (N,) of the objects of a frame at positions (N, 2) m with velocities (N, 2) m/s.

        A stamp that is not after the last one forgets all tracks (but no id is used again). Raises: RsdfmError for
        arrays that do not fit.
        """
        here = np.asarray(positions, np.float64).reshape(-1, 2)
        moving = np.asarray(velocities, np.float64)
        if moving.shape != here.shape:
            raise RsdfmError(f"expected velocities of shape {here.shape}, got {moving.shape}")
        if self._stamp_ns is not None and stamp_ns <= self._stamp_ns:
            self._keep(np.zeros(len(self._ids), np.bool_))
        self._stamp_ns = stamp_ns
        self._keep((stamp_ns - self._seen_ns) * 1e-9 <= self.config.coast_s)
        track_of = self._match(here, np.asarray((stamp_ns - self._seen_ns) * 1e-9, np.float64))
        ids = np.zeros(len(here), np.int64)
        old = track_of >= 0
        ids[old] = self._ids[track_of[old]]
        ids[~old] = np.arange(self._next, self._next + int((~old).sum()))
        self._next += int((~old).sum())
        rest = np.ones(len(self._ids), np.bool_)
        rest[track_of[old]] = False
        self._keep(rest)
        self._ids = np.concatenate([self._ids, ids])
        self._positions = np.concatenate([self._positions, here])
        self._velocities = np.concatenate([self._velocities, moving])
        self._seen_ns = np.concatenate([self._seen_ns, np.full(len(ids), stamp_ns, np.int64)])
        return ids

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        self._ids, self._positions = self._ids[mask], self._positions[mask]
        self._velocities, self._seen_ns = self._velocities[mask], self._seen_ns[mask]

    def _match(self, here: Array, age_s: Array) -> NDArray[np.int64]:
        """Track (row) of every object, −1 for a new one; the tracks seen last choose first, each group as a whole."""
        c = self.config
        way = self._velocities * age_s[:, None]
        expected = self._positions + way
        reach = c.reach_m + c.reach_mps * age_s + c.reach_share * np.linalg.norm(way, axis=1)
        distance = np.linalg.norm(expected[:, None] - here[None], axis=-1)
        track_of = np.full(len(here), -1, np.int64)
        for age in np.unique(age_s):
            rows, free = np.flatnonzero(age_s == age), np.flatnonzero(track_of < 0)
            cost = distance[np.ix_(rows, free)]
            allowed = cost < reach[rows, None]
            if not allowed.any():
                continue
            # What is not allowed costs more than any number of allowed pairs: as many as possible are matched.
            limit = 1.0 + float(reach[rows].max()) * (min(cost.shape) + 1)
            for r, f in zip(*linear_sum_assignment(np.where(allowed, cost, limit)), strict=True):
                if allowed[r, f]:
                    track_of[free[f]] = rows[r]
        return track_of
