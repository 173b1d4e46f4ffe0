"""One UAV alone over real DDS, with the packets of its peers played from a bag: the rate at which it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.fleet.checks import check_fleet
from rsdfm_ros.fleet.description.parts import ReplayDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.mission import run_fleet
from rsdfm_ros.fleet.replay import replay_fleet


def replayed_alone(
    model: str, bag: Path, uav: str, out: Path, threads: int = 1, engine: str = "auto"
) -> dict[str, Any]:
    """The figures of this UAV (`agents` of result.json) when the bag is played in lockstep: the next image comes with
    the answer to the one before. out: a new folder. Raises: RsdfmError, also where ROS is not installed."""
    described = fleet_from_dict(
        {"name": "alone", "model": model, "uav": {"threads": threads, "engine": engine}}
    )
    fleet, _ = replay_fleet(described, ReplayDescription(bag=str(bag)), uavs=[uav])
    check_fleet(fleet)
    result = run_fleet(fleet, out_dir=out).result
    if result is None or result["agents"][uav]["rate_answered_hz"] is None:
        raise RsdfmError(f"the replay of {bag} gave no rate: the logs are in {out / 'logs'}")
    figures: dict[str, Any] = result["agents"][uav]
    return figures
