"""Messages to arrays and back: nothing is lost, and what cannot be right is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.messages import poses, stamps
from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.data.messages.cameras import camera_from_message
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import image_from_message
from rsdfm_ros.data.messages.poses import covariance_from, pose_matrix
from rsdfm_ros.data.outputs import Boxes, Tracks
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.geometry.rotations import rotation_vector, transform
from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.convert import tasks as convert_tasks
from support.tracks import tracks_to_message

RNG = np.random.default_rng(7)
WINDOW = Window(-8, -16, 16, 40, 0.5)
NS = 12_345_678_901


def boxes(n: int = 5) -> Boxes:
    return Boxes(
        classes=RNG.integers(0, 4, n),
        scores=np.sort(RNG.random(n).astype(np.float32).astype(np.float64))[::-1],
        centres=RNG.normal(0, 30, (n, 3)),
        sizes=RNG.uniform(1, 10, (n, 3)),
        yaws=RNG.uniform(-np.pi, np.pi, n),
        velocities=RNG.normal(0, 5, (n, 2)),
        ids=RNG.permutation(n) + 7,
    )


def test_stamps_keep_every_nanosecond() -> None:
    assert stamps.stamp_ns(convert.time_of(NS)) == NS


def test_an_image_survives_and_padding_and_bgr_are_understood() -> None:
    image = RNG.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    message = convert.image_to_message(image, NS, "camera")
    assert np.array_equal(image_from_message(message), image)
    message.encoding = "bgr8"
    assert np.array_equal(image_from_message(message), image[..., ::-1])
    padded = np.concatenate([image.reshape(6, 24), np.zeros((6, 5), np.uint8)], axis=1)
    message = Image(height=6, width=8, step=29, encoding="rgb8", data=padded.tobytes())
    assert np.array_equal(image_from_message(message), image)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "32FC1"}, "image_encoding"),
        ({"step": 20}, "image_size"),
        ({"height": 7}, "image_size"),
        ({"height": 0}, "image_size"),
        ({"width": 2**31, "height": 2**31}, "image_size"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused(change: dict, reason: str) -> None:
    message = convert.image_to_message(np.zeros((6, 8, 3), np.uint8), NS, "camera")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(MessageError) as caught:
        image_from_message(message)
    assert caught.value.reason == reason


def test_intrinsics_differ_from_ros_by_half_a_pixel_and_survive() -> None:
    K = np.array([[300.0, 0, 240], [0, 310, 135], [0, 0, 1]])
    message = convert.intrinsics_to_message(K, (270, 480), NS, "camera")
    assert message.k[2] == 239.5 and message.k[5] == 134.5 and (message.width, message.height) == (480, 270)
    assert np.array_equal(camera_from_message(message, (270, 480)).K, K)


@pytest.mark.parametrize("k", [[0.0] * 9, [np.nan, 0, 1, 0, 1, 1, 0, 0, 1], [1, 0, 1, 0, 1, 1, 0, 0, 2]])
def test_intrinsics_that_are_no_camera_are_refused(k: list[float]) -> None:
    with pytest.raises(MessageError, match="pinhole"):
        camera_from_message(CameraInfo(width=480, height=270, k=np.array(k, dtype=float)), (270, 480))


def test_a_pose_survives_and_an_impossible_one_is_refused() -> None:
    T = transform(rotation_vector([0.3, -1.2, 2.0]), [10, -20, 60])
    covariance = np.diag([0.1, 0.1, 0.2, 0.01, 0.01, 0.02])
    message = convert.pose_to_message(T, covariance, NS, "map")
    np.testing.assert_allclose(pose_matrix(message.pose.pose), T, atol=1e-12)
    np.testing.assert_array_equal(covariance_from(message.pose.covariance), covariance)
    message.pose.pose.orientation.w += 0.5
    with pytest.raises(MessageError, match="unit quaternion"):
        pose_matrix(message.pose.pose)
    message.pose.pose.position.x = float("nan")
    with pytest.raises(MessageError, match="finite"):
        pose_matrix(message.pose.pose)
    with pytest.raises(MessageError, match="variances"):
        covariance_from(-np.eye(6).ravel())


def test_extrinsics_are_a_pose() -> None:
    assert np.array_equal(poses.extrinsics((1.0, 2, 3, 0, 0, 0, 1))[:3, 3], [1, 2, 3])
    with pytest.raises(MessageError):
        poses.extrinsics((0.0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(MessageError):
        poses.extrinsics((0.0, 0, 0))


def test_detections_survive_sorted_by_score() -> None:
    expected = boxes()
    shuffled = expected.select(np.array([3, 0, 4, 1, 2]))
    message = convert_tasks.boxes_to_message(
        shuffled, agent="uav1", frame=3, ns=NS, frame_id="map", contributors=("uav1", "uav2")
    )
    assert message.objects[0].contributors == ["uav1", "uav2"]
    back = task_messages.boxes_from_message(message)
    for field in dataclasses.fields(Boxes):
        np.testing.assert_allclose(getattr(back, field.name), getattr(expected, field.name), atol=1e-9)


def test_detections_that_are_not_finite_or_of_no_class_are_refused() -> None:
    message = convert_tasks.boxes_to_message(
        boxes(), agent="a", frame=0, ns=NS, frame_id="map", contributors=()
    )
    message.objects[2].class_id = 9
    with pytest.raises(MessageError, match="class 9"):
        task_messages.boxes_from_message(message)
    message.objects[2].size.x = float("inf")
    with pytest.raises(MessageError, match="finite"):
        task_messages.boxes_from_message(message)


def test_ground_truth_survives() -> None:
    b = boxes(4)
    objects = Objects(
        np.array([3, 5, 8, 13]),
        b.classes,
        b.centres,
        b.sizes,
        b.yaws,
        b.velocities,
        RNG.random((4, 2)).astype(np.float32).astype(np.float64),
    )
    message = convert_tasks.truth_to_message(objects, agents=("uav1", "uav2"), frame=9, ns=NS, frame_id="map")
    back = task_messages.truth_from_message(message)
    for field in dataclasses.fields(Objects):
        np.testing.assert_allclose(getattr(back, field.name), getattr(objects, field.name), atol=1e-9)
    message.agents = ["uav1"]
    with pytest.raises(MessageError, match="visibilities"):
        task_messages.truth_from_message(message)


def test_trajectories_survive_and_other_lengths_are_refused() -> None:
    tracks = Tracks(np.array([4, 9]), RNG.normal(0, 20, (2, 5, 2)), np.array([0.5, 0.25]))
    message = tracks_to_message(tracks, agent="uav1", frame=0, ns=NS, frame_id="map")
    assert list(message.trajectories[0].time_offsets_s) == [0.0, 0.5, 1.0, 1.5, 2.0]
    back = task_messages.tracks_from_message(message)
    assert np.array_equal(back.positions, tracks.positions) and np.array_equal(back.ids, tracks.ids)
    message.trajectories[0].positions = message.trajectories[0].positions[:3]
    with pytest.raises(MessageError, match="5 positions"):
        task_messages.tracks_from_message(message)
    message.trajectories = []
    assert task_messages.tracks_from_message(message).positions.shape == (0, 5, 2)


def test_masks_are_pictures_with_north_up_and_survive() -> None:
    ids = np.zeros((5, *WINDOW.shape), np.int32)
    ids[0, 2, -1] = 7  # third cell from the west, northernmost
    ids[4] = RNG.integers(0, 65_535, WINDOW.shape)
    message = convert_tasks.masks_to_message(ids, NS, "map")
    image = np.frombuffer(message.data, "<u2").reshape(message.height, message.width)
    assert (message.width, message.height) == (16, 5 * 40) and image[0, 2] == 7
    assert np.array_equal(task_messages.masks_from_message(message, WINDOW), ids)
    with pytest.raises(MessageError, match="mono16"):
        task_messages.masks_from_message(message, square_window(4, 0.5))
    with pytest.raises(MessageError, match="65535"):
        convert_tasks.masks_to_message(ids + 65_535, NS, "map")


def test_occupancy_lies_where_ros_expects_it_and_survives_rounded_down() -> None:
    probability = np.zeros(WINDOW.shape, np.float32)
    probability[3, 5], probability[4, 5] = 0.456, 1.0
    message = convert_tasks.grid_to_message(probability, WINDOW, NS, "map")
    assert message.info.width == 16 and message.info.height == 40
    assert (message.info.origin.position.x, message.info.origin.position.y) == (-4.0, -8.0)
    assert message.data[5 * 16 + 3] == 45 and message.data[5 * 16 + 4] == 100
    back = task_messages.percent_from_message(message, WINDOW)
    assert back[3, 5] == 45 and back[4, 5] == 100 and back.sum() == 145
    with pytest.raises(MessageError, match="grid over"):
        task_messages.percent_from_message(message, square_window(4, 0.5))
