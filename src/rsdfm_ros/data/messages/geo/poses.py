"""Poses of a body in the world frame from satellite fixes and attitudes, each interpolated at the time of an image."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.config import GeoConfig
from rsdfm_ros.data.messages.geo.fixes import (
    ATTITUDE_READERS,
    FIX_READERS,
    GEOID,
    TAKEOFF,
    GeoFix,
    attitude_of,
)
from rsdfm_ros.data.messages.geo.world import GeoOrigin, GeoWorld, check_installed
from rsdfm_ros.data.messages.pose_buffer import PoseBuffer
from rsdfm_ros.data.messages.poses import PoseSample
from rsdfm_ros.geometry.rotations import transform

MAX_REACH_M = 50_000.0
"""Farther from the origin a fix is a mistake, or the origin is."""
EARLY_FIXES = 512
"""Fixes that are kept until the origin is known."""


def place_of(fix: GeoFix, config: GeoConfig) -> GeoOrigin:
    """A fix as a proposal for the origin: without altitude where that is counted from the place of take-off."""
    altitude = np.nan if config.geo_altitude == TAKEOFF else _altitude(fix, config)
    return GeoOrigin(fix.latitude, fix.longitude, altitude, fix.stamp_ns)


def configured_origin(config: GeoConfig) -> GeoOrigin | None:
    """The origin of the parameters; None where it is to be agreed."""
    return GeoOrigin(*config.geo_origin) if config.geo_origin else None


class GeoPoses:
    """T_world_body at an instant. Fixes that come before the origin is known are kept.

    tolerance_ns, attitude_gap_ns, max_speed_mps: as in PoseBuffer; geo_max_gap_s is that of the fixes.
    """

    def __init__(
        self, config: GeoConfig, *, tolerance_ns: int, max_gap_ns: int, max_speed_mps: float
    ) -> None:
        """Raises: RsdfmError where pyproj is missing."""
        check_installed()
        self._config = config
        self._read_fix = FIX_READERS[config.geo_fix_type]
        self._read_attitude = ATTITUDE_READERS[config.geo_attitude_type]
        self._positions = PoseBuffer(
            tolerance_ns=tolerance_ns,
            max_gap_ns=round(config.geo_max_gap_s * 1e9),
            max_speed_mps=max_speed_mps,
        )
        self._attitudes = PoseBuffer(tolerance_ns=tolerance_ns, max_gap_ns=max_gap_ns)
        self._early: deque[GeoFix] = deque(maxlen=EARLY_FIXES)
        self._first_m: float | None = None
        self._world: GeoWorld | None = None
        if (origin := configured_origin(config)) is not None:
            self.set_origin(origin)

    def clear(self) -> None:
        """Forget everything that has a stamp; the origin and the altitude of take-off stay."""
        self._positions.clear()
        self._attitudes.clear()
        self._early.clear()

    def set_origin(self, origin: GeoOrigin) -> bool:
        """Place the world frame; returns whether poses of another one were dropped."""
        moved = self._world is not None
        self._world = GeoWorld(origin)
        self._positions.clear()
        early, self._early = self._early, deque(maxlen=EARLY_FIXES)
        for fix in early:
            try:
                self._place(fix, self._world)
            except MessageError:  # repeated or implausible ones among those that waited
                continue
        return moved

    def add_fix(self, message: Any) -> bool:
        """Take a message of `geo_fix_type`; returns whether earlier ones were dropped. Raises: MessageError by what is
        wrong: `geo_no_fix`, `geo_fix`, `geo_far`, `stamp_zero`, `covariance`, and as PoseBuffer.add."""
        fix = self._read_fix(message, self._config.geo_altitude)
        if self._first_m is None:
            self._first_m = fix.altitude_m
        if self._world is None:
            self._early.append(fix)
            return False
        return self._place(fix, self._world)

    def add_attitude(self, message: Any) -> bool:
        """Take a message of `geo_attitude_type`; returns whether earlier ones were dropped. Raises: MessageError."""
        posed = attitude_of(self._read_attitude(message))
        return self._attitudes.add(posed.stamp_ns, posed.sample, posed.reset)

    def ready(self, stamp_ns: int) -> bool:
        """Whether `at` can decide."""
        return self._positions.ready(stamp_ns) and self._attitudes.ready(stamp_ns)

    def at(self, stamp_ns: int, assumed: NDArray[np.float64]) -> PoseSample:
        """T_world_body (4, 4) and its covariance (6, 6), with the blocks of `assumed` that neither source knows.
        Raises: MessageError `no_pose`."""
        assert self._world is not None
        place, turn = self._positions.at(stamp_ns), self._attitudes.at(stamp_ns)
        R = self._world.R_world_local(place.T[:3, 3])
        covariance = assumed.copy()
        if place.covariance is not None:
            covariance[:3, :3] = R @ place.covariance[:3, :3] @ R.T
        if turn.covariance is not None:
            covariance[3:, 3:] = R @ turn.covariance[3:, 3:] @ R.T
        return PoseSample(transform(R @ turn.T[:3, :3], place.T[:3, 3]), covariance)

    def missing(self) -> str:
        """A sentence about what an image waits for."""
        if self._world is None:
            return (
                "the geo_origin of the fleet is not known yet: no fix has come, or no other UAV has told it"
            )
        return "no fix after it, or no attitude after it, has come"

    def _place(self, fix: GeoFix, world: GeoWorld) -> bool:
        config = self._config
        if config.geo_altitude == TAKEOFF:
            assert self._first_m is not None
            height = fix.altitude_m - self._first_m + config.geo_takeoff_m
            position = world.raised(fix.latitude, fix.longitude, height)
        else:
            position = world.position(fix.latitude, fix.longitude, _altitude(fix, config))
        if not np.isfinite(position).all() or float(np.linalg.norm(position)) > MAX_REACH_M:
            origin = world.origin
            raise MessageError(
                "geo_far",
                f"expected a fix within {MAX_REACH_M / 1000:.0f} km of geo_origin {origin.latitude:.5f} "
                f"{origin.longitude:.5f}, got {fix.latitude:.5f} {fix.longitude:.5f}",
            )
        covariance = None
        if fix.covariance is not None:
            covariance = np.zeros((6, 6))
            covariance[:3, :3] = fix.covariance
        return self._positions.add(fix.stamp_ns, PoseSample(transform(np.eye(3), position), covariance))


def _altitude(fix: GeoFix, config: GeoConfig) -> float:
    """Above the ellipsoid."""
    return fix.altitude_m + (config.geo_geoid_m if config.geo_altitude == GEOID else 0.0)
