"""AirV2X: refused as it is, converted on demand, and then a data set like any other."""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data import command
from rsdfm_ros.data.check import check
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.opening import open_dataset
from rsdfm_ros.errors import RsdfmError
from support import field_sets as sets
from support.public_sets import FLEET, SPEED
from support.set_runs import evaluate, hits, train_one_step, write_model


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["convert", "airv2x", *words]))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_airv2x(tmp_path_factory.mktemp("airv2x"))


@pytest.fixture(scope="module")
def converted(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "set"
    assert run(str(published), "--out", str(out), "--unpickle") == 0
    return out


def test_it_is_refused_by_default_with_a_sentence(published: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RsdfmError, match="can run whatever code its author put there: nothing was read"
    ) as refused:
        run(str(published), "--out", str(tmp_path / "set"))
    assert "--unpickle" in str(refused.value)
    assert not (tmp_path / "set").exists()
    for look in (open_dataset, check):
        with pytest.raises(DatasetError, match=r"keeps its metadata as pickles.*rsdfm data convert airv2x"):
            look(published)


def test_the_uavs_and_vehicles_are_where_carla_had_them(converted: Path) -> None:
    dataset = open_dataset(converted)
    (info,) = dataset.scenes
    assert (info.name, info.frames, info.agents) == ("2025_04_09_22_34_07", 7, ("uav1", "uav2"))
    assert [dataset.stamp_ns(0, k) for k in (0, 1)] == [0, 500_000_000]
    assert dataset.origin(0)[2] == pytest.approx(sets.AIRV2X_ROAD)
    for k in (0, 6):
        found, seen = hits(dataset, 0, k, {31 + n: n for n in range(4)})
        assert found == seen >= 5
    objects = dataset.objects(0, 3)
    assert objects.classes.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(objects.yaws, [v.yaw for v in FLEET], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(objects.velocities, axis=1), SPEED, atol=1e-6)


def test_ground_agents_come_along_on_demand(published: Path, tmp_path: Path) -> None:
    assert run(str(published), "--out", str(tmp_path / "set"), "--unpickle", "--ground") == 0
    dataset = open_dataset(tmp_path / "set")
    assert dataset.scenes[0].agents == ("uav1", "uav2", "uav3")
    assert dataset.description.ground_agents == ("uav3",)
    assert [image.camera for image in dataset.images(0, 0)[2]] == ["front", "rear"]
    report = check(tmp_path / "set", decode=True)
    assert (report.grave, report.facts["height_over_ground_m"]) == (0, [1.5, 49.8])


def change(published: Path, tmp_path: Path, file: str, value: Any) -> Path:
    root = Path(shutil.copytree(published, tmp_path / "copy"))
    (root / "2025_04_09_22_34_07" / "timestamp_000025" / file).write_bytes(pickle.dumps(value))
    return root


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    ("file", "value", "words"),
    [
        ("objects.pkl", [1], "expected a dictionary of objects"),
        ("objects.pkl", {"a": {"class": 1}}, "expected a number from 0"),
        ("objects.pkl", {1: {"class": 1, "location": [0] * 5}}, "location: expected 6 finite numbers"),
        ("agent_000007/metadata.pkl", {"agent_type": "drone"}, "ego_pos: expected 6 finite numbers"),
        ("agent_000007/metadata.pkl", {"odometry": {"ego_pos": [0.0] * 6}}, "has no image of a camera"),
        (
            "agent_000007/metadata.pkl",
            {"odometry": {"ego_pos": [0.0] * 6}, "bev_camera": {"intrinsic": [[0]], "cords": [0] * 6}},
            "intrinsic: expected 3x3",
        ),
    ],
)
def test_damaged_metadata_are_named_and_nothing_is_left(
    published: Path, tmp_path: Path, file: str, value: Any, words: str
) -> None:
    root = change(published, tmp_path, file, value)
    with pytest.raises(DatasetError, match=words):
        run(str(root), "--out", str(tmp_path / "set"), "--unpickle")
    assert not (tmp_path / "set" / "v1.0-trainval").exists()


def test_a_hostile_pickle_runs_nothing(published: Path, tmp_path: Path) -> None:
    root = change(published, tmp_path, "objects.pkl", {1: Touch(tmp_path / "trace")})
    with pytest.raises(DatasetError, match="system, which is no plain container or array"):
        run(str(root), "--out", str(tmp_path / "set"), "--unpickle")
    assert not (tmp_path / "trace").exists()


def test_a_converted_set_passes_the_check_is_trained_on_and_evaluated(
    converted: Path, tmp_path: Path
) -> None:
    report = check(converted, decode=True)
    assert report.grave == 0
    assert report.facts["pictures"] == 14
    assert (train_one_step(converted, tmp_path) / "weights.safetensors").is_file()
    assert evaluate(converted, write_model(tmp_path), 2, tmp_path / "out.json")["rsdfm"]["frames"] == 1
