"""Agreement of a fleet on the origin of its world frame, over a topic that keeps its last messages. Free of ROS.

A UAV whose origin is configured publishes it. Another one waits for what is published, and proposes its own first fix
where nothing comes. Of several proposals all UAVs take the first in `GeoOrigin.order`, and publish what they took, so
that it outlives its author. After SETTLE_S a UAV keeps its origin: its world does not move in flight.
"""

from __future__ import annotations

import math

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.config import is_place
from rsdfm_ros.data.messages.geo.world import GeoOrigin

PATIENCE_S = 3.0
"""Wait for the origin of others, from the first fix on."""
SETTLE_S = 10.0
"""After this time with an origin, another one is refused."""


class OriginAgreement:
    """The origin of one UAV. configured: from its parameters · needs_altitude: whether its altitudes refer to that of
    the origin, so that one without is no use. Times are those of a steady clock in seconds."""

    def __init__(self, configured: GeoOrigin | None, *, needs_altitude: bool) -> None:
        self.origin = configured
        self._needs_altitude = needs_altitude
        self._first_fix_s = math.inf
        self._since_s = -math.inf if configured is not None else math.inf

    def propose(self, place: GeoOrigin, now_s: float) -> bool:
        """Offer the place of a fix; whether it became the origin, which is then to be published."""
        self._first_fix_s = min(self._first_fix_s, now_s)
        if self.origin is not None or now_s - self._first_fix_s < PATIENCE_S:
            return False
        self.origin, self._since_s = place, now_s
        return True

    def hear(self, other: GeoOrigin, now_s: float) -> bool:
        """Take what was published; whether it became the origin, which is then to be published on.

        Raises: MessageError `geo_origin` for what is no place, `geo_origin_conflict` for one that came too late.
        """
        known = 0.0 if math.isnan(other.altitude_m) and not self._needs_altitude else other.altitude_m
        if not is_place((other.latitude, other.longitude, known)):
            raise MessageError(
                "geo_origin",
                f"expected latitude, longitude and altitude of an origin, got {other.order[1:]}: set geo_origin for "
                "the fleet, or geo_altitude: takeoff for all UAVs",
            )
        if self.origin is None or (self._earlier(other) and now_s - self._since_s < SETTLE_S):
            self.origin, self._since_s = other, min(self._since_s, now_s)
            return True
        if not _same(self.origin, other) and (
            self._earlier(other) or self.origin.stamp_ns == other.stamp_ns == 0
        ):
            raise MessageError(
                "geo_origin_conflict",
                f"another UAV has its origin at {other.latitude:.7f} {other.longitude:.7f}, this one at "
                f"{self.origin.latitude:.7f} {self.origin.longitude:.7f}: set the same geo_origin for all",
            )
        return False

    def _earlier(self, other: GeoOrigin) -> bool:
        return self.origin is not None and other.order < self.origin.order


def _same(a: GeoOrigin, b: GeoOrigin) -> bool:
    return (a.latitude, a.longitude) == (b.latitude, b.longitude) and (
        a.altitude_m == b.altitude_m or math.isnan(a.altitude_m) or math.isnan(b.altitude_m)
    )
