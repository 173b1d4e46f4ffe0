"""One sentence about every topic, in one place: `--help` of the executables and docs/topics.md show these.

Names are relative to the namespace of the UAV, such as /uav1, or absolute where the whole fleet shares the topic. Every
topic of a task also exists below `single/`: the answer of the UAV without any peer (parameter `publish_single`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TOPICS: Mapping[str, str] = MappingProxyType(
    {
        # --- inputs of a UAV ---
        "camera/image_raw": "Images of the camera; header.stamp is the exposure time.",
        "camera/image_raw/compressed": "The same as JPEG or PNG, instead of camera/image_raw.",
        "camera/camera_info": "Intrinsics of the camera, for images of the same size.",
        "<camera>/image_raw": "Images of one of several cameras (parameter `cameras`).",
        "<camera>/camera_info": "Its intrinsics.",
        "pose": "Pose of the camera, or with the parameter `extrinsics` of the body that carries it, in the map frame "
        "(ENU, m); its type is chosen by `pose_type`. Interpolated to the stamps of the images.",
        "ground/height": "Height of the ground under the UAV (point.z in the map frame, m; x and y are not used): "
        "taken where `ground_model` says topic, published by encoder_node for every image where it says range.",
        "ground/range": "Height of the camera above the ground under it, m (`ground_model` range).",
        "radio/rate": "Bytes per second that the radio takes now, 0 for none; the last value counts until the next "
        "one, where it is below the parameter `budget_bytes_s`.",
        # --- between UAVs ---
        "bev/features": "Compressed bird's-eye-view features of one image, some packets per image; every UAV "
        "publishes its own and subscribes to those of all others.",
        "bev/fused": "Fused bird's-eye-view features for head nodes in other processes (parameter `publish_fused`), "
        "once per image.",
        "bev/demand": "Tiles that the UAV wants of its peers (parameter `demand`), once a second; every UAV publishes "
        "its own and subscribes to those of all others.",
        "bev/contributors": "UAV with the largest weight in each cell of the fused map, north up: 0 unseen, 1 the UAV "
        "itself, 1 + k its k-th contributor; only while there is a subscriber.",
        # --- outputs of a UAV ---
        "detections": "3D boxes with class, score and velocity (map frame, m, m/s), once per image.",
        "detections_3d": "The same boxes as vision_msgs, where that package is installed, once per image.",
        "instance_mask": "Instance of every cell of the map seen from above, north up: 0 is ground, other values are "
        "one vehicle each; once per image.",
        "occupancy": "Probability of a vehicle in every cell, 0 to 100 per cent; once per image, and the last one for "
        "late subscribers.",
        "trajectories": "Positions of every vehicle now and over the coming two seconds (map frame, m), once per "
        "image.",
        "future_masks": "Instance masks now and at the coming steps, one below the other (parameter "
        "`publish_future`), once per image.",
        "layout/road": "Probability of road in every cell, 0 to 100 per cent, once per image; of models with a "
        "layout head (docs/tutorials/add_your_own_task.md).",
        "layout/building": "The same of buildings.",
        "paths": "The trajectories as lines with their ids for RViz and Foxglove; only while there is a subscriber.",
        "markers": "Boxes, headings, speeds and labels of detections above the threshold for RViz and Foxglove; only "
        "while there is a subscriber.",
        "path": "Track of the UAV's camera over the last images (map frame, m); only while there is a "
        "subscriber.",
        "debug/bev_image": "The map in colours, north up, four pixels per cell: unseen dark, seen grey, one colour per "
        "instance, boxes in white; only while there is a subscriber.",
        "status": "Rate, latency, bytes, peers of the UAV after every image; once a second before the first one "
        "(uav_node only).",
        "debug/processing_time": "Duration of every stage, s, and from the arrival of the image to its last output; "
        "once per image while there is a subscriber.",
        # --- with Gazebo: through ros_gz_bridge ---
        "gazebo/camera_info": "Intrinsics as Gazebo counts them (principal point from the image's edge), once per "
        "image.",
        "odometry": "Pose and velocity of the UAV's body in the map frame (m, m/s), from Gazebo's odometry plugin.",
        "joint_states": "Angles of the gimbal's joints, rad.",
        "imu": "Angular velocity and acceleration of the UAV's body (rad/s, m/s^2); only while there is a subscriber.",
        "cmd_vel": "Commanded velocity of the UAV's body (m/s, rad/s).",
        "gimbal/pitch/command": "Commanded pitch of the gimbal, rad.",
        "gimbal/roll/command": "Commanded roll of the gimbal, rad.",
        # --- the fleet ---
        "/clock": "Mission time of the simulation or of a replayed bag; nodes with use_sim_time follow it.",
        "/ground_truth": "All vehicles of the simulated world with their true boxes (map frame, m), once per frame.",
        "/fleet/status": "Status and score of all UAVs by the evaluator, once per answered frame.",
        "/diagnostics": "Health of every node, once a second of the steady clock.",
        "/tf": "Frames in the map frame: of a localisation outside this package, where poses or extrinsics come from "
        "TF; otherwise of cameras and body of a UAV, by encoder_node for every image while there is a subscriber "
        "(parameter `publish_pose_tf`).",
        "/tf_static": "Fixed frames, such as a camera on its UAV, and the origin of the lattice.",
        # --- every ROS node ---
        "/rosout": "Log messages of every node.",
        "/parameter_events": "Changes of parameters of every node.",
        "~/transition_event": "Lifecycle transitions of the managed node.",
    }
)
"""Relative or absolute name → one sentence: content, unit, frame, time of publication."""

SINGLE = "single/"


class UnknownTopic(LookupError):
    """A topic without a sentence in TOPICS: add it there."""


def relative_name(topic: str, namespace: str, node: str = "") -> str:
    """The name of TOPICS for a fully qualified topic of a node in `namespace` (such as /uav1)."""
    inside = namespace.rstrip("/") + "/"
    if node and topic.startswith(f"{inside}{node}/"):
        return "~/" + topic[len(inside) + len(node) + 1 :]
    if topic in TOPICS:
        return topic
    for root in (inside, "/"):
        if topic.startswith(root) and known(topic[len(root) :]):
            return topic[len(root) :]
    return topic[len(inside) :] if topic.startswith(inside) else topic


def known(name: str) -> bool:
    """Whether there is a sentence about this name."""
    return name in TOPICS or name.removeprefix(SINGLE) in TOPICS


def about(name: str) -> str:
    """The sentence about a topic by its name in TOPICS, also below `single/`. Raises: UnknownTopic."""
    sentence = TOPICS.get(name)
    if sentence is not None:
        return sentence
    if name.startswith(SINGLE) and name.removeprefix(SINGLE) in TOPICS:
        return f"Without any peer, for comparison: {TOPICS[name.removeprefix(SINGLE)]}"
    raise UnknownTopic(f"topic {name!r} has no sentence in nodes/core/topics.py: add one")
