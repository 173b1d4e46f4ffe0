"""Griffin as published is read, checked, trained on and evaluated; the car is a peer like the UAV."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.check import check
from rsdfm_ros.data.errors import DatasetError, TableError
from rsdfm_ros.data.griffin.files import read_labels
from rsdfm_ros.data.opening import open_dataset
from support import field_sets as sets
from support.public_sets import FLEET, SIZES, SPEED
from support.set_runs import evaluate, hits, train_one_step, write_model

COLOURS = {101 + n: n for n in range(len(FLEET))}


@pytest.fixture(scope="module")
def griffin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_griffin(tmp_path_factory.mktemp("griffin"))


@pytest.fixture
def copy(griffin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(griffin, tmp_path / "set"))


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_frames_are_half_a_second_apart_and_named_as_in_the_published_splits(griffin: Path) -> None:
    dataset = open_dataset(griffin)
    (info,) = dataset.scenes
    assert (info.name, info.frames, info.agents) == ("scene-0000-Town03-000", 8, ("vehicle", "drone"))
    assert info.weather == "ClearNoon"
    assert [dataset.stamp_ns(0, k) for k in range(3)] == [0, 500_000_000, 1_000_000_000]
    assert dataset.origin(0)[2] == pytest.approx(sets.GRIFFIN_GROUND)


def test_boxes_lie_where_the_images_show_them(griffin: Path) -> None:
    dataset = open_dataset(griffin)
    for k in (0, 7):
        found, seen = hits(dataset, 0, k, COLOURS)
        assert seen >= 6
        assert found >= 0.8 * seen  # a near vehicle hides others from the car


def test_objects_of_both_sides_become_one_list(griffin: Path) -> None:
    dataset = open_dataset(griffin)
    objects = dataset.objects(0, 2)
    assert objects.ids.tolist() == [101, 102, 103, 104]
    assert objects.classes.tolist() == [0, 1, 2, 3]
    x0, y0, _ = np.array(dataset.origin(0)) - sets.GRIFFIN_CENTRE
    for n, vehicle in enumerate(FLEET):
        place = np.add(vehicle.at(2), [-x0, -y0, SIZES[vehicle.category][0][2] / 2])
        np.testing.assert_allclose(objects.centres[n], place, atol=1e-6)
        assert objects.yaws[n] == pytest.approx(vehicle.yaw, abs=1e-9)
        speed = SPEED * np.array([np.cos(vehicle.yaw), np.sin(vehicle.yaw)])
        np.testing.assert_allclose(objects.velocities[n], speed, atol=1e-6)
    assert set(np.unique(objects.visibility)) <= {0.0, 0.7}
    assert (objects.visibility[:, 1] == 0.7).any()
    assert dataset.ignored == {"pedestrian": 8}


@pytest.mark.parametrize("columns", [11, 9])
def test_older_labels_lack_columns(columns: int, tmp_path: Path) -> None:
    sets.write_griffin(tmp_path, seconds=0.0, columns=columns)
    labels = read_labels(tmp_path / "vehicle-side" / "label" / "000000.txt")
    assert labels.shares.tolist() == [1.0] * 5
    assert labels.ids.tolist() == [100, 101, 102, 103, 900]
    yaw = np.arctan2(labels.rotations[0, 1, 0], labels.rotations[0, 0, 0])
    assert yaw == pytest.approx(FLEET[0].yaw - np.deg2rad(4.0), abs=1e-6)


def test_a_sound_set_passes_the_check_and_a_car_may_have_low_cameras(griffin: Path) -> None:
    report = check(griffin, decode=True)
    assert report.grave == 0
    assert report.facts["uavs"] == 2
    assert report.facts["pictures"] == 8 * 9
    assert report.facts["height_over_ground_m"] == [1.5, 34.9]
    assert [p.text for p in report.problems] == [
        "annotations of other categories are ignored: pedestrian × 8"
    ]


def test_one_side_alone_and_the_folder_above_are_read(copy: Path) -> None:
    shutil.rmtree(copy / "vehicle-side")
    above = copy.parent / "griffin_50scenes_25m"
    above.mkdir()
    copy.rename(above / "griffin-release")
    assert open_dataset(above).scenes[0].agents == ("drone",)
    assert check(above).grave == 0


def test_a_missing_image_is_told_and_the_agent_sees_nothing(copy: Path) -> None:
    for camera in (copy / "vehicle-side" / "camera").iterdir():
        (camera / "000010.png").unlink()
    assert open_dataset(copy).images(0, 2)[0] == ()
    assert "scene-0000-Town03-000 frame 2: vehicle has no image" in [p.text for p in check(copy).problems]


def test_a_description_says_splits_and_the_ground(copy: Path) -> None:
    (copy / "rsdfm_dataset.yaml").write_text(
        "preset: griffin\nground_height_m: 0.1\nsplits: {val: [scene-0000-Town03-000], train: rest}\n"
    )
    assert open_dataset(f"{copy}@val").origin(0)[2] == 0.1
    with pytest.raises(DatasetError, match="no scene of the split 'train'"):
        open_dataset(f"{copy}@train")


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("drone-side/calib/front.json", lambda v: v.pop("intrinsic"), "intrinsic: expected 3x3"),
        ("drone-side/calib/front.json", lambda v: v.update(extrinsic=[[1]]), "extrinsic: expected a rigid"),
        ("drone-side/pose/000010.json", lambda v: v.update(yaw="north"), "expected finite numbers x, y, z"),
        ("vehicle-side/scene_infos.json", lambda v: v[0].pop("info"), "lacks name or info.frames"),
        (
            "vehicle-side/scene_infos.json",
            lambda v: v[0]["info"]["frames"].append("../../x"),
            "expected digits",
        ),
        ("vehicle-side/scene_infos.json", lambda v: v.insert(0, "scene"), "scene 0 lacks name"),
    ],
)
def test_damaged_files_are_named(copy: Path, file: str, change: Callable[[Any], Any], words: str) -> None:
    rewrite(copy / file, change)
    with pytest.raises(DatasetError, match=words):
        open_dataset(copy)
    report = check(copy)
    assert report.grave
    assert words in str(report.problems[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Car 1 2 3", "has 4 columns, expected 12, 11 or 9"),
        ("Car 1 2 3 4 2 x 0 0 0 5 1", "expected numbers"),
        ("Car 1 2 3 4 -2 1 0 0 0 5 1", "sizes above 0"),
        ("Car 1 2 nan 4 2 1 0 0 0 5 1", "expected finite numbers"),
        ("Car 1 2 3 4 2 1 0 0 0 5 1\nCar 9 2 3 4 2 1 0 0 0 5 1", "an id occurs twice"),
    ],
)
def test_damaged_labels_are_named(copy: Path, text: str, words: str) -> None:
    path = copy / "drone-side" / "label" / "000005.txt"
    path.write_text(text)
    with pytest.raises(TableError, match=words):
        open_dataset(copy)
    assert any(p.grave and words in p.text and p.path == str(path) for p in check(copy).problems)


def test_train_takes_a_step_and_evaluate_scores_both_agents(griffin: Path, tmp_path: Path) -> None:
    assert (train_one_step(griffin, tmp_path) / "weights.safetensors").is_file()
    rows = evaluate(griffin, write_model(tmp_path), 2, tmp_path / "out.json")
    assert rows["single"]["frames"] == rows["rsdfm"]["frames"] > 0
    assert rows["rsdfm"]["bytes_per_frame"] > 0
