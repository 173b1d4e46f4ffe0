"""Poses of a UAV's cameras at an instant: pose source, extrinsics, TF, covariance. Free of ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.poses import GeoPoses
from rsdfm_ros.data.messages.geo.world import GeoOrigin
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.pose_buffer import PoseBuffer
from rsdfm_ros.data.messages.poses import GEO, POSE_READERS, PoseSample, extrinsics
from rsdfm_ros.data.messages.transforms import TransformTree
from rsdfm_ros.geometry.uncertainty import covariance_in_parent, covariance_of_child


class CameraPoses:
    """Poses of the cameras in the lattice frame, from a pose topic or satellite fixes with extrinsics, or from TF."""

    def __init__(self, config: InputConfig) -> None:
        """Raises: MessageError `extrinsics` for extrinsics or an origin that are no poses, RsdfmError where pyproj is
        missing and needed."""
        self._config = config
        self._T_body_camera = [
            extrinsics(config.extrinsics[7 * c : 7 * c + 7]) for c in range(len(config.cameras))
        ]
        self._T_map_world = extrinsics(config.pose_origin)
        self._moved = not np.array_equal(self._T_map_world, np.eye(4))
        sigma = np.repeat([config.pose_sigma_m, np.deg2rad(config.pose_sigma_deg)], 3)
        self._assumed = np.diag(sigma**2)
        limits = {
            "tolerance_ns": round(config.pose_tolerance_s * 1e9),
            "max_gap_ns": round(config.pose_max_gap_s * 1e9),
            "max_speed_mps": config.max_speed_mps,
        }
        self._buffer = PoseBuffer(**limits)  # type: ignore[arg-type]
        self._tree = TransformTree(**limits)  # type: ignore[arg-type]
        self._geo = GeoPoses(config, **limits) if config.pose_type == GEO else None  # type: ignore[arg-type]
        self._read = POSE_READERS.get(config.pose_type)
        self._body_frame = config.body_frame or ("base_link" if self._geo is not None else "")

    def clear(self) -> None:
        """Forget everything that has a stamp."""
        self._buffer.clear()
        self._tree.clear()
        if self._geo is not None:
            self._geo.clear()

    def set_geo_origin(self, origin: GeoOrigin) -> bool:
        """Place the world frame of satellite fixes; returns whether all earlier poses were dropped."""
        assert self._geo is not None
        return self._geo.set_origin(origin)

    def add_attitude(self, message: Any) -> bool:
        """Take a message of the attitude topic that belongs to satellite fixes; as `add_pose`."""
        assert self._geo is not None
        return self._geo.add_attitude(message)

    def add_pose(self, message: Any) -> bool:
        """Take a message of the pose topic; returns whether all earlier ones were dropped (the source was restarted).

        Raises: MessageError by what is wrong: `frame_id`, `stamp_zero`, `pose_not_finite`, `pose_not_unit`,
        `covariance`, `pose_repeated`, `pose_old`, `pose_jump`, …
        """
        if self._geo is not None:
            return self._geo.add_fix(message)
        assert self._read is not None
        posed = self._read(message)
        config = self._config
        expected = config.pose_frame_id or config.frame_id
        if posed.frame_id and posed.frame_id.lstrip("/") != expected:
            raise MessageError(
                "frame_id",
                f"expected poses in {expected!r}, got {posed.frame_id!r}: set pose_frame_id, and pose_origin if that "
                f"frame is not {config.frame_id!r}",
            )
        child = posed.child_frame_id.lstrip("/")
        if config.body_frame and child and child != config.body_frame:
            raise MessageError(
                "frame_id", f"expected the pose of {config.body_frame!r}, got that of {child!r}"
            )
        self._body_frame = config.body_frame or child or "base_link"
        return self._buffer.add(posed.stamp_ns, posed.sample.known(self._assumed), posed.reset)

    def add_transform(self, transform: Any, *, fixed: bool) -> bool:
        """Take a TransformStamped; as `add_pose`."""
        return self._tree.add(transform, fixed=fixed)

    def ready(self, frame: str, stamp_ns: int) -> bool:
        """Whether `at` can decide for a camera whose images come in `frame`."""
        if self._from_tf:
            return self._tree.ready(self._config.frame_id, frame, stamp_ns)
        if self._config.extrinsics_source == "tf" and not self._tree.ready(self._body_frame, frame, stamp_ns):
            return False
        return (self._geo or self._buffer).ready(stamp_ns)

    def at(self, camera: int, frame: str, stamp_ns: int) -> PoseSample:
        """T_map_camera (4, 4) with its covariance (6, 6). Raises: MessageError `no_pose`."""
        if self._from_tf:
            T = self._tree.at(self._config.frame_id, frame, stamp_ns)
            return PoseSample(T, self._assumed)
        body = self._buffer.at(stamp_ns) if self._geo is None else self._geo.at(stamp_ns, self._assumed)
        T, covariance = body.T, body.covariance
        assert covariance is not None
        if self._moved:
            covariance = covariance_in_parent(self._T_map_world, covariance)
            T = self._T_map_world @ T
        T_body_camera = self._extrinsics(camera, frame, stamp_ns)
        return PoseSample(T @ T_body_camera, covariance_of_child(T, covariance, T_body_camera))

    def missing(self, frame: str) -> str:
        """A sentence about the pose data that an image in `frame` waits for."""
        config = self._config
        if self._from_tf:
            return self._tree.missing(config.frame_id, frame)
        if config.extrinsics_source == "tf":
            return f"no pose after it, or {self._tree.missing(self._body_frame, frame)}"
        return "no pose after it has come" if self._geo is None else self._geo.missing()

    @property
    def _from_tf(self) -> bool:
        return self._read is None and self._geo is None

    def _extrinsics(self, camera: int, frame: str, stamp_ns: int) -> NDArray[np.float64]:
        if self._config.extrinsics_source == "tf":
            return self._tree.at(self._body_frame, frame, stamp_ns)
        return self._T_body_camera[camera]
