"""UAVs of the Gazebo world, its files, and what Debian's SDF checker says of them (packages sdformat-sdf,
libsdformat-dev, ignition-tools)."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.flight import make_flights
from rsdfm_ros.sim.gazebo.world import make_scene, world_sdf
from rsdfm_ros.sim.gazebo.write import write_world
from rsdfm_ros.sim.gazebo.xml import SdfError
from support.gazebo_files import (
    CHECKER,
    FRAMES,
    SEED,
    START_S,
    agents,
    complaints,
    needs_checker,
    scene,
    text,
    values,
    world_of,
    written,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("gazebo"))


@pytest.fixture(scope="module")
def world(folder: Path) -> ET.Element:
    return world_of(folder)


def chain(model: ET.Element, pitch: float, roll: float) -> NDArray[np.float64]:
    """T_map_camera (4, 4) of a UAV model's sensor: x forward, y left, z up; every joint's frame is its child link's."""

    def moved(pose: NDArray[np.float64]) -> NDArray[np.float64]:
        (cr, cp, cy), (sr, sp, sy) = np.cos(pose[3:]), np.sin(pose[3:])
        about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = about_z @ about_y @ about_x, pose[:3]
        return T

    links = {e.get("name"): e for e in model.findall("link")}
    joints = {e.get("name"): e for e in model.findall("joint")}
    first, second = joints["gimbal_pitch"], joints["gimbal_roll"]
    assert (text(first, "parent"), text(first, "child")) == ("base_link", "gimbal_link")
    assert (text(second, "parent"), text(second, "child")) == ("gimbal_link", "camera_link")
    assert text(first, "axis/xyz") == "0 1 0" and text(second, "axis/xyz") == "1 0 0"
    yoke, camera = values(links["gimbal_link"], "pose"), values(links["camera_link"], "pose")
    np.testing.assert_array_equal(yoke, camera)
    assert not yoke[3:].any() and links["camera_link"].find("sensor/pose") is None
    turn = moved(np.array([0, 0, 0, 0, pitch, 0])) @ moved(np.array([0, 0, 0, roll, 0, 0]))
    return np.asarray(moved(values(model, "pose")) @ moved(yoke) @ turn)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_uavs_start_where_their_flights_do_with_the_camera_held_as_planned(n: int) -> None:
    here = make_scene(7, agents(n), 10, START_S)
    models = [m for m in world_sdf(here).findall("world/model") if m.get("name", "").startswith("uav")]
    assert [m.get("name") for m in models] == agents(n)
    for model, flight in zip(models, make_flights(7, n), strict=True):
        held = {
            text(p, "joint_name"): float(text(p, "initial_position"))
            for p in model.findall("plugin")
            if p.get("name") == "gz::sim::systems::JointPositionController"
        }
        T = chain(model, held["gimbal_pitch"], held["gimbal_roll"])
        planned = flight.T_map_camera(0.0)
        np.testing.assert_allclose(T[:3, 3], planned[:3, 3], atol=2e-3)
        for axis, optical in (
            (T[:3, 0], planned[:3, 2]),
            (-T[:3, 1], planned[:3, 0]),
            (-T[:3, 2], planned[:3, 1]),
        ):
            np.testing.assert_allclose(axis, optical, atol=3e-4)


def test_the_camera_has_the_simulators_intrinsics_size_and_rate(world: ET.Element) -> None:
    config = SimConfig()
    for model in [m for m in world.findall("model") if m.get("name", "").startswith("uav")]:
        sensor = model.find("link/sensor[@type='camera']")
        assert sensor is not None
        width, height = int(text(sensor, "camera/image/width")), int(text(sensor, "camera/image/height"))
        focal = 0.5 * width / math.tan(0.5 * float(text(sensor, "camera/horizontal_fov")))
        K = np.array([[focal, 0, 0.5 * width], [0, focal, 0.5 * height], [0, 0, 1]])
        np.testing.assert_allclose(K, config.K, atol=1e-5)
        assert (width, height) == (config.width_px, config.height_px)
        assert float(text(sensor, "update_rate")) == config.frame_rate_hz


def test_pictures_and_odometry_fall_on_whole_physics_steps(world: ET.Element) -> None:
    step_us = round(1e6 * float(text(world, "physics/max_step_size")))
    rates = [float(e.text or 0) for tag in ("update_rate", "odom_publish_frequency") for e in world.iter(tag)]
    assert len(rates) == 4 * 4
    for rate in rates:
        assert (1e6 / rate) % step_us == 0


