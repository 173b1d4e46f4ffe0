"""A fleet description as a list of node specifications: what both launchers start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.fleet.description import FleetDescription, FleetDescriptionError
from rsdfm_ros.model.config import load_model_config, model_config_from_dict

PACKAGE = "rsdfm_ros"
NODES = (
    "encoder_node",
    "collaboration_node",
    "detection_head_node",
    "segmentation_head_node",
    "trajectory_head_node",
)


@dataclass(frozen=True)
class NodeSpec:
    """One process. executable: of this package, lib/rsdfm_ros/<executable>, module rsdfm_ros.nodes.<executable> ·
    role: `uav`, `world` or `evaluator`."""

    name: str
    role: str
    executable: str
    namespace: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def node_specifications(fleet: FleetDescription, out: str | Path | None = None) -> list[NodeSpec]:
    """The processes of a fleet, evaluator first, world last. out: folder for what the evaluator writes.

    Raises: FleetDescriptionError if the model folder cannot be read.
    """
    environment = _environment(fleet)
    specs = [] if not fleet.evaluator.enabled else [_evaluator(fleet, environment, out)]
    for agent in fleet.agents:
        executables = ("uav_node",) if fleet.uav.composed else NODES
        for executable in executables:
            name = agent if fleet.uav.composed else f"{agent}.{executable}"
            specs.append(
                NodeSpec(name, "uav", executable, f"/{agent}", _uav_parameters(fleet, agent), environment)
            )
    if fleet.world.kind == "simulation":
        specs.append(_world(fleet, environment))
    return specs


def _uav_parameters(fleet: FleetDescription, agent: str) -> dict[str, Any]:
    u = fleet.uav
    shared = {
        "use_sim_time": fleet.world.kind == "simulation",
        "agent": agent,
        "model": fleet.model,
        "threads": u.threads,
        "budget_bytes": u.budget_bytes,
        "max_packet_bytes": u.max_packet_bytes,
        "max_age_s": u.max_age_s,
        "peer_wait_s": u.peer_wait_s,
        "liveliness_lease_s": u.liveliness_lease_s,
        "publish_single": u.publish_single,
        "publish_future": u.publish_future,
        "publish_fused": not u.composed,
        "image_reliability": _reliability(fleet),
        "features_reliability": _reliability(fleet),
    }
    return {**shared, **u.parameters}


def _world(fleet: FleetDescription, environment: Mapping[str, str]) -> NodeSpec:
    w = fleet.world
    parameters = {
        "seed": w.seed,
        "uavs": fleet.uavs,
        "frames": w.frames,
        "lockstep": w.lockstep,
        "real_time_factor": w.real_time_factor,
        "answer": "status" if fleet.uav.composed else "trajectories",
        "first_answer_timeout_s": w.first_answer_timeout_s,
        "answer_timeout_s": w.answer_timeout_s,
        "wait_for_truth_listener": fleet.evaluator.enabled,
    }
    return NodeSpec("sim", "world", "sim_node", "", parameters, environment)


def _evaluator(fleet: FleetDescription, environment: Mapping[str, str], out: str | Path | None) -> NodeSpec:
    e, facts = fleet.evaluator, model_facts(fleet.model)
    parameters = {
        "use_sim_time": fleet.world.kind == "simulation",
        "agents": list(fleet.agents),
        "frames": fleet.world.frames if fleet.world.kind == "simulation" else 0,
        "map_bounds_m": list(facts.bounds_m),
        "cell_size_m": facts.cell_size_m,
        "foreground_percent": facts.foreground_percent,
        "expect_future": fleet.uav.publish_future,
        "expect_status": fleet.uav.composed,
        "out": "" if out is None else str(out),
        "record_frames": e.record_frames and out is not None,
        "record_bag": e.record_bag and out is not None,
        "end_timeout_s": e.end_timeout_s,
        "image_reliability": _reliability(fleet),
        "features_reliability": _reliability(fleet),
        "liveliness_lease_s": fleet.uav.liveliness_lease_s,
    }
    return NodeSpec("evaluator", "evaluator", "evaluator_node", "", parameters, environment)


def _reliability(fleet: FleetDescription) -> str:
    """A lockstep mission must not depend on which message the machine happens to lose."""
    return "reliable" if fleet.world.kind == "simulation" and fleet.world.lockstep else "best_effort"


def _environment(fleet: FleetDescription) -> dict[str, str]:
    network = fleet.network
    threads = str(fleet.uav.threads)
    environment = {
        "FASTDDS_BUILTIN_TRANSPORTS": network.transport,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": network.discovery_range,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONUNBUFFERED": "1",
        # Keep freed blocks instead of handing them back to the system for every picture.
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "1073741824",
    }
    if network.domain >= 0:
        environment["ROS_DOMAIN_ID"] = str(network.domain)
    return environment


@dataclass(frozen=True)
class ModelFacts:
    """What the evaluator must know of a model: the area it answers on, m, and its threshold in whole per cents."""

    bounds_m: tuple[float, float, float, float]
    cell_size_m: float
    foreground_percent: int


def model_facts(model: str) -> ModelFacts:
    """Read from the model's manifest, without loading weights. Raises: FleetDescriptionError."""
    percent = 50
    try:
        if model.startswith("random:"):
            config = load_model_config(model.split(":")[1])
        else:
            values = yaml.safe_load((Path(model) / "manifest.yaml").read_text())
            config = model_config_from_dict(values["config"])
            percent = round(100 * float((values.get("thresholds") or {}).get("segmentation", 0.5)))
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise FleetDescriptionError(f"model {model!r}: cannot read its manifest.yaml: {error}") from error
    window = config.output_window
    return ModelFacts(window.bounds, window.cell_size, percent)
