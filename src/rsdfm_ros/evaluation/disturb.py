"""Disturbances of communication and localisation, seeded, off by default.

loss: share of the messages between two UAVs that never arrive, drawn for every receiver · loss_correlation: 0,
independent per message; more, losses within an image come in bursts (wire/faults/link.py) · latency_ms: transmission
time of messages · wait_ms: time that a UAV waits for its peers before it fuses · staggered: 0, all cameras expose
together every 500 ms; 1, peers' cameras expose so that their messages arrive just in time · pose_sigma_m,
pose_sigma_deg: standard deviation of independent Gaussian noise on each axis of every UAV's camera pose (the ego's
too), drawn for every frame · pose_bias_m, pose_bias_deg: the same, drawn once per UAV and scene; the covariance that
is sent includes it · drop_uavs: that many peers of every ego never send · attackers: that many peers of every ego send
false features; attack_kind: which ones (evaluation/attacks/kinds.py).

The same seed draws the same random numbers for every strength and method, so that figures of a sweep differ only by
the disturbance.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import FRAME_PERIOD_S
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.attacks.kinds import KINDS, MIRRORED
from rsdfm_ros.geometry.rotations import rotation_vector
from rsdfm_ros.wire.faults.link import lost

_POSE, _LOSS, _BIAS, _ATTACK = 1, 2, 3, 4  # streams of random numbers


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
    wait_ms: float = 0.0
    staggered: int = 0
    pose_bias_m: float = 0.0
    pose_bias_deg: float = 0.0
    attackers: int = 0
    loss_correlation: float = 0.0
    attack_kind: str = MIRRORED

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise DisturbanceError(f"{name}={value} is out of range: expected 0 to {most:g}")
        if self.attack_kind not in KINDS:
            raise DisturbanceError(f"attack_kind={self.attack_kind}: expected one of {', '.join(KINDS)}")

    @property
    def lag_s(self) -> float:
        """Time by which messages arrive after the ego's fusion."""
        return max(0.0, self.latency_ms - self.wait_ms) / 1000.0

    @property
    def delay_frames(self) -> int:
        """Frames by which peers' data is late when all cameras expose together."""
        return 0 if self.staggered else math.ceil(self.lag_s / FRAME_PERIOD_S - 1e-9)

    @property
    def lead_s(self) -> float:
        """Time by which staggered peers expose earlier than the ego, in whole steps of STAGGER_S."""
        return math.ceil(self.lag_s / STAGGER_S - 1e-9) * STAGGER_S if self.staggered else 0.0

    @property
    def age_s(self) -> float:
        """Age of fused data, if it arrives at all."""
        return self.lead_s + self.delay_frames * FRAME_PERIOD_S

    @property
    def believed_poses(self) -> tuple[float, ...]:
        """Key of the poses that UAVs use: equal keys, equal poses."""
        sigmas = (self.pose_sigma_m, self.pose_sigma_deg, self.pose_bias_m, self.pose_bias_deg)
        return (float(self.seed), *sigmas) if any(sigmas) else ()

    def silent(self, agents: int, ego: int) -> set[int]:
        """The peers of `ego` that never send: the last ones of `agents`, never the ego."""
        peers = [a for a in range(agents) if a != ego]
        return set(peers[max(0, len(peers) - self.drop_uavs) :])

    def false(self, agents: int, ego: int) -> set[int]:
        """The peers of `ego` that send false features: the first ones of `agents`, never the ego."""
        return set([a for a in range(agents) if a != ego][: self.attackers])

    def attack_seed(self, scene: int) -> tuple[int, ...]:
        """Seed of what attackers draw in a scene."""
        return (self.seed, _ATTACK, scene)

    def noisy_pose(
        self,
        T_map_camera: NDArray[np.float64],
        covariance: NDArray[np.float64],
        *,
        scene: int,
        frame: int,
        agent: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The pose (4, 4) and covariance (6, 6) that the UAV uses; unchanged without pose noise."""
        for stream, sigma_m, sigma_deg in (
            ([_BIAS, scene, agent], self.pose_bias_m, self.pose_bias_deg),
            ([_POSE, scene, frame, agent], self.pose_sigma_m, self.pose_sigma_deg),
        ):
            if sigma_m == 0 and sigma_deg == 0:
                continue
            rng = np.random.default_rng([self.seed, *stream])
            shift, sigma_rad = rng.normal(size=3) * sigma_m, math.radians(sigma_deg)
            noisy = T_map_camera.copy()
            noisy[:3, :3] = rotation_vector(rng.normal(size=3) * sigma_rad) @ T_map_camera[:3, :3]
            noisy[:3, 3] += shift
            variances = np.repeat([sigma_m**2, sigma_rad**2], 3)
            T_map_camera, covariance = noisy, covariance + np.diag(variances)
        return T_map_camera, covariance

    def arrives(self, count: int, *, scene: int, frame: int, sender: int, receiver: int) -> NDArray[np.bool_]:
        """Mask of the `count` messages of a frame that reach the receiver."""
        if self.loss == 0:
            return np.ones(count, dtype=bool)
        rng = np.random.default_rng([self.seed, _LOSS, scene, frame, sender, receiver])
        return ~lost(rng.uniform(size=count), self.loss, self.loss_correlation)


STAGGER_S = 0.1
"""Steps in which exposures can be staggered: what the simulator's traffic resolves."""

_MOST = {
    "loss": 1.0,
    "latency_ms": 10_000.0,
    "pose_sigma_m": 100.0,
    "pose_sigma_deg": 45.0,
    "drop_uavs": 64,
    "seed": 2**31,
    "wait_ms": 10_000.0,
    "staggered": 1,
    "pose_bias_m": 100.0,
    "pose_bias_deg": 45.0,
    "attackers": 64,
    "loss_correlation": 0.99,
}


_TYPES = {"int": int, "float": float, "str": str}


def parse_disturbance(text: str) -> Disturbance:
    """Parse `loss=0.2,latency_ms=200`; an unknown, repeated or ill-typed key raises DisturbanceError."""
    kinds = {f.name: _TYPES[str(f.type)] for f in dataclasses.fields(Disturbance)}
    values: dict[str, float | str] = {}
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
