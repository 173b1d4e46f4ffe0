"""A node ends whatever it is stuck in: in time, with its status, and with a sentence that says what did not end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.places import TEST

pytest.importorskip("rclpy")
from rsdfm_ros import ending
from rsdfm_ros.fleet.processes import SIGTERM_S
from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.mission.record_node import RecordNode
from support.ros_world import RosWorld, own_domain

CHILD = TEST / "support" / "ending_child.py"
WAIT_S = 120.0
INT, TERM = signal.SIGINT, signal.SIGTERM
#: what is stuck, how the work ends, the exit status, what the sentence is about
CASES = (
    ("nothing", INT, 0, ""),
    ("destroy", INT, 0, "/uav1/stuck_node: its destruction"),
    ("gil", INT, 0, "/uav1/stuck_node: its destruction"),
    ("gil", TERM, 0, "/uav1/stuck_node: its destruction"),
    ("gil", "over", 0, "/uav1/stuck_node: its destruction"),
    ("gil", "failure", 1, "/uav1/stuck_node: its destruction"),
    ("gil", "refused", 2, "/uav1/stuck_node: its destruction"),
    ("gil", "unforeseen", 1, "/uav1/stuck_node: its destruction"),
    ("stop", TERM, 0, "/uav1/stuck_node: its shutdown"),
    ("shutdown", INT, 0, "/uav1/stuck_node: the shutdown of ROS"),
    ("exit", INT, 0, "stuck_node: the end of Python"),
    ("exit", "refused", 2, "stuck_node: the end of Python"),
    ("save", INT, 1, "/uav1/stuck_node: saving its data"),
)


class Child:
    """A process, and all that it has printed."""

    def __init__(self, stuck: str, work: str) -> None:
        command = [sys.executable, str(CHILD), stuck, work]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=own_domain()
        )
        self.lines: list[str] = []
        self.ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line == "ready\n":
                self.ready.set()

    def end(self) -> int:
        """Wait for its end; the exit status."""
        status = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return status


@pytest.fixture(scope="module")
def children() -> Iterator[list[Child]]:
    """All cases at once: they mostly wait."""
    started = [Child(stuck, work if isinstance(work, str) else "signal") for stuck, work, *_ in CASES]
    yield started
    for child in started:
        child.process.kill()
        child.process.wait(WAIT_S)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{stuck}-{work}" for stuck, work, *_ in CASES])
def test_a_node_that_is_stuck_leaves_in_time_with_its_status_and_says_what_has_not_ended(
    children: list[Child], number: int
) -> None:
    child, (stuck, work, status, step) = children[number], CASES[number]
    if not isinstance(work, str):
        assert child.ready.wait(WAIT_S), child.lines
        child.process.send_signal(work)
    assert child.end() == status, child.lines
    assert "saved" in child.lines, "what must not be lost comes first"
    told = [line for line in child.lines if "has not ended" in line]
    assert len(told) == bool(step), child.lines
    if step:
        assert f"error: {step} has not ended within" in told[0] and f"exit status {status}" in told[0]
    text = "\n".join(child.lines)
    assert ("error: /uav1/stuck_node: expected 4 UAVs, got 0" in text) is (work == "refused")
    assert ("ZeroDivisionError: nobody foresaw 100 % of this" in text) is (work == "unforeseen")
    assert stuck == "nothing" or text.index("saved") < text.index(step)


def test_a_node_has_left_before_a_fleet_loses_patience() -> None:
    assert ending.LEAVE_S + ending.LAST_WORDS_S < SIGTERM_S


@pytest.mark.parametrize(
    ("kind", "parameters", "files"),
    [
        (EvaluatorNode, {"agents": ["uav1"], "record_bag": True}, ("result.json", "bag/metadata.yaml")),
        (RecordNode, {}, ("metadata.yaml",)),
    ],
    ids=["evaluator", "recorder"],
)
def test_results_are_written_before_anything_is_destroyed(
    world: RosWorld, tmp_path: Path, kind: type[Any], parameters: dict[str, Any], files: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    node = world.up(world.add(kind(**(world.options(out=str(out), **parameters) | {"namespace": ""}))))
    before = [list(node.publishers), list(node.subscriptions), list(node.timers)]
    node.save()
    assert all((out / name).is_file() for name in files)
    assert [list(node.publishers), list(node.subscriptions), list(node.timers)] == before
    node.stop()
    assert node.state == "finalized" and node.failure == ""


def test_what_ends_within_its_time_limit_goes_on() -> None:
    code = "import time; from rsdfm_ros.ending import TimeLimit\n"
    code += "with TimeLimit(2.0, 7) as limit: limit.now('a step')\n"
    code += "time.sleep(2.5); print('goes on')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "goes on\n", "")
