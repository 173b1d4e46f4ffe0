"""AeroCollab3D and CoPerception-UAVs as published: chosen, read, checked, trained on and evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsdfm_ros.data.check import check
from rsdfm_ros.data.opening import open_dataset
from support import field_sets as sets
from support import public_sets
from support.set_runs import evaluate, hits, train_one_step, write_model


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_coperception(tmp_path_factory.mktemp("coperception"), samples=2)


@pytest.fixture(scope="module")
def aero(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six UAVs and the tables in v1.23-trainval, else as Air-Co-Pred."""
    root = public_sets.write_air_co_pred(
        tmp_path_factory.mktemp("aero"),
        frames=7,
        scenes=("scene_3",),
        uavs=6,
    )
    (root / "v1.0-trainval").rename(root / "v1.23-trainval")
    return root


def test_samples_that_are_seconds_apart_are_scenes_of_their_own(group: Path) -> None:
    dataset = open_dataset(group)
    assert dataset.description.name == "coperception-uavs"
    assert [(s.name, s.frames) for s in dataset.scenes] == [("scene_0-000", 1), ("scene_0-001", 1)]
    assert dataset.scenes[0].agents == ("uav1", "uav2", "uav3", "uav4", "uav5")
    assert len(dataset.images(0, 0)[0]) == 5
    assert not dataset.objects(0, 0).velocities.any()


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("prefix", ["CAM", "CAMERA"])
def test_cameras_of_airsim_are_put_above_the_ground(down: bool, prefix: str, tmp_path: Path) -> None:
    dataset = open_dataset(sets.write_coperception(tmp_path, samples=1, z_down=down, prefix=prefix))
    colours = {int(i): n for n, i in enumerate(sorted(dataset.objects(0, 0).ids.tolist()))}
    found, seen = hits(dataset, 0, 0, colours)
    assert found == seen >= 8
    assert dataset.origin(0)[2] == pytest.approx(sets.COPERCEPTION_ROAD)
    assert dataset.objects(0, 0).classes.tolist() == [
        0,
        1,
        2,
        3,
    ]  # the last is a car by its name, a bus by its size


@pytest.mark.parametrize("metres", [60, 80])
def test_groups_at_other_heights_lie_in_one_folder(group: Path, tmp_path: Path, metres: int) -> None:
    for height in (40, 60, 80):
        sets.write_coperception(tmp_path, samples=1, group=f"v1.0-{height}m-group")
    report = check(tmp_path / f"v1.0-{metres}m-group")
    assert report.grave == 0
    assert report.facts["height_over_ground_m"] == [metres, metres]


def test_sound_sets_pass_the_check(group: Path, aero: Path) -> None:
    assert check(group, decode=True).grave == 0
    assert not [p for p in check(group).problems if "apart" in p.text]
    report = check(aero, decode=True)
    assert (report.grave, report.facts["description"], report.facts["uavs"]) == (0, "aerocollab3d", 6)


def test_air_co_pred_is_still_itself(tmp_path: Path) -> None:
    root = public_sets.write_air_co_pred(tmp_path, frames=1, scenes=("scene-0-9",))
    assert open_dataset(root).description.name == "air-co-pred"


def test_without_history_the_present_is_scored_and_nothing_else(group: Path, tmp_path: Path) -> None:
    assert (train_one_step(group, tmp_path) / "weights.safetensors").is_file()
    rows = evaluate(group, write_model(tmp_path), 5, tmp_path / "out.json")
    row = rows["rsdfm"]
    assert row["frames"] == 2
    assert row["iou_long"] is not None
    assert row["map"] is not None
    assert row["vpq_long"] is row["ade"] is row["track_recall"] is row["idf1"] is None


def test_aerocollab3d_trains_and_is_evaluated(aero: Path, tmp_path: Path) -> None:
    assert (train_one_step(aero, tmp_path) / "weights.safetensors").is_file()
    rows = evaluate(aero, write_model(tmp_path), 6, tmp_path / "out.json")
    assert rows["single"]["frames"] == 1
