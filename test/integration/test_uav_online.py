"""Two UAVs in two processes over real DDS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsdfm_ros.agent.prefusion.prepare import PreFusionOptions, prepare
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.solo import SoloHistory
from rsdfm_ros.agent.tracking import Identities, with_ids
from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.geometry.uncertainty import from_upper_triangle, upper_triangle
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.boxes import SideBoxes, carries_boxes, decode_boxes
from rsdfm_ros.wire.budget import BudgetController, apply_plan
from rsdfm_ros.wire.packet import assemble, decode_packet
from support.harness import SIZE, TestWorld, believed, camera, camera_image, flight, uav_spec

AGENTS = ["uav1", "uav2"]
FRAMES = 4
BUDGET = 6000


def test_online_output_equals_offline_output_on_the_same_bytes(
    tmp_path: Path, domain: int, model: Path
) -> None:
    specs = [uav_spec(a, model, domain, budget_bytes=BUDGET) for a in AGENTS]
    with flight(AGENTS, specs, domain, tmp_path) as (world, _):
        world.until(lambda: world.connected(AGENTS), "the UAVs are connected")
        stamps = [world.fly(frame) for frame in range(FRAMES)]
        last = stamps[-1]
        world.until(
            lambda: all(last in store for store in world.got.values()), "all outputs of the last frame came"
        )
    perception = Perception.load(model)
    offline = Offline(perception, world)
    something = 0
    for frame, stamp in enumerate(stamps):
        for agent in AGENTS:
            for prefix in ("", "single/"):
                something += offline.compare(world, agent, prefix, frame, stamp)
    assert something > 50, "the model answered nothing: the comparison means nothing"
    assert all(world.status[a].peers == [b] for a, b in (AGENTS, AGENTS[::-1]))
    sent, received = world.status["uav1"].bytes_sent, world.status["uav2"].bytes_received
    assert (
        0 <= received - sent <= 4 * world.status["uav2"].packets_received
    )  # DDS pads messages to four bytes


class Offline:
    """The same mission computed in this process: own maps from the images, peers' maps from the packets."""

    def __init__(self, perception: Perception, world: TestWorld) -> None:
        self.perception = perception
        self.histories: dict[tuple[str, str], list[Any]] = {}
        self.identities = {agent: Identities() for agent in AGENTS}
        self.alone = {agent: SoloHistory(perception.config.history) for agent in AGENTS}
        self.options = PreFusionOptions(map_consistency=perception.thresholds["map_consistency"])

    def compare(self, world: TestWorld, agent: str, prefix: str, frame: int, stamp: int) -> int:
        """Assert that every output is equal; how many things were in them."""
        p, number = self.perception, int(agent[-1])
        K, T, covariance = camera(number, frame)
        ego = p.perceive(camera_image(number, frame), K, believed(T), covariance)
        own, peers = View(ego, believed(T), covariance, name=agent), []
        if not prefix:
            peers = [self.received(world, next(a for a in AGENTS if a != agent), stamp)]
            solo = self.alone[agent].add(p, stamp, ego)
            ready = prepare(own, peers, p.window, self.options, solo.boxes)
            own, peers = ready.own, list(ready.peers)
        history = self.histories.setdefault((agent, prefix), [])
        history.append(p.fuse(own.bev, [v.bev for v in peers], [0.0] * len(peers)))
        del history[: -p.config.history]
        instances, found = p.segment(history), p.detect(history)
        motion = p.predict(history, instances)
        here = {
            name: world.got[f"/{agent}/{prefix}{name}"][stamp]
            for name in ("detections", "instance_mask", "occupancy", "trajectories", "future_masks")
        }
        window = p.output_window
        sure, identities = found.scores >= p.thresholds["objects"], self.identities[agent]
        named = identities.of_boxes(prefix, stamp, 3.5, found.centres, found.velocities, sure)
        ids = identities.of_trajectories(prefix, stamp, 3.5, motion.positions)
        np.testing.assert_array_equal(
            task_messages.masks_from_message(here["instance_mask"], window)[0], with_ids(instances.ids, ids)
        )
        np.testing.assert_array_equal(
            task_messages.masks_from_message(here["future_masks"], window), with_ids(motion.ids, ids)
        )
        percent = np.floor(np.clip(instances.probability, 0, 1) * 100 + 1e-4)
        np.testing.assert_array_equal(task_messages.percent_from_message(here["occupancy"], window), percent)
        boxes = task_messages.boxes_from_message(here["detections"])
        order = np.argsort(-found.scores, kind="stable")
        np.testing.assert_allclose(boxes.centres, found.centres[order], atol=1e-9)
        np.testing.assert_allclose(boxes.scores, found.scores[order], atol=1e-7)
        np.testing.assert_array_equal(boxes.ids, named[order])
        tracks = task_messages.tracks_from_message(here["trajectories"])
        np.testing.assert_array_equal(tracks.ids, ids)
        np.testing.assert_allclose(tracks.positions, motion.positions, atol=1e-9)
        return len(boxes) + int(instances.ids.max())

    def received(self, world: TestWorld, agent: str, stamp: int) -> View:
        """Packets that a UAV sent at an instant."""
        p, messages = self.perception, world.packets[agent][stamp]
        features, boxes = unpacked(messages)
        frame = assemble(features, low_channels=p.config.low_channels, high_channels=p.config.high_channels)
        T = pose_matrix(messages[0].camera_pose)
        covariance = from_upper_triangle(messages[0].covariance)
        return View(p.decompress(frame, T, covariance), T, covariance, boxes, 0.0, agent)


def unpacked(messages: list[Any]) -> tuple[list[Any], SideBoxes | None]:
    """The parts of the features, and the boxes, if they travel with them: as the last packet."""
    payloads = [bytes(m.payload) for m in sorted(messages, key=lambda m: m.packet_index)]
    boxes = decode_boxes(payloads.pop()) if carries_boxes(payloads[-1]) else None
    return [decode_packet(p) for p in payloads], boxes


def test_the_packets_are_those_that_the_codec_makes_within_the_budget(
    tmp_path: Path, domain: int, model: Path
) -> None:
    with flight(["uav1"], [uav_spec("uav1", model, domain, budget_bytes=BUDGET)], domain, tmp_path) as (
        world,
        _,
    ):
        world.until(lambda: world.connected(["uav1"]), "the UAV is connected")
        stamps = [world.fly(frame) for frame in range(3)]
        world.until(lambda: len(world.packets["uav1"]) == 3, "all packets came")
    perception, budget = Perception.load(model), BudgetController(BUDGET)
    for frame, stamp in enumerate(stamps):
        messages = sorted(world.packets["uav1"][stamp], key=lambda m: m.packet_index)
        assert [m.packet_index for m in messages] == list(range(messages[0].packet_count))
        K, T, covariance = camera(1, frame)
        bev = perception.perceive(camera_image(1, frame), K, believed(T), covariance)
        if frame == 0:
            plan = budget.plan()
            sent = apply_plan(perception.compress(bev, plan.cells, low=plan.low), plan)
            got = assemble(unpacked(messages)[0])
            np.testing.assert_array_equal(got.low, sent.low)
            np.testing.assert_array_equal(got.high, sent.high)
        assert all(m.fingerprint == perception.fingerprint and m.frame == frame for m in messages)
        np.testing.assert_array_equal(messages[0].covariance, upper_triangle(covariance))
    assert camera_image(1, 0).shape == (*SIZE, 3)
