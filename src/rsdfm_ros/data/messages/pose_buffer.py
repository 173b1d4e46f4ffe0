"""The poses of the last seconds, and the one between two of them. Free of ROS."""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.poses import PoseSample
from rsdfm_ros.geometry.uncertainty import interpolate

#: Consistent poses in a row that replace the earlier ones, which they contradict.
REPLACING_POSES = 3
#: A correction of this length is no jump at any speed (a satellite fix that settles).
JUMP_SLACK_M = 2.0
#: A pose later than this after a newer one is not sorted in.
LATE_NS = 1_000_000_000
#: Implausible poses agree only if they follow each other this closely.
FOLLOW_NS = 5_000_000_000


class PoseBuffer:
    """Poses by stamp. `at` interpolates between the two neighbours and never extrapolates.

    tolerance_ns: a single pose this close is taken as it is where there are no two to interpolate between ·
    max_gap_ns: neighbours farther apart are not interpolated · max_speed_mps: a pose that implies a higher speed is
    refused, until REPLACING_POSES of them in a row agree (then the old ones are forgotten: the source starts at a new
    place); 0 takes every pose · span_ns, keep: limits of the buffer.
    """

    def __init__(
        self,
        *,
        tolerance_ns: int,
        max_gap_ns: int,
        max_speed_mps: float = 0.0,
        span_ns: int = 10_000_000_000,
        keep: int = 4000,
    ) -> None:
        self._tolerance_ns, self._max_gap_ns = tolerance_ns, max_gap_ns
        self._max_speed_mps = max_speed_mps
        self._span_ns, self._keep = span_ns, keep
        self._stamps: list[int] = []
        self._samples: dict[int, PoseSample] = {}
        self._implausible: list[tuple[int, PoseSample]] = []
        self._reset: int | None = None

    def clear(self) -> None:
        """Forget everything."""
        self._stamps, self._samples, self._implausible, self._reset = [], {}, [], None

    def add(self, stamp_ns: int, sample: PoseSample, reset: int = 0) -> bool:
        """Take a pose; returns whether everything before it was dropped. `reset`: a number that changes when the source
        starts at a new place.

        Raises: MessageError `pose_repeated`, `pose_old` (too late to be sorted in), `pose_jump`.
        """
        if self._reset is not None and reset != self._reset:
            self._forget()
            self._insert(stamp_ns, sample)
            self._reset = reset
            return True
        self._reset = reset
        if stamp_ns in self._samples:
            raise MessageError("pose_repeated", f"a second pose of {stamp_ns} ns")
        fault = self._fault(stamp_ns, sample)
        if fault is None:
            self._implausible = []
            self._insert(stamp_ns, sample)
            return False
        if self._implausible and not self._follows(*self._implausible[-1], stamp_ns, sample):
            self._implausible = []
        self._implausible.append((stamp_ns, sample))
        if len(self._implausible) < REPLACING_POSES:
            raise fault
        agreeing = self._implausible
        self._forget()
        for entry in agreeing:
            self._insert(*entry)
        return True

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest pose; -1 without any."""
        return self._stamps[-1] if self._stamps else -1

    def ready(self, stamp_ns: int) -> bool:
        """Whether `at` can decide: there is a pose of this instant or a later one."""
        return bool(self._stamps) and stamp_ns <= self._stamps[-1]

    def at(self, stamp_ns: int) -> PoseSample:
        """The pose at an instant for which the buffer is ready; exactly the sample where there is one of that stamp.

        Raises: MessageError `no_pose` where no poses are near enough.
        """
        if stamp_ns in self._samples:
            return self._samples[stamp_ns]
        k = bisect_left(self._stamps, stamp_ns)
        if 0 < k < len(self._stamps):
            t0, t1 = self._stamps[k - 1], self._stamps[k]
            if t1 - t0 <= self._max_gap_ns:
                return _between(self._samples[t0], self._samples[t1], (stamp_ns - t0) / (t1 - t0))
        near = min(self._stamps[max(0, k - 1) : k + 1], key=lambda t: abs(t - stamp_ns), default=None)
        if near is not None and abs(near - stamp_ns) <= self._tolerance_ns:
            return self._samples[near]
        raise MessageError(
            "no_pose",
            f"no pose for {stamp_ns} ns: the nearest is "
            + ("unknown" if near is None else f"{(near - stamp_ns) / 1e9:+.3f} s away")
            + f", expected two at most {self._max_gap_ns / 1e9:.3f} s apart or one within "
            f"{self._tolerance_ns / 1e9:.3f} s",
        )

    def _fault(self, stamp_ns: int, sample: PoseSample) -> MessageError | None:
        if not self._stamps:
            return None
        newest = self._stamps[-1]
        if stamp_ns < newest - LATE_NS:
            return MessageError("pose_old", f"a pose of {stamp_ns} ns after one of {newest} ns")
        k = bisect_left(self._stamps, stamp_ns)
        before = self._stamps[max(0, k - 1)]
        if not self._plausible(before, self._samples[before], stamp_ns, sample):
            distance = float(np.linalg.norm(sample.T[:3, 3] - self._samples[before].T[:3, 3]))
            return MessageError(
                "pose_jump",
                f"{distance:.1f} m in {abs(stamp_ns - before) / 1e9:.3f} s, faster than {self._max_speed_mps} m/s",
            )
        return None

    def _follows(self, t0: int, first: PoseSample, t1: int, second: PoseSample) -> bool:
        return t0 < t1 <= t0 + FOLLOW_NS and self._plausible(t0, first, t1, second)

    def _plausible(self, t0: int, first: PoseSample, t1: int, second: PoseSample) -> bool:
        if self._max_speed_mps <= 0:
            return True
        distance = float(np.linalg.norm(second.T[:3, 3] - first.T[:3, 3]))
        return distance <= JUMP_SLACK_M + self._max_speed_mps * abs(t1 - t0) / 1e9

    def _insert(self, stamp_ns: int, sample: PoseSample) -> None:
        insort(self._stamps, stamp_ns)
        self._samples[stamp_ns] = sample
        while len(self._stamps) > self._keep or self._stamps[-1] - self._stamps[0] > self._span_ns:
            del self._samples[self._stamps.pop(0)]

    def _forget(self) -> None:
        self._stamps, self._samples, self._implausible = [], {}, []


def _between(before: PoseSample, after: PoseSample, share: float) -> PoseSample:
    covariance = None
    if before.covariance is not None and after.covariance is not None:
        covariance = (1.0 - share) * before.covariance + share * after.covariance
    return PoseSample(interpolate(before.T, after.T, share), covariance)
