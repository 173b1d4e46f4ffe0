"""The diagnostics of a node say by how much its images are stamped too early or too late."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs
from rsdfm_ros.geometry.ground import GroundPlane
from rsdfm_ros.nodes.core.diagnostics import OK, WARN
from rsdfm_ros.nodes.uav.positioning import image_timing
from rsdfm_ros.nodes.uav.positioning.image_timing import ImageTiming
from support.input_messages import image, info, pose_with_covariance
from support.textured_flight import SIZE, START_NS, K, draw, pose, texture


def flown(offset_s: float, configured_s: float, monkeypatch: pytest.MonkeyPatch) -> ImageTiming:
    """Six seconds at 10 Hz with poses at 50 Hz, then one estimate."""
    monkeypatch.setattr(image_timing, "PERIOD_S", 1e9)
    inputs = Inputs(InputConfig(image_time_offset_s=(configured_s,)), lambda reason, text: None)
    k = K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    inputs.add_info(0, info(k, SIZE))
    timing, ground = ImageTiming(inputs), texture()
    for n in range(300):
        t = n / 50
        matched = inputs.add_pose(pose_with_covariance(pose(t), START_NS + round(t * 1e9)))
        if n % 5 == 0:
            data = draw(pose(t + offset_s), ground)
            message = image(data, "rgb8", SIZE[1], SIZE[0], ns=START_NS + round(t * 1e9))
            timing.sample()
            matched += inputs.add_image(0, message, t)
        for one in matched:
            timing.follow(one, inputs.views(one), GroundPlane())
    timing.sample()
    timing._estimate(0.0)
    return timing


def test_an_offset_is_told_with_the_parameter_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ((name, status),) = flown(0.04, 0.0, monkeypatch).statuses()
    assert name == "image time" and status.level == WARN
    assert float(status.values["camera_offset_ms"]) == pytest.approx(40.0, abs=5.0)
    assert float(status.values["camera_sigma_ms"]) < 5.0
    assert "set image_time_offset_s to 0.04" in status.message


def test_a_mended_offset_is_no_longer_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, status),) = flown(0.04, 0.04, monkeypatch).statuses()
    assert status.level == OK and "agree" in status.message
    assert abs(float(status.values["camera_offset_ms"])) < 5.0


def test_nothing_is_claimed_before_there_are_enough_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_timing, "LEAST_PAIRS", 1000)
    ((_, status),) = flown(0.0, 0.0, monkeypatch).statuses()
    assert status.level == OK and status.message == "not known yet"
