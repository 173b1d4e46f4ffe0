"""The nuScenes writer and reader: what is written comes back, and nuscenes-devkit sees the same."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdfm_ros.data.frame import CLASSES, CameraView, Objects, WorldFrame
from rsdfm_ros.data.nuscenes import (
    DatasetError,
    MissingFileError,
    TableError,
    merge,
    open_dataset,
    write_scene,
)
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, quaternion_from_yaw, rotation_vector, transform

VERSION = "v1.0-trainval"
SIZE = (60, 80)


def make_frame(k: int, *, seed: int = 0, uavs: int = 2, cars: int = 6, speed: float = 4.0) -> WorldFrame:
    """A frame of a made-up world: cars that drive straight, cameras that look down at them."""
    fixed = np.random.default_rng(seed)
    fresh = np.random.default_rng((seed, k))
    yaws = fixed.uniform(-np.pi, np.pi, cars)
    velocities = speed * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    xy = fixed.uniform(-15, 15, (cars, 2)) + velocities * 0.5 * k
    present = np.arange(cars) != (k % cars) if k else np.ones(cars, bool)  # every later frame lacks one
    objects = Objects(
        ids=np.arange(cars, dtype=np.int64) * 7 + 3,
        classes=np.arange(cars, dtype=np.int64) % len(CLASSES),
        centres=np.column_stack([xy, fixed.uniform(0.7, 1.5, cars)]),
        sizes=fixed.uniform([4, 1.6, 1.4], [10, 2.5, 3], (cars, 3)),
        yaws=yaws,
        velocities=velocities,
        visibility=fresh.uniform(0, 1, (cars, uavs)),
    ).select(present)
    views = []
    for a in range(uavs):
        T = transform(
            rotation_vector([0.1 * a, 0.9 + 0.02 * k, 0.3 * a]) @ R_BODY_OPTICAL, [-30.0 + k, 2.0 * a, 45.0]
        )
        views.append(
            CameraView(
                f"uav{a + 1}",
                fresh.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
                intrinsics_from_fov(SIZE[1], SIZE[0], 1.3),
                T,
                covariance=np.eye(6) * 0.01 * a,
                depth=fresh.uniform(20, 200, SIZE).astype(np.float32),
            )
        )
    return WorldFrame(k, k * 500_000_000 + 123, tuple(views), objects)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    write_scene(root, "scene-00000", (make_frame(k) for k in range(4)), seed=0, depth=True)
    write_scene(root, "scene-00001", (make_frame(k, seed=1, uavs=3) for k in range(3)), seed=1, depth=True)
    merge(root)
    return root


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may damage."""
    for file in written.rglob("*"):
        if file.is_file():
            target = tmp_path / file.relative_to(written)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return tmp_path


def rewrite(root: Path, table: str, change: object) -> Path:
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)  # type: ignore[operator]
    path.write_text(json.dumps(rows))
    return path


def assert_same_objects(found: Objects, expected: Objects) -> None:
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.classes.tolist() == expected.classes.tolist()
    for name in ("centres", "sizes", "velocities", "visibility"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-9, err_msg=name)
    np.testing.assert_allclose(np.exp(1j * found.yaws), np.exp(1j * expected.yaws), atol=1e-9)
    assert ((found.yaws >= -np.pi) & (found.yaws < np.pi)).all()


@pytest.mark.parametrize(("scene", "k"), [(0, 0), (0, 3), (1, 2)])
def test_a_frame_comes_back_as_it_was_written(written: Path, scene: int, k: int) -> None:
    expected = make_frame(k, seed=scene, uavs=2 + scene)
    found = open_dataset(written).load(scene, k, depth=True)
    assert (found.index, found.stamp_ns) == (k, expected.stamp_ns)
    assert_same_objects(found.objects, expected.objects)
    assert len(found.views) == len(expected.views)
    for view, other in zip(found.views, expected.views, strict=True):
        assert view.agent == other.agent
        np.testing.assert_allclose(view.T_map_camera, other.T_map_camera, atol=1e-9)
        np.testing.assert_allclose(view.K, other.K, atol=1e-9)
        np.testing.assert_array_equal(view.covariance, other.covariance)
        assert view.depth is not None and other.depth is not None
        np.testing.assert_allclose(view.depth, other.depth, atol=0.00501)
        assert view.image.shape == (*SIZE, 3)
        assert view.image.dtype == np.uint8


