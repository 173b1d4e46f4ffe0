"""A small flight as messages and as a bag, for the tests of the views: two UAVs, three instants, two vehicles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from rsdfm_ros.msg import AgentStatus

from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.outputs import Tracks, boxes_of_objects
from rsdfm_ros.evaluation.mission import Answer, Instant
from rsdfm_ros.evaluation.report.recording import Surroundings
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.nodes.convert import images
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.convert import tasks as convert_tasks
from rsdfm_ros.nodes.mission.recorder import FolderWriter
from rsdfm_ros.wire.features import FeatureFrame
from rsdfm_ros.wire.packet import encode_frame
from support.packets import packets_to_messages
from support.tracks import tracks_to_message
from support.wire_frames import feature_frame

AGENTS = ("uav1", "uav2")
STAMPS = (10_000_000_000, 10_500_000_000, 11_000_000_000)
SIZE = (60, 80)
K = intrinsics_from_fov(SIZE[1], SIZE[0], 1.2)
WINDOW = square_window(16.0, 0.5)
COARSE = square_window(16.0, 1.0)


def down(x: float, height: float = 40.0) -> np.ndarray:
    """T_map_camera of a camera above (x, 0) that looks straight down, its right to the east."""
    T = np.eye(4)
    T[:3, :3] = np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
    T[:3, 3] = [x, 0, height]
    return T


def objects(frame: int) -> Objects:
    """A car that drives east, and a bus that stands."""
    return Objects(
        ids=np.array([3, 8]),
        classes=np.array([0, 3]),
        centres=np.array([[-4.0 + 2 * frame, 2.0, 0.75], [6.0, -5.0, 1.5]]),
        sizes=np.array([[4.0, 2.0, 1.5], [10.0, 2.5, 3.0]]),
        yaws=np.array([0.0, np.pi / 2]),
        velocities=np.array([[4.0, 0.0], [0.0, 0.0]]),
        visibility=np.ones((2, 2)),
    )


def features(number: int) -> FeatureFrame:
    """uav1 sees the south-west tile, uav2 that one and the north-east one."""
    frame = feature_frame(number, tiles=number + 1, cells=10)
    tiles = np.array([[-1, -1], [0, 0]], np.int32)[: number + 1]
    return dataclasses.replace(frame, tiles=tiles, visible=np.ones((number + 1, 16, 16), bool))


def messages() -> Iterator[tuple[str, str, int, Any]]:
    """Topic, type, stamp and message of everything, in the order of a recorder."""
    for frame, ns in enumerate(STAMPS):
        now = objects(frame)
        truth = convert_tasks.truth_to_message(now, agents=AGENTS, frame=frame, ns=ns, frame_id="map")
        yield "/ground_truth", "rsdfm_ros/msg/GroundTruth", ns, truth
        for number, agent in enumerate(AGENTS):
            for topic, kind, message in _of(agent, number, frame, ns, now):
                yield f"/{agent}/{topic}", kind, ns, message


def _of(agent: str, number: int, frame: int, ns: int, now: Objects) -> Iterator[tuple[str, str, Any]]:
    T, about = down(5.0 * number), {"agent": agent, "frame": frame, "ns": ns, "frame_id": "map"}
    image = np.full((*SIZE, 3), 60 * number + 20 * frame, np.uint8)
    # The image is written before its intrinsics and its pose: recorders note topics in any order.
    yield "camera/image_raw", "sensor_msgs/msg/Image", convert.image_to_message(image, ns, "camera")
    yield (
        "camera/camera_info",
        "sensor_msgs/msg/CameraInfo",
        convert.intrinsics_to_message(K, SIZE, ns, "camera"),
    )
    pose = convert.pose_to_message(T, np.eye(6) * 1e-4, ns, "map")
    yield "pose", "geometry_msgs/msg/PoseWithCovarianceStamped", pose
    packets = encode_frame(features(number), 16_384, fingerprint=7)
    for message in packets_to_messages(
        packets, agent=agent, frame=frame, stamp_ns=ns, frame_id="map", fingerprint=7, T_map_camera=T,
        covariance=np.eye(6),
    ):  # fmt: skip
        yield "bev/features", "rsdfm_ros/msg/FeaturePacket", message
    dominant = np.ones(COARSE.shape, np.uint8)
    dominant[:, 16:] = 2  # the north comes from the peer
    contributors = images.contributors_to_message(dominant, ns, "map")
    yield "bev/contributors", "sensor_msgs/msg/Image", contributors
    for prefix, kept in (("single/", slice(0, 1)), ("", slice(0, 2))):  # alone it misses the bus
        found = boxes_of_objects(now).select(np.arange(2)[kept])
        boxes = convert_tasks.boxes_to_message(found, contributors=AGENTS, **about)
        yield f"{prefix}detections", "rsdfm_ros/msg/ObjectArray", boxes
        probability = (rasterise(now.select(np.arange(2)[kept]), WINDOW) > 0).astype(np.float32)
        grid = convert_tasks.grid_to_message(probability, WINDOW, ns, "map")
        yield f"{prefix}occupancy", "nav_msgs/msg/OccupancyGrid", grid
        positions = found.centres[:, None, :2] + np.arange(5)[:, None] * found.velocities[:, None] / 2
        tracks = Tracks(now.ids[kept], positions, np.ones(len(found)))
        yield (
            f"{prefix}trajectories",
            "rsdfm_ros/msg/TrajectoryArray",
            tracks_to_message(tracks, **about),
        )
    status = AgentStatus(
        agent=agent, frame=frame, frames_processed=frame + 1, peers=[a for a in AGENTS if a != agent]
    )
    status.header.stamp = convert.time_of(ns)
    status.bytes_sent_frame, status.latency_median_s = 1000 * (number + 1) + frame, 0.25
    yield "status", "rsdfm_ros/msg/AgentStatus", status


def write_bag(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """The flight as a bag; `without` leaves out topics that end so."""
    with BagWriter(folder) as bag:
        for order, (topic, kind, ns, message) in enumerate(messages()):
            if not topic.endswith(without):
                bag.write(topic, kind, ns + order, serialize_message(message))
    return folder


def write_run(folder: Path) -> Path:
    """The flight as a recorded run, as the evaluator leaves it: in the last frame uav2 does not answer."""
    writer = FolderWriter(folder, frames=True)
    lines = []
    for frame, ns in enumerate(STAMPS):
        now = objects(frame)
        ids = rasterise(now, WINDOW)
        instant = Instant(frame, ns, now, AGENTS)
        facts = {}
        for number, agent in enumerate(AGENTS[: 1 if frame == 2 else 2]):
            instant.images[agent] = np.full((*SIZE, 3), 90 + 40 * frame, np.uint8)
            instant.poses[agent] = down(5.0 * number)
            for variant, kept in (("single", slice(0, 1)), ("collaborative", slice(0, 2))):
                some = now.select(np.arange(2)[kept])
                mask = rasterise(some, WINDOW)
                percent = (100 * (mask > 0)).astype(np.uint8)
                positions = some.centres[:, None, :2] + np.arange(5)[:, None] * some.velocities[:, None] / 2
                tracks = Tracks(some.ids, positions, np.ones(len(some)))
                answer = Answer(mask=mask, percent=percent, boxes=boxes_of_objects(some), tracks=tracks)
                instant.answers[agent, variant] = answer
            peers = [a for a in AGENTS if a != agent]
            facts[agent] = {
                "bytes_sent_frame": 700 + frame,
                "peers": peers,
                "peer_ages_s": [0.1],
                "objects": 2,
            }
            facts[agent] |= {"latency_median_ms": 250.0, "packets_received": 9, "packets_lost": 1}
        writer.frame(instant, ids)
        line = {"frame": frame, "stamp_s": ns / 1e9, "agents": facts}
        lines.append(line)
        writer.status(line)
    writer.result({"protocol": {"agents": list(AGENTS)}, "results": [], "frames": lines})
    writer.close()
    Surroundings([[(0.0, 0.0), (5.0, 0.0), (5.0, 5.0)]], [], K).write(folder)
    return folder
