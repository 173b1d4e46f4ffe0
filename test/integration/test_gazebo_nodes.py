"""The nodes beside Gazebo over real DDS; the test plays Gazebo and its bridge.

UAVs move as the commanded velocities say, odometry, joint states and intrinsics come as ros_gz_bridge sends them; the
evaluator, unchanged, scores answers against the truth that gazebo_truth_node tells.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.data.messages.cameras import camera_from_message
from rsdfm_ros.data.messages.tasks import truth_from_message
from rsdfm_ros.data.outputs import FUTURE_STEPS, HORIZON
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import polling
from rsdfm_ros.nodes.mission.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.mission.gazebo_flight_node import GazeboFlightNode
from rsdfm_ros.nodes.mission.gazebo_truth_node import GazeboTruthNode
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.world import World
from support.own_domains import new_domain
from support.played_bridge import AGENTS, IMAGE_NS, SEED, TICK_NS, Answers, PlayedGazebo, gazebo_info

FRAMES, START_S = 6, 4.0


@pytest.fixture
def gazebo(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedGazebo]:
    monkeypatch.setattr(
        polling, "MOST_S", 0.01
    )  # this Gazebo waits for commands, which makes its time seem slow
    played = PlayedGazebo()
    try:
        yield played
    finally:
        played.close()


def stamp_of(k: int) -> int:
    return round(START_S * 1e9) + k * IMAGE_NS


def turned_by(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two rotations in rad."""
    return math.acos(max(-1.0, min(1.0, 0.5 * (float(np.trace(a[:3, :3].T @ b[:3, :3])) - 1))))


def test_the_uavs_fly_their_flights_and_the_evaluator_scores_against_the_truth(
    gazebo: PlayedGazebo, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"seed": SEED, "agents": list(AGENTS), "start_s": START_S, "use_sim_time": True}
    answers = {agent: Answers(gazebo.node, agent) for agent in AGENTS}
    evaluator = gazebo.add(
        EvaluatorNode, agents=list(AGENTS), frames=FRAMES, map_bounds_m=[-50.0, -50.0, 50.0, 50.0],
        cell_size_m=0.25, expect_status=False, expect_future=True, out=str(tmp_path), end_timeout_s=60.0,
    )  # fmt: skip
    truth = gazebo.add(GazeboTruthNode, frames=FRAMES, **shared)
    gazebo.add(GazeboFlightNode, **shared)
    gazebo.connected()
    gazebo.until(lambda: gazebo.node.count_subscribers("/ground_truth") == 2, "the evaluator listens")
    while gazebo.now_ns < stamp_of(FRAMES - 1) + 10 * TICK_NS:
        gazebo.tick()
    gazebo.until(lambda: len(gazebo.truth) == FRAMES + FUTURE_STEPS, "the whole truth is told")
    gazebo.until(truth.finished.is_set, "the truth node has finished")
    assert truth.failure == ""

    with World(SEED, len(AGENTS)) as world:
        for k, message in gazebo.truth.items():
            assert stamps.stamp_ns(message.header.stamp) == stamp_of(k) and message.agents == list(AGENTS)
            objects, there = truth_from_message(message), world.objects(k)
            np.testing.assert_array_equal(objects.ids, there.ids)
            np.testing.assert_allclose(objects.centres, there.centres)
            np.testing.assert_allclose(objects.velocities, there.velocities)
            assert (objects.visibility.max() > 0) == (k < FRAMES), "the future is seen by nobody"
        for k in (0, FRAMES - 1):
            at = {a: gazebo.true_pose[a][stamp_of(k)] for a in AGENTS}
            seen = truth_from_message(gazebo.truth[k]).visibility
            np.testing.assert_allclose(seen, world.seen(k, at).visibility, atol=0.02)
            as_planned = world.frame(k).objects.visibility
            assert np.abs(seen - as_planned).mean() < 0.03
        for agent in AGENTS:
            check_flight(gazebo, agent)
        for k in range(FRAMES):
            future = [world.objects(j) for j in range(k, k + HORIZON)]
            for agent in AGENTS:
                answers[agent].give(k, stamp_of(k), future)
    gazebo.until(evaluator.finished.is_set, "the evaluator has finished")
    assert evaluator.failure == ""
    result = json.loads((tmp_path / "result.json").read_text())
    row = next(r for r in result["results"] if r["method"] == "rsdfm")
    assert result["protocol"]["frames_answered"] == FRAMES
    assert row["iou_long"] == pytest.approx(1.0) and row["ap"] == pytest.approx(1.0)
    assert row["vpq_long"] == pytest.approx(1.0) and row["ade"] == pytest.approx(0.0, abs=1e-6)


def check_flight(gazebo: PlayedGazebo, agent: str) -> None:
    """Poses are reported as they are, at the stamps of the images, and are those of the planned flight."""
    for ns, T in gazebo.true_pose[agent].items():
        np.testing.assert_allclose(gazebo.pose[agent][ns], T, atol=1e-6)
    for k in range(FRAMES):
        here, plan = gazebo.pose[agent][stamp_of(k)], gazebo.flights[agent].T_map_camera(0.5 * k)
        assert np.linalg.norm(here[:3, 3] - plan[:3, 3]) < 0.15, f"frame {k}"
        assert turned_by(here, plan) < math.radians(0.5), f"frame {k}"
    info = gazebo.info[agent]
    np.testing.assert_allclose(camera_from_message(info, (info.height, info.width)).K, SimConfig().K)
    assert info.header.frame_id == f"{agent}/camera_optical"


