"""Pose messages of every kind, and the buffer that interpolates between them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.pose_buffer import REPLACING_POSES, PoseBuffer
from rsdfm_ros.data.messages.poses import (
    PoseSample,
    from_odometry,
    from_pose_stamped,
    from_pose_with_covariance,
    from_px4_odometry,
)
from rsdfm_ros.geometry.rotations import transform as rigid
from support.input_messages import NS, odometry, pose, pose_with_covariance, px4
from support.random_poses import random_covariance, random_pose, reason, wxyz


def test_px4_odometry_is_read_with_time_frames_and_resets() -> None:
    q = wxyz(Rotation.from_euler("ZYX", [90, 0, 0], degrees=True))
    posed = from_px4_odometry(px4([1, 2, -30], q, 1_700_000_000_123_456, reset=4))
    assert posed.stamp_ns == 1_700_000_000_123_456_000 and posed.reset == 4 and posed.frame_id == ""
    np.testing.assert_allclose(posed.sample.T, rigid(np.eye(3), [2, 1, 30]), atol=1e-6)  # nose east
    np.testing.assert_allclose(np.diag(posed.sample.covariance)[:3], [0.02, 0.01, 0.03], rtol=1e-6)
    world = from_px4_odometry(px4([1, 2, -30], [1, 0, 0, 0], 5, frame=2))
    np.testing.assert_allclose(world.sample.T, rigid(np.eye(3), [1, -2, 30]), atol=1e-6)
    blank = px4([0, 0, 0], q, 5, position_variance=[np.nan] * 3, orientation_variance=[np.nan] * 3)
    assert from_px4_odometry(blank).sample.covariance is None
    assert reason(from_px4_odometry, px4([0, 0, 0], q, 5, frame=0)) == "pose_frame"
    assert reason(from_px4_odometry, px4([np.nan, 0, 0], q, 5)) == "pose_not_finite"
    assert reason(from_px4_odometry, px4([0, 0, 0], [np.nan, 0, 0, 0], 5)) == "pose_not_finite"
    assert reason(from_px4_odometry, px4([0, 0, 0], [0, 0, 0, 0], 5)) == "pose_not_unit"
    assert reason(from_px4_odometry, px4([0, 0, 0], q, 5, orientation_variance=[-1] * 3)) == "covariance"
    nothing = px4([0, 0, 0], q, 0)
    nothing.timestamp = 0
    assert reason(from_px4_odometry, nothing) == "stamp_zero"


NAN, INF = np.full((3, 3), np.nan), np.full((3, 3), np.inf)
SIX = np.diag([1.0, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("position", "attitude", "expected"),
    [
        (NAN, NAN, [9, 9, 9, 0.25, 0.25, 0.25]),
        (INF, INF, [9, 9, 9, 0.25, 0.25, 0.25]),
        (np.zeros((3, 3)), np.zeros((3, 3)), [9, 9, 9, 0.25, 0.25, 0.25]),
        (np.diag([-1.0, 0, 0]), np.zeros((3, 3)), [9, 9, 9, 0.25, 0.25, 0.25]),
        (SIX[:3, :3], NAN, [1, 2, 3, 0.25, 0.25, 0.25]),
        (SIX[:3, :3], np.zeros((3, 3)), [1, 2, 3, 0.25, 0.25, 0.25]),
        (np.diag([np.nan, 2, 3]), SIX[3:, 3:], [9, 9, 9, 4, 5, 6]),
        (np.diag([1.0, 2, 0]), SIX[3:, 3:], [1, 2, 0, 4, 5, 6]),
    ],
)
def test_a_covariance_that_the_source_does_not_know_is_that_of_the_parameters(
    position: np.ndarray, attitude: np.ndarray, expected: list[float]
) -> None:
    values = np.zeros((6, 6))
    values[:3, :3], values[3:, 3:] = position, attitude
    values[0, 5] = values[5, 0] = np.nan if np.isnan(values).any() else 0.0
    assumed = np.diag([9.0, 9, 9, 0.25, 0.25, 0.25])
    for posed in (
        from_pose_with_covariance(pose_with_covariance(random_pose(), NS, values)),
        from_odometry(odometry(random_pose(), NS, values)),
    ):
        np.testing.assert_array_equal(posed.sample.known(assumed).covariance, np.diag(expected))


@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_variances_that_px4_does_not_know_are_those_of_the_parameters(unknown: float) -> None:
    q = wxyz(Rotation.identity())
    message = px4([0, 0, 0], q, 5, position_variance=[0.5] * 3, orientation_variance=[unknown] * 3)
    sample = from_px4_odometry(message).sample.known(np.diag([9.0, 9, 9, 0.25, 0.25, 0.25]))
    np.testing.assert_allclose(sample.covariance, np.diag([0.5, 0.5, 0.5, 0.25, 0.25, 0.25]))


def test_the_three_kinds_of_pose_messages_say_the_same() -> None:
    T, covariance = random_pose(), random_covariance()
    plain = from_pose_stamped(pose(T, NS))
    full = from_pose_with_covariance(pose_with_covariance(T, NS, covariance))
    moving = from_odometry(odometry(T, NS, covariance, "odom", "base_link"))
    for posed in (plain, full, moving):
        np.testing.assert_allclose(posed.sample.T, T, atol=1e-12)
        assert posed.stamp_ns == NS
    assert plain.sample.covariance is None
    assert np.array_equal(full.sample.covariance, covariance)
    assert (moving.frame_id, moving.child_frame_id) == ("odom", "base_link")


def test_poses_that_cannot_be_are_refused_by_reason() -> None:
    T = random_pose()
    assert reason(from_pose_stamped, pose(T, 0)) == "stamp_zero"
    assert reason(from_pose_stamped, pose(T, -NS)) == "stamp"
    far = rigid(np.eye(3), [1e9, 0, 0])
    assert reason(from_pose_stamped, pose(far, NS)) == "pose_not_finite"
    nan = rigid(np.eye(3), [np.nan, 0, 0])
    assert reason(from_pose_stamped, pose(nan, NS)) == "pose_not_finite"
    zero = pose(T, NS)
    zero.pose.orientation.x = zero.pose.orientation.y = zero.pose.orientation.z = zero.pose.orientation.w = (
        0.0
    )
    assert reason(from_pose_stamped, zero) == "pose_not_unit"
    assert reason(from_pose_with_covariance, pose_with_covariance(T, NS, -np.eye(6))) == "covariance"


def at_x(x: float, covariance: np.ndarray | None = None) -> PoseSample:
    return PoseSample(rigid(np.eye(3), [x, 0, 0]), covariance)


def buffer(**limits: float) -> PoseBuffer:
    return PoseBuffer(**{"tolerance_ns": NS // 50, "max_gap_ns": NS // 5, **limits})  # type: ignore[arg-type]


def ms(t: float) -> int:
    return 10 * NS + round(t * 1e6)


def test_poses_are_interpolated_between_neighbours_and_never_extrapolated() -> None:
    b = buffer()
    b.add(ms(0), at_x(0.0, np.eye(6)))
    assert not b.ready(ms(40)) and b.ready(ms(0)) and b.ready(ms(-5))
    b.add(ms(100), at_x(1.0, 3 * np.eye(6)))
    assert b.ready(ms(40)) and not b.ready(ms(101))
    sample = b.at(ms(40))
    assert sample.T[0, 3] == pytest.approx(0.4) and sample.covariance[0, 0] == pytest.approx(1.8)
    assert reason(b.at, ms(-30)) == "no_pose"
    assert b.at(ms(-10)).T[0, 3] == 0.0  # as near as the tolerance
    assert b.at(ms(100)) is b.at(ms(100))


def test_neighbours_too_far_apart_are_not_interpolated() -> None:
    b = buffer()
    b.add(ms(0), at_x(0.0))
    b.add(ms(500), at_x(5.0))
    assert reason(b.at, ms(250)) == "no_pose"
    assert b.at(ms(15)).T[0, 3] == 0.0 and b.at(ms(490)).T[0, 3] == 5.0


def test_late_poses_are_sorted_in_and_repeated_ones_refused() -> None:
    b = buffer()
    for t in (0, 100, 50):
        b.add(ms(t), at_x(t))
    assert b.at(ms(75)).T[0, 3] == pytest.approx(75.0)
    assert reason(b.add, ms(50), at_x(1.0)) == "pose_repeated"
    assert b.at(ms(50)).T[0, 3] == 50.0
    assert reason(b.add, ms(-2000), at_x(0.0)) == "pose_old"


def test_an_outlier_is_refused_and_the_next_good_pose_taken() -> None:
    b = buffer(max_speed_mps=20.0)
    b.add(ms(0), at_x(0.0))
    assert reason(b.add, ms(50), at_x(500.0)) == "pose_jump"
    assert b.add(ms(100), at_x(1.0)) is False
    assert b.at(ms(50)).T[0, 3] == pytest.approx(0.5)
    b.add(ms(110), at_x(2.5))  # a correction, not a jump


def test_a_source_that_stays_elsewhere_is_believed_and_nothing_is_interpolated_across() -> None:
    b = buffer(max_speed_mps=20.0)
    b.add(ms(0), at_x(0.0))
    for k in range(1, REPLACING_POSES):
        assert reason(b.add, ms(50 * k), at_x(500.0 + k)) == "pose_jump"
    assert b.add(ms(50 * REPLACING_POSES), at_x(500.0 + REPLACING_POSES)) is True
    assert b.at(ms(50)).T[0, 3] == 501.0 and b.at(ms(75)).T[0, 3] == pytest.approx(501.5)
    assert reason(b.at, ms(20)) == "no_pose"


def test_outliers_that_do_not_agree_are_never_believed() -> None:
    b = buffer(max_speed_mps=20.0)
    b.add(ms(0), at_x(0.0))
    for k in range(1, 10):
        assert reason(b.add, ms(50 * k), at_x(1000.0 * k)) == "pose_jump"
    assert b.add(ms(500), at_x(1.0)) is False


@pytest.mark.parametrize("glitch_s", [3600, 1e9])
def test_a_stamp_from_the_future_does_not_deafen_the_buffer(glitch_s: float) -> None:
    b = buffer()
    b.add(ms(0), at_x(0.0))
    b.add(ms(0) + round(glitch_s * 1e9), at_x(0.0))
    taken = 0
    for k in range(1, 6):
        try:
            b.add(ms(50 * k), at_x(k))
            taken += 1
        except MessageError as error:
            assert error.reason == "pose_old"  # noqa: PT017
    assert taken == 3 and b.at(ms(225)).T[0, 3] == pytest.approx(4.5) and not b.ready(ms(251))


def test_a_source_that_says_it_was_reset_is_believed_at_once() -> None:
    b = buffer(max_speed_mps=20.0)
    b.add(ms(0), at_x(0.0), reset=1)
    assert b.add(ms(50), at_x(900.0), reset=2) is True
    assert reason(b.at, ms(25)) == "no_pose" and b.at(ms(50)).T[0, 3] == 900.0


def test_the_buffer_keeps_a_span_and_no_more() -> None:
    b = PoseBuffer(tolerance_ns=0, max_gap_ns=NS, span_ns=NS, keep=5)
    for k in range(100):
        b.add(ms(10 * k), at_x(k))
    assert reason(b.at, ms(900)) == "no_pose" and b.at(ms(960)).T[0, 3] == 96
    b = PoseBuffer(tolerance_ns=0, max_gap_ns=NS, span_ns=NS)
    for k in range(100):
        b.add(ms(100 * k), at_x(k))
    assert reason(b.at, ms(8000)) == "no_pose" and b.ready(ms(8000))
