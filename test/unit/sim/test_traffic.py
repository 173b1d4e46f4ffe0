"""Layout, traffic and flights of the simulator, without rendering."""

import math

import numpy as np
import pytest
from shapely import STRtree
from shapely.geometry import Polygon, box

from rsdfm_ros.data.frame import CLASSES
from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.sim.config import EXTENT_M, SimConfig
from rsdfm_ros.sim.flight import MAX_ALTITUDE_M, MIN_ALTITUDE_M, make_flights
from rsdfm_ros.sim.lanes import lane_graph
from rsdfm_ros.sim.layout import make_layout
from rsdfm_ros.sim.population import CORE_M, Population, populate
from rsdfm_ros.sim.traffic import HARDEST_BRAKING, MAX_ACCELERATION, drive
from rsdfm_ros.sim.vehicles import NOMINAL_SIZES_M, make_vehicle, parts

SEEDS = (0, 3, 9000)
CONFIG = SimConfig(max_frames=40)


@pytest.fixture(scope="module", params=SEEDS)
def mission(request: pytest.FixtureRequest) -> tuple[int, Population]:
    return request.param, populate(make_layout(request.param), request.param, CONFIG)


def footprints(population: Population, k: int) -> list[Polygon]:
    index = np.flatnonzero(population.ids[k] > 0)
    sizes = np.array([population.specs[i].size for i in index])
    centres = np.column_stack([population.poses[k, index, :2], 0.5 * sizes[:, 2]])
    corners = box_corners(centres, sizes, population.poses[k, index, 2])
    return [Polygon(c[[0, 2, 6, 4], :2]) for c in corners]


def test_no_two_vehicles_ever_overlap(mission: tuple[int, Population]) -> None:
    for k in range(CONFIG.max_frames):
        shapes = footprints(mission[1], k)
        a, b = STRtree(shapes).query(shapes, predicate="intersects")
        assert not [(i, j) for i, j in zip(a, b, strict=True) if i < j], f"frame {k}"


def test_no_vehicle_touches_a_building_or_a_trunk(mission: tuple[int, Population]) -> None:
    layout = make_layout(mission[0])
    solid = [box(*b.footprint) for b in layout.buildings]
    solid += [box(t.x - 0.15, t.y - 0.15, t.x + 0.15, t.y + 0.15) for t in layout.trees]
    tree = STRtree(solid)
    for k in range(0, CONFIG.max_frames, 4):
        assert tree.query(footprints(mission[1], k), predicate="intersects").shape[1] == 0


def test_moving_vehicles_stay_on_the_roads(mission: tuple[int, Population]) -> None:
    seed, p = mission
    roads = np.array(make_layout(seed).road_rectangles())
    xy = p.poses[:, p.parked :, :2][p.ids[:, p.parked :] > 0]
    inside = (xy[:, None] > roads[None, :, :2]) & (xy[:, None] < roads[None, :, 2:])
    assert inside.all(-1).any(-1).all()


def test_speeds_and_their_changes_are_bounded(mission: tuple[int, Population]) -> None:
    p = mission[1]
    speed = np.linalg.norm(p.velocities, axis=-1)
    assert speed.max() <= 12.1
    assert speed[:, : p.parked].max(initial=0.0) == 0.0
    same = (p.ids[1:] == p.ids[:-1]) & (p.ids[1:] > 0)
    change = (np.diff(speed, axis=0) * CONFIG.frame_rate_hz)[same]
    assert change.max() <= MAX_ACCELERATION + 0.1
    assert change.min() >= -HARDEST_BRAKING - 0.1


def test_velocities_are_the_derivatives_of_positions() -> None:
    config = SimConfig(max_frames=60, frame_rate_hz=10.0)
    p = populate(make_layout(5), 5, config)
    same = (p.ids[2:] == p.ids[:-2]) & (p.ids[2:] > 0)
    difference = (p.poses[2:, :, :2] - p.poses[:-2, :, :2]) * 5.0 - p.velocities[1:-1]
    assert np.abs(difference[same]).max() < 0.35
    assert np.linalg.norm(difference[same], axis=-1).mean() < 0.02


def test_vehicles_drive_where_they_point(mission: tuple[int, Population]) -> None:
    p = mission[1]
    speed = np.linalg.norm(p.velocities, axis=-1)
    moving = (speed > 0.5) & (p.ids > 0)
    course = np.arctan2(p.velocities[..., 1], p.velocities[..., 0])[moving]
    turn = (course - p.poses[..., 2][moving] + math.pi) % (2 * math.pi) - math.pi
    assert np.abs(turn).max() < 0.1


def test_a_good_part_of_the_moving_vehicles_moves() -> None:
    speeds = []
    for seed in SEEDS:
        p = populate(make_layout(seed), seed, CONFIG)
        speeds.append(np.linalg.norm(p.velocities[:, p.parked :], axis=-1)[p.ids[:, p.parked :] > 0])
    assert np.mean(np.concatenate(speeds) > 1.0) > 0.5


def test_a_vehicle_behind_a_standing_one_stops() -> None:
    layout = make_layout(1)
    edges = lane_graph(layout)
    rng = np.random.default_rng(0)
    crowd = [make_vehicle(rng, n % 2) for n in range(150)]
    track = drive(edges, crowd, seed=1, frames=60, period_s=0.5)
    sizes = np.array([v.size for v in crowd])
    for k in (0, 20, 40, 59):
        here = np.flatnonzero(track.trips[k] > 0)
        centres = np.column_stack([track.poses[k, here, :2], 0.5 * sizes[here, 2]])
        corners = box_corners(centres, sizes[here], track.poses[k, here, 2])
        shapes = [Polygon(c[[0, 2, 6, 4], :2]) for c in corners]
        a, b = STRtree(shapes).query(shapes, predicate="intersects")
        assert (a == b).all()


