"""Maps moved to corrected poses and to the present, and peers that are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from rsdfm_ros.agent.prefusion.latency import compensate_latency
from rsdfm_ros.agent.prefusion.pose_alignment import align_poses
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.prefusion.warp import (
    CONTENT_HEIGHT_M,
    compensate_motion,
    resampled,
    source_points,
    warp_to_pose,
)
from rsdfm_ros.geometry.camera import intrinsics_from_fov, project, viewing_rays
from rsdfm_ros.geometry.rotations import rotation_vector
from rsdfm_ros.model.perception import AgentBev
from support.maps import WINDOW, bev_of, boxes_at, painted_cars, smooth, views
from support.sightings import camera, covariance, noisy_pose, scattered, seen_with


def correlation(a: AgentBev, b: AgentBev) -> float:
    """Correlation of the painted cars of two maps."""
    return float(np.corrcoef(a.features[0].flatten(), b.features[0].flatten())[0, 1])


def test_sources_are_where_the_same_pixel_was_put_before() -> None:
    rng = np.random.default_rng(0)
    believed = camera(0)
    corrected = noisy_pose(believed, rng, 0.5, 1.0)
    sources = source_points(WINDOW, believed, corrected)
    K = intrinsics_from_fov(480, 270, 1.3)
    points = np.concatenate([WINDOW.centres(), np.full((*WINDOW.shape, 1), CONTENT_HEIGHT_M)], -1)[::7, ::9]
    pixels, depth = project(points.reshape(-1, 3), K, corrected)
    rays = viewing_rays(pixels, K, believed)
    follow = believed[:3, 3] + rays * ((CONTENT_HEIGHT_M - believed[2, 3]) / rays[:, 2])[:, None]
    assert (depth > 0).all()
    np.testing.assert_allclose(sources[::7, ::9].reshape(-1, 2), follow[:, :2], atol=1e-9)
    np.testing.assert_allclose(source_points(WINDOW, believed, believed), WINDOW.centres(), atol=1e-9)


def test_cells_that_the_corrected_camera_does_not_look_down_at_have_no_source() -> None:
    flat = camera(0)
    flat[2, 3] = 0.5  # below the content
    assert np.isnan(source_points(WINDOW, camera(0), flat)).all()
    moved = warp_to_pose(bev_of(smooth(0)), WINDOW, camera(0), flat)
    assert not moved.visible.any() and not moved.features.any()


def test_whole_cells_move_exactly_and_half_cells_average() -> None:
    features, visible = smooth(1), torch.rand(WINDOW.shape, generator=torch.Generator().manual_seed(1)) > 0.2
    bev = bev_of(features, visible)
    moved = resampled(bev, WINDOW, WINDOW.centres() - [3.0, -2.0])
    torch.testing.assert_close(moved.features[:, 3:, :-2], bev.features[:, :-3, 2:], atol=1e-4, rtol=0)
    assert torch.equal(moved.visible[3:, :-2], visible[:-3, 2:])
    assert not moved.visible[:3].any() and not moved.visible[:, -2:].any()
    full = bev_of(features)
    half = resampled(full, WINDOW, WINDOW.centres() + np.array([0.5, 0.0]))
    torch.testing.assert_close(
        half.features[:, :-1], 0.5 * (features[:, :-1] + features[:, 1:]), atol=1e-4, rtol=0
    )


def test_the_age_of_recalled_cells_moves_with_them() -> None:
    visible = torch.rand(WINDOW.shape, generator=torch.Generator().manual_seed(2)) > 0.2
    lag_s = torch.zeros(WINDOW.shape)
    lag_s[16:32, :16] = 0.5
    bev = replace(bev_of(smooth(1), visible), lag_s=lag_s)
    moved = resampled(bev, WINDOW, WINDOW.centres() - [3.0, -2.0])
    assert moved.lag_s is not None and torch.equal(moved.lag_s[3:, :-2], lag_s[:-3, 2:])


def test_a_correction_too_small_to_matter_leaves_the_map_untouched() -> None:
    bev = bev_of(smooth(2))
    near, far = camera(0), camera(0)
    near[0, 3] += 0.2
    far[0, 3] += 0.3
    assert warp_to_pose(bev, WINDOW, camera(0), near) is bev
    assert warp_to_pose(bev, WINDOW, camera(0), far) is not bev


def test_a_map_made_with_a_wrong_pose_is_put_right() -> None:
    cars = scattered(np.random.default_rng(3), 20)
    wrong = noisy_pose(camera(1), np.random.default_rng(4), 0.7, 0.7)
    right, misplaced = painted_cars(cars), painted_cars(seen_with(cars, camera(1), wrong))
    back = warp_to_pose(bev_of(misplaced), WINDOW, wrong, camera(1))
    inside = (slice(0, 1), slice(10, -10), slice(10, -10))
    before = (misplaced - right)[inside].square().mean()
    assert (back.features - right)[inside].square().mean() < 0.1 * before


def test_what_moves_is_carried_along_and_what_stands_stays() -> None:
    xy = np.array([[0.0, 0.0], [20.0, 20.0]])
    velocity = np.array([[8.0, 0.0], [0.2, 0.0]])
    bev = bev_of(painted_cars(xy))
    boxes = boxes_at(xy, velocity)
    moved = compensate_motion(
        bev, WINDOW, boxes.centres[:, :2], boxes.sizes[:, :2], boxes.yaws, velocity, 0.5
    )
    i, j = WINDOW.cells(xy).T
    torch.testing.assert_close(
        moved.features[:, i[0] + 4, j[0]], bev.features[:, i[0], j[0]], atol=1e-4, rtol=0
    )
    assert not moved.visible[i[0] - 2, j[0]]  # nobody knows what was under the car
    torch.testing.assert_close(moved.features[:, i[1], j[1]], bev.features[:, i[1], j[1]], atol=1e-4, rtol=0)
    view = View(bev, camera(0), np.zeros((6, 6)), boxes, 0.5)
    there = compensate_latency(view, WINDOW)
    assert there.boxes is not None and there.age_s == 0.5
    torch.testing.assert_close(there.bev.features, moved.features)
    np.testing.assert_allclose(there.boxes.centres[:, 0], [4.0, 20.1])


def test_what_is_of_now_or_unknown_is_not_moved() -> None:
    bev, boxes = bev_of(smooth(0)), boxes_at(np.zeros((1, 2)), np.array([[9.0, 0.0]]))
    for view in (
        View(bev, camera(0), np.zeros((6, 6)), boxes),
        View(bev, camera(0), np.zeros((6, 6)), None, 1.0),
    ):
        assert compensate_latency(view, WINDOW) is view


def test_uncertain_poses_agree_afterwards_and_are_surer() -> None:
    own, peers = views(0.5)
    before = [correlation(own.bev, p.bev) for p in peers]
    mine, others, corrections = align_poses(own, peers, WINDOW)
    after = [correlation(mine.bev, p.bev) for p in others]
    assert all(a > b + 0.03 for a, b in zip(after, before, strict=True))
    assert min(c.matches for c in corrections) >= 20
    assert all(p.bev.sigma.mean() < 1.0 for p in (mine, *others))
    backwards = align_poses(own, peers[::-1], WINDOW)
    torch.testing.assert_close(backwards[0].bev.features, mine.bev.features, atol=1e-5, rtol=0)
    torch.testing.assert_close(backwards[1][1].bev.features, others[0].bev.features, atol=1e-5, rtol=0)


def test_exact_poses_change_nothing_at_all() -> None:
    own, peers = views(0.0)
    mine, others, corrections = align_poses(own, peers, WINDOW)
    assert mine is own and all(a is b for a, b in zip(others, peers, strict=True))
    assert all(c.matches == 0 for c in corrections)


def test_a_peer_that_nobody_can_place_is_left_out() -> None:
    own, peers = views(0.2)
    lost = View(bev_of(smooth(7), sigma=4.5), peers[0].T_map_camera, covariance(10.0, 5.0), None)
    unknown = View(bev_of(smooth(7), sigma=2.0), peers[0].T_map_camera, covariance(1.0, 1.0), None)
    _, others, _ = align_poses(own, [lost, unknown], WINDOW)
    assert len(others) == 1 and others[0] is unknown


def test_turning_the_world_turns_the_sources() -> None:
    turn = np.eye(4)
    turn[:3, :3] = rotation_vector([0.0, 0.0, np.pi / 2])
    believed, corrected = camera(0), noisy_pose(camera(0), np.random.default_rng(6), 0.5, 0.5)
    here = source_points(WINDOW, believed, corrected)
    there = source_points(WINDOW, turn @ believed, turn @ corrected)
    expected = np.rot90(here @ turn[:2, :2].T, 1, axes=(0, 1))
    np.testing.assert_allclose(there, expected, atol=1e-9)
