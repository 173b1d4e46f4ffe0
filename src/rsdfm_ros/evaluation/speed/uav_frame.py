"""The work of one UAV for one image, as a node of its own does it: `Agent` from the image to the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from rsdfm_ros.agent.agent import Agent
from rsdfm_ros.agent.envelope import Envelope
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.evaluation.speed.scene import Scene
from rsdfm_ros.model.perception import Perception

Packets = tuple[tuple[Envelope, bytes], ...]
"""What one UAV sends for one image."""

START_NS, PERIOD_NS = 10_000_000_000, round(FRAME_PERIOD_S * 1e9)


def stamp_ns(k: int) -> int:
    """Stamp of frame k."""
    return START_NS + k * PERIOD_NS


def sent(agent: Agent, own: OwnFeatures) -> Packets:
    """What a UAV sends for an own map."""
    packets: list[tuple[Envelope, bytes]] = []

    def transmit(payload: bytes, index: int, count: int) -> int:
        about = (agent.name, own.stamp_ns, own.frame, index, count, agent.model.fingerprint)
        packets.append((Envelope(*about, own.T_map_camera, own.covariance), payload))
        return len(payload)

    agent.send(own, transmit)
    return tuple(packets)


def packets_of(
    model: Perception, scene: Scene, agents: Sequence[str], on_frame: Callable[[], None] = lambda: None
) -> dict[str, list[Packets]]:
    """What UAVs send for every frame of a scene, by UAV. on_frame: called after every frame of every UAV."""
    out: dict[str, list[Packets]] = {}
    for name in agents:
        agent, out[name] = Agent(name, model), []
        for k in range(len(scene.frames)):
            own = agent.observe([scene.view(name, k)], stamp_ns(k), scene.ground)
            out[name].append(sent(agent, own))
            on_frame()
    return out


class UavFrame:
    """One UAV and the packets of its peers; every call is the work for one image, with all peers on time.

    agent: whose images · packets: of the peers, by name and frame of the scene · single: also all answers without
    peers, as with `publish_single`.
    """

    def __init__(
        self,
        model: Perception,
        scene: Scene,
        agent: str,
        packets: Mapping[str, Sequence[Packets]],
        *,
        single: bool = False,
    ) -> None:
        self._scene, self._packets, self._single = scene, packets, single
        self._agent = Agent(agent, model, peers=list(packets))
        self._k = 0

    def __call__(self) -> int:
        """Do the work; the number of UAVs in the fusion."""
        k, agent = self._k, self._agent
        self._k += 1
        own = agent.observe([self._scene.view(agent.name, k)], stamp_ns(k), self._scene.ground)
        agent.send(own, lambda payload, index, count: len(payload))
        self._receive(k)
        return len(agent.answer(own, single=self._single).fused.contributors)

    def _receive(self, k: int) -> None:
        """Take the packets as a node takes those of peers that it knows: they are decoded when they are fused."""
        inbox = self._agent.receiver.inbox
        for of_frames in self._packets.values():
            for envelope, payload in of_frames[self._scene.place(k)]:
                now = replace(envelope, stamp_ns=stamp_ns(k), frame=k)
                inbox.put(now, payload, stamp_ns(k), later=True)


class FleetFrame:
    """A whole fleet of which one UAV answers: the images of all are encoded, those of the others are sent to it.

    workers: UAVs that are at work at the same time, each with one thread, as nodes of their own are.
    """

    def __init__(self, model: Perception, scene: Scene, agents: Sequence[str], workers: int) -> None:
        self._scene = scene
        self._ego = Agent(agents[0], model, peers=agents[1:])
        self._others = [Agent(name, model) for name in agents[1:]]
        self._workers = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        self._k = 0

    def __call__(self) -> int:
        """Do the work; the number of UAVs in the fusion."""
        k, ego = self._k, self._ego
        self._k += 1
        own = self._workers.submit(self._seen, ego, k)
        for packets in self._workers.map(lambda other: sent(other, self._seen(other, k)), self._others):
            for envelope, payload in packets:
                ego.receive(envelope, payload, stamp_ns(k))
        return len(ego.answer(own.result(), single=False).fused.contributors)

    def _seen(self, agent: Agent, k: int) -> OwnFeatures:
        return agent.observe([self._scene.view(agent.name, k)], stamp_ns(k), self._scene.ground)
