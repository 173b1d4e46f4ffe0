"""The nodes beside Gazebo over real DDS; the test plays Gazebo and its bridge.

UAVs move as the commanded velocities say, odometry, joint states and intrinsics come as ros_gz_bridge sends them; the
evaluator, unchanged, scores answers against the truth that gazebo_truth_node tells.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped, Twist
from harness import new_domain
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from rsdfm_ros.msg import FeaturePacket, GroundTruth, ObjectArray, TrajectoryArray
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.data.messages.cameras import intrinsics_from_message
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.evaluation.frames import HORIZON, perfect_prediction, truth_of
from rsdfm_ros.evaluation.task_messages import truth_from_message
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.nodes import convert, qos
from rsdfm_ros.nodes.convert_tasks import (
    boxes_to_message,
    grid_to_message,
    masks_to_message,
    tracks_to_message,
)
from rsdfm_ros.nodes.evaluator_node import EvaluatorNode
from rsdfm_ros.nodes.gazebo_flight_node import GazeboFlightNode
from rsdfm_ros.nodes.gazebo_truth_node import GazeboTruthNode
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.gazebo.gimbal import planned
from rsdfm_ros.sim.gazebo.world import FUTURE_FRAMES
from rsdfm_ros.sim.world import World

SEED, AGENTS, FRAMES, START_S = 9001, ("uav1", "uav2"), 6, 4.0
TICK_NS, PICTURE_NS = 20_000_000, 500_000_000
WINDOW = Window(-200, -200, 400, 400, 0.25)
WAIT_S = 60.0


class Body:
    """A UAV as Gazebo moves it: velocities in its own frame, gimbal joints with a rate limit."""

    def __init__(self, T: np.ndarray) -> None:
        self.T, self.joints = T, {"gimbal_pitch": 0.0, "gimbal_roll": 0.0}
        self.twist, self.wanted, self.commands = Twist(), dict(self.joints), 0

    def step(self, dt: float) -> None:
        v, w = self.twist.linear, self.twist.angular
        rotation = np.array([w.x, w.y, w.z]) * dt
        angle = float(np.linalg.norm(rotation))
        x, y, z = rotation / max(angle, 1e-12)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        self.T[:3, 3] += self.T[:3, :3] @ np.array([v.x, v.y, v.z]) * dt
        self.T[:3, :3] = self.T[:3, :3] @ turn
        for joint, angle in self.wanted.items():
            limit = 3.0 * dt
            self.joints[joint] += max(-limit, min(limit, angle - self.joints[joint]))

    def camera(self) -> np.ndarray:
        """T_map_optical by the mechanism's description: 18 cm ahead and 9 cm below, pitch, then roll."""
        p, r = self.joints["gimbal_pitch"], self.joints["gimbal_roll"]
        pitch = np.array([[math.cos(p), 0, math.sin(p)], [0, 1, 0], [-math.sin(p), 0, math.cos(p)]])
        roll = np.array([[1, 0, 0], [0, math.cos(r), -math.sin(r)], [0, math.sin(r), math.cos(r)]])
        flu = self.T[:3, :3] @ pitch @ roll
        T = np.eye(4)
        T[:3, 0], T[:3, 1], T[:3, 2] = -flu[:, 1], -flu[:, 2], flu[:, 0]
        T[:3, 3] = self.T[:3, 3] + self.T[:3, :3] @ np.array([0.18, 0.0, -0.09])
        return T


