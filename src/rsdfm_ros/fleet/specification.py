"""A fleet description as a list of node specifications, which both launchers start."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.parts import END, GAZEBO, REPLAY, SIMULATION
from rsdfm_ros.fleet.model_facts import model_facts
from rsdfm_ros.fleet.paths import model_path, parameter_file

NODES = (
    "encoder_node",
    "collaboration_node",
    "detection_head_node",
    "segmentation_head_node",
    "trajectory_head_node",
)
UAV, WORLD, EVALUATOR = "uav", "world", "evaluator"


@dataclass(frozen=True)
class NodeSpec:
    """One process. executable: of this package, lib/rsdfm_ros/<executable> · role: `uav`, `world`, `evaluator`, or
    `companion` of a mission whose end does not matter · parameters, then params_files: the later ones win · remaps:
    from → to · command: another program instead, nothing is added to it."""

    name: str
    role: str
    executable: str
    namespace: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)
    params_files: tuple[str, ...] = ()
    log_level: str = ""
    command: tuple[str, ...] = ()


def node_specifications(
    fleet: FleetDescription, out: str | Path | None = None, about: Mapping[str, Any] | None = None
) -> list[NodeSpec]:
    """The processes of a fleet, evaluator first, world last. out: folder of the evaluator's files · about: facts for
    its result.json beside the figures (fleet/about.py).

    Raises: FleetDescriptionError if the model folder or a parameter file cannot be read.
    """
    specs = [] if not fleet.evaluator.enabled else [_evaluator(fleet, out, about or {})]
    for index, agent in enumerate(fleet.agents):
        executables = ("uav_node",) if fleet.uav.composed else NODES
        for executable in executables:
            name = agent if fleet.uav.composed else f"{agent}.{executable}"
            specs.append(_uav(fleet, index, name, executable))
    if fleet.world.kind == SIMULATION:
        specs.append(_world(fleet))
    if fleet.world.kind == REPLAY:
        specs.append(_replay(fleet))
    if fleet.world.kind == GAZEBO:
        specs += _beside_gazebo(fleet)
    return specs


def namespace_of(fleet: FleetDescription, agent: str) -> str:
    """The namespace of a UAV."""
    return f"{fleet.namespace_prefix}/{agent}"


def remaps_of(fleet: FleetDescription, index: int) -> dict[str, str]:
    """The remapping rules of the nodes of one UAV: its own over those of all, `remaps` over `topics`."""
    member = fleet.member(index)
    return {**fleet.uav.topics.remaps, **fleet.uav.remaps, **member.topics.remaps, **member.remaps}


def outside_remaps(fleet: FleetDescription) -> dict[str, str]:
    """The same rules with absolute names: for the world and the evaluator, which use the topics of every UAV."""
    rules = {}
    for index, agent in enumerate(fleet.agents):
        here = namespace_of(fleet, agent)
        for name, given in remaps_of(fleet, index).items():
            name = name.rpartition(":")[2]
            if not name.startswith("~") and not given.startswith("~"):
                rules[_absolute(name, here)] = _absolute(given, here)
    return rules


def _absolute(name: str, namespace: str) -> str:
    return name if name.startswith("/") else f"{namespace}/{name}"


def _uav(fleet: FleetDescription, index: int, name: str, executable: str) -> NodeSpec:
    agent, member = fleet.agents[index], fleet.member(index)
    return NodeSpec(
        name,
        UAV,
        executable,
        namespace_of(fleet, agent),
        _uav_parameters(fleet, index),
        environment_of(fleet),
        remaps_of(fleet, index),
        tuple(parameter_file(path) for path in (*fleet.uav.params_files, *member.params_files)),
        fleet.processes.log_level,
    )


def _uav_parameters(fleet: FleetDescription, index: int) -> dict[str, Any]:
    u, member = fleet.uav, fleet.member(index)
    extrinsics = member.extrinsics or u.extrinsics
    shared = {
        "use_sim_time": fleet.follows_clock,
        "autostart": u.autostart,
        "agent": fleet.agents[index],
        "model": model_path(fleet.model),
        "engine": u.engine,
        "threads": u.threads,
        "budget_bytes": u.budget_bytes,
        "max_packet_bytes": u.max_packet_bytes,
        "max_age_s": u.max_age_s,
        "peer_wait_s": u.peer_wait_s,
        "liveliness_lease_s": u.liveliness_lease_s,
        "publish_single": u.publish_single,
        "publish_future": u.publish_future,
        "publish_fused": not u.composed,
        "image_reliability": _image_reliability(fleet),
        "features_reliability": _features_reliability(fleet),
    }
    if extrinsics:
        shared["extrinsics"] = list(extrinsics)
    return {**shared, **u.parameters, **member.parameters}


def _beside(
    fleet: FleetDescription, name: str, role: str, executable: str, parameters: Mapping[str, Any]
) -> NodeSpec:
    """A process beside the UAVs."""
    return NodeSpec(
        name,
        role,
        executable,
        fleet.namespace_prefix,
        parameters,
        environment_of(fleet),
        outside_remaps(fleet),
        log_level=fleet.processes.log_level,
    )


def _player(fleet: FleetDescription) -> dict[str, Any]:
    """The parameters of the node that publishes the images: simulator or replay."""
    w = fleet.world
    return {
        "agents": list(fleet.agents),
        "lockstep": w.lockstep,
        "real_time_factor": w.real_time_factor,
        "answer": "status" if fleet.uav.composed else "trajectories",
        "first_answer_timeout_s": w.first_answer_timeout_s,
        "answer_timeout_s": w.answer_timeout_s,
        "wait_for_truth_listener": fleet.evaluator.enabled,
    }


def _world(fleet: FleetDescription) -> NodeSpec:
    w = fleet.world
    more = {
        "seed": w.seed,
        "style": w.style,
        "weather": w.weather,
        "uavs": fleet.uavs,
        "frames": w.frames,
    }
    return _beside(fleet, "sim", WORLD, "sim_node", {**more, **_player(fleet)})


def _beside_gazebo(fleet: FleetDescription) -> list[NodeSpec]:
    """Nodes that fly the UAVs of a Gazebo world and publish its ground truth; the truth node ends with the mission."""
    w = fleet.world
    parameters = {"use_sim_time": True, "seed": w.seed, "agents": list(fleet.agents), "start_s": w.start_s}
    return [
        _beside(fleet, "gazebo_truth", WORLD, "gazebo_truth_node", {**parameters, "frames": w.frames}),
        _beside(fleet, "gazebo_flight", WORLD, "gazebo_flight_node", parameters),
    ]


def _replay(fleet: FleetDescription) -> NodeSpec:
    lease = {"liveliness_lease_s": fleet.uav.liveliness_lease_s}
    parameters = {**dataclasses.asdict(fleet.replay), **_player(fleet), **lease}
    return _beside(fleet, "replay", WORLD, "replay_node", parameters)


def _evaluator(fleet: FleetDescription, out: str | Path | None, about: Mapping[str, Any]) -> NodeSpec:
    e, facts = fleet.evaluator, model_facts(fleet.model)
    parameters = {
        "use_sim_time": fleet.follows_clock,
        "agents": list(fleet.agents),
        "frames": fleet.world.frames if fleet.world.kind in (SIMULATION, GAZEBO) else 0,
        "map_bounds_m": list(facts.bounds_m),
        "cell_size_m": facts.cell_size_m,
        "foreground_percent": facts.foreground_percent,
        "expect_future": fleet.uav.publish_future,
        "expect_status": fleet.uav.composed,
        "own_answers": True,
        "uavs_return": fleet.when_lost != END,
        "out": "" if out is None else str(out),
        "about": json.dumps(about),
        "record_frames": e.record_frames and out is not None,
        "record_bag": e.record_bag and out is not None,
        "end_timeout_s": e.end_timeout_s,
        "image_reliability": _image_reliability(fleet),
        "features_reliability": _features_reliability(fleet),
        "liveliness_lease_s": fleet.uav.liveliness_lease_s,
    }
    return _beside(fleet, "evaluator", EVALUATOR, "evaluator_node", parameters)


def _features_reliability(fleet: FleetDescription) -> str:
    """Reliability of features: a lockstep mission must not depend on lost messages."""
    return "reliable" if fleet.in_lockstep else "best_effort"


def _image_reliability(fleet: FleetDescription) -> str:
    """Reliability of images: the simulator and a replay wait for each to be received, as the shared memory of their
    process does not hold those of all UAVs, and a best-effort image without room is lost without a trace."""
    return "reliable" if fleet.world.kind in (SIMULATION, REPLAY) else "best_effort"


def environment_of(fleet: FleetDescription) -> dict[str, str]:
    """Environment variables of every process of a fleet."""
    network = fleet.network
    threads = str(fleet.uav.threads)
    environment = {
        "FASTDDS_BUILTIN_TRANSPORTS": network.transport,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": network.discovery_range,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONUNBUFFERED": "1",
    }
    if network.domain >= 0:
        environment["ROS_DOMAIN_ID"] = str(network.domain)
    return environment
