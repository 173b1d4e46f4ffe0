"""Air-Co-Pred and UAV3D: what the reader makes of fixtures in their layouts agrees with how these were drawn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsdfm_ros.data.frame import CameraView, Objects
from rsdfm_ros.data.nuscenes import Dataset, Description, DescriptionError, TableError, open_dataset
from rsdfm_ros.data.presets import PRESETS
from rsdfm_ros.geometry.boxes import bev_corners
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.geometry.rotations import is_rigid
from support import public_sets as sets


@pytest.fixture(scope="module")
def air(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_air_co_pred(tmp_path_factory.mktemp("Air-Co-Pred") / "trainval")


@pytest.fixture(scope="module")
def uav3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.write_uav3d(tmp_path_factory.mktemp("uav3d") / "v1.0")


@pytest.fixture
def damaged_air(air: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(air, tmp_path / "air"))


@pytest.fixture
def damaged_uav3d(uav3d: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(uav3d, tmp_path / "uav3d"))


def rewrite(root: Path, table: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = root / "v1.0-trainval" / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def box_corners(objects: Objects, n: int) -> np.ndarray:
    flat = bev_corners(objects.centres[n : n + 1], objects.sizes[n : n + 1], objects.yaws[n : n + 1])[0]
    half = objects.sizes[n, 2] / 2
    return np.concatenate(
        [np.column_stack([flat, np.full(4, objects.centres[n, 2] + z)]) for z in (-half, half)]
    )


def assert_boxes_lie_on_their_paint(view: CameraView, objects: Objects) -> int:
    """Checks every vehicle that is wholly in the image; returns how many there were."""
    checked = 0
    for n in range(len(objects)):
        uv, depth = project(box_corners(objects, n), view.K, view.T_map_camera)
        height, width = view.image.shape[:2]
        if (depth < 1).any() or (uv < 1).any() or (uv > [width - 1, height - 1]).any():
            continue
        colour = np.array(sets.COLOURS[n])
        painted = (np.abs(view.image.astype(int) - colour) < 70).all(axis=-1)
        hull = np.zeros(painted.shape, np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.rint((uv - 0.5) * 16).astype(np.int32)), 1, shift=4)
        inner = cv2.erode(hull, np.ones((3, 3), np.uint8)) > 0
        outer = cv2.dilate(hull, np.ones((3, 3), np.uint8)) > 0
        if inner.sum() < 4:
            continue
        assert painted[inner].mean() > 0.9, f"vehicle {n} in {view.agent} {view.camera}"
        assert not painted[~outer].any(), f"vehicle {n} in {view.agent} {view.camera}"
        checked += 1
    return checked


def assert_truth(dataset: Dataset, scene: int, k: int) -> None:
    found = dataset.objects(scene, k)
    shift = np.array(dataset.origin(scene))
    assert len(found) == len(sets.FLEET)
    first = found.centres[0, :2] - sets.FLEET[0].at(k)[:2]  # the map may begin elsewhere, but is turned alike
    for n, vehicle in enumerate(sets.FLEET):
        length, width, height = sets.SIZES[vehicle.category][0]
        expected = vehicle.at(k) + np.array([*first, height / 2])
        np.testing.assert_allclose(found.centres[n], expected, atol=1e-6, err_msg=str(shift))
        np.testing.assert_allclose(found.sizes[n], [length, width, height])
        assert found.classes[n] == sets.SIZES[vehicle.category][1]
        assert np.isclose(np.exp(1j * found.yaws[n]), np.exp(1j * vehicle.yaw))
        heading = [np.cos(vehicle.yaw), np.sin(vehicle.yaw)]
        np.testing.assert_allclose(found.velocities[n], sets.SPEED * np.array(heading), atol=1e-6)


def test_air_co_pred_is_recognised_and_read_as_drawn(air: Path) -> None:
    dataset = open_dataset(air)
    assert dataset.description == PRESETS["air-co-pred"]
    assert [s.agents for s in dataset.scenes] == [("uav1", "uav2", "uav3", "uav4")] * 2
    checked = 0
    for k in range(3):
        frame = dataset.load(1, k)
        assert_truth(dataset, 1, k)
        assert frame.agents == tuple(v.agent for v in frame.views)
        for view in frame.views:
            assert is_rigid(view.T_map_camera)
            assert view.image.shape == (*sets.AIR_SIZE, 3)
            np.testing.assert_allclose(view.T_map_camera[2, 3], sets.AIR_ALTITUDE, atol=1e-9)
            checked += assert_boxes_lie_on_their_paint(view, frame.objects)
    assert checked > 20
    assert dataset.ignored == {"human.pedestrian.adult": 6}
    assert frame.stamp_ns == (1_700_000_000_000_000 + 2 * 500_000) * 1000


def test_uav3d_is_recognised_and_read_as_drawn(uav3d: Path) -> None:
    dataset = open_dataset(uav3d)
    assert dataset.description == PRESETS["uav3d"]
    assert [s.agents for s in dataset.scenes] == [tuple(f"uav{n}" for n in range(1, 6))] * 2
    checked = 0
    for k in range(3):
        frame = dataset.load(0, k)
        assert_truth(dataset, 0, k)
        assert len(frame.views) == 25
        for agent in frame.agents:
            cameras = [view.camera for view in frame.views_of(agent)]
            assert cameras == ["back", "bottom", "front", "left", "right"]
        for view in frame.views:
            assert is_rigid(view.T_map_camera)
            np.testing.assert_allclose(view.T_map_camera[2, 3], sets.UAV3D_ALTITUDE, atol=1e-9)
            checked += assert_boxes_lie_on_their_paint(view, frame.objects)
    assert checked > 40
    assert dataset.scenes[0].depth is False


def test_the_ground_is_at_zero_and_the_map_around_the_cameras(uav3d: Path, air: Path) -> None:
    for root, ground in ((uav3d, sets.UAV3D_CENTRE[2]), (air, -sets.AIR_ALTITUDE)):
        dataset = open_dataset(root)
        assert np.isclose(dataset.origin(0)[2], ground)
        cameras = np.array([v.T_map_camera[:3, 3] for v in dataset.load(0, 0, images=False).views])
        assert np.abs(cameras[:, :2].mean(axis=0)).max() < 2.0
        objects = dataset.objects(0, 0)
        np.testing.assert_allclose(objects.centres[:, 2] - objects.sizes[:, 2] / 2, 0.0, atol=1e-9)


def test_an_object_is_visible_to_a_uav_if_any_of_its_cameras_sees_it(uav3d: Path) -> None:
    dataset = open_dataset(uav3d)
    frame = dataset.load(0, 0, images=False)
    expected = np.zeros((len(sets.FLEET), 5))
    for uav in range(5):
        for side in ("BOTTOM", *sets.UAV3D_SIDES):
            eye = sets.uav3d_eye(uav, side, 0)
            centres = np.array([v.corners(0).mean(axis=0) for v in sets.FLEET])
            uv, depth = eye.pixels(centres)
            seen = (depth > 0) & (uv >= 0).all(axis=1) & (uv < [eye.size[1], eye.size[0]]).all(axis=1)
            expected[seen, uav] = 0.9  # middle of v80-100
    np.testing.assert_allclose(frame.objects.visibility, expected)
    assert expected.any()


@pytest.mark.parametrize(
    ("name", "split", "scenes"),
    [
        ("air", "train", ["scene-0-48"]),
        ("air", "val", ["scene-0-9"]),
        ("uav3d", "train", ["scene_0000"]),
        ("uav3d", "val", ["scene_0001"]),
    ],
)
def test_a_split_is_part_of_the_path(
    name: str, split: str, scenes: list[str], request: pytest.FixtureRequest
) -> None:
    root: Path = request.getfixturevalue(name)
    found = open_dataset(f"{root}@{split}")
    assert [s.name for s in found.scenes] == scenes
    assert len(found.load(0, 1, images=False).views) in (4, 25)


def test_the_published_splits_have_their_published_sizes() -> None:
    drones, uav3d = PRESETS["air-co-pred"], PRESETS["uav3d"]
    names = [f"scene-0-{n}" for n in range(1, 201)]
    assert sum(drones.in_split("train", n) for n in names) == 170
    assert sum(drones.in_split("val", n) for n in names) == 30
    names = [f"scene_{n:04d}" for n in range(1000)]
    assert [sum(uav3d.in_split(s, n) for n in names) for s in ("train", "val", "test")] == [700, 150, 150]


def test_a_split_that_is_not_there_is_named(air: Path) -> None:
    with pytest.raises(DescriptionError, match=r"no split 'test', only train, val"):
        open_dataset(f"{air}@test")


@pytest.mark.parametrize("name", ["air", "uav3d"])
def test_nuscenes_devkit_opens_the_fixtures(name: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.geometry_utils import BoxVisibility

    root: Path = request.getfixturevalue(name)
    devkit = NuScenes(version="v1.0-trainval", dataroot=str(root), verbose=False)
    dataset = open_dataset(root)
    assert [s["name"] for s in devkit.scene] == [s.name for s in dataset.scenes]
    sample = devkit.get("sample", devkit.scene[0]["first_sample_token"])
    if name == "uav3d":  # its numbers are not in the devkit's convention: only the structure can agree
        assert len(sample["data"]) == 25
        assert len(sample["anns"]) == len(dataset.objects(0, 0))
        return
    frame = dataset.load(0, 0, images=False)
    for view in frame.views:
        channel = view.agent.replace("uav", "UAV_")
        _, boxes, K = devkit.get_sample_data(sample["data"][channel], box_vis_level=BoxVisibility.NONE)
        np.testing.assert_allclose(K, view.K)
        R, t = view.T_map_camera[:3, :3], view.T_map_camera[:3, 3]
        ours = (frame.objects.centres - t) @ R
        theirs = np.array([b.center for b in boxes if b.name.startswith("vehicle")])
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_pictures_may_be_missing(damaged_uav3d: Path) -> None:
    def drop(rows: list[dict[str, Any]]) -> None:
        lost = [r for r in rows if r["sample_token"] == "scene_0000-s1" and r["token"].endswith("_id_2")]
        lost += [r for r in rows if r["token"] == "scene_0000-s0-CAMERA_LEFT_id_0"]
        assert len(lost) == 6
        for row in lost:
            rows.remove(row)

    rewrite(damaged_uav3d, "sample_data", drop)
    dataset = open_dataset(damaged_uav3d)
    before, after = dataset.load(0, 0, images=False), dataset.load(0, 1, images=False)
    assert [v.camera for v in before.views_of("uav1")] == ["back", "bottom", "front", "right"]
    assert after.agents == before.agents
    assert after.views_of("uav3") == ()
    assert not after.objects.visibility[:, 2].any()
    chosen = dataset.load(0, 1, images=False, agents=[2, 0])
    assert chosen.agents == ("uav3", "uav1")
    assert {v.agent for v in chosen.views} == {"uav1"}


def test_a_description_beside_the_tables_overrides_the_preset(damaged_air: Path) -> None:
    text = "preset: air-co-pred\nground_height_m: -48.5\norigin: [3.0, -2.0]\nsplits: {mine: [scene-0-9]}\n"
    (damaged_air / "rsdfm_dataset.yaml").write_text(text)
    dataset = open_dataset(damaged_air)
    assert dataset.origin(0) == (3.0, -2.0, -48.5)
    assert [s.name for s in open_dataset(f"{damaged_air}@mine").scenes] == ["scene-0-9"]


def test_a_description_elsewhere_names_the_folder_and_the_split(air: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"preset: air-co-pred\npath: {air}\nsplit: val\norigin: LIDAR_TOP\n")
    dataset = open_dataset(path)
    assert [s.name for s in dataset.scenes] == ["scene-0-9"]
    assert dataset.origin(0) == (0.0, 0.0, -sets.AIR_ALTITUDE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "key: value"),
        (
            "preset: kitti\naxes: sideways\nheight: 3",
            r"preset 'kitti'.*unknown key 'height'.*axes 'sideways'",
        ),
        ("ground_height_m: low", "ground_height_m 'low'"),
        ("channels: '('", "no regular expression"),
        ("channels: 'UAV_.*'", "group"),
        ("categories: [[car, tank]]", "categories entry"),
        ("splits: {a: 3}", "split a"),
        ("preset: uav3d\nsplit: night", "split 'night'"),
        ("a: [", "no YAML"),
        ("origin: [1, 2, 3]", "origin"),
    ],
)
def test_a_bad_description_is_refused_with_every_problem(
    air: Path, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DescriptionError, match=words):
        open_dataset(path)


def test_a_description_that_fits_no_channel_says_what_it_expects(air: Path) -> None:
    with pytest.raises(TableError, match=r"no key frame of any camera.*DRONE"):
        open_dataset(air, Description(channels=r"DRONE(?P<agent>\d)"))


def test_a_ground_from_boxes_needs_boxes(damaged_air: Path) -> None:
    rewrite(damaged_air, "sample_annotation", lambda rows: rows.clear())
    with pytest.raises(DescriptionError, match="give ground_height_m a number"):
        open_dataset(damaged_air)


def test_an_origin_that_no_sensor_has_is_named(air: Path) -> None:
    from dataclasses import replace

    with pytest.raises(DescriptionError, match="no channel RADAR"):
        open_dataset(air, replace(PRESETS["air-co-pred"], origin="RADAR"))


@pytest.mark.parametrize(("unit", "factor"), [("us", 1000), ("ns", 1)])
def test_the_unit_of_time_can_be_described(damaged_air: Path, unit: str, factor: int) -> None:
    (damaged_air / "rsdfm_dataset.yaml").write_text(f"preset: air-co-pred\ntimestamps: {unit}\n")
    assert open_dataset(damaged_air).stamp_ns(0, 0) == 1_700_000_000_000_000 * factor


def test_nanoseconds_taken_for_microseconds_are_refused(damaged_uav3d: Path) -> None:
    assert open_dataset(damaged_uav3d).stamp_ns(0, 1) == 1_701_307_796_749_329_408 + 500_000_000
    (damaged_uav3d / "rsdfm_dataset.yaml").write_text("preset: uav3d\ntimestamps: us\n")
    with pytest.raises(DescriptionError, match="no microseconds"):
        open_dataset(damaged_uav3d)


@pytest.mark.parametrize(
    ("category", "size", "expected"),
    [
        ("vehicle", (4.5, 1.8, 1.5), 0),
        ("vehicle.tesla.model3", (4.8, 1.9, 1.5), 0),
        ("vehicle", (5.9, 2.0, 2.3), 1),
        ("vehicle.carlamotors.carlacola", (5.2, 2.6, 2.5), 2),
        ("vehicle.mitsubishi.fusorosa", (8.0, 2.3, 3.1), 3),
        ("vehicle.bus.bendy", (18.0, 2.6, 3.2), 3),
        ("vehicle", (2.1, 0.8, 1.5), None),
        ("vehicle.yamaha.yzf", (2.2, 0.9, 1.5), None),
        ("human.pedestrian.adult", (0.6, 0.6, 1.8), None),
    ],
)
def test_categories_of_carla_become_our_classes(
    category: str, size: tuple[float, float, float], expected: int | None
) -> None:
    assert PRESETS["uav3d"].class_of(category, size) == expected


def test_a_description_survives_its_own_file(tmp_path: Path) -> None:
    from rsdfm_ros.data.description import parse

    for preset in PRESETS.values():
        assert parse(preset.to_yaml(), "x", PRESETS)[0].to_yaml() == preset.to_yaml()