def test_nothing_appears_or_vanishes_near_the_middle(mission: tuple[int, Population]) -> None:
    p = mission[1]
    far = np.abs(p.poses[..., :2]).max(-1) > 75.0
    assert far[1:][(p.ids[1:] != p.ids[:-1]) & (p.ids[1:] > 0)].all()
    assert far[:-1][(p.ids[1:] != p.ids[:-1]) & (p.ids[:-1] > 0)].all()


def test_a_vehicle_that_comes_back_is_a_new_object(mission: tuple[int, Population]) -> None:
    p = mission[1]
    for k in range(CONFIG.max_frames):
        ids = p.ids[k][p.ids[k] > 0]
        assert len(set(ids.tolist())) == len(ids)
    step = np.abs(np.diff(p.poses[..., :2], axis=0)).max(-1)
    assert step[(p.ids[1:] == p.ids[:-1]) & (p.ids[1:] > 0)].max() < 12.0 / CONFIG.frame_rate_hz + 0.5


def test_a_longer_mission_extends_a_shorter_one() -> None:
    layout = make_layout(2)
    short, long = (populate(layout, 2, SimConfig(max_frames=n)) for n in (5, 12))
    np.testing.assert_array_equal(short.poses, long.poses[:5])
    np.testing.assert_array_equal(short.ids, long.ids[:5])


def test_classes_are_mixed_and_scenes_are_busy() -> None:
    counts, kinds = [], np.zeros(len(CLASSES))
    for seed in range(12):
        p = populate(make_layout(seed), seed, SimConfig(max_frames=1))
        core = (np.abs(p.poses[0, :, :2]).max(-1) < CORE_M) & (p.ids[0] > 0)
        counts.append(int(core.sum()))
        kinds += np.bincount([v.kind for v, c in zip(p.specs, core, strict=True) if c], minlength=4)
    assert min(counts) >= 20 and max(counts) <= 75 and 35 <= np.mean(counts) <= 60
    share = kinds / kinds.sum()
    assert np.all(np.abs(share - [0.57, 0.19, 0.15, 0.09]) < 0.07)


@pytest.mark.parametrize("kind", range(len(CLASSES)))
def test_the_parts_of_a_vehicle_fill_its_box_exactly(kind: int) -> None:
    v = make_vehicle(np.random.default_rng(kind), kind)
    low = np.min([p.low for p in parts(v)], axis=0)
    high = np.max([p.high for p in parts(v)], axis=0)
    half = 0.5 * np.array(v.size)
    np.testing.assert_allclose(low, [-half[0], -half[1], 0.0], atol=0.003)
    np.testing.assert_allclose(high, [half[0], half[1], v.size[2]], atol=0.003)
    assert np.all(np.abs(np.array(v.size) / NOMINAL_SIZES_M[kind] - 1) <= 0.06 + 1e-9)


def test_lanes_join_without_gaps() -> None:
    edges = lane_graph(make_layout(4))
    for e in edges:
        if e.is_movement:
            source, target = edges[e.source], edges[e.target]
            np.testing.assert_allclose(source.at(source.length_m)[0], e.start, atol=1e-9)
            end, heading = e.at(e.length_m)
            np.testing.assert_allclose(end, target.start, atol=1e-9)
            assert math.cos(heading - target.heading) == pytest.approx(1.0)
        elif e.node is not None:
            assert e.outgoing, "a lane must lead somewhere"
        else:
            assert np.abs(e.at(e.length_m)[0]).max() == pytest.approx(EXTENT_M)


@pytest.mark.parametrize("seed", [0, 1, 2, 9000])
@pytest.mark.parametrize("uavs", [1, 4, 8])
def test_flights_keep_their_limits(seed: int, uavs: int) -> None:
    flights = make_flights(seed, uavs)
    assert len(flights) == uavs
    for f in flights:
        poses = np.array([f.T_map_camera(t) for t in np.arange(0, 64, 0.5)])
        rotation, position = poses[:, :3, :3], poses[:, :3, 3]
        np.testing.assert_allclose(
            rotation @ rotation.transpose(0, 2, 1), np.eye(3)[None].repeat(128, 0), atol=1e-9
        )
        assert np.linalg.det(rotation[0]) == pytest.approx(1.0)
        assert position[:, 2].min() >= MIN_ALTITUDE_M and position[:, 2].max() <= MAX_ALTITUDE_M
        pitch = np.degrees(np.arcsin(-rotation[:, 2, 2]))
        assert pitch.min() >= 35.0 and pitch.max() <= 60.0
        assert np.linalg.norm(np.diff(position, axis=0), axis=1).max() * 2 <= 6.0
        target = position[:, :2] + rotation[:, :2, 2] * (position[:, 2] / -rotation[:, 2, 2])[:, None]
        assert np.abs(target).max() <= 14.1
        assert np.abs(np.degrees(np.arcsin(rotation[:, 2, 0]))).max() <= 3.1


def test_four_uavs_look_from_different_sides() -> None:
    azimuths = np.sort([math.atan2(*f.T_map_camera(0.0)[[1, 0], 3]) for f in make_flights(9000, 4)])
    gaps = np.diff(np.append(azimuths, azimuths[0] + 2 * math.pi))
    assert gaps.min() > math.radians(30)


def test_a_frame_period_that_traffic_cannot_step_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of"):
        populate(make_layout(0), 0, SimConfig(max_frames=2, frame_rate_hz=3.0))
