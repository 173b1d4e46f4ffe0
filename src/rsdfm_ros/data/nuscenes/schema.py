"""The nuScenes v1.0 schema as we use it: tables, fields, categories, tokens.

Conventions of nuScenes that differ from ours: quaternions are wxyz, sizes are width, length, height, timestamps are
microseconds. ``ego_pose`` maps the ego body to the world, ``calibrated_sensor`` maps the camera to the ego body.
"""

from __future__ import annotations

import hashlib

import numpy as np

from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, transform

VERSION = "v1.0-trainval"
"""Name of the folder of tables that we write."""

SIDE_FILE = "rsdfm.json"
"""Our addition beside the tables, unknown to (and ignored by) nuscenes-devkit."""

SIDE_FORMAT = 1

CATEGORY_NAMES: tuple[str, ...] = ("vehicle.car", "vehicle.van", "vehicle.truck", "vehicle.bus.rigid")
"""Category that is written for each index into CLASSES."""

VISIBILITY_LEVELS: tuple[tuple[str, str, float], ...] = (
    ("1", "v0-40", 0.4),
    ("2", "v40-60", 0.6),
    ("3", "v60-80", 0.8),
    ("4", "v80-100", 1.0),
)
"""Token, level name and upper bound of the visible share, in ascending order."""

ATTRIBUTES: tuple[str, ...] = ("vehicle.moving", "vehicle.stopped")

TEXT, NUMBER, FLAG = "text", "number", "true or false"
FIELDS: dict[str, dict[str, str | int]] = {
    "attribute": {"token": TEXT, "name": TEXT},
    "calibrated_sensor": {"token": TEXT, "sensor_token": TEXT, "translation": 3, "rotation": 4},
    "category": {"token": TEXT, "name": TEXT},
    "ego_pose": {"token": TEXT, "translation": 3, "rotation": 4},
    "instance": {"token": TEXT, "category_token": TEXT},
    "log": {"token": TEXT},
    "map": {"token": TEXT},
    "sample": {"token": TEXT, "timestamp": NUMBER, "scene_token": TEXT},
    "sample_annotation": {
        "token": TEXT,
        "sample_token": TEXT,
        "instance_token": TEXT,
        "translation": 3,
        "size": 3,
        "rotation": 4,
    },
    "sample_data": {
        "token": TEXT,
        "sample_token": TEXT,
        "ego_pose_token": TEXT,
        "calibrated_sensor_token": TEXT,
        "filename": TEXT,
        "is_key_frame": FLAG,
    },
    "scene": {"token": TEXT, "name": TEXT},
    "sensor": {"token": TEXT, "channel": TEXT, "modality": TEXT},
    "visibility": {"token": TEXT, "level": TEXT},
}
"""Tables of the schema with the fields that the reader depends on; an integer is the length of a list of numbers."""

TABLES: tuple[str, ...] = tuple(FIELDS)

T_BODY_CAMERA = transform(R_BODY_OPTICAL, np.zeros(3))
"""Optical camera frame to the camera-carrying body (x forward, y left, z up), the same in every scene we write."""


def token(*parts: object) -> str:
    """A 32-digit token that depends on nothing but its parts."""
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def channel_of_agent(agent: str) -> str:
    """``uav3`` → ``UAV_3``; any other name in capitals."""
    return f"UAV_{agent[3:]}" if agent.startswith("uav") and agent[3:].isdigit() else agent.upper()