def test_missing_pictures_leave_no_hole_in_the_truth(gazebo: PlayedGazebo) -> None:
    """A UAV without an image sees nothing in that frame; a frame without any image is told at its nominal time; a
    image beside its frame is refused."""
    shared: dict[str, Any] = {"seed": SEED, "agents": list(AGENTS), "start_s": 1.0}
    truth = gazebo.add(GazeboTruthNode, frames=4, **shared)
    gazebo.add(GazeboFlightNode, **shared)
    gazebo.connected()
    shown: dict[int, tuple[tuple[str, ...], int]] = {
        0: (AGENTS, 4_000_000), 1: (AGENTS[:1], 0), 2: ((), 0), 3: (AGENTS, 0), 4: (AGENTS, 60_000_000), 5: (AGENTS, 0),
    }  # fmt: skip
    while gazebo.now_ns < 1_000_000_000 + 5 * IMAGE_NS + TICK_NS:
        k = (gazebo.now_ns + TICK_NS - 1_000_000_000) // IMAGE_NS
        images, shift_ns = shown.get(k, ((), 0))
        gazebo.tick(images=images, shift_ns=shift_ns)
    gazebo.until(truth.finished.is_set, "the truth node has finished")
    gazebo.until(lambda: len(gazebo.truth) == 4 + FUTURE_STEPS, "the whole truth is told")
    stamped = {k: stamps.stamp_ns(m.header.stamp) - 1_000_000_000 for k, m in gazebo.truth.items()}
    assert stamped == {0: 4_000_000} | {k: k * IMAGE_NS for k in range(1, 8)}
    seen = {k: truth_from_message(m).visibility.max(0) > 0 for k, m in gazebo.truth.items()}
    assert seen[0].all() and seen[3].all() and not seen[2].any() and seen[1].tolist() == [True, False]
    objects = truth_from_message(gazebo.truth[0])
    with World(SEED, len(AGENTS)) as world:
        there = world.objects(0)
    np.testing.assert_allclose(
        objects.centres[:, :2], there.centres[:, :2] + 0.004 * there.velocities, atol=1e-9
    )
    assert truth.health.counts["frames_without_pictures"] == 1


def test_bad_odometry_and_intrinsics_are_refused_and_survived(gazebo: PlayedGazebo) -> None:
    flight = gazebo.add(GazeboFlightNode, seed=SEED, agents=list(AGENTS), start_s=0.0)
    gazebo.connected()
    gazebo.tick()
    bad = Odometry()
    bad.header.stamp = convert.time_of(gazebo.now_ns + 1)
    bad.pose.pose.position.x, bad.pose.pose.orientation.w = math.nan, 1.0
    gazebo.out["uav1"]["odometry"].publish(bad)
    joints = JointState(name=["gimbal_pitch"], position=[0.1])
    joints.header.stamp = convert.time_of(gazebo.now_ns + 1)
    gazebo.out["uav1"]["joints"].publish(joints)
    shifted = gazebo_info(gazebo.now_ns)
    shifted.k[2] += 3.0
    gazebo.out["uav1"]["info"].publish(shifted)
    wanted = {"pose_not_finite", "joint_states", "camera_info"}
    gazebo.until(lambda: wanted <= set(flight.health.rejects), f"refused for {wanted}")
    for _ in range(25):
        gazebo.tick()
    gazebo.until(lambda: all(gazebo.pose[a] for a in AGENTS), "poses come all the same")


def test_the_first_image_precedes_the_first_odometry_without_a_warning(
    gazebo: PlayedGazebo, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = gazebo.add(GazeboFlightNode, seed=SEED, agents=list(AGENTS), start_s=0.0)
    gazebo.connected()
    said: list[str] = []
    monkeypatch.setattr(flight, "reject", lambda reason, text: said.append(f"{reason}: {text}"))
    gazebo.now_ns = IMAGE_NS
    for agent in AGENTS:
        gazebo.out[agent]["info"].publish(gazebo_info(gazebo.now_ns))
    while not all(gazebo.pose[a] for a in AGENTS):
        gazebo.tick()
    assert said == [] and flight.health.rejects["no_pose"] == len(AGENTS)
    assert IMAGE_NS not in gazebo.pose["uav1"]


def test_joint_states_at_every_physics_step_cost_little(root: Path, tmp_path: Path) -> None:
    """Four UAVs with joint states at 250 Hz. It was 0.5 s where this takes 0.08 s; a busy machine takes
    longer."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.gazebo_flight",
        "--seconds",
        "4",
        "--json",
        str(tmp_path / "f.json"),
    ]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(new_domain()), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["cpu_s_per_s"] < 0.25 and 3 < found["commands_per_s"] < 20, found