def test_pictures_keep_their_channel_order(tmp_path: Path) -> None:
    frame = make_frame(0, uavs=1)
    red = np.zeros((*SIZE, 3), np.uint8)
    red[..., 0] = 250
    view = CameraView("uav1", red, frame.views[0].K, frame.views[0].T_map_camera)
    objects = frame.objects
    write_scene(tmp_path, "red", [WorldFrame(0, 0, (view,), objects)])
    merge(tmp_path)
    np.testing.assert_allclose(open_dataset(tmp_path).load(0, 0).views[0].image, red, atol=6)


def test_scenes_tell_name_seed_frames_and_agents(written: Path) -> None:
    first, second = open_dataset(written).scenes
    assert (first.name, first.seed, first.frames, first.agents) == ("scene-00000", 0, 4, ("uav1", "uav2"))
    assert (second.name, second.seed, second.frames, second.agents) == (
        "scene-00001",
        1,
        3,
        ("uav1", "uav2", "uav3"),
    )


def test_several_cameras_of_one_uav_come_back_as_one_agent(tmp_path: Path) -> None:
    def rigged(k: int) -> WorldFrame:
        frame = make_frame(k, uavs=4)
        names = [("uav1", "front"), ("uav1", "down"), ("uav2", "front"), ("uav2", "down")]
        views = tuple(replace(v, agent=a, camera=c) for v, (a, c) in zip(frame.views, names, strict=True))
        seen = replace(frame.objects, visibility=frame.objects.visibility[:, :2])
        return WorldFrame(k, frame.stamp_ns, views, seen)

    write_scene(tmp_path, "rigged", (rigged(k) for k in range(2)))
    merge(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.scenes[0].agents == ("uav1", "uav2")
    found, expected = dataset.load(0, 1), rigged(1)
    assert_same_objects(found.objects, expected.objects)
    assert [(v.agent, v.camera) for v in found.views] == [
        ("uav1", "down"),
        ("uav1", "front"),
        ("uav2", "down"),
        ("uav2", "front"),
    ]
    for view in found.views:
        other = next(v for v in expected.views_of(view.agent) if v.camera == view.camera)
        np.testing.assert_allclose(view.T_map_camera, other.T_map_camera, atol=1e-9)


def test_objects_are_read_without_pictures(copy: Path) -> None:
    dataset = open_dataset(copy)
    for image in (copy / "samples").rglob("*.jpg"):
        image.unlink()
    assert_same_objects(dataset.objects(0, 1), make_frame(1).objects)
    assert dataset.load(0, 1, images=False).views[0].image.size == 0


def test_the_same_frames_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_scene(
        tmp_path, "scene-00001", (make_frame(k, seed=1, uavs=3) for k in range(3)), seed=1, depth=True
    )
    write_scene(tmp_path, "scene-00000", (make_frame(k) for k in range(4)), seed=0, depth=True)
    merge(tmp_path)
    files = {f.relative_to(written): f.read_bytes() for f in written.rglob("*") if f.is_file()}
    assert files == {f.relative_to(tmp_path): f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}


def test_without_our_side_file_velocities_are_differences_and_visibility_is_the_level(copy: Path) -> None:
    (copy / VERSION / "rsdfm.json").unlink()
    dataset = open_dataset(copy)
    found, expected = dataset.objects(0, 2), make_frame(2).objects
    assert dataset.scenes[0].seed is None
    assert len(set(found.ids.tolist())) == len(found)
    order = [int(np.argmin(np.linalg.norm(found.centres - c, axis=1))) for c in expected.centres]
    np.testing.assert_allclose(found.velocities[order], expected.velocities, atol=1e-3)
    best = expected.visibility.max(axis=1)
    level = np.select([best < 0.4, best < 0.6, best < 0.8], [0.2, 0.5, 0.7], 0.9)
    seen = found.visibility[order]
    assert (seen > 0).any()
    for row, value in zip(seen, level, strict=True):
        assert all(x == 0 or np.isclose(x, value) for x in row)


def test_identity_persists_through_a_scene_without_our_side_file(copy: Path) -> None:
    (copy / VERSION / "rsdfm.json").unlink()
    dataset = open_dataset(copy)
    first, second = dataset.objects(0, 0), dataset.objects(0, 1)
    for n, i in enumerate(second.ids.tolist()):
        before = first.centres[first.ids.tolist().index(i)]
        np.testing.assert_allclose(second.centres[n, :2] - before[:2], 0.5 * second.velocities[n], atol=1e-3)


def test_geometry_is_the_chain_of_ego_pose_and_calibrated_sensor(copy: Path) -> None:
    """A set whose cameras are mounted elsewhere reads the same when its ego poses say so."""
    before = open_dataset(copy).load(0, 0, images=False).views[0].T_map_camera

    def shift_down(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["translation"] = [0.0, 0.0, 2.0]

    rewrite(copy, "calibrated_sensor", shift_down)
    after = open_dataset(copy).load(0, 0, images=False).views[0].T_map_camera
    up = before[:3, :3] @ [0.0, -2.0, 0.0]  # body z is up, the camera's y points down
    np.testing.assert_allclose(after[:3, 3] - before[:3, 3], up, atol=1e-9)


def test_a_set_of_other_origin_with_lidar_sweeps_and_its_own_channel_names_is_read(copy: Path) -> None:
    (copy / VERSION / "rsdfm.json").unlink()

    def rename(rows: list[dict[str, Any]]) -> None:
        for n, row in enumerate(rows):
            row["channel"] = f"CAM_BELLY_{n}"
        rows.append({"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"})

    def add_lidar(rows: list[dict[str, Any]]) -> None:
        rows.append(rows[0] | {"token": "mount", "sensor_token": "lidar", "camera_intrinsic": []})

    def add_sweeps(rows: list[dict[str, Any]]) -> None:
        first = dict(rows[0])
        rows.append(
            first | {"token": "points", "calibrated_sensor_token": "mount", "filename": "samples/L/1.bin"}
        )
        rows.append(first | {"token": "between", "is_key_frame": False})

    def forget_visibility(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["visibility_token"] = ""

    rewrite(copy, "sensor", rename)
    rewrite(copy, "calibrated_sensor", add_lidar)
    rewrite(copy, "sample_data", add_sweeps)
    rewrite(copy, "sample_annotation", forget_visibility)
    dataset = open_dataset(copy)
    assert dataset.scenes[1].agents == tuple(f"cam_belly_{n}" for n in range(3))
    frame, expected = dataset.load(1, 1), make_frame(1, seed=1, uavs=3)
    for view, other in zip(frame.views, expected.views, strict=True):
        np.testing.assert_allclose(view.T_map_camera, other.T_map_camera, atol=1e-9)
    assert set(np.unique(frame.objects.visibility)) <= {0.0, 1.0}


def test_several_threads_may_read_at_once(written: Path) -> None:
    dataset = open_dataset(written)
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda k: dataset.load(0, k % 4, depth=True), range(16)))
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.views[1].image, dataset.load(0, k % 4).views[1].image)


