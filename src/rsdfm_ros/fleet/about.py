"""Facts about a mission for result.json, beside its figures: how it was flown, and where the figures come from."""

from __future__ import annotations

from typing import Any

from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import GAZEBO, SIMULATION
from rsdfm_ros.fleet.paths import model_path
from rsdfm_ros.provenance import provenance


def about_mission(fleet: FleetDescription) -> dict[str, Any]:
    """Entries of `protocol` and `provenance`; date and machine are those of this call.

    The fingerprint of the model is added by the evaluator, which reads it from the packets.
    """
    w = fleet.world
    return {
        "protocol": {
            "world": w.kind,
            "lockstep": fleet.in_lockstep,
            "real_time_factor": None if fleet.in_lockstep else w.real_time_factor,
            "budget_bytes": fleet.uav.budget_bytes,
            **({"style": w.style, "weather": w.weather} if w.kind == SIMULATION else {}),
        },
        "provenance": provenance(
            seed=w.seed if w.kind in (SIMULATION, GAZEBO) else None, model=model_path(fleet.model)
        ),
    }
