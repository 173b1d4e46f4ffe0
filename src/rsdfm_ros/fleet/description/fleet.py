"""The fleet description as a whole: one description for plain processes (`rsdfm fleet`) and for launch_ros actions
(launch/fleet.launch.py). docs/fleet.md is generated from these classes."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros import parameters as shared
from rsdfm_ros.fleet.description.fields import FleetDescriptionError, require
from rsdfm_ros.fleet.description.parts import (
    AUTO,
    CONTINUE,
    END,
    GAZEBO,
    LARGE_DATA,
    LOCALHOST,
    NAME,
    NAME_WORDS,
    NONE,
    REPLAY,
    SIMULATION,
    EvaluatorDescription,
    MemberDescription,
    NetworkDescription,
    ProcessesDescription,
    ReplayDescription,
    UavDescription,
    WorldDescription,
)
from rsdfm_ros.settings import setting
from rsdfm_ros.sim.config import WorldConfig


@dataclass(frozen=True)
class FleetDescription:
    """A whole fleet."""

    name: str = setting("fleet", "name of the fleet", pattern=NAME, words=NAME_WORDS)
    uavs: int = setting(
        4, "number of UAVs; without it as many as `members` has, or 4", low=1, high=64, words="1 to 64"
    )
    members: tuple[MemberDescription, ...] = setting(
        (), "what single UAVs have of their own, in order; the others are called uav<n>"
    )
    namespace_prefix: str = setting(
        "",
        "namespace above those of the UAVs: /team makes /team/uav1",
        pattern=f"(/{NAME})*",
        words="namespaces such as /team",
    )
    model: str = shared.MODEL(
        text="model folder, or random:<configuration>[:<seed>] for untrained weights; a relative path is looked for "
        "where the command runs, then in the installed package"
    )
    world: WorldDescription = setting(factory=WorldDescription, text="the world that the UAVs fly in")
    replay: ReplayDescription = setting(factory=ReplayDescription, text="what a world of kind `replay` plays")
    uav: UavDescription = setting(factory=UavDescription, text="what all UAVs have in common")
    evaluator: EvaluatorDescription = setting(factory=EvaluatorDescription, text="the evaluator")
    processes: ProcessesDescription = setting(factory=ProcessesDescription, text="start, failure and end")
    network: NetworkDescription = setting(factory=NetworkDescription, text="DDS settings of all processes")

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the UAVs, which are the last part of their namespaces."""
        return tuple(self.member(n).name or f"uav{n + 1}" for n in range(self.uavs))

    def member(self, index: int) -> MemberDescription:
        """Settings of the UAV of this index."""
        return self.members[index] if index < len(self.members) else MemberDescription()

    @property
    def when_lost(self) -> str:
        """`end`, `continue` or `respawn`."""
        if self.processes.when_lost != AUTO:
            return self.processes.when_lost
        return END if self.in_lockstep else CONTINUE

    @property
    def follows_clock(self) -> bool:
        """Whether the nodes take their time from /clock."""
        return self.world.kind != NONE or self.world.use_sim_time

    @property
    def in_lockstep(self) -> bool:
        """Whether mission time waits for the answers of every UAV."""
        return self.world.kind in (SIMULATION, REPLAY) and self.world.lockstep

    def check(self, where: str = "") -> None:
        """Raise FleetDescriptionError for values that do not fit together."""
        if self.world.kind in (SIMULATION, GAZEBO):
            require(self.uavs <= 8, "uavs", "1 to 8", self.uavs)
        if self.world.kind == GAZEBO:  # whose world is made for the standard place
            for name, usual in (("style", WorldConfig.style), ("weather", WorldConfig.weather)):
                value = getattr(self.world, name)
                require(value == usual, f"world.{name}", f"`{usual}` with a world of kind `{GAZEBO}`", value)
        start_s = self.world.start_s
        require(2 * start_s == round(2 * start_s), "world.start_s", "a multiple of 0.5 s", start_s)
        if self.world.kind == REPLAY:
            require(bool(self.replay.bag), "replay.bag", "the folder of a bag", self.replay.bag)
        require(bool(self.model), "model", "a model folder", self.model)
        network = self.network
        if network.discovery_range == LOCALHOST and network.transport != LARGE_DATA:
            raise FleetDescriptionError(
                f"network.transport: {network.transport!r} would have no effect with network.discovery_range "
                f"{LOCALHOST}, where rmw_fastrtps takes shared memory and UDP: leave it out, or set another range"
            )
        twice = [name for name in self.agents if self.agents.count(name) > 1]
        require(not twice, "members", "names that differ", twice[0] if twice else "")
