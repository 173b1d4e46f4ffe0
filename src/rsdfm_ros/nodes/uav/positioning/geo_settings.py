"""The parameters about poses from satellite fixes; docs/inputs.md explains them with examples."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.data.messages.geo.config import ATTITUDE_TYPES, FIX_TYPES, GeoConfig
from rsdfm_ros.data.messages.geo.fixes import ALTITUDES
from rsdfm_ros.settings import setting


@dataclass(frozen=True)
class GeoSettings:
    """Poses from satellite fixes (pose_type geo)."""

    geo_fix_type: str = setting(
        GeoConfig.geo_fix_type,
        "message on `fix`: sensor_msgs/NavSatFix or px4_msgs/VehicleGlobalPosition",
        choices=FIX_TYPES,
    )
    geo_attitude_type: str = setting(
        GeoConfig.geo_attitude_type,
        "message on `attitude`, of the body in east, north, up: sensor_msgs/Imu, geometry_msgs/QuaternionStamped, "
        "PoseStamped, nav_msgs/Odometry, px4_msgs/VehicleAttitude",
        choices=ATTITUDE_TYPES,
    )
    geo_origin: tuple[float, ...] = setting(
        GeoConfig.geo_origin,
        "latitude, longitude (degrees), altitude (m) of the origin of frame_id, the same for all UAVs; empty: the "
        "first UAV's first fix, agreed over /geo_origin",
        length=(0, 3),
    )
    geo_altitude: str = setting(
        GeoConfig.geo_altitude,
        "what altitudes of fixes count from: the WGS84 ellipsoid, the geoid (mean sea level), or the place of the "
        "first fix",
        choices=ALTITUDES,
    )
    geo_geoid_m: float = setting(
        GeoConfig.geo_geoid_m,
        "height of the geoid above the ellipsoid where the fleet flies, for geo_altitude geoid, m; the same for all",
        low=-120.0,
        high=100.0,
    )
    geo_takeoff_m: float = setting(
        GeoConfig.geo_takeoff_m,
        "z of the place of the first fix, for geo_altitude takeoff, m",
        low=-1e4,
        high=1e4,
    )
    geo_max_gap_s: float = setting(
        GeoConfig.geo_max_gap_s,
        "fixes farther apart in time are not interpolated between, s",
        low=0.0,
        high=10.0,
    )
