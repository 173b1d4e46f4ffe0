"""Sloped and stepped ground: what stands on it, what is drawn of it, and the elevation model that is stored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from rsdfm_ros.data.check import check
from rsdfm_ros.data.errors import MissingFileError
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.data.nuscenes import open_dataset
from rsdfm_ros.data.terrain import height_grid_bytes, scene_grid_path
from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.sim import world as world_module
from rsdfm_ros.sim.config import PAINTED_EXTENT_M, FlightConfig, SimConfig, WorldConfig
from rsdfm_ros.sim.dataset.simulate import simulate_dataset
from rsdfm_ros.sim.terrain import CELL_M, Terrain, make_terrain
from rsdfm_ros.sim.world import World

CONFIG = SimConfig(
    max_frames=6, world=WorldConfig(style="suburb", terrain="slope", turn_deg=(25, 25), people=(12, 12))
)


@pytest.fixture(scope="module", params=["slope", "steps"])
def scene(request: pytest.FixtureRequest) -> tuple[HeightGrid, WorldFrame]:
    with World(9002, 2, replace(CONFIG, world=replace(CONFIG.world, terrain=request.param))) as world:
        dem = world.dem()
        assert dem is not None
        return dem, world.frame(5, depth=True, ids=True)


def points_of(frame: WorldFrame, a: int) -> np.ndarray:
    view = frame.views[a]
    assert view.depth is not None
    v, u = np.mgrid[0:270, 0:480] + 0.5
    f = view.K[0, 0]
    rays = np.stack([(u - view.K[0, 2]) / f, (v - view.K[1, 2]) / f, np.ones_like(u)], -1)
    return np.asarray((rays * view.depth[..., None]) @ view.T_map_camera[:3, :3].T + view.T_map_camera[:3, 3])


@given(st.floats(-14, 14), st.floats(-14, 14), st.integers(0, 2**31))
def test_heights_between_nodes_are_bilinear(x: float, y: float, seed: int) -> None:
    heights = np.random.default_rng(seed).normal(size=(7, 9)).astype(np.float32)
    dem = HeightGrid(heights, -6.0, -4.0, 1.5)
    axes = [-6.0 + 1.5 * np.arange(7), -4.0 + 1.5 * np.arange(9)]
    inside = np.clip([x, y], [a[0] for a in axes], [a[-1] for a in axes])
    expected = RegularGridInterpolator(axes, heights.astype(float))(inside)[0]
    assert float(dem.elevation([x, y])) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["slope", "steps"])
def test_the_ground_climbs_but_stays_passable(name: str) -> None:
    spans = []
    for seed in range(6):
        terrain = make_terrain(seed, name)
        assert terrain is not None and float(terrain.height(np.zeros(2))) == pytest.approx(0.0, abs=1e-5)
        heights = terrain.grid.heights
        grade = np.hypot(*np.gradient(heights.astype(float), CELL_M))
        assert grade.max() < (0.22 if name == "slope" else 0.36)
        spans.append(float(np.ptp(heights)))
        if name == "steps":
            assert 0.3 < np.mean(grade < 0.005) < 0.95, "mostly level"
    assert min(spans) > 4
    assert make_terrain(1, "flat") is None


def test_a_map_turned_against_the_plan_has_the_same_ground() -> None:
    terrain = make_terrain(3, "slope")
    assert terrain is not None
    turn = 0.6
    dem = terrain.dem(turn)
    plan = np.random.default_rng(0).uniform(-80, 80, (200, 2))
    c, s = np.cos(turn), np.sin(turn)
    in_map = plan @ np.array([[c, s], [-s, c]])
    np.testing.assert_allclose(dem.elevation(in_map), terrain.height(plan), atol=0.01)
    image = np.zeros((200, 1, 3), np.float32)
    image[:, 0, :2] = plan
    np.testing.assert_allclose(terrain.heights_of(image)[:, 0], terrain.height(plan), atol=0.01)


def test_objects_stand_on_the_elevation_model(scene: tuple[HeightGrid, WorldFrame]) -> None:
    dem, frame = scene
    o = frame.objects
    under = o.centres[:, 2] - 0.5 * o.sizes[:, 2]
    reach = 0.3 * o.sizes[:, :1] * np.column_stack([np.cos(o.yaws), np.sin(o.yaws)])
    ground = 0.5 * (dem.elevation(o.centres[:, :2] + reach) + dem.elevation(o.centres[:, :2] - reach))
    np.testing.assert_allclose(under, ground, atol=0.02)
    assert np.ptp(under) > 2


def test_depth_shows_the_ground_and_the_boxes(scene: tuple[HeightGrid, WorldFrame]) -> None:
    dem, frame = scene
    o, checked = frame.objects, 0
    for a, view in enumerate(frame.views):
        assert view.ids is not None and view.depth is not None
        points = points_of(frame, a)
        hit = (view.depth > 0) & (np.abs(points[..., :2]).max(-1) < 90)
        above = points[hit][:, 2] - dem.elevation(points[hit][:, :2])
        assert above.min() > -0.2
        assert np.mean(np.abs(above) < 0.12) > 0.35
        for n in range(len(o)):
            mask = view.ids == o.ids[n]
            if mask.sum() < 30:
                continue
            c, s = np.cos(o.yaws[n]), np.sin(o.yaws[n])
            local = (points[mask] - o.centres[n]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
            assert np.all(np.abs(local) < 0.5 * o.sizes[n] + 0.25)
            checked += 1
        corners = box_corners(o.centres, o.sizes, o.yaws)
        for n, (p, far) in enumerate(zip(*project(corners, view.K, view.T_map_camera), strict=True)):
            v, u = np.nonzero(view.ids == o.ids[n])
            if len(u) and far.min() > 1:
                assert u.min() > p[:, 0].min() - 1.6 and u.max() < p[:, 0].max() + 0.6
                assert v.min() > p[:, 1].min() - 1.6 and v.max() < p[:, 1].max() + 0.6
    assert checked > 8


def test_ground_drawn_as_a_mesh_looks_like_the_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SimConfig(max_frames=2, world=WorldConfig(style="suburb"))
    with World(7, 2, config) as world:
        plane = world.frame(1, depth=True)
    count = round(2 * PAINTED_EXTENT_M / CELL_M) + 1
    level = Terrain(
        HeightGrid(np.zeros((count, count), np.float32), -PAINTED_EXTENT_M, -PAINTED_EXTENT_M, CELL_M)
    )
    monkeypatch.setattr(world_module, "make_terrain", lambda seed, name: level)
    with World(7, 2, config) as world:
        mesh = world.frame(1, depth=True)
    for a, b in zip(plane.views, mesh.views, strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() < 3, "lanes and gardens lie where they did"
        assert a.depth is not None and b.depth is not None
        assert np.median(np.abs(a.depth - b.depth)) < 0.02


def test_flights_keep_their_altitude_above_the_ground_they_look_at() -> None:
    flight = FlightConfig(altitude_m=(40, 40), pitch_deg=(45, 45))
    world = World(9004, 3, replace(CONFIG, flight=flight))
    dem = world.dem()
    assert dem is not None
    for T in world.poses(3):
        sight = T[:3, 3] + T[:3, 2] * (40 / -T[2, 2])
        assert T[2, 3] - sight[2] == pytest.approx(40, abs=1e-6)
        assert abs(sight[2] - float(dem.elevation(sight[:2]))) < 0.8, (
            "near the ground; the point of regard drifts"
        )


def test_a_dataset_keeps_the_elevation_model(tmp_path: Path) -> None:
    config = SimConfig(width_px=64, height_px=48, world=WorldConfig(terrain="steps"))
    simulate_dataset(config, tmp_path / "d", seed=5, scenes=1, uavs=1, frames=1, jobs=1)
    dataset = open_dataset(tmp_path / "d")
    found = dataset.dem(0)
    expected = World(5, 1, SimConfig(max_frames=1, world=WorldConfig(terrain="steps"))).dem()
    assert found is not None and expected is not None
    np.testing.assert_array_equal(found.heights, expected.heights)
    assert (found.x0, found.y0, found.cell_m) == (expected.x0, expected.y0, expected.cell_m)
    assert dataset.scenes[0].terrain == "steps"
    assert not any("over the ground" in str(problem) for problem in check(tmp_path / "d").problems)
    path = scene_grid_path(tmp_path / "d", "scene-00005")
    assert path.read_bytes() == height_grid_bytes(expected), "the same grid, the same bytes"
    path.write_bytes(b"PK nonsense")
    with pytest.raises(MissingFileError, match="elevation model"):
        dataset.dem(0)
    assert any("elevation model" in str(problem) for problem in check(tmp_path / "d").problems)
    np.savez(path, heights=np.full((3, 3), np.nan, np.float32), x0=0.0, y0=0.0, cell_m=1.0)
    with pytest.raises(MissingFileError, match="must be finite"):
        dataset.dem(0)


def test_a_flat_dataset_has_none(tmp_path: Path) -> None:
    config = SimConfig(width_px=64, height_px=48)
    simulate_dataset(config, tmp_path / "d", seed=0, scenes=1, uavs=1, frames=1, jobs=1)
    assert open_dataset(tmp_path / "d").dem(0) is None
