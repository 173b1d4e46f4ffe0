"""`rsdfm calibrate time`: offsets that were put into bags are found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsdfm_ros import cli
from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.topic_map import default_map
from rsdfm_ros.evaluation.calibration.time_of_bag import CameraTime, camera_times
from support.textured_flight import make_flight


def found(path: Path, topic_map=None) -> CameraTime:
    with open_bag(path) as bag:
        (time,), _ = camera_times(bag, topic_map or default_map())
    return time


@pytest.mark.parametrize("offset_s", [0.04, -0.04, 0.0, 0.12])
def test_an_injected_offset_is_recovered_within_5_ms(tmp_path: Path, offset_s: float) -> None:
    time = found(make_flight(tmp_path / "bag", offset_s=offset_s))
    assert time.image_time_offset_s == pytest.approx(offset_s, abs=0.005), time
    assert time.found.sigma_s < 0.005 and abs(time.found.offset_s - offset_s) < 4 * time.found.sigma_s + 0.001
    if abs(offset_s) > 0.02:
        assert time.found.residual_px < 0.5 * time.found.before_px


def test_steady_flight_says_that_it_does_not_tell(tmp_path: Path) -> None:
    """Every offset predicts the same motion then: no number is given."""
    time = found(make_flight(tmp_path / "bag", offset_s=0.04, lively=False))
    assert time.image_time_offset_s is None and "motion changes too little" in time.problem


def test_too_few_images_are_named(tmp_path: Path) -> None:
    time = found(make_flight(tmp_path / "bag", seconds=1.0))
    assert time.found is None and "pairs of images" in time.problem


def test_the_command_prints_what_the_parameter_should_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = make_flight(tmp_path / "bag", offset_s=0.04)
    assert cli.main(["calibrate", "time", str(bag), "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)["uav1"]["camera"]
    assert entry["image_time_offset_s"] == pytest.approx(0.04, abs=0.005) and entry["sigma_s"] < 0.005
    topics = tmp_path / "map.yaml"
    topics.write_text(
        "uav: {cameras: {camera: {image: '/{uav}/camera/image_raw', info: '/{uav}/camera/camera_info'}}, "
        "pose: '/{uav}/pose'}\ninputs: {image_time_offset_s: [0.03]}\n"
    )
    assert cli.main(["calibrate", "time", str(bag), "--map", str(topics)]) == 0
    assert "0.040" in capsys.readouterr().out  # what is configured already is part of it
