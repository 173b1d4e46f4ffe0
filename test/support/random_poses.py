"""Random poses and covariances, and the reason of a refused message."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.geometry.rotations import transform as rigid

RNG = np.random.default_rng(3)


def random_pose(scale: float = 10.0) -> np.ndarray:
    return rigid(
        Rotation.random(random_state=int(RNG.integers(1 << 30))).as_matrix(), RNG.normal(0, scale, 3)
    )


def random_covariance() -> np.ndarray:
    A = RNG.normal(0, 0.1, (6, 6))
    return A @ A.T


def wxyz(rotation: Rotation) -> np.ndarray:
    """Scalar first, as PX4 stores it."""
    return np.roll(rotation.as_quat(), 1)


def reason(call, *args: object) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(MessageError) as caught:
        call(*args)
    return caught.value.reason
