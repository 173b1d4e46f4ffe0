"""Settings of poses from satellite fixes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rsdfm_ros.data.messages.geo.fixes import ALTITUDES, ATTITUDE_READERS, FIX_READERS

FIX_TYPES, ATTITUDE_TYPES = tuple(FIX_READERS), tuple(ATTITUDE_READERS)
MAX_ALTITUDE_M = 20_000.0


@dataclass(frozen=True)
class GeoConfig:
    """geo_fix_type, geo_attitude_type: of FIX_TYPES and ATTITUDE_TYPES · geo_origin: latitude and longitude in degrees
    and altitude in metres of the world's origin, empty: agreed among the UAVs · geo_altitude: what the altitude of a
    fix is counted from, of ALTITUDES · geo_geoid_m: height of the geoid above the ellipsoid, added to altitudes above
    it · geo_takeoff_m: z of the place where the first fix was taken, for altitudes above that · geo_max_gap_s: fixes
    farther apart in time are not interpolated between."""

    geo_fix_type: str = "navsat"
    geo_attitude_type: str = "imu"
    geo_origin: tuple[float, ...] = ()
    geo_altitude: str = "ellipsoid"
    geo_geoid_m: float = 0.0
    geo_takeoff_m: float = 0.0
    geo_max_gap_s: float = 1.0

    def geo_problems(self) -> Iterator[tuple[bool, str]]:
        """(whether it is wrong, what was expected and what came) for everything that can be wrong."""
        for name, allowed in (
            ("geo_fix_type", FIX_TYPES),
            ("geo_attitude_type", ATTITUDE_TYPES),
            ("geo_altitude", ALTITUDES),
        ):
            value = getattr(self, name)
            yield value not in allowed, f"{name}: expected one of {', '.join(allowed)}, got {value!r}"
        yield (
            len(self.geo_origin) > 0 and not is_place(self.geo_origin),
            "geo_origin: expected latitude -90 to 90 and longitude -180 to 180 in degrees and an altitude within "
            f"{MAX_ALTITUDE_M:.0f} m, got {list(self.geo_origin)}",
        )


def is_place(values: tuple[float, ...]) -> bool:
    """Whether these are latitude, longitude (degrees) and altitude (m)."""
    if len(values) != 3 or not all(map(math.isfinite, values)):
        return False
    latitude, longitude, altitude = values
    return abs(latitude) <= 90 and abs(longitude) <= 180 and abs(altitude) <= MAX_ALTITUDE_M
