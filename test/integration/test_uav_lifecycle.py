"""A UAV's process under a lifecycle manager: nothing starts by itself, every node is driven by its services."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

from support.harness import TestWorld, flight, uav_spec

NODES = (
    "detection_head_node",
    "segmentation_head_node",
    "trajectory_head_node",
    "collaboration_node",
    "encoder_node",
)


class Manager:
    """Calls the lifecycle services of the nodes of /uav1."""

    def __init__(self, world: TestWorld) -> None:
        self.world = world
        self.clients = {
            (node, name): world.node.create_client(kind, f"/uav1/{node}/{name}")
            for node in NODES
            for name, kind in (("change_state", ChangeState), ("get_state", GetState))
        }
        world.until(
            lambda: all(c.service_is_ready() for c in self.clients.values()), "all services are there"
        )

    def call(self, node: str, name: str, request: object) -> object:
        future = self.clients[node, name].call_async(request)
        self.world.until(future.done, f"{node} answers {name}")
        return future.result()

    def change(self, transition: int) -> list[bool]:
        request = ChangeState.Request(transition=Transition(id=transition))
        return [self.call(node, "change_state", request).success for node in NODES]  # type: ignore[attr-defined]

    def states(self) -> set[str]:
        return {self.call(n, "get_state", GetState.Request()).current_state.label for n in NODES}  # type: ignore[attr-defined]


def test_a_manager_brings_a_uav_up_flies_it_and_brings_it_down_and_up_again(
    tmp_path: Path, domain: int, model: Path
) -> None:
    spec = uav_spec("uav1", model, domain, autostart=False)
    with flight(["uav1"], [spec], domain, tmp_path) as (world, _):
        manager = Manager(world)
        assert manager.states() == {"unconfigured"}
        frame = 0
        for _ in range(2):
            for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                assert manager.change(transition) == [True] * 5
            assert manager.states() == {"active"}
            world.until(lambda: world.connected(["uav1"]), "the UAV takes images")
            world.fly(frame)
            world.fly(frame + 1)
            frame += 2
            for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
                assert manager.change(transition) == [True] * 5
            assert manager.states() == {"unconfigured"}
        assert manager.change(Transition.TRANSITION_CONFIGURE) == [True] * 5
        assert manager.change(Transition.TRANSITION_INACTIVE_SHUTDOWN) == [True] * 5
        assert manager.states() == {"finalized"}


@pytest.mark.parametrize("steps", [0, 1, 2], ids=["unconfigured", "inactive", "active"])
def test_a_signal_ends_the_process_cleanly_in_every_state(
    tmp_path: Path, domain: int, model: Path, steps: int
) -> None:
    spec = uav_spec("uav1", model, domain, autostart=False)
    with flight(["uav1"], [spec], domain, tmp_path) as (world, supervisor):
        manager = Manager(world)
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)[:steps]:
            assert manager.change(transition) == [True] * 5
        os.kill(supervisor.pid("uav1"), signal.SIGINT)
        world.until(lambda: supervisor.status("uav1") is not None, "the process ends")
        assert supervisor.status("uav1") == 0, (tmp_path / "uav1.log").read_text()
        assert "Traceback" not in (tmp_path / "uav1.log").read_text()
