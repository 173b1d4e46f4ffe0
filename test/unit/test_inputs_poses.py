"""Poses from every source: aerospace axes, covariances, interpolation, transforms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from input_messages import NS, odometry, pose, pose_with_covariance, px4, transform
from scipy.spatial.transform import Rotation, Slerp

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.pose_buffer import BELIEVED, PoseBuffer
from rsdfm_ros.data.messages.poses import (
    PoseSample,
    from_odometry,
    from_pose_stamped,
    from_pose_with_covariance,
    from_px4_odometry,
)
from rsdfm_ros.data.messages.transforms import TransformTree
from rsdfm_ros.geometry import aerospace
from rsdfm_ros.geometry.rotations import inverse, rotation_vector
from rsdfm_ros.geometry.rotations import transform as rigid
from rsdfm_ros.geometry.uncertainty import (
    covariance_in_parent,
    covariance_of_child,
    interpolate,
    rotation_logarithm,
)

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


# --- aerospace ----------------------------------------------------------------------------------------------------


def test_aerospace_axes_in_words() -> None:
    """Nose north and level, ten metres up, three east: in ENU that is a yaw of 90° at (3, 0, 10)."""
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([0.0, 3.0, -10.0], [1.0, 0, 0, 0]))
    np.testing.assert_allclose(T[:3, 3], [3, 0, 10])
    np.testing.assert_allclose(T[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)  # forward is north
    np.testing.assert_allclose(T[:3, :3] @ [0, 1, 0], [-1, 0, 0], atol=1e-12)  # left is west
    np.testing.assert_allclose(T[:3, :3] @ [0, 0, 1], [0, 0, 1], atol=1e-12)
    # Nose up by 20° in NED is nose up in ENU too.
    up = wxyz(Rotation.from_euler("ZYX", [0, 20, 0], degrees=True))
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([0, 0, 0], up))
    np.testing.assert_allclose(T[:3, 0], [0, np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))], atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_attitudes_agree_with_euler_angles_by_an_independent_library(seed: int) -> None:
    """NED yaw is clockwise from north, ENU yaw counter-clockwise from east; pitch changes sign, roll stays."""
    yaw, pitch, roll = np.random.default_rng(seed).uniform([-180, -80, -180], [180, 80, 180])
    ned = Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True)
    enu = Rotation.from_euler("ZYX", [90 - yaw, -pitch, roll], degrees=True)
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([1, 2, 3], wxyz(ned)))
    np.testing.assert_allclose(T[:3, :3], enu.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(T[:3, 3], [2, 1, -3])
    np.testing.assert_allclose(
        aerospace.enu_from_ned(T),
        aerospace.pose_from_px4([1, 2, 3], wxyz(ned)),
        atol=1e-9,
    )
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)


def test_px4_variances_turn_with_the_axes() -> None:
    """Against samples: errors drawn in PX4's frames and converted pose by pose have the converted covariance."""
    ned = Rotation.from_euler("ZYX", [70, 15, -30], degrees=True)
    position, rotation = np.array([0.04, 0.01, 0.09]), np.array([1e-4, 4e-4, 9e-4])
    T = aerospace.enu_from_ned(aerospace.pose_from_px4([5, 6, -7], wxyz(ned)))
    got = aerospace.covariance_from_px4(position, rotation, T, aerospace.R_ENU_NED)
    rng, errors = np.random.default_rng(0), []
    for _ in range(20_000):
        body = Rotation.from_rotvec(rng.normal(0, np.sqrt(rotation)))  # about FRD body axes
        p = np.array([5, 6, -7]) + rng.normal(0, np.sqrt(position))
        noisy = aerospace.enu_from_ned(aerospace.pose_from_px4(p, wxyz(ned * body)))
        turn = Rotation.from_matrix(noisy[:3, :3] @ T[:3, :3].T).as_rotvec()  # about ENU axes
        errors.append(np.concatenate([noisy[:3, 3] - T[:3, 3], turn]))
    scale = np.sqrt(np.outer(np.diag(got), np.diag(got)))
    np.testing.assert_allclose(np.cov(np.array(errors).T) / scale, got / scale, atol=0.03)


