"""A UAV with compressed images and odometry answers exactly what one with raw images and poses answers."""

from __future__ import annotations

import array
import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage

from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.fleet.processes import Supervisor
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from support.harness import SIZE, START_NS, STEP_NS, TestWorld, camera, camera_image, uav_spec

USUAL, OTHER = "uav1", "uav2"
FRAMES = 3
OUTPUTS = ("detections", "instance_mask", "occupancy", "trajectories", "future_masks")


class MixedWorld(TestWorld):
    """Both UAVs carry the same camera; the second one's messages are of another kind."""

    def __init__(self, domain: int) -> None:
        super().__init__([USUAL, OTHER], domain)
        for publisher in self._out[OTHER]:
            self.node.destroy_publisher(publisher)
        sensor = qos.sensor("reliable")
        self._out[OTHER] = [
            self.node.create_publisher(CameraInfo, f"/{OTHER}/front/camera_info", sensor),
            self.node.create_publisher(Odometry, f"/{OTHER}/odometry", sensor),
            self.node.create_publisher(CompressedImage, f"/{OTHER}/front/image_raw/compressed", sensor),
        ]

    def taken(self) -> bool:
        """Whether both UAVs are there and take everything."""
        there = {USUAL, OTHER} <= set(self.status)
        return there and all(p.get_subscription_count() > 0 for out in self._out.values() for p in out)

    def show(self, frame: int, agents: list[str] | None = None, spoil: bool = False) -> int:
        """Publish a frame to both; `spoil`: the second UAV's images are damaged, and its odometry is not finite."""
        stamp = START_NS + frame * STEP_NS
        self._clock.publish(Clock(clock=convert.time_of(stamp)))
        K, T, covariance = camera(1, frame)
        image = camera_image(1, frame)
        info, pose, raw = self._out[USUAL]
        info.publish(convert.intrinsics_to_message(K, SIZE, stamp, "camera"))
        pose.publish(convert.pose_to_message(T, covariance, stamp, "map"))
        raw.publish(convert.image_to_message(image, stamp, "camera"))
        info, odometry, compressed = self._out[OTHER]
        info.publish(convert.intrinsics_to_message(K, SIZE, stamp, "camera"))
        message = Odometry(child_frame_id="base_link")
        message.header.stamp, message.header.frame_id = convert.time_of(stamp), "odom"
        convert.fill_pose(message.pose.pose, T)
        if spoil:
            message.pose.pose.position.x = float("nan")
        message.pose.covariance = covariance.ravel()
        odometry.publish(message)
        png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
        packed = CompressedImage(format="rgb8; png compressed bgr8")
        packed.header.stamp = convert.time_of(stamp)
        packed.data = array.array("B", png[: len(png) // 2] if spoil else png)
        compressed.publish(packed)
        return stamp


def content(name: str, message: Any) -> list[np.ndarray]:
    """The numbers of an output, without the name of the UAV."""
    if name == "detections":
        boxes = task_messages.boxes_from_message(message)
        return [boxes.centres, boxes.sizes, boxes.scores, boxes.yaws, boxes.velocities, boxes.classes]
    if name == "trajectories":
        tracks = task_messages.tracks_from_message(message)
        return [tracks.ids, tracks.positions, tracks.scores]
    return [np.asarray(message.data)]


def test_compressed_pictures_and_odometry_give_what_raw_pictures_and_poses_give(
    tmp_path: Path, domain: int, model: Path
) -> None:
    alone: dict[str, Any] = {"max_peers": 0, "publish_single": False}
    other = {
        "image_transport": "compressed",
        "cameras": ["front"],
        "pose_type": "odometry",
        "pose_frame_id": "odom",
    }
    specs = [uav_spec(USUAL, model, domain, **alone), uav_spec(OTHER, model, domain, **alone, **other)]
    specs[1] = dataclasses.replace(specs[1], remaps={"pose": "odometry"})
    world = MixedWorld(domain)
    try:
        with Supervisor(tmp_path) as supervisor:
            for spec in specs:
                supervisor.start(spec)
            world.until(world.taken, "both UAVs take their inputs")
            stamps = [world.fly(frame) for frame in range(FRAMES)]
            # The second one is given rubbish for a while and works again afterwards.
            world.show(FRAMES, spoil=True)
            world.until(
                lambda: world.answered(USUAL) == START_NS + FRAMES * STEP_NS, "the first one flies on"
            )
            last = world.fly(FRAMES + 1)
            topics = [f"/{agent}/{name}" for agent in (USUAL, OTHER) for name in OUTPUTS]
            world.until(
                lambda: all(last in world.got[t] for t in topics), "all outputs of the last frame came"
            )
    finally:
        world.close()
    something = 0
    for stamp in stamps:
        for name in OUTPUTS:
            usual, mine = (content(name, world.got[f"/{agent}/{name}"][stamp]) for agent in (USUAL, OTHER))
            for a, b in zip(usual, mine, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)
                something += a.size
    assert something > 1000
    assert START_NS + FRAMES * STEP_NS not in world.got[f"/{OTHER}/detections"]
    assert [len(world.packets[a][stamps[0]]) for a in (USUAL, OTHER)] == [
        world.packets[USUAL][stamps[0]][0].packet_count
    ] * 2
