"""Names of the feature topics of peers, and the publishers of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEATURES = "bev/features"
FEATURES_TYPE = "rsdfm_ros/msg/FeaturePacket"


def topic_of(peer: str) -> str:
    """The feature topic of a peer that is listed by name (uav2) or by topic (/fleet/uav2/bev/features)."""
    return peer if peer.startswith("/") else f"/{peer}/{FEATURES}"


def name_of(topic: str) -> str:
    """The peer that a feature topic belongs to: what stands before /bev/features, or before the last part of a topic
    that is called otherwise; empty if nothing does."""
    suffix = f"/{FEATURES}"
    before = topic[: -len(suffix)] if topic.endswith(suffix) else topic.rpartition("/")[0]
    return before.rpartition("/")[2][:64]


def gid_of(info: Mapping[str, Any]) -> bytes:
    """The global identifier of the publisher of a message; empty where the middleware does not tell it."""
    return bytes((info.get("publisher_gid") or {}).get("data", b""))