def test_px4_odometry_is_read_with_time_frames_and_resets() -> None:
    q = wxyz(Rotation.from_euler("ZYX", [90, 0, 0], degrees=True))
    posed = from_px4_odometry(px4([1, 2, -30], q, 1_700_000_000_123_456, reset=4))
    assert posed.stamp_ns == 1_700_000_000_123_456_000 and posed.reset == 4 and posed.frame_id == ""
    np.testing.assert_allclose(posed.sample.T, rigid(np.eye(3), [2, 1, 30]), atol=1e-6)  # nose east
    np.testing.assert_allclose(np.diag(posed.sample.covariance)[:3], [0.02, 0.01, 0.03], rtol=1e-6)
    world = from_px4_odometry(px4([1, 2, -30], [1, 0, 0, 0], 5, frame=2))
    np.testing.assert_allclose(world.sample.T, rigid(np.eye(3), [1, -2, 30]), atol=1e-6)
    assert from_px4_odometry(px4([0, 0, 0], q, 5, position_variance=[np.nan] * 3)).sample.covariance is None
    assert reason(from_px4_odometry, px4([0, 0, 0], q, 5, frame=0)) == "pose_frame"
    assert reason(from_px4_odometry, px4([np.nan, 0, 0], q, 5)) == "pose_not_finite"
    assert reason(from_px4_odometry, px4([0, 0, 0], [np.nan, 0, 0, 0], 5)) == "pose_not_finite"
    assert reason(from_px4_odometry, px4([0, 0, 0], [0, 0, 0, 0], 5)) == "pose_not_unit"
    assert reason(from_px4_odometry, px4([0, 0, 0], q, 5, orientation_variance=[-1] * 3)) == "covariance"
    nothing = px4([0, 0, 0], q, 0)
    nothing.timestamp = 0
    assert reason(from_px4_odometry, nothing) == "stamp_zero"


# --- covariance ---------------------------------------------------------------------------------------------------


