"""Start and end of a fleet's processes: status 0 at any moment, and what the loss of a UAV means to the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rsdfm_ros.msg import ObjectArray, TrajectoryArray

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.evaluation.pending_instants import LATE_FRAMES
from rsdfm_ros.fleet.description.fleet import FleetDescription
from rsdfm_ros.fleet.description.reading import fleet_from_dict
from rsdfm_ros.fleet.mission import FleetResult, run_fleet
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.fleet.specification import node_specifications
from rsdfm_ros.nodes.core import qos
from support.places import TINY

WAIT_S = 200.0


def small_fleet(domain: int, frames: int = 60, when_lost: str = "end", **uav: Any) -> FleetDescription:
    return fleet_from_dict(
        {
            "uavs": 2,
            "model": f"random:{TINY}",
            "world": {"frames": frames, "first_answer_timeout_s": 60.0, "answer_timeout_s": 3.0},
            "uav": {"peer_wait_s": 2.0, "liveliness_lease_s": 2.0, **uav},
            "evaluator": {"end_timeout_s": 5.0},
            "processes": {"when_lost": when_lost, "respawn_delay_s": 0.2},
            "network": {"domain": domain},
        }
    )


def until(
    condition: Callable[[], bool], what: str, step: Callable[[], None] = lambda: time.sleep(0.02)
) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {WAIT_S:.0f} s in vain until {what}"
        step()


def loaded(pid: int, library: str) -> bool:
    """Whether a process has this library in memory."""
    return library in Path(f"/proc/{pid}/maps").read_text()


class Listener:
    """Newest stamps of the answers of a fleet."""

    def __init__(self, fleet: FleetDescription) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=fleet.network.domain)
        self.node = Node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.newest: dict[str, int] = {}
        for agent in fleet.agents:
            for name, kind in (("detections", ObjectArray), ("trajectories", TrajectoryArray)):
                topic = f"/{agent}/{name}"
                self.newest[topic] = -1
                self.node.create_subscription(kind, topic, lambda m, t=topic: self._take(t, m), qos.outputs())

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *error: object) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _take(self, topic: str, message: Any) -> None:
        self.newest[topic] = stamps.stamp_ns(message.header.stamp)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, f"{what}: {self.newest}", lambda: self.executor.spin_once(timeout_sec=0.1))


@pytest.mark.parametrize(
    ("moment", "number", "composed"),
    [
        ("importing", signal.SIGINT, True),
        ("importing", signal.SIGTERM, False),
        ("flying", signal.SIGTERM, True),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_every_process_ends_with_status_0(
    tmp_path: Path, domain: int, moment: str, number: signal.Signals, composed: bool
) -> None:
    fleet = small_fleet(domain, composed=composed)
    pids: dict[str, int] = {}
    with Listener(fleet) as listener, Supervisor(tmp_path) as supervisor:
        for spec in node_specifications(fleet, tmp_path / "out"):
            supervisor.start(spec)
            pids[spec.name] = supervisor.pid(spec.name)
        if moment == "importing":
            until(lambda: all(loaded(pid, "_multiarray_umath") for pid in pids.values()), "all import NumPy")
        else:
            listener.until(lambda: min(listener.newest.values()) > 0, "every UAV answers")
        for pid in pids.values():
            os.killpg(pid, number)
        until(lambda: all(supervisor.status(name) is not None for name in pids), "every process has ended")
        assert {name: supervisor.status(name) for name in pids} == dict.fromkeys(pids, 0)
    for log in tmp_path.glob("*.log"):
        assert "Traceback" not in log.read_text(), log.read_text()


def test_a_killed_uav_of_single_nodes_leaves_the_other_working_and_that_ends_on_sigint(
    tmp_path: Path, domain: int
) -> None:
    fleet = small_fleet(domain, composed=False)
    with Listener(fleet) as listener, Supervisor(tmp_path) as supervisor:
        specs = node_specifications(fleet, tmp_path / "out")
        for spec in specs:
            supervisor.start(spec)
        listener.until(lambda: min(listener.newest.values()) > 0, "every UAV answers")
        killed = [spec.name for spec in specs if spec.name.startswith("uav2.")]
        assert len(killed) == 5
        for name in killed:
            os.killpg(supervisor.pid(name), signal.SIGKILL)
        before = dict(listener.newest)
        mine = [topic for topic in before if topic.startswith("/uav1/")]
        listener.until(lambda: all(listener.newest[t] > before[t] + 10**9 for t in mine), "uav1 flies on")
        others = [spec.name for spec in specs if spec.name not in killed]
        assert all(supervisor.status(name) is None for name in others)
        supervisor.stop()
        assert {name: supervisor.status(name) for name in others} == dict.fromkeys(others, 0)
    for log in tmp_path.glob("*.log"):
        assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.parametrize("when_lost", ["continue", "respawn"])
def test_a_mission_survives_the_loss_of_a_uav(tmp_path: Path, domain: int, when_lost: str) -> None:
    frames = 24 if when_lost == "continue" else 8
    fleet = small_fleet(domain, frames=frames, when_lost=when_lost)
    notes: list[str] = []
    results: list[FleetResult] = []
    lines: list[dict] = []

    def fly() -> None:
        results.append(run_fleet(fleet, out_dir=tmp_path, on_status=lines.append, on_note=notes.append))

    thread = threading.Thread(target=fly, daemon=True)
    thread.start()
    until(lambda: bool(lines), "the first frame is answered")
    (killed,) = processes_of(domain, "/uav2")
    os.kill(killed, signal.SIGKILL)
    seen: set[int] = set()

    def over() -> bool:
        seen.update(processes_of(domain, "/uav2"))
        return not thread.is_alive()

    until(over, "the mission is over")
    assert results and results[0].result is not None
    assert len(notes) == 1 and notes[0].startswith("uav2 ended with status -9: ")
    if when_lost == "continue":
        assert len(lines) > frames - LATE_FRAMES
        assert "frames_processed" not in lines[-1]["agents"]["uav2"]
        assert (
            results[0].result["protocol"]["frames_answered"] < len(results[0].result["frames"]) == len(lines)
        )
    assert len(seen - {killed}) == (1 if when_lost == "respawn" else 0), "it was started again, or not"


def processes_of(domain: int, namespace: str) -> list[int]:
    """The living processes of a UAV, known by its ROS domain and namespace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"__ns:={namespace}".encode() in command and f"ROS_DOMAIN_ID={domain}".encode() in environment:
            found.append(int(folder.name))
    return found
