"""The parameter files and the page about inputs say what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from support.places import ROOT

pytest.importorskip("rclpy")

from rsdfm_ros.data.messages.encodings import ENCODINGS
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.poses import POSE_TYPES, extrinsics
from rsdfm_ros.nodes.core.parameters import check_value
from rsdfm_ros.nodes.uav.camera_inputs import input_config
from rsdfm_ros.nodes.uav.input_settings import InputSettings
from rsdfm_ros.nodes.uav.settings import EncoderSettings

FILES = sorted((ROOT / "config" / "inputs").glob("*.yaml"))
PAGE = (ROOT / "docs" / "inputs.md").read_text()


def config_of(file: Path) -> InputConfig:
    given = yaml.safe_load(file.read_text())["/**"]["ros__parameters"]
    values = {f.name: f.default for f in dataclasses.fields(EncoderSettings)}
    assert set(given) <= set(values), f"{file.name} has parameters that do not exist"
    values |= {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    for name, value in given.items():
        kind = type(values[name])
        assert isinstance(value, list) == (kind is tuple) and isinstance(value, bool) == (kind is bool)
    for field in dataclasses.fields(EncoderSettings):
        check_value(field, values[field.name], owner=file.name)
    return input_config(EncoderSettings(**values), "uav1")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_parameter_files_are_accepted(file: Path) -> None:
    config = config_of(file)
    for k in range(len(config.cameras)):
        extrinsics(config.extrinsics[7 * k : 7 * k + 7])


def view(config: InputConfig, camera: int) -> np.ndarray:
    """Direction of the camera in the body: forward, left, up."""
    return extrinsics(config.extrinsics[7 * camera : 7 * camera + 7])[:3, 2]


def test_the_cameras_of_the_examples_look_where_their_comments_say() -> None:
    configs = {f.stem: config_of(f) for f in FILES}
    s = np.sqrt(0.5)
    np.testing.assert_allclose(view(configs["mavros"], 0), [s, 0, -s], atol=1e-5)
    np.testing.assert_allclose(view(configs["px4"], 0), [0, 0, -1], atol=1e-5)
    for camera, side in ((0, 1), (1, -1)):
        looks = view(configs["two_cameras"], camera)
        heading = np.rad2deg(np.arctan2(looks[1], looks[0]))
        assert heading == pytest.approx(30 * side, abs=1e-3) and looks[2] == pytest.approx(-s, abs=1e-5)
        # And they are not upside down: the image's down is the body's down.
        T = extrinsics(configs["two_cameras"].extrinsics[7 * camera : 7 * camera + 7])
        assert T[2, 1] < 0 and abs(T[2, 0]) < 1e-5


def test_the_table_of_camera_directions_is_right() -> None:
    rows = re.findall(r"\| ([a-z°0-9 ,']+) \| (-?[\d.]+ -?[\d.]+ -?[\d.]+ -?[\d.]+) \|", PAGE)
    looks = {
        text: extrinsics((0.0, 0.0, 0.0, *(float(v) for v in numbers.split())))[:3, :3]
        for text, numbers in rows
    }
    s = np.sqrt(0.5)
    np.testing.assert_allclose(looks["forward"][:, 2], [1, 0, 0], atol=1e-5)
    np.testing.assert_allclose(looks["forward and 45° down"][:, 2], [s, 0, -s], atol=1e-5)
    down = looks["straight down, the image's top forward"]
    np.testing.assert_allclose(down[:, 2], [0, 0, -1], atol=1e-5)
    np.testing.assert_allclose(-down[:, 1], [1, 0, 0], atol=1e-5)


def test_the_page_names_every_encoding_pose_type_reason_and_parameter() -> None:
    for name in ENCODINGS:
        stem = name.removesuffix("16")
        assert f"`{name}`" in PAGE or (name.startswith("bayer_") and f"`{stem}8`" in PAGE), name
    for kind in POSE_TYPES:
        assert f"`{kind}`" in PAGE
    sources = (ROOT / "src" / "rsdfm_ros" / "data" / "messages").glob("*.py")
    reasons = {
        r
        for file in sources
        if file.stem not in ("packets", "input_config", "serialized", "tasks")
        for r in re.findall(r"(?:MessageError|self\._reject)\(\s*\"([a-z_0-9]+)\"", file.read_text())
    }
    reasons -= {"extrinsics"}  # refused when a node is configured
    assert len(reasons) > 15
    for reason in reasons:
        assert f"`{reason}`" in PAGE, reason
    for field in dataclasses.fields(InputSettings):
        assert f"`{field.name}" in PAGE, field.name


def test_the_settings_of_the_node_are_those_of_the_inputs() -> None:
    """Defaults stand in one place for nodes and bags: they must be the same."""
    settings = {f.name: f.default for f in dataclasses.fields(InputSettings)}
    for field in dataclasses.fields(InputConfig):
        if field.name not in ("agent", "frame_id", "cameras"):
            assert settings[field.name] == field.default, field.name
