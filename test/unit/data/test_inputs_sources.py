"""Every pose source gives the same camera: frames, origins, lever arms, covariances, TF."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import LEAST_WAITING, Inputs
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL
from rsdfm_ros.geometry.rotations import transform as rigid
from support.input_bench import SIZE, Bench, at, ms, numbers
from support.input_messages import (
    info,
    odometry,
    pose,
    pose_with_covariance,
    px4,
    rgb,
    tf,
    transform,
)


def test_every_pose_source_gives_the_same_camera() -> None:
    """The body 30 m up, the camera looking down at 45° from a lever arm."""
    T_map_body = rigid(np.eye(3), [5, 6, 30])
    tilt = np.deg2rad(45)
    R_down = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    T_body_camera = rigid(R_down @ R_BODY_OPTICAL, [0.2, 0.0, -0.1])
    given = {"extrinsics": numbers(T_body_camera)}
    views = {}
    q = np.array([np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)])  # NED yaw 90°: nose east
    messages = {
        "pose": pose(T_map_body, ms(0)),
        "pose_with_covariance": pose_with_covariance(T_map_body, ms(0)),
        "odometry": odometry(T_map_body, ms(0)),
        "px4_odometry": px4([6, 5, -30], q, ms(0) // 1000),
    }
    for kind, message in messages.items():
        b = Bench(pose_type=kind, **given)
        b.infos()
        b.inputs.add_pose(message)
        views[kind] = b.inputs.views(b.image(0)[0])[0]
        assert not b.refused
    b = Bench(pose_type="tf")
    b.infos()
    b.inputs.add_transforms(tf(transform("base_link", "cam0", T_body_camera)), fixed=True)
    b.inputs.add_transforms(tf(transform("map", "base_link", T_map_body, ms(0))), fixed=False)
    views["tf"] = b.inputs.views(b.image(0)[0])[0]
    for kind, view in views.items():
        np.testing.assert_allclose(view.T_map_camera, T_map_body @ T_body_camera, atol=1e-6, err_msg=kind)


def test_a_frame_other_than_the_lattices_is_placed_by_its_origin() -> None:
    origin = rigid(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), [100, 0, 0])
    b = Bench(pose_type="odometry", pose_frame_id="odom", pose_origin=numbers(origin))
    b.infos()
    covariance = np.diag([1.0, 4, 9, 1, 4, 9])
    b.inputs.add_pose(odometry(at(7), ms(0), covariance, "/odom"))
    (view,) = b.inputs.views(b.image(0)[0])
    np.testing.assert_allclose(view.T_map_camera[:3, 3], [100, 7, 0], atol=1e-12)
    np.testing.assert_allclose(np.diag(view.covariance), [4, 1, 9, 4, 1, 9], atol=1e-12)


def test_the_covariance_of_a_lever_arm_reaches_the_view() -> None:
    b = Bench(extrinsics=numbers(at(2)))
    b.infos()
    b.inputs.add_pose(pose_with_covariance(at(0), ms(0), np.diag([0.0, 0, 0, 0, 0, 0.01])))
    (view,) = b.inputs.views(b.image(0)[0])
    # 0.1 rad of yaw moves a camera two metres ahead by 0.2 m to the side.
    assert view.covariance[1, 1] == pytest.approx(0.04) and view.covariance[0, 0] == pytest.approx(0)


def test_a_source_without_covariance_has_the_configured_one() -> None:
    b = Bench(pose_type="pose", pose_sigma_m=0.5, pose_sigma_deg=2.0)
    b.infos()
    b.inputs.add_pose(pose(at(0), ms(0)))
    (view,) = b.inputs.views(b.image(0)[0])
    np.testing.assert_allclose(np.diag(view.covariance), [0.25] * 3 + [np.deg2rad(2) ** 2] * 3)


def test_a_gimbal_may_come_from_tf_beside_a_pose_topic() -> None:
    b = Bench(pose_type="odometry", extrinsics_source="tf")
    b.infos()
    b.inputs.add_pose(odometry(at(10), ms(0)))
    b.inputs.add_pose(odometry(at(11), ms(100)))
    assert b.image(50) == []  # the gimbal is not known yet
    b.inputs.add_transforms(tf(transform("gimbal", "cam0", at(0, 0, -0.1))), fixed=True)
    assert b.inputs.add_transforms(tf(transform("base_link", "gimbal", at(1), ms(0))), fixed=False) == []
    (matched,) = b.inputs.add_transforms(tf(transform("base_link", "gimbal", at(2), ms(100))), fixed=False)
    (view,) = b.inputs.views(matched)
    np.testing.assert_allclose(view.T_map_camera[:3, 3], [12, 0, -0.1], atol=1e-12)


def test_frames_of_pictures_may_be_given_when_drivers_leave_them_wrong() -> None:
    b = Bench(pose_type="tf", camera_frames=("optical",))
    b.infos()
    b.inputs.add_transforms(tf(transform("map", "optical", at(4))), fixed=True)
    (view,) = b.inputs.views(b.image(0)[0])
    assert view.T_map_camera[0, 3] == 4


def test_an_odometry_of_another_body_is_refused() -> None:
    b = Bench(pose_type="odometry", body_frame="uav1/base_link")
    b.inputs.add_pose(odometry(at(0), ms(0), child="uav2/base_link"))
    assert b.refused == {"frame_id": 1}


def test_transforms_that_wait_in_vain_are_explained() -> None:
    b = Bench(pose_type="tf", pose_wait_s=0.5)
    b.infos()
    b.inputs.add_transforms(tf(transform("map", "base_link", at(0), ms(0))), fixed=False)
    for k in range(LEAST_WAITING + 1):
        b.image(100 * k)
    assert b.refused == {"no_pose": 1} and "does not know 'cam0'" in b.sentences[0]


def test_a_doubtful_camera_is_used_and_told() -> None:
    told = []
    config = InputConfig(agent="uav1", distortion_model="none")
    inputs = Inputs(
        config, lambda reason, text: pytest.fail(text), lambda kind, text: told.append((kind, text))
    )
    half = np.array([[10.0, 0, SIZE[1] / 4 - 0.5], [0, 10.0, SIZE[0] / 4 - 0.5], [0, 0, 1]])
    inputs.add_info(0, info(half, SIZE, d=(0.1, 0.2), model="of a driver"))
    inputs.add_pose(pose_with_covariance(at(0), ms(0)))
    (matched,) = inputs.add_image(0, rgb(ms(0), 7, SIZE), 0.0)
    assert len(inputs.views(matched)) == 1
    assert (
        told == [("principal_point", told[0][1])] and "25 % of the width and 25 % of the height" in told[0][1]
    )


def test_a_distortion_model_that_is_none_is_refused_when_a_node_is_configured() -> None:
    with pytest.raises(MessageError, match="distortion_model: expected one of auto, plumb_bob"):
        InputConfig(distortion_model="fish").checked()