class PlayedGazebo:
    """Everything on the other side of the bridge, and the nodes under test, in one domain."""

    def __init__(self) -> None:
        self.context, self.nodes = Context(), []
        rclpy.init(context=self.context, domain_id=new_domain())
        self.node = Node("played_gazebo", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.now_ns = 0
        flights = make_flights(SEED, len(AGENTS))
        self.bodies: dict[str, Body] = {}
        for agent, flight in zip(AGENTS, flights, strict=True):
            start = planned(flight, 0.0)
            yaw = start.yaw + 0.3  # neither where nor as it should be
            T = np.eye(4)
            T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
            T[:3, 3] = start.position + np.array([4.0, -3.0, -2.0])
            self.bodies[agent] = Body(T)
        self.flights = dict(zip(AGENTS, flights, strict=True))
        self.clock = self.node.create_publisher(Clock, "/clock", 10)
        self.out: dict[str, dict[str, Any]] = {}
        self.pose: dict[str, dict[int, np.ndarray]] = {a: {} for a in AGENTS}
        self.true_pose: dict[str, dict[int, np.ndarray]] = {a: {} for a in AGENTS}
        self.info: dict[str, CameraInfo] = {}
        self.truth: dict[int, GroundTruth] = {}
        for agent in AGENTS:
            self.out[agent] = {
                "odometry": self.node.create_publisher(Odometry, f"/{agent}/odometry", 10),
                "joints": self.node.create_publisher(JointState, f"/{agent}/joint_states", 10),
                "info": self.node.create_publisher(CameraInfo, f"/{agent}/gazebo/camera_info", 10),
            }
            self._hear(agent)
        self.node.create_subscription(
            GroundTruth, "/ground_truth", lambda m: self.truth.__setitem__(m.frame, m), 100
        )

    def _hear(self, agent: str) -> None:
        body = self.bodies[agent]

        def velocity(message: Twist) -> None:
            body.twist, body.commands = message, body.commands + 1

        def pose(message: PoseWithCovarianceStamped) -> None:
            assert message.header.frame_id == "map"
            self.pose[agent][stamps.stamp_ns(message.header.stamp)] = pose_matrix(message.pose.pose)

        subscribe = self.node.create_subscription
        subscribe(Twist, f"/{agent}/cmd_vel", velocity, 10)
        for joint, topic in (("gimbal_pitch", "pitch"), ("gimbal_roll", "roll")):
            subscribe(
                Float64, f"/{agent}/gimbal/{topic}/command",
                lambda m, j=joint: body.wanted.__setitem__(j, m.data), 10,
            )  # fmt: skip
        subscribe(PoseWithCovarianceStamped, f"/{agent}/pose", pose, 10)
        subscribe(CameraInfo, f"/{agent}/camera/camera_info", lambda m: self.info.__setitem__(agent, m), 10)

    def add(self, kind: Callable[..., Any], **parameters: Any) -> Any:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = kind(context=self.context, parameter_overrides=overrides)
        self.nodes.append(node)
        self.executor.add_node(node)
        node.start()
        return node

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s in vain until {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def connected(self) -> None:
        self.until(
            lambda: all(p.get_subscription_count() > 0 for outs in self.out.values() for p in outs.values()),
            "the nodes listen to the bridge",
        )
        commands = [f"/{a}/{t}" for a in AGENTS for t in ("cmd_vel", "pose", "camera/camera_info")]
        self.until(lambda: all(self.node.count_publishers(t) for t in commands), "the nodes publish")

    def tick(self, *, pictures: tuple[str, ...] = AGENTS, shift_ns: int = 0) -> None:
        """20 ms of Gazebo: the bodies move, then everything is reported; returns when the UAVs are commanded anew."""
        self.now_ns += TICK_NS
        self.clock.publish(Clock(clock=convert.time_of(self.now_ns)))
        picture = self.now_ns % PICTURE_NS == 0
        before = {a: b.commands for a, b in self.bodies.items()}
        for agent, body in self.bodies.items():
            body.step(TICK_NS / 1e9)
            odometry = Odometry()
            odometry.header.stamp, odometry.header.frame_id = convert.time_of(self.now_ns), "map"
            convert.fill_pose(odometry.pose.pose, body.T)
            joints = JointState(name=list(body.joints), position=list(body.joints.values()))
            joints.header.stamp = convert.time_of(self.now_ns)
            if picture and agent in pictures:
                self.true_pose[agent][self.now_ns + shift_ns] = body.camera()
                self.out[agent]["info"].publish(gazebo_info(self.now_ns + shift_ns))
            self.out[agent]["odometry"].publish(odometry)
            self.out[agent]["joints"].publish(joints)
        self.until(
            lambda: all(b.commands > before[a] for a, b in self.bodies.items()), "every UAV is commanded"
        )

    def close(self) -> None:
        for node in self.nodes:
            node.destroy_node()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def gazebo_info(ns: int) -> CameraInfo:
    """What gz-sensors says of a camera without lens: the principal point in the middle, from the image's edge."""
    c = SimConfig()
    k = [c.focal_px, 0.0, c.width_px / 2, 0.0, c.focal_px, c.height_px / 2, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    message = CameraInfo(width=c.width_px, height=c.height_px, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k, message.p, message.r = k, p, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.header.stamp, message.header.frame_id = convert.time_of(ns), "uav1/camera_link/camera"
    return message


@pytest.fixture
def gazebo() -> Iterator[PlayedGazebo]:
    played = PlayedGazebo()
    try:
        yield played
    finally:
        played.close()


def stamp_of(k: int) -> int:
    return round(START_S * 1e9) + k * PICTURE_NS


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
    gazebo.until(lambda: len(gazebo.truth) == FRAMES + FUTURE_FRAMES, "the whole truth is told")
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
    """Poses are reported as they are, at the stamps of the pictures, and are those of the planned flight."""
    for ns, T in gazebo.true_pose[agent].items():
        np.testing.assert_allclose(gazebo.pose[agent][ns], T, atol=1e-6)
    for k in range(FRAMES):
        here, plan = gazebo.pose[agent][stamp_of(k)], gazebo.flights[agent].T_map_camera(0.5 * k)
        assert np.linalg.norm(here[:3, 3] - plan[:3, 3]) < 0.15, f"frame {k}"
        assert turned_by(here, plan) < math.radians(0.5), f"frame {k}"
    info = gazebo.info[agent]
    np.testing.assert_allclose(intrinsics_from_message(info), SimConfig().K)
    assert info.header.frame_id == f"{agent}/camera_optical"


class Answers:
    """A UAV that knows everything."""

    def __init__(self, node: Node, agent: str) -> None:
        self.agent = agent
        kinds = {"instance_mask": Image, "future_masks": Image, "occupancy": OccupancyGrid}
        kinds |= {"detections": ObjectArray, "trajectories": TrajectoryArray}
        self.out = {n: node.create_publisher(k, f"/{agent}/{n}", qos.outputs()) for n, k in kinds.items()}
        self.features = node.create_publisher(
            FeaturePacket, f"/{agent}/bev/features", qos.features("reliable", 1.0)
        )

    def give(self, k: int, ns: int, future: list[Any]) -> None:
        answer = perfect_prediction(truth_of(future, WINDOW))
        assert answer.foreground is not None and answer.boxes is not None and answer.tracks is not None
        masks = np.asarray(answer.ids)
        self.out["instance_mask"].publish(masks_to_message(masks[:1], ns, "map"))
        self.out["future_masks"].publish(masks_to_message(masks, ns, "map"))
        grid = grid_to_message(answer.foreground.astype(np.float32), WINDOW, ns, "map")
        self.out["occupancy"].publish(grid)
        common: dict[str, Any] = {"agent": self.agent, "frame": k, "ns": ns, "frame_id": "map"}
        self.out["detections"].publish(boxes_to_message(answer.boxes, contributors=AGENTS, **common))
        self.out["trajectories"].publish(tracks_to_message(answer.tracks, **common))


def test_missing_pictures_leave_no_hole_in_the_truth(gazebo: PlayedGazebo) -> None:
    """A UAV without a picture sees nothing in that frame; a frame without any picture is told at its nominal time; a
    picture beside its frame is refused."""
    shared: dict[str, Any] = {"seed": SEED, "agents": list(AGENTS), "start_s": 1.0}
    truth = gazebo.add(GazeboTruthNode, frames=4, **shared)
    gazebo.add(GazeboFlightNode, **shared)
    gazebo.connected()
    shown: dict[int, tuple[tuple[str, ...], int]] = {
        0: (AGENTS, 4_000_000), 1: (AGENTS[:1], 0), 2: ((), 0), 3: (AGENTS, 0), 4: (AGENTS, 60_000_000), 5: (AGENTS, 0),
    }  # fmt: skip
    while gazebo.now_ns < 1_000_000_000 + 5 * PICTURE_NS + TICK_NS:
        k = (gazebo.now_ns + TICK_NS - 1_000_000_000) // PICTURE_NS
        pictures, shift_ns = shown.get(k, ((), 0))
        gazebo.tick(pictures=pictures, shift_ns=shift_ns)
    gazebo.until(truth.finished.is_set, "the truth node has finished")
    gazebo.until(lambda: len(gazebo.truth) == 4 + FUTURE_FRAMES, "the whole truth is told")
    stamped = {k: stamps.stamp_ns(m.header.stamp) - 1_000_000_000 for k, m in gazebo.truth.items()}
    assert stamped == {0: 4_000_000} | {k: k * PICTURE_NS for k in range(1, 8)}
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