def test_other_categories_are_ignored_and_counted(copy: Path) -> None:
    def rename(rows: list[dict[str, Any]]) -> None:
        rows[0]["name"] = "human.pedestrian.adult"
        rows[3]["name"] = "vehicle.bus.bendy"

    rewrite(copy, "category", rename)
    dataset = open_dataset(copy)
    assert 0 not in dataset.objects(0, 0).classes
    assert 3 in dataset.objects(0, 0).classes
    assert dataset.ignored["human.pedestrian.adult"] > 0


def test_a_missing_picture_is_named(copy: Path) -> None:
    dataset = open_dataset(copy)
    victim = min((copy / "samples" / "UAV_1").glob("scene-00000*"))
    victim.unlink()
    with pytest.raises(MissingFileError, match=victim.name):
        dataset.load(0, 0)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_damaged_picture_is_named(copy: Path, content: bytes) -> None:
    victim = min((copy / "samples" / "UAV_2").glob("scene-00000*"))
    victim.write_bytes(content)
    with pytest.raises(MissingFileError, match=victim.name):
        open_dataset(copy).load(0, 0)


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("sample", lambda rows: rows[0].pop("timestamp"), "timestamp of row 0 is missing"),
        ("sample", lambda rows: rows[0].update(scene_token="x"), "scene_token 'x'"),
        ("sample_data", lambda rows: rows[0].update(ego_pose_token="gone"), "ego_pose_token 'gone'"),
        ("sample_data", lambda rows: rows[0].update(filename="../../etc/passwd"), "does not stay inside"),
        ("sample_data", lambda rows: rows[0].update(is_key_frame=False), "no key frame of UAV_1"),
        ("sample_data", lambda rows: rows.append(dict(rows[0])), "occur twice"),
        ("ego_pose", lambda rows: rows[1].update(rotation=[0, 0, 0, 0]), "no unit quaternion"),
        ("ego_pose", lambda rows: rows[1].update(translation=[0, 0, float("nan")]), "3 finite numbers"),
        ("ego_pose", lambda rows: rows[1].update(translation=["a", 0, 0]), "3 finite numbers"),
        ("calibrated_sensor", lambda rows: rows[0].update(camera_intrinsic=[]), "expected 3x3"),
        ("sample_annotation", lambda rows: rows[0].update(size=[1, 0, 1]), "not positive"),
        ("sample_annotation", lambda rows: rows[0].update(token="new"), "does not know 'new'"),
        ("instance", lambda rows: rows.clear(), "instance_token"),
        ("category", lambda rows: rows.append(3), "list of objects"),
    ],
)
def test_a_damaged_table_is_refused_with_its_name(copy: Path, table: str, change: object, words: str) -> None:
    rewrite(copy, table, change)
    with pytest.raises(TableError, match=words):
        open_dataset(copy)