def test_meshes_and_pictures_that_the_world_names_are_there_and_nothing_else(
    world: ET.Element, folder: Path
) -> None:
    named = {e.text for e in (*world.iter("uri"), *world.iter("albedo_map"))}
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    materials = {"meshes/surface.mtl"}
    others = {"world.sdf", "bridge.yaml", "models/rsdfm_uav/model.sdf", "models/rsdfm_uav/model.config"}
    assert named | materials | others == written


def names_clash(element: ET.Element) -> list[str]:
    names = [child.get("name") for child in element if child.get("name") and child.tag != "plugin"]
    here = [str(n) for n in names if names.count(n) > 1]
    return here + [n for child in element for n in names_clash(child)]


@pytest.mark.parametrize(("seed", "n"), [(0, 1), (123, 8)])
def test_other_seeds_and_sizes_make_worlds_without_clashing_names(seed: int, n: int, tmp_path: Path) -> None:
    write_world(tmp_path, make_scene(seed, agents(n), 5, 0.0), ground_px=64)
    root = ET.parse(tmp_path / "world.sdf").getroot()
    assert names_clash(root) == []
    assert root.get("version") == "1.9"
    if CHECKER:
        assert complaints(tmp_path / "world.sdf") == ""


def test_the_same_seed_writes_the_same_files_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    scene.cache_clear()
    written(tmp_path)
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()
    write_world(tmp_path, make_scene(SEED + 1, agents(4), FRAMES, START_S), ground_px=1024)
    assert (folder / "world.sdf").read_bytes() != (tmp_path / "world.sdf").read_bytes()


def test_the_shipped_world_is_what_the_command_writes(root: Path, folder: Path) -> None:
    """rsdfm gazebo --ground-px 1024 --out config/gazebo --force"""
    import cv2

    shipped = root / "config/gazebo"
    names = {p.relative_to(shipped) for p in shipped.rglob("*") if p.is_file()}
    assert names == {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    for name in names:
        if name.suffix == ".jpg":  # encoders differ in the last bits
            a, b = (cv2.imread(str(f / name)).astype(int) for f in (shipped, folder))
            assert a.shape == b.shape and np.abs(a - b).mean() < 2
        else:
            assert (shipped / name).read_text() == (folder / name).read_text(), f"{name}: make it anew"
    assert sum((shipped / n).stat().st_size for n in names) < 2_100_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"agents": []}, "uavs: expected 1 to 8"),
        ({"agents": agents(9)}, "uavs: expected 1 to 8"),
        ({"agents": ["uav1", "uav1"]}, "names that differ"),
        ({"agents": ["a b"]}, "name of a UAV"),
        ({"agents": ["a<b"]}, "name of a UAV"),
        ({"frames": 0}, "frames: expected 1 to 124"),
        ({"frames": 125}, "frames: expected 1 to 124"),
        ({"start_s": 0.3}, "start_s: expected a multiple"),
        ({"start_s": -1.0}, "start_s: expected a multiple"),
    ],
)
def test_what_gazebo_could_not_show_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(SdfError, match=sentence):
        make_scene(**{"seed": 1, "agents": agents(1), "frames": 5, "start_s": 0.0, **change})


@needs_checker
@pytest.mark.parametrize("name", ["world.sdf", "models/rsdfm_uav/model.sdf"])
def test_the_checker_finds_world_and_model_valid(folder: Path, name: str) -> None:
    assert complaints(folder / name) == ""


@needs_checker
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<child>gimbal_link</child>", "<child>nowhere</child>"),
        ('type="camera"', 'type="kamera"'),
        ("<horizontal_fov>1.308996939</horizontal_fov>", "<horizontal_fov>wide</horizontal_fov>"),
        ('name="arm1"', 'name="arm0"'),
        ("<size>0.26 0.15 0.08</size>", "<size>0.26 -0.15</size>"),
    ],
)
def test_the_checker_catches_a_fault_in_the_world(
    folder: Path, tmp_path: Path, right: str, wrong: str
) -> None:
    text = (folder / "world.sdf").read_text()
    assert right in text
    (tmp_path / "world.sdf").write_text(text.replace(right, wrong, 1))
    assert complaints(tmp_path / "world.sdf") != ""
