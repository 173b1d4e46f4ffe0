"""Inputs of one UAV with everything that they refused, and messages for them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.geometry.rotations import quaternion_from_matrix
from rsdfm_ros.geometry.rotations import transform as rigid
from support.input_messages import (
    NS,
    info,
    pose_with_covariance,
    rgb,
)

SIZE = (6, 8)
K = np.array([[10.0, 0, 3.5], [0, 10.0, 2.5], [0, 0, 1]])


class Bench:
    """Inputs of one UAV with everything that it refused."""

    def __init__(self, **config: Any) -> None:
        self.refused: Counter[str] = Counter()
        self.sentences: list[str] = []
        self.inputs = Inputs(InputConfig(agent="uav1", **config), self.reject)

    def reject(self, reason: str, text: str) -> None:
        self.refused[reason] += 1
        self.sentences.append(text)

    def infos(self) -> None:
        for camera in range(len(self.inputs.config.cameras)):
            self.inputs.add_info(camera, info(K, SIZE))

    def image(self, t_ms: float, camera: int = 0, arrived_s: float = 0.0, shade: int = 7) -> list[Matched]:
        return self.inputs.add_image(camera, rgb(ms(t_ms), shade, SIZE, f"cam{camera}"), arrived_s)

    def pose(self, t_ms: float, x: float = 0.0) -> list[Matched]:
        return self.inputs.add_pose(pose_with_covariance(at(x), ms(t_ms)))


def ms(t: float) -> int:
    return 10 * NS + round(t * 1e6)


def at(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    return rigid(np.eye(3), [x, y, z])


def numbers(T: np.ndarray) -> tuple[float, ...]:
    return (*T[:3, 3], *quaternion_from_matrix(T[:3, :3]))


def stamps(matched: list[Matched]) -> list[float]:
    return [(m.stamp_ns - 10 * NS) / 1e6 for m in matched]


TWO = {"cameras": ("front", "rear"), "extrinsics": numbers(at(1)) + numbers(at(-1))}
