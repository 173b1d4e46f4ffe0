"""Bags whose poses are satellite fixes and attitudes, made of bags with poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.messages.stamps import stamp_ns
from support.geo_messages import HERE

ORIGIN = (*HERE, 420.0)
NAVSAT, IMU = "sensor_msgs/msg/NavSatFix", "sensor_msgs/msg/Imu"


def geo_map(*, fixes: bool = True, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    uav = {
        "cameras": {
            "camera": {"image": "/{uav}/camera/image_raw", "info": "/{uav}/camera/camera_info"},
        },
        "pose": "/{uav}/fix" if fixes else "/{uav}/pose",
    }
    if fixes:
        uav["attitude"] = "/{uav}/imu"
    return {"uav": uav, "ground_truth": "/ground_truth", "inputs": inputs or {}}


def with_fixes(bag: Path, folder: Path, origin: tuple[float, float, float] | None = None) -> Path:
    """The bag with a NavSatFix and an Imu in place of every pose, made by pyproj's geocentric coordinates around
    ORIGIN. origin: also recorded on /geo_origin."""
    with open_bag(bag) as opened, BagWriter(folder) as writer:
        if origin is not None:
            write(writer, "/geo_origin", 1, navsat(0, origin))
        for m in opened.messages():
            if not m.topic.endswith("/pose"):
                writer.write(m.topic, m.type_name, m.log_ns, m.raw)
                continue
            pose = opened.decode(m)
            ns = stamp_ns(pose.header.stamp)
            p = pose.pose.pose.position
            uav = m.topic.split("/")[1]
            write(writer, f"/{uav}/fix", m.log_ns, navsat(ns, geodetic([p.x, p.y, p.z])))
            write(writer, f"/{uav}/imu", m.log_ns, imu(ns, pose.pose.pose.orientation))
    return folder


def geodetic(p: Any) -> tuple[float, float, float]:
    """Latitude, longitude, altitude of a point (3,) of the world around ORIGIN, by way of EPSG:4978."""
    import pyproj

    to_ecef = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)
    lat, lon, h = ORIGIN
    base = np.array(to_ecef.transform(lon, lat, h))
    a, b = np.radians(lat), np.radians(lon)
    east = np.array([-np.sin(b), np.cos(b), 0.0])
    up = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    ecef = base + np.stack([east, np.cross(up, east), up], axis=1) @ np.asarray(p, float)
    lon, lat, h = to_ecef.transform(*ecef, direction="INVERSE")
    return lat, lon, h


def navsat(ns: int, place: tuple[float, float, float]) -> Any:
    t = typestore().types
    return t[NAVSAT](
        header=header(ns, "gps"),
        status=t["sensor_msgs/msg/NavSatStatus"](status=0, service=1),
        latitude=place[0],
        longitude=place[1],
        altitude=place[2],
        position_covariance=np.eye(3).ravel() * 0.01,
        position_covariance_type=2,
    )


def imu(ns: int, orientation: Any, rate: Any = (0.0, 0.0, 0.0)) -> Any:
    """rate: angular velocity in the body, rad/s."""
    t = typestore().types
    vector = t["geometry_msgs/msg/Vector3"]
    return t[IMU](
        header=header(ns, "base_link"),
        orientation=orientation,
        orientation_covariance=np.eye(3).ravel() * 1e-6,
        angular_velocity=vector(*(float(v) for v in rate)),
        angular_velocity_covariance=np.zeros(9),
        linear_acceleration=vector(0.0, 0.0, 9.81),
        linear_acceleration_covariance=np.zeros(9),
    )


def header(ns: int, frame_id: str) -> Any:
    t = typestore().types
    stamp = t["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
    return t["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def write(writer: BagWriter, topic: str, log_ns: int, message: Any) -> None:
    kind = message.__msgtype__
    writer.write(topic, kind, log_ns, bytes(typestore().serialize_cdr(message, kind)))
