"""The origin of a fleet as a message: sensor_msgs/NavSatFix on /geo_origin, kept for late subscribers."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.data.messages.geo.world import GeoOrigin
from rsdfm_ros.data.messages.stamps import stamp_ns

ORIGIN_TOPIC = "/geo_origin"


def origin_of(message: Any) -> GeoOrigin:
    """The origin that a message tells; OriginAgreement.hear checks it."""
    return GeoOrigin(
        float(message.latitude),
        float(message.longitude),
        float(message.altitude),
        stamp_ns(message.header.stamp),
    )
