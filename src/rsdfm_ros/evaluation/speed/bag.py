"""A bag to measure a single UAV with: its images, and the packets of peers as they were sent for the same instants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rsdfm_ros.data.bags.frames import write_frames
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.evaluation.speed.scene import Scene
from rsdfm_ros.evaluation.speed.uav_frame import PERIOD_NS, Packets, stamp_ns

RATE_HZ = 1e9 / PERIOD_NS
"""Images per second of recorded time."""


def write_bag(folder: Path, scene: Scene, packets: Mapping[str, Sequence[Packets]], images: int) -> str:
    """Write the bag; the name of the UAV whose images it holds, the first of the scene that is none of the peers.

    packets: of the peers. They have an image at the first instant only, from which a bag's UAVs are known: play it with
    `rsdfm replay --uav <name>`. The scene is played forwards and backwards, so that its truth is not that of a flight.
    """
    ego = next(name for name in scene.agents if name not in packets)
    peers = list(packets)
    with BagWriter(folder) as writer:

        def frames() -> Iterator[WorldFrame]:
            for k in range(images):
                seen = [scene.view(name, k) for name in (ego, *(peers if k == 0 else ()))]
                yield WorldFrame(k, k * PERIOD_NS, tuple(seen), scene.objects(k), (ego, *peers))
                for name in peers:
                    _write_packets(writer, packets[name][scene.place(k)], k)
            for k, frame in enumerate(scene.later, images):
                yield replace(frame, index=k, stamp_ns=k * PERIOD_NS, agents=(ego, *peers))

        write_frames(writer, frames(), (ego, *peers))
    return ego


def _write_packets(writer: BagWriter, packets: Packets, k: int) -> None:
    for envelope, payload in packets:
        raw = feature_message(
            payload,
            agent=envelope.agent,
            stamp_ns=stamp_ns(k),
            frame=k,
            index=envelope.index,
            count=envelope.count,
            fingerprint=envelope.fingerprint,
            T_map_camera=envelope.T_map_camera,
            covariance=envelope.covariance,
        )
        writer.write(f"/{envelope.agent}/bev/features", FEATURES, stamp_ns(k), raw)
