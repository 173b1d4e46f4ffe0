"""Stand-ins for messages of satellite fixes and attitudes."""

from __future__ import annotations

from types import SimpleNamespace as Message
from typing import Any

import numpy as np

from rsdfm_ros.geometry.aerospace import enu_from_ned
from rsdfm_ros.geometry.rotations import quaternion_from_matrix, transform
from support.input_messages import header

HERE = (47.3977, 8.5456)


def moved(place: tuple[float, float], heading_deg: float, metres: float) -> tuple[float, float]:
    """The place so far away along pyproj's geodesic."""
    import pyproj

    lon, lat, _ = pyproj.Geod(ellps="WGS84").fwd(place[1], place[0], heading_deg, metres)
    return lat, lon


def navsat(
    place: tuple[float, float],
    altitude_m: float,
    ns: int,
    covariance: np.ndarray | None = None,
    status: int = 0,
) -> Message:
    return Message(
        header=header(ns, "gps"),
        status=Message(status=status, service=1),
        latitude=place[0],
        longitude=place[1],
        altitude=altitude_m,
        position_covariance=np.zeros(9) if covariance is None else covariance.ravel(),
        position_covariance_type=0 if covariance is None else 2,
    )


def px4_global(
    place: tuple[float, float], alt_ellipsoid: float, ns: int, alt: float | None = None
) -> Message:
    return Message(
        timestamp=ns // 1000,
        timestamp_sample=ns // 1000,
        lat=place[0],
        lon=place[1],
        alt=alt_ellipsoid - 48.0 if alt is None else alt,
        alt_ellipsoid=alt_ellipsoid,
        eph=0.5,
        epv=0.8,
    )


def imu(R: np.ndarray, ns: int, covariance: np.ndarray | None = None, unknown: bool = False) -> Message:
    values = np.zeros(9) if covariance is None else np.asarray(covariance, float).ravel()
    if unknown:
        values[0] = -1.0
    return Message(
        header=header(ns, "base_link"),
        orientation=_quaternion(R),
        orientation_covariance=values,
        angular_velocity=Message(x=0.0, y=0.0, z=0.0),
    )


def quaternion(R: np.ndarray, ns: int) -> Message:
    return Message(header=header(ns, "body_FLU"), quaternion=_quaternion(R))


def px4_attitude(R: np.ndarray, ns: int) -> Message:
    x, y, z, w = quaternion_from_matrix(enu_from_ned(transform(R, np.zeros(3)))[:3, :3])
    return Message(
        timestamp=ns // 1000,
        timestamp_sample=ns // 1000,
        q=np.array([w, x, y, z], np.float32),
        quat_reset_counter=0,
    )


def _quaternion(R: np.ndarray) -> Any:
    x, y, z, w = (float(v) for v in quaternion_from_matrix(np.asarray(R, float)))
    return Message(x=x, y=y, z=z, w=w)
