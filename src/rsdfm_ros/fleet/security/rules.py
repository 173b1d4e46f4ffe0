"""What each participant of a fleet may write and read, as topic names of DDS, from a fleet description.

`rt/` begins topics, `rq/` and `rr/` requests and replies of services; `*` stands for any characters. Whatever is not
listed is denied.
"""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.fleet.description.fields import FleetDescriptionError
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.specification import namespace_of, remaps_of

FEATURES, DEMAND = "bev/features", "bev/demand"
"""What UAVs read of each other."""
GROUND = "/ground"
"""Enclave of a station that reads everything and writes nothing that UAVs take."""
DISCOVERY = "ros_discovery_info"
EVERYONE_WRITES = (DISCOVERY, "rt/diagnostics", "rt/parameter_events", "rt/rosout")
EVERYONE_READS = (DISCOVERY, "rt/clock", "rt/parameter_events", "rt/tf", "rt/tf_static")


@dataclass(frozen=True)
class Grant:
    """The rights of one enclave. publish, subscribe: sorted expressions of DDS topic names."""

    enclave: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def features_topic(fleet: FleetDescription, index: int, topic: str = FEATURES) -> str:
    """The fully qualified topic on which a UAV sends its features, or another one of the same kind."""
    here = namespace_of(fleet, fleet.agents[index])
    given = remaps_of(fleet, index).get(topic, topic)
    return given if given.startswith("/") else f"{here}/{given}"


def grants(fleet: FleetDescription) -> list[Grant]:
    """The rights of every UAV and of the ground station, in the order of the fleet.

    A UAV writes topics of its own namespace, its own features and its own demand, and reads its namespace and those of
    the others. It answers services of its own nodes; nobody has the right to call them. Raises: FleetDescriptionError
    if a UAV has the name of the station.
    """
    if GROUND in {namespace_of(fleet, agent) for agent in fleet.agents}:
        raise FleetDescriptionError(f"a UAV is called {GROUND[1:]}, which is the name of the ground station")
    shared = [
        ["rt" + features_topic(fleet, index, topic) for topic in (FEATURES, DEMAND)]
        for index in range(fleet.uavs)
    ]
    found = [_uav(fleet, index, shared) for index in range(fleet.uavs)]
    ground = (*EVERYONE_WRITES, "rt/fleet/status", f"rr{GROUND}/*Reply")
    reads = (DISCOVERY, "rt/*", f"rq{GROUND}/*Request")
    return [*found, Grant(GROUND, tuple(sorted(ground)), tuple(sorted(reads)))]


def _uav(fleet: FleetDescription, index: int, shared: list[list[str]]) -> Grant:
    """shared: topics of every UAV that all others read."""
    here = namespace_of(fleet, fleet.agents[index])
    elsewhere = {f"rt{given}" for given in remaps_of(fleet, index).values() if given.startswith("/")}
    others = [f"rt{namespace_of(fleet, a)}/" for k, a in enumerate(fleet.agents) if k != index]
    everyone = {topic for topics in shared for topic in topics}
    foreign = {
        n for n in elsewhere if n.startswith(tuple(others)) or (n in everyone and n not in shared[index])
    }
    own = {f"rt{here}/*", *shared[index]}
    publish = {*EVERYONE_WRITES, *own, *(elsewhere - foreign), "rt/tf", "rt/tf_static", f"rr{here}/*Reply"}
    subscribe = {*EVERYONE_READS, *own, *elsewhere, *everyone, f"rq{here}/*Request"}
    return Grant(here, tuple(sorted(publish)), tuple(sorted(subscribe)))