def error_between(T: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    return np.concatenate([noisy[:3, 3] - T[:3, 3], rotation_logarithm(noisy[:3, :3] @ T[:3, :3].T)])


def disturbed(T: np.ndarray, error: np.ndarray) -> np.ndarray:
    return rigid(rotation_vector(error[3:]) @ T[:3, :3], T[:3, 3] + error[:3])


@pytest.mark.parametrize("seed", range(5))
def test_the_covariance_of_the_camera_agrees_with_numeric_differentiation(seed: int) -> None:
    T_map_body, T_body_camera, covariance = random_pose(), random_pose(2.0), random_covariance()
    T_map_camera, step = T_map_body @ T_body_camera, 1e-6
    J = np.stack(
        [
            (
                error_between(T_map_camera, disturbed(T_map_body, step * e) @ T_body_camera)
                - error_between(T_map_camera, disturbed(T_map_body, -step * e) @ T_body_camera)
            )
            / (2 * step)
            for e in np.eye(6)
        ],
        axis=1,
    )
    got = covariance_of_child(T_map_body, covariance, T_body_camera)
    np.testing.assert_allclose(got, J @ covariance @ J.T, atol=1e-7)
    assert not np.allclose(got, covariance)


def test_a_camera_at_the_origin_of_the_body_has_its_covariance() -> None:
    covariance = random_covariance()
    turned = rigid(Rotation.from_euler("x", 40, degrees=True).as_matrix(), [0, 0, 0])
    assert covariance_of_child(random_pose(), covariance, turned) is covariance


def test_covariance_turns_with_the_axes_of_its_parent() -> None:
    T_map_odom, T_odom_body, covariance = random_pose(), random_pose(), random_covariance()
    got, rng = covariance_in_parent(T_map_odom, covariance), np.random.default_rng(1)
    L = np.linalg.cholesky(1e-6 * covariance)
    errors = [
        error_between(T_map_odom @ T_odom_body, T_map_odom @ disturbed(T_odom_body, L @ rng.normal(size=6)))
        for _ in range(20_000)
    ]
    np.testing.assert_allclose(np.cov(np.array(errors).T) * 1e6, got, atol=0.05 * np.abs(got).max())


# --- messages -----------------------------------------------------------------------------------------------------


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


# --- interpolation ------------------------------------------------------------------------------------------------


def test_interpolation_agrees_with_scipy() -> None:
    for _ in range(10):
        a, b = random_pose(), random_pose()
        slerp = Slerp([0, 1], Rotation.from_matrix([a[:3, :3], b[:3, :3]]))
        for share in (0.0, 0.1, 0.5, 0.93, 1.0):
            T = interpolate(a, b, share)
            np.testing.assert_allclose(T[:3, :3], slerp(share).as_matrix(), atol=1e-9)
            np.testing.assert_allclose(T[:3, 3], (1 - share) * a[:3, 3] + share * b[:3, 3])


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
    for k in range(1, BELIEVED):
        assert reason(b.add, ms(50 * k), at_x(500.0 + k)) == "pose_jump"
    assert b.add(ms(50 * BELIEVED), at_x(500.0 + BELIEVED)) is True
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


# --- transforms ---------------------------------------------------------------------------------------------------


def tree() -> TransformTree:
    return TransformTree(tolerance_ns=NS // 50, max_gap_ns=NS // 5)


def test_transforms_are_chained_through_fixed_and_moving_frames() -> None:
    T_map_odom, T_base_gimbal, T_gimbal_camera = random_pose(), random_pose(1), random_pose(1)
    first, second = random_pose(), random_pose()
    t = tree()
    t.add(transform("map", "odom", T_map_odom), fixed=True)
    t.add(transform("gimbal", "camera", T_gimbal_camera), fixed=True)
    assert not t.ready("map", "camera", ms(50))
    for at, T in ((0, first), (100, second)):
        t.add(transform("odom", "base_link", T, ms(at)), fixed=False)
    t.add(transform("base_link", "gimbal", T_base_gimbal, ms(0)), fixed=False)
    assert not t.ready("map", "camera", ms(50)) and t.ready("map", "base_link", ms(50))
    t.add(transform("base_link", "gimbal", T_base_gimbal, ms(90)), fixed=False)
    expected = T_map_odom @ interpolate(first, second, 0.5) @ T_base_gimbal @ T_gimbal_camera
    np.testing.assert_allclose(t.at("map", "/camera", ms(50)), expected, atol=1e-9)
    np.testing.assert_allclose(t.at("camera", "map", ms(50)), inverse(expected), atol=1e-9)
    np.testing.assert_allclose(
        t.at("base_link", "camera", ms(50)), T_base_gimbal @ T_gimbal_camera, atol=1e-9
    )


def test_branches_meet_at_their_nearest_common_frame() -> None:
    a, b = random_pose(), random_pose()
    t = tree()
    t.add(transform("base_link", "left", a), fixed=True)
    t.add(transform("base_link", "right", b), fixed=True)
    t.add(transform("map", "base_link", random_pose(), ms(0)), fixed=False)
    # Nothing that moves lies between them: no time is needed.
    assert t.ready("left", "right", ms(99_999))
    np.testing.assert_allclose(t.at("left", "right", ms(0)), inverse(a) @ b, atol=1e-9)


def test_unconnected_frames_are_named() -> None:
    t = tree()
    t.add(transform("map", "base_link", random_pose()), fixed=True)
    assert not t.ready("map", "camera", ms(0))
    with pytest.raises(MessageError, match=r"TF does not know 'camera'; it knows \['base_link', 'map'\]"):
        t.at("map", "camera", ms(0))
    t.add(transform("world", "camera", random_pose()), fixed=True)
    with pytest.raises(MessageError, match="does not connect"):
        t.at("map", "camera", ms(0))


def test_loops_and_impossible_transforms_are_refused() -> None:
    t = tree()
    t.add(transform("a", "b", random_pose()), fixed=True)
    t.add(transform("b", "a", random_pose()), fixed=True)
    assert reason(t.ready, "a", "c", ms(0)) == "transform"
    t = tree()
    same = transform("a", "a", random_pose())
    with pytest.raises(MessageError):
        t.add(same, fixed=True)
    with pytest.raises(MessageError):
        t.add(transform("", "a", random_pose()), fixed=True)
    with pytest.raises(MessageError) as caught:
        t.add(transform("map", "a", random_pose(), 0), fixed=False)
    assert caught.value.reason == "stamp_zero"
    nan = transform("map", "a", rigid(np.eye(3), [np.nan, 0, 0]))
    with pytest.raises(MessageError):
        t.add(nan, fixed=True)
    for k in range(1000):
        t.add(transform("map", f"f{k}", np.eye(4)), fixed=True)
    with pytest.raises(MessageError, match="1000 frames"):
        t.add(transform("map", "one_more", np.eye(4)), fixed=True)


def test_a_frame_that_changes_its_parent_or_kind_starts_anew() -> None:
    t = tree()
    t.add(transform("map", "base_link", np.eye(4), ms(0)), fixed=False)
    t.add(transform("odom", "base_link", rigid(np.eye(3), [1, 0, 0])), fixed=True)
    assert not t.ready("map", "base_link", ms(0))
    assert t.at("odom", "base_link", ms(0))[0, 3] == 1
    t.add(transform("map", "gimbal", np.eye(4), ms(0)), fixed=False)
    t.clear()
    assert t.ready("odom", "base_link", ms(0)) and not t.ready("map", "gimbal", ms(0))
