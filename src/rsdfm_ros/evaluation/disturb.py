"""Disturbances of communication and localisation, seeded, off by default.

loss: share of the messages between two UAVs that never arrive, independent per message and receiver ·
latency_ms: age of what arrives; as frames come every 500 ms, a delay is rounded up to whole frames ·
pose_sigma_m, pose_sigma_deg: standard deviation of independent Gaussian noise on each axis of every UAV's
camera pose (the ego's too), drawn for every frame; the covariance that travels along says so · drop_uavs:
that many peers never send.

The same seed draws the same random numbers whatever the strength and the method, so that figures of a sweep
differ only by the disturbance.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.rotations import rotation_vector

_POSE, _LOSS = 1, 2  # streams of random numbers


class DisturbanceError(RsdfmError):
    """A disturbance that is unknown or out of range."""


@dataclass(frozen=True)
class Disturbance:
    """Strengths of all disturbances; the default is none."""

    loss: float = 0.0
    latency_ms: float = 0.0
    pose_sigma_m: float = 0.0
    pose_sigma_deg: float = 0.0
    drop_uavs: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise DisturbanceError(f"{name}={value} is out of range: expected 0 to {most:g}")

    @property
    def delay_frames(self) -> int:
        """Frames by which peers' data is late."""
        return math.ceil(self.latency_ms / 1000.0 / FRAME_PERIOD_S - 1e-9)

    def silent(self, agents: int, ego: int) -> set[int]:
        """The peers of `ego` that never send: the last ones of `agents`, never the ego."""
        peers = [a for a in range(agents) if a != ego]
        return set(peers[max(0, len(peers) - self.drop_uavs) :])

    def noisy_pose(
        self,
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64],
        *,
        scene: int,
        frame: int,
        agent: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The pose (4, 4) and covariance (6, 6) that the UAV believes in; unchanged without pose noise."""
        if self.pose_sigma_m == 0 and self.pose_sigma_deg == 0:
            return T_map_camera, covariance
        rng = np.random.default_rng([self.seed, _POSE, scene, frame, agent])
        shift = rng.normal(size=3) * self.pose_sigma_m
        sigma_rad = math.radians(self.pose_sigma_deg)
        turn = rotation_vector(rng.normal(size=3) * sigma_rad)
        noisy = T_map_camera.copy()
        noisy[:3, 3] += shift
        noisy[:3, :3] = turn @ T_map_camera[:3, :3]
        variances = np.repeat([self.pose_sigma_m**2, sigma_rad**2], 3)
        return noisy, covariance + np.diag(variances)

    def arrives(self, count: int, *, scene: int, frame: int, sender: int, receiver: int) -> NDArray[np.bool_]:
        """Which of `count` messages of a frame reach the receiver."""
        if self.loss == 0:
            return np.ones(count, dtype=bool)
        rng = np.random.default_rng([self.seed, _LOSS, scene, frame, sender, receiver])
        return np.asarray(rng.uniform(size=count) >= self.loss)


_MOST = {
    "loss": 1.0,
    "latency_ms": 10_000.0,
    "pose_sigma_m": 100.0,
    "pose_sigma_deg": 45.0,
    "drop_uavs": 64,
    "seed": 2**31,
}


def parse_disturbance(text: str) -> Disturbance:
    """Parse `loss=0.2,latency_ms=200`; an unknown, repeated or ill-typed key raises DisturbanceError."""
    kinds = {f.name: int if f.type == "int" else float for f in dataclasses.fields(Disturbance)}
    values: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not equals or name not in kinds:
            raise DisturbanceError(
                f"unknown disturbance {part!r}: expected name=value with one of {', '.join(kinds)}"
            )
        if name in values:
            raise DisturbanceError(f"disturbance {name} is given twice")
        try:
            values[name] = kinds[name](value)
        except ValueError:
            raise DisturbanceError(f"{name}={value}: expected a number ({kinds[name].__name__})") from None
    return Disturbance(**values)  # type: ignore[arg-type]
