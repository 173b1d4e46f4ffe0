"""Rendered frames of the simulator against their ground truth."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.geometry.boxes import box_corners
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.world import World

SMALL = SimConfig(width_px=160, height_px=90, max_frames=8)
_PIXELS = """
import hashlib
from rsdfm_ros.sim.config import SimConfig
from rsdfm_ros.sim.world import World
with World(11, uavs=1, config=SimConfig(width_px=160, height_px=90, max_frames=3)) as world:
    print(hashlib.sha256(world.frame(2).views[0].image.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(9001, uavs=3, config=SimConfig(max_frames=8)) as w:
        yield w


@pytest.fixture(scope="module")
def frame(world: World) -> WorldFrame:
    return world.frame(5, depth=True, ids=True)


def test_the_same_seed_gives_the_same_pixels_in_another_process() -> None:
    with World(11, uavs=1, config=SMALL) as w:
        w.frame(0)
        here = hashlib.sha256(w.frame(2).views[0].image.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", _PIXELS], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_frames_can_be_asked_for_in_any_order(world: World, frame: WorldFrame) -> None:
    world.frame(0)
    again = world.frame(5)
    assert (again.index, again.stamp_ns) == (5, 2_500_000_000)
    for a, b in zip(frame.views, again.views, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.T_map_camera, b.T_map_camera)
    np.testing.assert_array_equal(frame.objects.visibility, again.objects.visibility)


def test_different_seeds_give_different_worlds() -> None:
    with World(12, uavs=1, config=SMALL) as a, World(13, uavs=1, config=SMALL) as b:
        assert not np.array_equal(a.frame(0).views[0].image, b.frame(0).views[0].image)
        assert a.layout() != b.layout()


def test_views_have_the_configured_shape_and_calibration(world: World, frame: WorldFrame) -> None:
    assert world.agents == ("uav1", "uav2", "uav3")
    for view, agent in zip(frame.views, world.agents, strict=True):
        assert view.agent == agent
        assert view.image.shape == (270, 480, 3) and view.image.dtype == np.uint8
        assert view.depth is not None and view.depth.shape == (270, 480) and view.depth.dtype == np.float32
        assert view.ids is not None and view.ids.dtype == np.int32
        np.testing.assert_allclose(view.K[:2, 2], [240.0, 135.0])
        assert 2 * np.degrees(np.arctan(240.0 / view.K[0, 0])) == pytest.approx(75.0)
        assert 50 < view.image.mean() < 180 and view.image.std() > 15
        np.testing.assert_array_equal(view.covariance, np.zeros((6, 6)))


def test_boxes_project_onto_the_pixels_of_their_vehicles(frame: WorldFrame) -> None:
    o = frame.objects
    corners = box_corners(o.centres, o.sizes, o.yaws)
    errors = []
    for a, view in enumerate(frame.views):
        assert view.ids is not None
        for n, pixels in enumerate(project(corners, view.K, view.T_map_camera)[0]):
            low, high = pixels.min(0), pixels.max(0)
            outside = low[0] < 2 or low[1] < 2 or high[0] > 478 or high[1] > 268
            if outside or o.visibility[n, a] < 0.85 or high[0] - low[0] < 8:
                continue
            v, u = np.nonzero(view.ids == o.ids[n])
            errors.append([u.min() - low[0], v.min() - low[1], high[0] - u.max() - 1, high[1] - v.max() - 1])
    inset = np.array(errors)
    assert len(inset) > 30
    assert inset.min() > -1.5, "vehicles never stick out of their boxes"
    assert np.median(inset, axis=0).max() < 2.0, "boxes fit tightly"


def test_depth_unprojects_to_the_ground_and_into_the_boxes(frame: WorldFrame) -> None:
    o = frame.objects
    for view in frame.views:
        assert view.depth is not None and view.ids is not None
        v, u = np.mgrid[0:270, 0:480] + 0.5
        rays = np.stack(
            [(u - view.K[0, 2]) / view.K[0, 0], (v - view.K[1, 2]) / view.K[1, 1], np.ones_like(u)], -1
        )
        points = (rays * view.depth[..., None]) @ view.T_map_camera[:3, :3].T + view.T_map_camera[:3, 3]
        hit = (view.depth > 0) & (np.abs(points[..., :2]).max(-1) < 100)
        assert points[hit][:, 2].min() > -0.15
        assert np.mean(np.abs(points[hit][:, 2]) < 0.15) > 0.4
        checked = 0
        for n in range(len(o)):
            mask = view.ids == o.ids[n]
            if mask.sum() < 30:
                continue
            c, s = np.cos(o.yaws[n]), np.sin(o.yaws[n])
            local = (points[mask] - o.centres[n]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
            assert np.all(np.abs(local) < 0.5 * o.sizes[n] + 0.25)
            checked += 1
        assert checked > 10


def test_visibility_is_a_share_and_zero_outside_the_field_of_view(frame: WorldFrame) -> None:
    o = frame.objects
    assert o.visibility.shape == (len(o), 3)
    assert o.visibility.min() >= 0.0 and o.visibility.max() <= 1.0
    corners = box_corners(o.centres, o.sizes, o.yaws)
    for a, view in enumerate(frame.views):
        p, depth = project(corners, view.K, view.T_map_camera)
        outside = (
            (p[..., 0].max(1) < 0)
            | (p[..., 0].min(1) > 480)
            | (p[..., 1].max(1) < 0)
            | (p[..., 1].min(1) > 270)
        )
        outside |= depth.max(1) < 0
        assert outside.any() and np.all(o.visibility[outside, a] == 0.0)
        assert view.ids is not None
        gone = ~np.isin(o.ids, view.ids)
        assert np.all(o.visibility[gone, a] == 0.0)


def test_uavs_together_see_nearly_all_and_alone_a_good_part(frame: WorldFrame) -> None:
    near = np.abs(frame.objects.centres[:, :2]).max(1) < 50
    seen = frame.objects.visibility[near] > 0.2
    assert seen.any(1).mean() > 0.85
    assert seen.mean(0).min() > 0.25


def test_objects_without_rendering_agree_with_the_frame(world: World, frame: WorldFrame) -> None:
    bare = world.objects(5)
    np.testing.assert_array_equal(bare.ids, frame.objects.ids)
    np.testing.assert_array_equal(bare.centres, frame.objects.centres)
    assert np.all(bare.yaws >= -np.pi) and np.all(bare.yaws < np.pi)
    np.testing.assert_allclose(bare.centres[:, 2], 0.5 * bare.sizes[:, 2])


def test_cameras_may_be_anywhere(world: World, frame: WorldFrame) -> None:
    flights = world.poses(5)
    again = world.frame(5, poses=flights)
    np.testing.assert_array_equal(again.views[2].image, frame.views[2].image)
    swapped = world.frame(5, poses=[flights[1], flights[0], flights[2]])
    np.testing.assert_array_equal(swapped.views[0].image, frame.views[1].image)
    seen = world.seen(5, {"uav1": flights[1], "uav3": flights[2]}).visibility
    np.testing.assert_array_equal(seen[:, 0], frame.objects.visibility[:, 1])
    np.testing.assert_array_equal(seen[:, 2], frame.objects.visibility[:, 2])
    assert not seen[:, 1].any(), "without a pose nothing is seen"


def test_a_closed_world_renders_again() -> None:
    world = World(12, uavs=1, config=SMALL)
    first = world.frame(1).views[0].image
    world.close()
    world.close()
    np.testing.assert_array_equal(world.frame(1).views[0].image, first)
    world.close()


@pytest.mark.parametrize("uavs", [0, 9])
def test_an_impossible_number_of_uavs_is_refused(uavs: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 8"):
        World(0, uavs=uavs, config=SMALL)


def test_a_frame_beyond_the_mission_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="max_frames"):
        world.frame(8)
