"""The parameters that nodes of several kinds have."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros import parameters as shared
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.nodes.core.qos import RELIABILITY
from rsdfm_ros.settings import setting


@dataclass(frozen=True)
class NodeSettings:
    """Settings of every node."""

    autostart: bool = shared.AUTOSTART(read_only=True)
    frame_id: str = setting(FRAME_ID, "frame of the world lattice, ENU metres")
    input_timeout_s: float = setting(
        5.0,
        "an input that does not come for that long is reported; answers older than that are stale, s",
        low=0.1,
        high=3600.0,
        dynamic=True,
    )


@dataclass(frozen=True)
class ImageTopicSettings:
    """Quality of service of what the sensors of a UAV publish."""

    image_reliability: str = setting(
        "best_effort", "how images, camera information and poses are subscribed to", choices=RELIABILITY
    )


@dataclass(frozen=True)
class FeatureTopicSettings:
    """Quality of service of feature packets, for those who send and those who take them."""

    features_reliability: str = setting(
        "best_effort", "reliability of feature packets; the same on every UAV", choices=RELIABILITY
    )
    liveliness_lease_s: float = shared.LIVELINESS_LEASE_S()
