"""Places on the Earth (WGS 84) in a local frame: x east, y north, z up, in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_A_M = 6_378_137.0
_E2 = 6.694_379_990_141_316e-3
"""Semi-major axis and squared eccentricity of WGS 84."""


def enu_of(place: ArrayLike, origin: ArrayLike) -> Array:
    """(3,) m of a place in the level frame that begins at `origin`; both (3,): latitude and longitude in degrees,
    height above the ellipsoid in m."""
    lat, lon = np.deg2rad(np.asarray(origin, np.float64)[:2])
    (sp, cp), (sl, cl) = (np.sin(lat), np.cos(lat)), (np.sin(lon), np.cos(lon))
    R_enu_ecef = np.array([[-sl, cl, 0.0], [-sp * cl, -sp * sl, cp], [cp * cl, cp * sl, sp]])
    return np.asarray(R_enu_ecef @ (_ecef(place) - _ecef(origin)))


def _ecef(place: ArrayLike) -> Array:
    lat_deg, lon_deg, height = (float(v) for v in np.asarray(place, np.float64))
    lat, lon = np.deg2rad([lat_deg, lon_deg])
    n = _A_M / np.sqrt(1.0 - _E2 * np.sin(lat) ** 2)
    level = (n + height) * np.cos(lat)
    return np.array([level * np.cos(lon), level * np.sin(lon), (n * (1.0 - _E2) + height) * np.sin(lat)])
