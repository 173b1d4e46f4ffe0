"""What the figures of speed mean, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.speed.stages import PEERS
from rsdfm_ros.words import counted

FLEET_HZ = 1 / FRAME_PERIOD_S
"""Rate of the cameras of a mission."""


def rate_alone(figures: Mapping[str, Any]) -> dict[str, Any]:
    """`rate_alone_hz`, images per second that one UAV with three peers answers, and `rate_alone_from`: `replay` over
    DDS where there was one, `uav_frame` for the reciprocal of its time; None and empty without both."""
    if (replay := figures.get("replay")) is not None:
        return {"rate_alone_hz": replay["rate_answered_hz"], "rate_alone_from": "replay"}
    if (frame_ms := figures.get("uav_frame_ms")) is not None:
        return {"rate_alone_hz": 1e3 / frame_ms, "rate_alone_from": "uav_frame"}
    return {"rate_alone_hz": None, "rate_alone_from": ""}


def fleet_rate(figures: Mapping[str, Any]) -> float | None:
    """Images per second that each UAV of a fleet of four answers if they share the cores of this computer and nothing
    else runs; None without `uav_frame_ms`."""
    frame_ms = figures.get("uav_frame_ms")
    if frame_ms is None:
        return None
    cores = figures["machine"]["cores"]
    side_by_side = min(PEERS + 1, max(1, cores // figures["threads"]))
    return float(side_by_side * 1e3 / frame_ms / (PEERS + 1))


def conclusion(figures: Mapping[str, Any]) -> str:
    """The sentence."""
    alone, each = figures["rate_alone_hz"], fleet_rate(figures)
    if alone is None or each is None:
        return "Nothing can be said about the speed: no UAV-frame was measured."
    how = {
        "replay": "measured over DDS, one image after the other",
        "uav_frame": "computed from one UAV-frame, without ROS",
    }[figures["rate_alone_from"]]
    verdict = "keeps up" if each >= FLEET_HZ else "does not keep up"
    return (
        f"On this computer one UAV with three peers answers {alone:.1f} images per second ({how}); a fleet of four on "
        f"its {counted(figures['machine']['cores'], 'core')} {verdict} with cameras of {FLEET_HZ:g} Hz: about "
        f"{each:.1f} images per second each, before the world and other programs take their part."
    )
