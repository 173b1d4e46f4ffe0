"""The covariance of a pose in messages: its upper triangle in single precision, checked as strictly as the matrix."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.agent.envelope import MAX_POSE_SIGMA_M, MAX_POSE_SIGMA_RAD, Refused, envelope_of
from rsdfm_ros.data.bags.message_sizes import feature_message
from rsdfm_ros.data.bags.topic_map import FEATURES
from rsdfm_ros.data.bags.types import typestore
from rsdfm_ros.geometry.uncertainty import from_upper_triangle, upper_triangle

WHERE = {"topic_agent": "uav2", "frame_id": "map"}


def received(covariance: np.ndarray) -> Any:
    """A message with this covariance as it arrives."""
    about = {"stamp_ns": 1, "frame": 2, "index": 0, "count": 1, "fingerprint": 3, "T_map_camera": np.eye(4)}
    raw = feature_message(b"\0", agent="uav2", covariance=covariance, **about)
    return typestore().deserialize_cdr(raw, FEATURES)


def test_every_covariance_of_a_pose_arrives_symmetric_and_within_single_precision() -> None:
    rng = np.random.default_rng(4)
    for k in range(200):
        root = rng.normal(0, 1, (6, rng.integers(1, 7))) * 10.0 ** rng.uniform(-6, 2)
        root[3:] *= 10.0 ** rng.uniform(-4, -2)
        covariance = root @ root.T  # often singular
        found = envelope_of(received(covariance), **WHERE).covariance
        np.testing.assert_array_equal(found, found.T, err_msg=str(k))
        np.testing.assert_allclose(found, covariance, rtol=1e-7)
    bounds = np.diag([MAX_POSE_SIGMA_M**2] * 3 + [MAX_POSE_SIGMA_RAD**2] * 3)
    np.testing.assert_allclose(envelope_of(received(bounds), **WHERE).covariance, bounds, rtol=1e-7)
    assert not envelope_of(received(np.zeros((6, 6))), **WHERE).covariance.any()


def test_the_triangle_goes_row_after_row() -> None:
    matrix = np.arange(36.0).reshape(6, 6)
    symmetric = np.triu(matrix) + np.triu(matrix, 1).T
    triangle = upper_triangle(symmetric)
    assert triangle.dtype == np.float32 and triangle[:8].tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    np.testing.assert_array_equal(from_upper_triangle(triangle), symmetric)
    with pytest.raises(ValueError, match="21"):
        from_upper_triangle(np.zeros(36))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ((0, 0), np.nan, "covariance_not_finite"),
        ((0, 5), -np.inf, "covariance_not_finite"),
        ((1, 1), 1e39, "covariance_not_finite"),  # no number of single precision
        ((1, 1), 1e20, "covariance_too_large"),
        ((2, 2), 1.01 * MAX_POSE_SIGMA_M**2, "covariance_too_large"),
        ((5, 5), 1.01 * MAX_POSE_SIGMA_RAD**2, "covariance_too_large"),
        ((3, 3), -1e-30, "covariance_invalid"),
        ((0, 1), 0.2, "covariance_invalid"),
        ((0, 1), 1e30, "covariance_invalid"),
    ],
)
def test_what_is_no_covariance_is_refused_after_the_rounding(
    place: tuple[int, int], value: float, reason: str
) -> None:
    covariance = 0.1 * np.eye(6)
    covariance[place] = value
    with pytest.raises(Refused) as caught:
        envelope_of(received(covariance), **WHERE)
    assert caught.value.reason == reason


def test_a_message_of_the_former_definition_is_refused_as_such() -> None:
    message = SimpleNamespace(**vars(received(np.eye(6))) | {"covariance": np.eye(6).ravel()})
    with pytest.raises(Refused, match="36 numbers, expected the 21 of its upper triangle") as caught:
        envelope_of(message, **WHERE)
    assert caught.value.reason == "other_definition"
