"""`rsdfm data check` names every kind of damage, several at once; a sound set passes."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsdfm_ros.boundary import EXIT_PROBLEMS
from rsdfm_ros.data import command
from rsdfm_ros.data.check import check
from rsdfm_ros.data.nuscenes import TableError, open_dataset
from rsdfm_ros.data.presets import PRESETS
from rsdfm_ros.errors import RsdfmError
from support import public_sets as sets

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_air_co_pred(tmp_path_factory.mktemp("air"), frames=3, scenes=("scene-0-9",))


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "air"))


def rewrite(root: Path, table: str, change: Callable[[Rows], object]) -> None:
    path = root / "v1.0-trainval" / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([*words]))


def texts(root: Path | str, **options: bool) -> list[str]:
    return [str(problem) for problem in check(root, **options).problems]


def test_a_sound_set_has_no_grave_problem_and_its_facts_are_told(sound: Path) -> None:
    report = check(sound, decode=True)
    assert report.grave == 0
    assert report.facts["description"] == "air-co-pred"
    assert report.facts["uavs"] == 4
    assert report.facts["pictures"] == 12
    assert report.facts["ground_height_m"] == [-50.0, -50.0]
    assert report.facts["height_over_ground_m"] == [50.0, 50.0]
    assert report.facts["objects"] == {"car": 3, "van": 3, "truck": 3, "bus": 3}
    assert [p.text for p in report.problems] == [
        "annotations of other categories are ignored: human.pedestrian.adult × 3"
    ]


def test_uav3d_is_sound_too(tmp_path: Path) -> None:
    report = check(sets.write_uav3d(tmp_path, frames=2, scenes=("scene_0001",)), decode=True)
    assert report.problems == []
    assert report.facts["pictures"] == 50
    assert report.facts["height_over_ground_m"] == [60.0, 60.0]


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("sample", lambda r: r[0].pop("timestamp"), "timestamp of row 0 is missing"),
        ("sample", lambda r: r[1].update(scene_token="x"), "scene_token 'x' of 'scene-0-9-s1' not in scene"),
        ("sample_data", lambda r: r[0].update(sample_token="x"), "sample_token 'x'"),
        ("sample_data", lambda r: r[0].update(ego_pose_token="x"), "ego_pose_token 'x'"),
        ("sample_data", lambda r: r[0].update(calibrated_sensor_token="x"), "calibrated_sensor_token 'x'"),
        ("sample_data", lambda r: r.append(dict(r[0])), "occurs twice"),
        ("sample_data", lambda r: r[0].update(is_key_frame="yes"), "expected true or false"),
        ("sample_data", lambda r: r[0].update(filename="/etc/passwd"), "does not stay inside"),
        ("sample_data", lambda r: r.append(r[0] | {"token": "copy"}), "two images of UAV_1"),
        ("calibrated_sensor", lambda r: r[1].update(sensor_token="x"), "sensor_token 'x'"),
        ("calibrated_sensor", lambda r: r[1].update(camera_intrinsic=[[0]]), "expected 3x3"),
        ("calibrated_sensor", lambda r: r[1].update(rotation=[2, 0, 0, 0]), "no unit quaternion"),
        ("ego_pose", lambda r: r[1].update(translation=[0, 0]), "expected a list of 3 numbers"),
        ("ego_pose", lambda r: r[1].update(translation=[0, 0, "a"]), "expected 3 finite numbers"),
        ("instance", lambda r: r[0].update(category_token="x"), "category_token 'x'"),
        ("sample_annotation", lambda r: r[0].update(instance_token="x"), "instance_token 'x'"),
        ("sample_annotation", lambda r: r[0].update(size=[1, -1, 1]), "expected 3 positive numbers"),
        ("sample_annotation", lambda r: r[0].update(sample_token="scene-0-9-s1"), "instance occurs twice"),
        ("sensor", lambda r: r.append("UAV_9"), "list of objects"),
        ("sensor", lambda r: [x.update(channel="CAM_FRONT") for x in r], "no key frame of any camera"),
    ],
)
def test_a_damaged_table_is_named(
    root: Path, table: str, change: Callable[[Rows], object], words: str
) -> None:
    rewrite(root, table, change)
    (root / "rsdfm_dataset.yaml").write_text("preset: air-co-pred\n")
    found = check(root)
    assert found.grave
    assert any(words in p.text for p in found.problems), found.problems
    assert any(f"{table}.json" in p.path for p in found.problems) or table == "sensor"
    with pytest.raises(TableError):
        open_dataset(root)


def test_missing_and_broken_tables_are_all_named(root: Path) -> None:
    (root / "v1.0-trainval" / "ego_pose.json").unlink()
    (root / "v1.0-trainval" / "category.json").write_text("[{")
    (root / "v1.0-trainval" / "map.json").unlink()
    found = texts(root)
    assert any("ego_pose.json: is missing" in t for t in found)
    assert any("category.json: is no readable JSON" in t for t in found)
    assert any("map.json: is missing" in t for t in found)
    with pytest.raises(TableError, match=r"and 2 more problems: `rsdfm data check"):
        open_dataset(root)


def test_equal_problems_are_counted_and_others_listed_beside(root: Path) -> None:
    rewrite(root, "sample_annotation", lambda r: [x.update(instance_token="gone") for x in r[:5]])
    rewrite(root, "ego_pose", lambda r: r[0].update(rotation=[0, 0, 0, 0]))
    found = texts(root)
    assert any("'gone', 'gone', 'gone'" in t and "(and 4 more like it)" in t for t in found)
    assert any("no unit quaternion" in t for t in found)


def test_missing_pictures_are_counted(root: Path) -> None:
    for path in (root / "samples" / "UAV_2").iterdir():
        path.unlink()
    found = check(root)
    assert any("is missing, sample_data.json names it" in p.text and p.count == 3 for p in found.problems)


def test_damaged_and_resized_pictures_are_found_when_decoded(root: Path) -> None:
    first, _, last = sorted((root / "samples" / "UAV_3").iterdir())
    last.write_bytes(b"no image")
    assert check(root).grave == 0  # only the first image of every camera is opened
    assert any("is no image" in t for t in texts(root, decode=True))
    cv2.imwrite(str(first), np.zeros((9, 16, 3), np.uint8))
    assert any("is 16x9, sample_data.json says 160x90" in t for t in texts(root))


def test_a_wrong_ground_is_noticed(root: Path) -> None:
    (root / "rsdfm_dataset.yaml").write_text("preset: air-co-pred\nground_height_m: 0\n")
    found = texts(root)
    assert any("is 0.0 m over the ground, expected above 2" in t for t in found)
    assert any("vehicles stand -50.0 m over the ground" in t for t in found)


def test_wrong_axes_are_noticed(root: Path) -> None:
    (root / "rsdfm_dataset.yaml").write_text("preset: air-co-pred\ncamera_axes: forward\n")
    assert any("no vehicle is in any image" in t for t in texts(root))


def test_a_wrong_size_order_is_noticed(root: Path) -> None:
    (root / "rsdfm_dataset.yaml").write_text("preset: air-co-pred\nsize_order: lwh\n")
    assert any("times as long as wide" in t for t in texts(root))


def test_categories_that_are_all_foreign_are_noticed(root: Path) -> None:
    rewrite(root, "category", lambda r: [x.update(name=f"ship.{n}") for n, x in enumerate(r)])
    (root / "rsdfm_dataset.yaml").write_text("preset: air-co-pred\nground_height_m: -50\n")
    assert any("no annotation is of one of our classes (ship.0" in t for t in texts(root))


def test_times_that_stand_still_or_run_otherwise_are_noticed(root: Path) -> None:
    rewrite(root, "sample", lambda r: [x.update(timestamp=10**15 + n * 100_000) for n, x in enumerate(r)])
    report = check(root)
    assert any("0.100 s apart" in p.text and not p.grave for p in report.problems)
    rewrite(root, "sample", lambda r: [x.update(timestamp=10**15) for x in r])
    assert any("same timestamp" in t for t in texts(root))


def test_uavs_without_pictures_are_a_note(root: Path) -> None:
    rewrite(root, "sample_data", lambda r: r.remove(next(x for x in r if x["token"] == "scene-0-9-s1-UAV_2")))
    report = check(root)
    assert report.grave == 0
    assert any("frame 1: uav2 has no image" in p.text for p in report.problems)
    strict = replace(PRESETS["air-co-pred"], missing_cameras="refuse")
    with pytest.raises(TableError, match="no key frame of UAV_2"):
        open_dataset(root, strict)


def test_the_command_says_what_it_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", str(root)) == 0
    assert "can be used" in capsys.readouterr().out
    (root / "v1.0-trainval" / "scene.json").unlink()
    assert run("check", str(root), "--json") == EXIT_PROBLEMS
    report = json.loads(capsys.readouterr().out)
    assert report["problems"][0]["text"] == "is missing"
    assert report["problems"][0]["path"].endswith("scene.json")


def test_a_description_is_written_once_and_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("describe", "--preset", "uav3d") == 0
    assert "axes: unreal" in capsys.readouterr().out
    assert run("describe", str(root), "--preset", "air-co-pred") == 0
    assert open_dataset(root).description.to_yaml() == PRESETS["air-co-pred"].to_yaml()
    with pytest.raises(RsdfmError, match="exists already"):
        run("describe", str(root), "--preset", "air-co-pred")
    with pytest.raises(RsdfmError, match="is no folder"):
        run("describe", str(root / "nowhere"), "--preset", "air-co-pred")
