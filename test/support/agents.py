"""Three agents over a painted scene that exchange packets."""

from __future__ import annotations

from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.agent.envelope import Envelope
from rsdfm_ros.agent.options import AgentOptions
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.errors import WireError
from support.painted import PaintedScene

NAMES = ("uav1", "uav2", "uav3")


class Reports:
    """Keeps the peers and errors that it is called with."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, WireError]] = []

    def __call__(self, peer: str, error: WireError) -> None:
        self.errors.append((peer, error))


def fleet(perception: Perception, options: AgentOptions, on_error: Reports | None = None) -> dict[str, Agent]:
    report = on_error or Reports()
    return {
        n: Agent(n, perception, options, peers=[m for m in NAMES if m != n], on_error=report) for n in NAMES
    }


def observe(agents: dict[str, Agent], k: int) -> dict[str, OwnFeatures]:
    frame = PaintedScene().load(k)
    return {n: agents[n].observe(frame.views_of(n), frame.stamp_ns) for n in NAMES}


def exchange(
    agents: dict[str, Agent], own: dict[str, OwnFeatures], silent: tuple[str, ...] = ()
) -> dict[str, int]:
    """Every UAV's packets to all others; how many packets each of them sent."""
    numbers = {}
    for name in [n for n in own if n not in silent]:
        mine, packets = own[name], []

        def transmit(payload: bytes, index: int, count: int, mine=mine, packets=packets, name=name) -> int:  # type: ignore[no-untyped-def]
            fingerprint = agents[name].model.fingerprint
            packets.append(
                (
                    Envelope(
                        name,
                        mine.stamp_ns,
                        mine.frame,
                        index,
                        count,
                        fingerprint,
                        mine.T_map_camera,
                        mine.covariance,
                    ),
                    payload,
                )
            )
            return len(payload)

        agents[name].send(mine, transmit)
        for other in NAMES:
            for envelope, payload in packets if other != name else []:
                agents[other].receive(envelope, payload, mine.stamp_ns)
        numbers[name] = len(packets)
    return numbers
