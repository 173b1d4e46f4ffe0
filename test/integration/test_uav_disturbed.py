"""A fleet goes on when a UAV dies, comes back, or when somebody sends nonsense."""

from __future__ import annotations

import array
import os
import signal
from pathlib import Path

from rsdfm_ros.msg import FeaturePacket

from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from support.harness import LEASE_S, START_NS, STEP_NS, flight, uav_spec

AGENTS = ["uav1", "uav2"]


def test_a_killed_uav_leaves_the_fusion_and_comes_back(tmp_path: Path, domain: int, model: Path) -> None:
    specs = [uav_spec(a, model, domain) for a in AGENTS]
    with flight(AGENTS, specs, domain, tmp_path) as (world, supervisor):
        world.until(lambda: world.connected(AGENTS), "the UAVs are connected")
        world.fly(0)
        assert list(world.status["uav1"].peers) == ["uav2"]

        os.killpg(supervisor.pid("uav2"), signal.SIGKILL)
        frame = 1
        while list(world.status["uav1"].peers):
            world.fly(frame, ["uav1"])
            frame += 1
            assert frame < 8, "uav1 still fuses the dead uav2"

        world.status.pop("uav2")
        supervisor.start(specs[1])
        world.until(
            lambda: "uav2" in world.status and list(world.status["uav2"].peers) == ["uav1"], "uav2 is back"
        )
        came_back = frame
        while list(world.status["uav1"].peers) != ["uav2"]:
            world.fly(frame)
            frame += 1
            assert frame < came_back + 5, "uav1 does not fuse the restarted uav2"


def test_nonsense_is_refused_counted_and_harmless(tmp_path: Path, domain: int, model: Path) -> None:
    specs = [uav_spec(a, model, domain) for a in AGENTS]
    with flight(AGENTS, specs, domain, tmp_path) as (world, _):
        world.until(lambda: world.connected(AGENTS), "the UAVs are connected")
        profile = qos.features("reliable", LEASE_S)
        intruder = world.node.create_publisher(FeaturePacket, "/uav9/bev/features", profile)
        forger = world.node.create_publisher(FeaturePacket, "/uav2/bev/features", profile)
        world.until(lambda: intruder.get_subscription_count() >= 2, "the intruder is listened to")
        stamp = world.fly(0)
        good = world.packets["uav2"][stamp][0]

        wrong = [FeaturePacket(agent="uav9", payload=array.array("B", b"nonsense"), packet_count=1)]
        wrong.append(_copy(good, "uav9", bytes(good.payload)[:-3]))
        wrong.append(_copy(good, "uav9", bytes(good.payload)[:40] + b"\xff" + bytes(good.payload)[41:]))
        wrong.append(_copy(good, "uav1", bytes(good.payload)))
        for message in wrong:
            intruder.publish(message)
        later = _copy(good, "uav9", bytes(good.payload))
        later.header.stamp = convert.time_of(START_NS + STEP_NS)
        forger.publish(later)
        rejected = len(wrong) + 1
        frame = 1
        while world.status["uav1"].packets_rejected < rejected:
            world.fly(frame)
            frame += 1
            assert frame < 6, f"only {world.status['uav1'].packets_rejected} of {rejected} were refused"
        assert list(world.status["uav1"].peers) == ["uav2"]
        assert list(world.status["uav2"].peers) == ["uav1"]


def _copy(message: FeaturePacket, agent: str, payload: bytes) -> FeaturePacket:
    copy = FeaturePacket(
        header=message.header,
        agent=agent,
        frame=message.frame,
        packet_index=message.packet_index,
        packet_count=message.packet_count,
        fingerprint=message.fingerprint,
        camera_pose=message.camera_pose,
        covariance=message.covariance,
    )
    copy.payload = array.array("B", payload)
    return copy
