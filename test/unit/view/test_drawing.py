"""Boxes in images and maps of classes are where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.outputs import Boxes, no_boxes
from rsdfm_ros.geometry.camera import intrinsics_from_fov
from rsdfm_ros.geometry.lattice import Window, square_window
from rsdfm_ros.view import maps
from rsdfm_ros.view.projection import EDGES, box_lines, clipped

SIZE = (60, 80)
K = intrinsics_from_fov(80, 60, 1.2)
LOOKS_DOWN = np.array([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 40], [0, 0, 0, 1]], float)


def boxes(*centres: tuple[float, float, float], size: tuple[float, float, float] = (4.0, 2.0, 1.5)) -> Boxes:
    n = len(centres)
    return Boxes(
        np.zeros(n, np.int64),
        np.ones(n),
        np.array(centres),
        np.tile(size, (n, 1)),
        np.zeros(n),
        np.zeros((n, 2)),
    )


def test_a_box_below_the_camera_is_drawn_where_the_pinhole_puts_it() -> None:
    lines, rows = box_lines(boxes((0.0, 0.0, 0.75)), K, LOOKS_DOWN, SIZE)
    assert len(lines) == len(EDGES) and set(rows) == {0}
    f = K[0, 0]
    roof, floor = f / (40 - 1.5), f / 40
    assert lines[..., 0].max() == pytest.approx(40 + 2 * roof) and lines[..., 1].min() == pytest.approx(
        30 - roof
    )
    # The front, towards +x, is crossed out: its corners are right of the middle.
    cross = lines[12:14].reshape(-1, 2)
    assert (cross[:, 0] >= 40 + 2 * floor - 1e-9).all()


def test_only_what_lies_in_the_picture_is_drawn() -> None:
    lines, rows = box_lines(boxes((0.0, 0.0, 1.0), (1000.0, 0.0, 1.0), (0.0, 0.0, 80.0)), K, LOOKS_DOWN, SIZE)
    assert set(rows) == {0}  # the second is far outside, the third behind the camera
    edge = K[0, 2] / K[0, 0] * 40  # half of the ground that is in the image, along x
    lines, rows = box_lines(boxes((edge, 0.0, 1.0)), K, LOOKS_DOWN, SIZE)
    assert 0 < len(lines) < len(EDGES)
    assert lines[..., 0].max() <= 80 and (lines >= 0).all()


def test_a_box_through_the_camera_is_cut_and_nothing_is_infinite() -> None:
    lines, rows = box_lines(boxes((0.0, 0.0, 40.0), size=(8.0, 8.0, 20.0)), K, LOOKS_DOWN, SIZE)
    assert np.isfinite(lines).all() and (lines >= 0).all() and (lines <= (80, 60)).all()
    lines, rows = box_lines(no_boxes(), K, LOOKS_DOWN, SIZE)
    assert lines.shape == (0, 2, 2) and rows.shape == (0,)


def test_lines_are_cut_at_the_rectangle() -> None:
    lines = np.array(
        [
            [[-5, 5], [15, 5]], [[2, 2], [3, 3]], [[-5, -1], [5, -1]],
            [[-1, 5], [5, 11]], [[-3, 0], [0, -3]], [[4, 4], [4, 4]],
        ],
        float,
    )  # fmt: skip
    cut, touches = clipped(lines, (10.0, 10.0))
    assert touches.tolist() == [True, True, False, True, False, True]
    np.testing.assert_allclose(cut[0], [[0, 5], [10, 5]])
    np.testing.assert_allclose(cut[1], lines[1])
    np.testing.assert_allclose(cut[3], [[0, 6], [4, 10]])


def test_an_answer_is_found_missed_or_imagined() -> None:
    answered, true = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)
    classes = maps.answer_classes(answered, true)
    assert classes.tolist() == [[maps.FOUND, maps.FALSE_ALARM, maps.MISSED, maps.GROUND]]
    assert maps.answer_classes(answered, None).tolist() == [
        [maps.VEHICLE, maps.VEHICLE, maps.GROUND, maps.GROUND]
    ]


def test_pictures_of_maps_are_north_up_and_points_lie_on_them() -> None:
    window = Window(-4, -2, 8, 4, 0.5)
    cells = np.zeros(window.shape, np.uint8)
    cells[1, 3] = 7  # x -1.5…-1, y 0.5…1
    image = maps.north_up(cells)
    assert image.shape == (4, 8) and image[0, 1] == 7
    np.testing.assert_allclose(maps.pixels(np.array([[-1.25, 0.75]]), window), [[1.5, 0.5]])


def test_who_contributes_is_the_uav_and_not_its_place_in_the_message() -> None:
    dominant = np.array([[0, 1, 2, 3, 9]], np.uint8)
    classes = maps.contributor_classes(dominant, [2, 0, 1])
    uav = maps.uav_class
    assert classes.tolist() == [[maps.GROUND, uav(2), uav(0), uav(1), maps.SEVERAL]]


def test_who_sees_what_is_one_uav_or_several() -> None:
    a, b = np.array([[1, 1, 0]], bool), np.array([[0, 1, 0]], bool)
    assert maps.coverage_classes([a, b], [4, 1]).tolist() == [[maps.uav_class(4), maps.SEVERAL, maps.GROUND]]


def test_tiles_outside_the_map_are_left_out() -> None:
    window = square_window(16.0, 0.5)
    visible = np.ones((3, 16, 16), bool)
    visible[0, 0, 0] = False
    cells = maps.tile_cells(np.array([[-1, -1], [1, 0], [-2, 0]], np.int32), visible, window)
    assert cells.sum() == 32 * 32 - 4 and not cells[:2, :2].any() and not cells[32:].any()


def test_there_are_colours_for_any_number_of_uavs() -> None:
    assert maps.uav_class(1000) == 255 and maps.uav_colour(1000) == maps.uav_colour(0)
    assert max(maps.CLASSES) < maps.FIRST_UAV


def test_maps_of_other_windows_lie_where_they_belong() -> None:
    target, part = Window(-4, -4, 8, 8, 0.5), Window(2, -6, 4, 4, 0.5)
    cells = np.zeros((4, 4), bool)
    cells[0, 3] = True  # i 2, j -3
    shown = maps.onto(cells, part, target)
    assert shown is not None and shown.sum() == 1 and shown[6, 1]
    assert maps.onto(cells, Window(4, 0, 4, 4, 0.5), target) is None
    with pytest.raises(ValueError, match=r"0\.5 m"):
        maps.onto(cells, Window(0, 0, 4, 4, 1.0), target)