def test_a_table_that_is_cut_off_is_named(copy: Path) -> None:
    path = copy / VERSION / "ego_pose.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TableError, match=r"ego_pose\.json.*no readable JSON"):
        open_dataset(copy)


def test_a_missing_table_is_named(copy: Path) -> None:
    (copy / VERSION / "sensor.json").unlink()
    with pytest.raises(TableError, match=r"sensor\.json: is missing"):
        open_dataset(copy)


def test_a_folder_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="rsdfm simulate"):
        open_dataset(tmp_path)


def test_a_frame_beyond_the_end_is_an_index_error(written: Path) -> None:
    with pytest.raises(IndexError, match="expected 0 to 3"):
        open_dataset(written).load(0, 4)


def test_a_scene_with_no_object_is_fine(tmp_path: Path) -> None:
    frame = make_frame(0)
    empty = WorldFrame(0, 0, frame.views, frame.objects.select(np.zeros(len(frame.objects), bool)))
    write_scene(tmp_path, "empty", [empty])
    merge(tmp_path)
    found = open_dataset(tmp_path).objects(0, 0)
    assert len(found) == 0
    assert found.visibility.shape == (0, 2)


def test_nuscenes_devkit_agrees_on_boxes_and_cameras(written: Path) -> None:
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.geometry_utils import BoxVisibility

    devkit = NuScenes(version=VERSION, dataroot=str(written), verbose=False)
    assert [scene["name"] for scene in devkit.scene] == ["scene-00000", "scene-00001"]
    sample = devkit.get("sample", devkit.scene[1]["first_sample_token"])
    stamps = 0
    while True:
        frame = make_frame(stamps, seed=1, uavs=3)
        for a, view in enumerate(frame.views):
            path, boxes, K = devkit.get_sample_data(
                sample["data"][f"UAV_{a + 1}"], box_vis_level=BoxVisibility.NONE
            )
            assert Path(path).is_file()
            np.testing.assert_allclose(K, view.K)
            assert len(boxes) == len(frame.objects)
            R, t = view.T_map_camera[:3, :3], view.T_map_camera[:3, 3]
            centres = np.array([box.center for box in boxes])
            for n in range(len(frame.objects)):
                expected = R.T @ (frame.objects.centres[n] - t)
                box = boxes[int(np.argmin(np.linalg.norm(centres - expected, axis=1)))]
                np.testing.assert_allclose(box.center, expected, atol=1e-9)
                np.testing.assert_allclose(box.wlh, frame.objects.sizes[n][[1, 0, 2]], atol=1e-9)
                ahead = R.T @ [np.cos(frame.objects.yaws[n]), np.sin(frame.objects.yaws[n]), 0.0]
                np.testing.assert_allclose(box.orientation.rotate([1.0, 0.0, 0.0]), ahead, atol=1e-9)
        stamps += 1
        if not sample["next"]:
            break
        sample = devkit.get("sample", sample["next"])
    assert stamps == 3


def test_nuscenes_devkit_walks_the_instance_chains_and_finds_the_velocities(written: Path) -> None:
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    from nuscenes.nuscenes import NuScenes

    devkit = NuScenes(version=VERSION, dataroot=str(written), verbose=False)
    for instance in devkit.instance:
        token, count = instance["first_annotation_token"], 0
        while token:
            row, count, last = devkit.get("sample_annotation", token), count + 1, token
            assert row["instance_token"] == instance["token"]
            token = row["next"]
        assert (count, last) == (instance["nbr_annotations"], instance["last_annotation_token"])
    row = devkit.get("sample_annotation", devkit.instance[0]["first_annotation_token"])
    assert np.isclose(np.linalg.norm(devkit.box_velocity(row["token"])[:2]), 4.0, atol=1e-3)


def test_the_yaw_quaternion_agrees_with_an_independent_library(written: Path) -> None:
    quaternion = pytest.importorskip("pyquaternion").Quaternion
    rows = json.loads((written / VERSION / "sample_annotation.json").read_text())
    x, y, z, w = quaternion_from_yaw(quaternion(rows[0]["rotation"]).yaw_pitch_roll[0])
    assert np.isclose(abs(np.dot([w, x, y, z], rows[0]["rotation"])), 1.0)
