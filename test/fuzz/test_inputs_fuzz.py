"""Arbitrary messages on an input: a result of the right kind or a MessageError with a reason, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsdfm_ros.data.messages.compressed import image_from_compressed
from rsdfm_ros.data.messages.encodings import ENCODINGS
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.images import image_from_message
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs
from rsdfm_ros.data.messages.poses import from_px4_odometry
from rsdfm_ros.data.messages.views.rectify import Rectifier
from support.input_messages import Message, compressed, header, info, px4, tf, transform

FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
IMAGE = np.random.default_rng(0).integers(0, 255, (10, 14, 3), dtype=np.uint8)
FILES = [
    cv2.imencode(".png", IMAGE)[1].tobytes(),
    cv2.imencode(".jpg", IMAGE)[1].tobytes(),
    cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
]
#: Numbers as they come when something is broken.
REALS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), 14.0, 7.0, 5.0]),
    st.floats(width=32),
)
STAMPS = st.one_of(
    st.integers(0, 20).map(lambda k: 10**10 + k * 10**8), st.integers(-(10**12), 10**19), st.just(0)
)


@FUZZ
@given(
    st.sampled_from([*ENCODINGS, "", "32FC1", "bayer_xxxx8"]),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 80),
    st.integers(0, 400),
    st.booleans(),
)
def test_an_image_of_any_fields_is_a_picture_or_refused(
    encoding: str, width: int, height: int, step: int, size: int, big: bool
) -> None:
    message = Message(
        encoding=encoding, width=width, height=height, step=step, is_bigendian=big, data=bytes(size)
    )
    try:
        image = image_from_message(message)
    except MessageError:
        return
    assert image.shape == (height, width, 3) and image.dtype == np.uint8


@FUZZ
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6))
def test_a_damaged_file_is_a_picture_or_refused(file: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(file)
    for at, value in changes:
        data[at % len(data)] = value
    try:
        image = image_from_compressed(compressed(bytes(data)))
    except MessageError:
        return
    assert image.ndim == 3 and image.shape[2] == 3


@FUZZ
@given(st.binary(max_size=300))
def test_bytes_that_begin_like_a_file_are_refused(tail: bytes) -> None:
    for start in (
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xc0",
    ):
        for end in (b"", b"\xff\xd9", b"\x00\x00\x00\x00IEND\xaeB`\x82"):
            with pytest.raises(MessageError) as caught:
                image_from_compressed(compressed(start + tail + end))
            assert caught.value.reason in ("image_compression", "image_size")


@FUZZ
@given(
    st.lists(REALS, min_size=9, max_size=9),
    st.lists(REALS, min_size=12, max_size=12),
    st.lists(REALS, max_size=16),
    st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "other"]),
    st.lists(st.integers(0, 30), min_size=6, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_a_camera_info_of_any_numbers_rectifies_or_is_refused(
    k: list[float],
    p: list[float],
    d: list[float],
    model: str,
    region: list[int],
    rectified: bool,
    scaling: bool,
) -> None:
    message = info(np.eye(3), (10, 14), d=d, model=model, roi=tuple(region[:4]), binning=tuple(region[4:]))
    message.p = np.array(p)
    for values in (np.array(k), np.array([7.0 + abs(k[0]) % 9, 0, 6.5, 0, 7.0, 4.5, 0, 0, 1])):
        message.k = values
        try:
            with np.errstate(all="ignore"):
                out = Rectifier(rectified=rectified, scaling=scaling)(IMAGE, message)
        except MessageError:
            continue
        assert out.image.shape == IMAGE.shape and np.isfinite(out.K).all()
        assert out.K[0, 0] > 0 and out.K[1, 1] > 0


@FUZZ
@given(
    st.lists(REALS, min_size=3, max_size=3),
    st.lists(REALS, min_size=4, max_size=4),
    st.lists(REALS, min_size=6, max_size=6),
    st.integers(0, 2**63),
    st.integers(0, 3),
)
def test_px4_odometry_of_any_numbers_is_a_pose_or_refused(
    position: list[float], q: list[float], variances: list[float], us: int, frame: int
) -> None:
    with np.errstate(all="ignore"):
        message = px4(
            position,
            q,
            us,
            frame=frame,
            position_variance=variances[:3],
            orientation_variance=variances[3:],
        )
    try:
        posed = from_px4_odometry(message)
    except MessageError:
        return
    T = posed.sample.T
    assert np.isfinite(T).all() and np.abs(T[:3, :3] @ T[:3, :3].T - np.eye(3)).max() < 1e-9


@FUZZ
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["image", "pose", "info", "tf", "static", "due"]),
            STAMPS,
            st.lists(REALS, min_size=3, max_size=3),
            st.sampled_from(["map", "odom", "base", "cam", "", "x" * 300]),
            st.sampled_from(["map", "odom", "base", "cam"]),
        ),
        max_size=40,
    ),
    st.sampled_from(["pose_with_covariance", "tf"]),
    st.sampled_from(["parameter", "tf"]),
)
def test_any_sequence_of_messages_is_survived(events: list[tuple], pose_type: str, source: str) -> None:
    refused: list[tuple[str, str]] = []
    config = InputConfig(
        cameras=("a", "b"),
        extrinsics=(0.0, 0, 0, 0, 0, 0, 1) * 2,
        pose_type=pose_type,
        extrinsics_source=source,
    )
    inputs = Inputs(config, lambda reason, text: refused.append((reason, text)))
    newest = -1
    T = np.eye(4)
    for number, (kind, stamp, numbers, parent, child) in enumerate(events):
        T[:3, 3] = numbers
        camera = number % 2
        matched = []
        if kind == "image":
            message = Message(
                header=header(stamp, child),
                encoding="rgb8",
                width=14,
                height=10,
                step=42,
                is_bigendian=0,
                data=IMAGE.tobytes(),
            )
            matched = inputs.add_image(camera, message, number * 0.01)
        elif kind == "info":
            matched = inputs.add_info(
                camera, info(np.array([[9.0, 0, 7], [0, 9, 5], [0, 0, 1]]), (10, 14), ns=stamp)
            )
        elif kind == "due":
            matched = inputs.due(number * 0.1)
        elif kind == "pose" and pose_type != "tf":
            placed = transform(parent, child, T, stamp)
            at = Message(position=placed.transform.translation, orientation=placed.transform.rotation)
            matched = inputs.add_pose(
                Message(header=placed.header, pose=Message(pose=at, covariance=np.zeros(36)))
            )
        else:
            matched = inputs.add_transforms(tf(transform(parent, child, T, stamp)), fixed=kind == "static")
        for one in matched:
            restarted = any(reason == "pose_restart" for reason, _ in refused)
            assert one.stamp_ns > newest or restarted
            newest = one.stamp_ns
            for view in inputs.views(one):
                assert np.isfinite(view.T_map_camera).all() and np.isfinite(view.covariance).all()
    assert all(len(text) < 700 for _, text in refused)
