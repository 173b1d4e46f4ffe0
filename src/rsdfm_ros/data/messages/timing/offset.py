"""The time between the stamps of images and those of poses, from image motion.

For a supposed offset the poses at both images' times say where points of the ground go from one image to the next. The
offset with which that agrees best with where they were seen to go is the estimate. It is informed by changes of the
camera's motion alone: while rotation and speed are constant, every offset predicts the same motion, and the uncertainty
says so. It is the spread of the estimates when parts of the recording are left out (jackknife), so that errors that
last, such as those of a gust, count as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from rsdfm_ros.data.messages.timing.flow import FlowPair
from rsdfm_ros.errors import RsdfmError

Array = NDArray[np.float64]

SPAN_S = 0.3
"""Offsets are looked for up to here, either way."""
STEP_S = 0.005
LEAST_PAIRS = 20
PARTS = 10
"""Parts of a recording that are left out, one at a time."""
_SCALE_PX = 1.0
"""Errors beyond about this count less and less (vehicles that move, roofs, points that were lost)."""


@dataclass(frozen=True)
class TimeOffset:
    """offset_s: to be added to the stamps of the images · sigma_s: its standard deviation, infinite where the motion
    does not tell it · pairs: of images · residual_px: median error of points with the offset, and before without it."""

    offset_s: float
    sigma_s: float
    pairs: int
    residual_px: float
    before_px: float


class PoseTrack:
    """Poses of a camera over time: stamps_ns (M,) rising, Ts (M, 4, 4) T_map_camera."""

    def __init__(self, stamps_ns: Sequence[int], Ts: Sequence[Array]) -> None:
        """Raises: RsdfmError for fewer than two poses."""
        if len(stamps_ns) < 2:
            raise RsdfmError("expected at least two poses")
        self.start_ns = stamps_ns[0]
        self._times = (np.asarray(stamps_ns, np.int64) - self.start_ns) / 1e9
        stacked = np.stack(list(Ts))
        self._positions = stacked[:, :3, 3]
        self._slerp = Slerp(self._times, Rotation.from_matrix(stacked[:, :3, :3]))

    def at(self, times_s: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Rotations (N, 3, 3), positions (N, 3), and which of the times (N,), s after start_ns, the track covers."""
        inside = (times_s >= self._times[0]) & (times_s <= self._times[-1])
        clipped = np.clip(times_s, self._times[0], self._times[-1])
        positions = np.stack(
            [np.interp(clipped, self._times, self._positions[:, k]) for k in range(3)], axis=1
        )
        return self._slerp(clipped).as_matrix(), positions, inside


def estimate_offset(pairs: Sequence[FlowPair], track: PoseTrack, ground_z: float = 0.0) -> TimeOffset:
    """The offset of the images' stamps. ground_z: height of level ground in the frame of the poses, m.

    Raises: RsdfmError with fewer than LEAST_PAIRS usable pairs.
    """
    steps = np.arange(-round(SPAN_S / STEP_S), round(SPAN_S / STEP_S) + 1)
    points = _Points(pairs, track, ground_z)
    costs = np.stack([points.costs(step * STEP_S) for step in steps], axis=1)
    usable = np.isfinite(costs).all(axis=1)
    if int(usable.sum()) < LEAST_PAIRS:
        raise RsdfmError(
            f"expected at least {LEAST_PAIRS} pairs of images with poses {SPAN_S} s before and after, at most "
            f"{len(pairs)} were found and {int(usable.sum())} could be used: fly longer, over textured ground"
        )
    costs = costs[usable]
    best = _lowest(costs.sum(axis=0))
    parts = np.array_split(np.arange(len(costs)), PARTS)
    without = [_lowest(np.delete(costs, part, axis=0).sum(axis=0)) for part in parts]
    n = len(parts)
    sigma = math.sqrt((n - 1) / n * float(np.sum((np.array(without) - np.mean(without)) ** 2)))
    edge = abs(best) >= SPAN_S - STEP_S
    total = costs.sum(axis=0)
    flat = float(total.max() - total.min()) < 0.02 * float(total.min() + 1e-9)
    return TimeOffset(
        best,
        math.inf if edge or flat else max(sigma, STEP_S / 10),
        len(costs),
        points.median_px(best),
        points.median_px(0.0),
    )


class _Points:
    """The points of all pairs in one table."""

    def __init__(self, pairs: Sequence[FlowPair], track: PoseTrack, ground_z: float) -> None:
        self._track, self._z = track, ground_z
        self._t0 = np.array([(p.t0_ns - track.start_ns) / 1e9 for p in pairs])
        self._t1 = np.array([(p.t1_ns - track.start_ns) / 1e9 for p in pairs])
        self._of = np.repeat(np.arange(len(pairs)), [len(p.before) for p in pairs])
        flat = [p.before for p in pairs] or [np.zeros((0, 2))]
        xy = np.concatenate(flat)
        self._rays = np.concatenate([xy, np.ones((len(xy), 1))], axis=1)
        self._after = np.concatenate([p.after for p in pairs] or [np.zeros((0, 2))])
        self._focal = np.repeat([p.focal_px for p in pairs], [len(p.before) for p in pairs])

    def errors_px(self, offset_s: float) -> Array:
        """(N,) distance between where points are predicted and where they were seen; NaN where nothing is."""
        R0, p0, in0 = self._track.at(self._t0 + offset_s)
        R1, p1, in1 = self._track.at(self._t1 + offset_s)
        of = self._of
        with np.errstate(all="ignore"):
            rays = np.einsum("nij,nj->ni", R0[of], self._rays)
            reach = (self._z - p0[of, 2]) / rays[:, 2]
            seen = np.einsum("nji,nj->ni", R1[of], p0[of] + reach[:, None] * rays - p1[of])
            wrong = seen[:, :2] / seen[:, 2:] - self._after
        out = np.linalg.norm(wrong, axis=1) * self._focal
        bad = ~(in0 & in1)[of] | ~(reach > 0) | ~(seen[:, 2] > 0) | ~np.isfinite(out)
        out[bad] = np.nan
        return np.asarray(out)

    def costs(self, offset_s: float) -> Array:
        """(P,) mean robust cost of the points of every pair; NaN for a pair without any."""
        errors = self.errors_px(offset_s)
        known = np.isfinite(errors)
        number = np.bincount(self._of[known], minlength=len(self._t0)).astype(np.float64)
        values = np.log1p((errors[known] / _SCALE_PX) ** 2)
        total = np.bincount(self._of[known], values, minlength=len(self._t0))
        number[number == 0] = np.nan
        return np.asarray(total / number)

    def median_px(self, offset_s: float) -> float:
        return float(np.nanmedian(self.errors_px(offset_s)))


def _lowest(cost: Array) -> float:
    """Offset of the lowest cost (K,), between the steps by a parabola."""
    k = int(np.argmin(cost))
    middle = (len(cost) - 1) / 2
    if 0 < k < len(cost) - 1:
        a, b, c = cost[k - 1 : k + 2]
        if a - 2 * b + c > 0:
            return float((k - middle + 0.5 * (a - c) / (a - 2 * b + c)) * STEP_S)
    return float((k - middle) * STEP_S)
