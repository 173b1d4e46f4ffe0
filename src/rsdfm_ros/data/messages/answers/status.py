"""Status of a UAV: messages (from rclpy or from a bag) to plain values, by the keys of status.jsonl."""

from __future__ import annotations

from typing import Any

SENDING = ("demand_bytes_sent", "images_reduced", "images_not_sent", "images_unwanted")
"""Counters of an AgentStatus about what was sent less, and of what is sent beside the features."""


def status_facts(message: Any) -> dict[str, Any]:
    """An AgentStatus as plain values."""
    return {
        "frames_processed": message.frames_processed,
        "frames_dropped": message.frames_dropped,
        "rate_hz": message.rate_hz,
        "latency_median_ms": 1e3 * message.latency_median_s,
        "latency_p95_ms": 1e3 * message.latency_p95_s,
        "bytes_sent": message.bytes_sent,
        "bytes_received": message.bytes_received,
        **{name: getattr(message, name) for name in SENDING},
        "packets_received": message.packets_received,
        "packets_lost": message.packets_lost,
        "packets_rejected": message.packets_rejected,
        "peers": list(message.peers),
        "peer_ages_s": [float(a) for a in message.peer_ages_s],
        "objects": message.objects,
    }
