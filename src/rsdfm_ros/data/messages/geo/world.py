"""The world frame around a place on Earth: east, north, up in metres, by PROJ (pyproj).

The frame is a plane: at 1 km from the origin the ground lies 8 cm below z = 0, at 10 km 8 m.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.errors import RsdfmError


@dataclass(frozen=True)
class GeoOrigin:
    """Place of the world's origin: degrees (WGS84), metres above the ellipsoid (or above what all UAVs count from); NaN
    where it is not known. stamp_ns: when it was chosen, 0 for a configured one."""

    latitude: float
    longitude: float
    altitude_m: float
    stamp_ns: int = 0

    @property
    def order(self) -> tuple[float, ...]:
        """Of several origins the first in this order holds: configured ones, then the earliest."""
        return (self.stamp_ns, self.latitude, self.longitude, self.altitude_m)


def check_installed() -> None:
    """Raises: RsdfmError with what to do where pyproj is missing."""
    try:
        importlib.import_module("pyproj")
    except ImportError as error:
        raise RsdfmError(
            "places on Earth (pose_type geo, cpm_node) need the package pyproj, which is not installed: `pip install "
            "pyproj` (ROS: apt install python3-pyproj)"
        ) from error


class GeoWorld:
    """Conversion between latitude, longitude, altitude and the world frame of an origin."""

    def __init__(self, origin: GeoOrigin) -> None:
        """Raises: RsdfmError where pyproj is missing."""
        check_installed()
        pyproj = importlib.import_module("pyproj")
        self.origin = origin
        self._height = 0.0 if math.isnan(origin.altitude_m) else origin.altitude_m
        self._forward = pyproj.Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
            f"+step +proj=topocentric +ellps=WGS84 +lat_0={origin.latitude!r} +lon_0={origin.longitude!r} "
            f"+h_0={self._height!r}"
        )
        self._inverse = pyproj.enums.TransformDirection.INVERSE
        self._R_ecef_origin = _R_ecef_enu(origin.latitude, origin.longitude)

    def position(self, latitude: float, longitude: float, altitude_m: float) -> NDArray[np.float64]:
        """(3,) east, north, up in metres. altitude_m: above the same as the origin's."""
        return np.array(self._forward.transform(longitude, latitude, altitude_m), np.float64)

    def raised(self, latitude: float, longitude: float, height_m: float) -> NDArray[np.float64]:
        """As `position`, of a height above the origin's altitude."""
        return self.position(latitude, longitude, self._height + height_m)

    def R_world_local(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, 3) from east, north, up at a position (3,) of the world to the axes of the world: north there is not
        exactly north at the origin, and up is not up."""
        longitude, latitude, _ = self._forward.transform(*position, direction=self._inverse)
        return np.asarray(self._R_ecef_origin.T @ _R_ecef_enu(latitude, longitude))


def _R_ecef_enu(latitude: float, longitude: float) -> NDArray[np.float64]:
    """(3, 3) from east, north, up at a place to Earth-centred, Earth-fixed axes; columns are those of ENU."""
    phi, lam = math.radians(latitude), math.radians(longitude)
    sp, cp, sl, cl = math.sin(phi), math.cos(phi), math.sin(lam), math.cos(lam)
    return np.array([[-sl, -sp * cl, cp * cl], [cl, -sp * sl, cp * sl], [0.0, cp, sp]])
