"""Messages of satellite fixes and attitudes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.poses import (
    PoseSample,
    StampedPose,
    from_odometry,
    from_pose_stamped,
    matrix_of,
)
from rsdfm_ros.data.messages.stamps import checked_stamp_ns
from rsdfm_ros.geometry.aerospace import enu_from_ned, pose_from_px4

ELLIPSOID, GEOID, TAKEOFF = ALTITUDES = ("ellipsoid", "geoid", "takeoff")
"""What altitudes are counted from: the WGS84 ellipsoid, the geoid (mean sea level), the place of the first fix."""
_NO_FIX = -1
_UNKNOWN_COVARIANCE = 0


@dataclass(frozen=True)
class GeoFix:
    """Latitude and longitude (degrees, WGS84), altitude (m, as its sender counts it), covariance (3, 3) in m² about
    east, north, up; None where the sender knows none."""

    stamp_ns: int
    latitude: float
    longitude: float
    altitude_m: float
    covariance: NDArray[np.float64] | None = None


def from_navsat(message: Any, altitude: str = ELLIPSOID) -> GeoFix:
    """sensor_msgs/NavSatFix. Raises: MessageError `geo_no_fix` without a fix, `geo_fix` for what is no place."""
    stamp = checked_stamp_ns(message.header.stamp, "fix")
    if int(message.status.status) == _NO_FIX:
        raise MessageError("geo_no_fix", "the receiver has no fix (status -1)")
    covariance = None
    if int(message.position_covariance_type) != _UNKNOWN_COVARIANCE:
        covariance = np.array(message.position_covariance, np.float64).reshape(3, 3)
    return _checked(GeoFix(stamp, message.latitude, message.longitude, message.altitude, covariance))


def from_px4_global(message: Any, altitude: str = ELLIPSOID) -> GeoFix:
    """px4_msgs/VehicleGlobalPosition: `alt_ellipsoid` for altitudes above the ellipsoid, else `alt`; eph and epv are
    the standard deviations on each horizontal axis and of the altitude. Raises: as `from_navsat`."""
    stamp_us = int(message.timestamp_sample) or int(message.timestamp)
    if stamp_us == 0:
        raise MessageError("stamp_zero", "px4 global position: timestamp_sample and timestamp are zero")
    value = message.alt_ellipsoid if altitude == ELLIPSOID else message.alt
    covariance = np.diag(np.square([message.eph, message.eph, message.epv])).astype(np.float64)
    return _checked(GeoFix(stamp_us * 1000, message.lat, message.lon, value, covariance))


def _checked(fix: GeoFix) -> GeoFix:
    values = (fix.latitude, fix.longitude, fix.altitude_m)
    if not all(map(math.isfinite, values)) or abs(fix.latitude) > 90 or abs(fix.longitude) > 180:
        raise MessageError(
            "geo_fix", f"expected latitude, longitude (degrees) and altitude (m) of a fix, got {values}"
        )
    if fix.latitude == 0 and fix.longitude == 0:
        raise MessageError("geo_no_fix", "latitude and longitude are 0: the receiver has no fix")
    covariance = fix.covariance
    if covariance is None or not np.isfinite(covariance).all() or not covariance.any():
        return GeoFix(fix.stamp_ns, *map(float, values))
    covariance = 0.5 * (covariance + covariance.T)
    if np.linalg.eigvalsh(covariance)[0] < -1e-9 * float(np.abs(covariance).max()):
        raise MessageError("covariance", "expected a covariance of the fix with variances >= 0")
    return GeoFix(fix.stamp_ns, *map(float, values), covariance)


def from_imu(message: Any) -> StampedPose:
    """Attitude of a sensor_msgs/Imu: body axes (forward, left, up) in east, north, up. Raises: MessageError
    `attitude_unknown` where the sender has no orientation (first covariance -1)."""
    stamp = checked_stamp_ns(message.header.stamp, "imu")
    variances = np.array(message.orientation_covariance, np.float64).reshape(3, 3)
    if variances[0, 0] == -1:
        raise MessageError("attitude_unknown", "the Imu message says that it has no orientation")
    covariance = None
    if np.isfinite(variances).all() and variances.any():
        if (np.diag(variances) < 0).any():
            raise MessageError("covariance", "expected a covariance with variances >= 0")
        covariance = np.zeros((6, 6))
        covariance[3:, 3:] = variances
    return StampedPose(stamp, PoseSample(_turned(message.orientation), covariance), "")


def from_quaternion(message: Any) -> StampedPose:
    """geometry_msgs/QuaternionStamped, as DJI's psdk publishes attitudes: no covariance."""
    stamp = checked_stamp_ns(message.header.stamp, "attitude")
    return StampedPose(stamp, PoseSample(_turned(message.quaternion)), "")


def from_px4_attitude(message: Any) -> StampedPose:
    """px4_msgs/VehicleAttitude: FRD in NED, converted to FLU in ENU; no covariance."""
    stamp_us = int(message.timestamp_sample) or int(message.timestamp)
    if stamp_us == 0:
        raise MessageError("stamp_zero", "px4 attitude: timestamp_sample and timestamp are zero")
    q = np.asarray(message.q, np.float64)
    matrix_of((0.0, 0.0, 0.0), (q[1], q[2], q[3], q[0]))
    T = enu_from_ned(pose_from_px4(np.zeros(3), q))
    return StampedPose(stamp_us * 1000, PoseSample(T), "", "", int(message.quat_reset_counter))


def attitude_of(posed: StampedPose) -> StampedPose:
    """Only the attitude of a pose, with its block of the covariance."""
    T = posed.sample.T.copy()
    T[:3, 3] = 0.0
    covariance = posed.sample.covariance
    if covariance is not None:
        block = covariance[3:, 3:]
        covariance = None
        if np.isfinite(block).all():
            covariance = np.zeros((6, 6))
            covariance[3:, 3:] = block
    return StampedPose(posed.stamp_ns, PoseSample(T, covariance), "", "", posed.reset)


def _turned(quaternion: Any) -> NDArray[np.float64]:
    q = quaternion
    return matrix_of((0.0, 0.0, 0.0), (q.x, q.y, q.z, q.w))


#: Fields that are read of messages of px4_msgs.
PX4_GLOBAL_POSITION = """uint64 timestamp
uint64 timestamp_sample
float64 lat
float64 lon
float32 alt
float32 alt_ellipsoid
float32 eph
float32 epv
"""
PX4_ATTITUDE = """uint64 timestamp
uint64 timestamp_sample
float32[4] q
uint8 quat_reset_counter
"""
#: Reader of every `geo_fix_type`; its second argument is what altitudes are counted from.
FIX_READERS: Mapping[str, Callable[[Any, str], GeoFix]] = {"navsat": from_navsat, "px4": from_px4_global}
#: Reader of every `geo_attitude_type`.
ATTITUDE_READERS: Mapping[str, Callable[[Any], StampedPose]] = {
    "imu": from_imu,
    "quaternion": from_quaternion,
    "pose": from_pose_stamped,
    "odometry": from_odometry,
    "px4": from_px4_attitude,
}
