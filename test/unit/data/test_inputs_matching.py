"""Messages in any order become matched views; what is missing, repeated, late or impossible is survived and counted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.inputs import LEAST_WAITING
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL
from rsdfm_ros.geometry.rotations import transform as rigid
from support.input_bench import SIZE, TWO, Bench, K, at, ms, stamps
from support.input_messages import (
    compressed,
    info,
    pose_with_covariance,
    rgb,
    tf,
    transform,
)


def test_a_picture_meets_the_pose_of_its_instant_in_either_order_bit_for_bit() -> None:
    b = Bench()
    b.infos()
    T = rigid(R_BODY_OPTICAL, [1.1, 2.2, 3.3])
    message = pose_with_covariance(T, ms(0), np.diag([1.0, 2, 3, 4, 5, 6]))
    assert b.image(0, shade=9) == []
    (matched,) = b.inputs.add_pose(message)
    (view,) = b.inputs.views(matched)
    from rsdfm_ros.data.messages.poses import pose_matrix

    assert np.array_equal(view.T_map_camera, pose_matrix(message.pose.pose))
    assert np.array_equal(view.covariance, np.diag([1.0, 2, 3, 4, 5, 6]))
    assert view.agent == "uav1" and (view.image == 9).all() and view.K[0, 2] == 4.0
    assert b.pose(100) == [] and stamps(b.image(100)) == [100]
    assert not b.refused


def test_a_pose_between_two_is_interpolated_with_its_covariance() -> None:
    b = Bench()
    b.infos()
    b.inputs.add_pose(pose_with_covariance(at(0), ms(0), np.eye(6)))
    assert b.image(30) == []
    (matched,) = b.inputs.add_pose(pose_with_covariance(at(1), ms(100), 2 * np.eye(6)))
    (view,) = b.inputs.views(matched)
    assert view.T_map_camera[0, 3] == pytest.approx(0.3) and view.covariance[0, 0] == pytest.approx(1.3)


def test_pictures_wait_for_slow_poses_and_none_is_lost() -> None:
    """Poses that come 100 ms late, images at 30 Hz: all are answered."""
    b = Bench()
    b.infos()
    got = []
    for k in range(20):
        got += stamps(b.pose(33 * k - 100, 0.1 * k)) + stamps(b.image(33 * k))
    assert got == [33 * k for k in range(16)]
    assert not b.refused


def test_pictures_that_wait_in_vain_make_place_and_are_counted() -> None:
    b = Bench(pose_wait_s=0.5)
    b.infos()
    for k in range(10):
        assert b.image(100 * k) == []
    assert b.refused == {"no_pose": 10 - LEAST_WAITING}
    assert "no pose after it" in b.sentences[0]
    b.pose(850)
    assert stamps(b.pose(950)) == [900] and b.refused["no_pose"] == 9


def test_a_picture_waits_for_the_first_camera_info() -> None:
    b = Bench()
    b.pose(0)
    assert b.image(0) == [] and not b.refused
    assert stamps(b.inputs.add_info(0, info(K, SIZE))) == [0]
    assert b.inputs.add_info(0, info(K, SIZE)) == [], "only once"
    b.pose(10)
    assert stamps(b.image(10)) == [10] and not b.refused


def test_pictures_without_any_camera_info_make_place_and_are_counted() -> None:
    b = Bench(pose_wait_s=0.5)
    for k in range(10):
        b.pose(100 * k)
        assert b.image(100 * k) == []
    assert b.refused == {"no_camera_info": 10 - LEAST_WAITING}
    assert stamps(b.inputs.add_info(0, info(K, SIZE))) == [100 * k for k in range(10 - LEAST_WAITING, 10)]


def test_a_picture_uses_the_camera_info_of_its_own_stamp_else_the_newest() -> None:
    b = Bench()
    for t, f in ((0, 10.0), (50, 20.0), (100, 30.0)):
        b.inputs.add_info(0, info(np.array([[f, 0, 3.5], [0, f, 2.5], [0, 0, 1]]), SIZE, ns=ms(t)))
    focal = []
    for t in (50, 70):
        b.pose(t)
        (matched,) = b.image(t)
        focal.append(b.inputs.views(matched)[0].K[0, 0])
    assert focal == [20.0, 30.0]


def test_sizes_and_cameras_that_change_between_frames_are_followed() -> None:
    b = Bench()
    shapes = []
    for t, size in ((0, (6, 8)), (50, (12, 16)), (100, (6, 8))):
        b.inputs.add_info(0, info(K, size, ns=ms(t)))
        b.pose(t)
        (matched,) = b.inputs.add_image(0, rgb(ms(t), 1, size), 0.0)
        shapes.append(b.inputs.views(matched)[0].image.shape[:2])
    assert shapes == [(6, 8), (12, 16), (6, 8)] and not b.refused
    b.pose(150)
    assert b.inputs.add_image(0, rgb(ms(150), 1, (12, 16)), 0.0) == [], (
        "it waits for a camera_info of its own"
    )
    (matched,) = b.pose(250)
    assert b.inputs.views(matched) == () and b.refused == {"camera_info_size": 1}


def test_bad_images_do_not_stop_good_ones() -> None:
    b = Bench()
    b.infos()
    b.pose(0)
    for t, change in ((0, {}), (10, {"encoding": "??"}), (20, {"step": 1}), (30, {"data": b"x"}), (40, {})):
        message = rgb(ms(t), 7, SIZE)
        for name, value in change.items():
            setattr(message, name, value)
        b.pose(t)
        (matched,) = b.inputs.add_image(0, message, 0.0)
        assert len(b.inputs.views(matched)) == (0 if change else 1)
    assert b.refused == {"pose_repeated": 1, "image_encoding": 1, "image_size": 2}


def test_zero_repeated_and_old_stamps_are_refused_by_reason() -> None:
    b = Bench()
    b.infos()
    message = rgb(0, 7, SIZE)
    assert b.inputs.add_image(0, message, 0.0) == []
    b.pose(0)
    assert stamps(b.image(0)) == [0] and b.image(0) == []
    b.pose(-50)
    assert b.image(-50) == []
    assert b.refused == {"stamp_zero": 1, "image_repeated": 1, "old_stamp": 1}
    b.pose(50)
    assert stamps(b.image(50)) == [50]


def test_poses_that_are_not_finite_not_unit_of_another_frame_or_jump_are_refused_and_survived() -> None:
    b = Bench(max_speed_mps=20.0)
    b.infos()
    b.pose(0, 0.0)
    bad = pose_with_covariance(at(float("nan")), ms(10))
    b.inputs.add_pose(bad)
    zero = pose_with_covariance(at(0), ms(20))
    zero.pose.pose.orientation.w = 0.0
    b.inputs.add_pose(zero)
    b.inputs.add_pose(pose_with_covariance(at(0), ms(30), frame_id="odom"))
    b.pose(40, 3000.0)
    b.inputs.add_pose(pose_with_covariance(at(0), ms(45), -2 * np.eye(6)))
    b.pose(50, 1.0)
    (matched,) = b.image(25)
    assert b.inputs.views(matched)[0].T_map_camera[0, 3] == pytest.approx(0.5)
    expected = ("pose_not_finite", "pose_not_unit", "frame_id", "pose_jump", "covariance")
    assert b.refused == dict.fromkeys(expected, 1)
    assert "pose_frame_id" in b.sentences[2]


def test_a_source_that_starts_anew_in_the_past_is_followed() -> None:
    """A recording played again without /clock."""
    b = Bench()
    b.infos()
    for t in (60_000, 60_100):
        b.pose(t)
        b.image(t)
    got = []
    for t in (0, 100, 200, 300):
        b.pose(t)
        got += stamps(b.image(t))
    assert got == [200, 300] and b.refused["pose_restart"] == 1


def test_a_picture_with_a_stamp_from_the_future_blocks_nothing() -> None:
    b = Bench()
    b.infos()
    b.pose(0)
    b.image(1e9)
    got = []
    for t in (50, 100, 150):
        b.pose(t)
        got += stamps(b.image(t))
    assert got == [50, 100, 150]


def test_clearing_forgets_stamps_but_not_the_camera() -> None:
    b = Bench()
    b.infos()
    b.pose(500)
    assert stamps(b.image(500)) == [500]
    b.inputs.clear()
    b.pose(0)
    assert stamps(b.image(0)) == [0]


def test_compressed_pictures_are_told_by_their_fields() -> None:
    b = Bench()
    b.infos()
    b.pose(0)
    data = cv2.imencode(".png", np.full((*SIZE, 3), 5, np.uint8))[1].tobytes()
    (matched,) = b.inputs.add_image(0, compressed(data, "png", ms(0)), 0.0)
    assert (b.inputs.views(matched)[0].image == 5).all()


def test_random_messages_in_random_order_never_raise_and_good_input_works_afterwards() -> None:
    rng = np.random.default_rng(8)
    for trial in range(20):
        b = Bench(max_speed_mps=30.0, **TWO)
        for _ in range(120):
            t = float(rng.choice([rng.integers(-2000, 4000), 0, 1e8, -9.9e3]))
            kind = rng.integers(5)
            if kind == 0:
                for m in b.image(t, int(rng.integers(2)), arrived_s=float(rng.random() * 9)):
                    b.inputs.views(m)
            elif kind == 1:
                x = float(rng.choice([0.0, np.nan, np.inf, 1e5, 3.0]))
                b.inputs.add_pose(pose_with_covariance(at(x), ms(t)))
            elif kind == 2:
                b.inputs.add_info(int(rng.integers(2)), info(K * rng.choice([1.0, np.nan, -1.0]), SIZE))
            elif kind == 3:
                b.inputs.add_transforms(tf(transform("a", "b", at(1), ms(t))), fixed=bool(rng.integers(2)))
            else:
                b.inputs.due(float(rng.random() * 10))
        b.infos()
        got = []
        for k in range(8):
            t = 200_000 + 100 * k
            b.pose(t, 0.0)
            b.image(t, 0, 100 + k)
            got += [len(b.inputs.views(m)) for m in b.image(t, 1, 100 + k)]
        assert got[-3:] == [2, 2, 2], (trial, b.refused)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"cameras": ()}, "1 to 8 names"),
        ({"cameras": ("a", "a"), "extrinsics": (0.0, 0, 0, 0, 0, 0, 1) * 2}, "different names"),
        ({"cameras": ("a", "b")}, "14 numbers"),
        ({"pose_type": "gps"}, "pose_with_covariance, pose, odometry, px4_odometry, tf"),
        ({"extrinsics_source": "guess"}, "parameter or tf"),
        ({"significant_bits": 9}, "10, 12, 14, 16"),
        ({"camera_frames": ("a", "b")}, "no or 1 names"),
        ({"extrinsics": (0.0,) * 7}, "unit quaternion"),
        ({"pose_origin": (0.0, 1.0)}, "7 numbers"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(config: dict, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        Bench(**config)
