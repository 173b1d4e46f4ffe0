"""Boxes from above, against shapely and by properties."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.geometry.boxes import (
    bev_boxes,
    bev_corners,
    intersection_areas,
    rasterise,
    rasterise_boxes,
    rotated_iou,
)
from rsdfm_ros.geometry.lattice import Window, square_window


def _boxes(count: int, seed: int, extent_m: float = 20.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack(
        [
            rng.uniform(-extent_m, extent_m, (count, 2)),
            rng.uniform(2.0, 12.0, count),
            rng.uniform(1.0, 3.0, count),
            rng.uniform(-np.pi, np.pi, count),
        ]
    )


def _polygons(rows: np.ndarray) -> np.ndarray:
    return shapely.polygons(bev_corners(rows[:, :2], rows[:, 2:4], rows[:, 4]))


def _objects(rows: np.ndarray) -> Objects:
    n = len(rows)
    return Objects(
        ids=np.arange(1, n + 1),
        classes=np.zeros(n, dtype=np.int64),
        centres=np.column_stack([rows[:, :2], np.full(n, 0.8)]),
        sizes=np.column_stack([rows[:, 2:4], np.full(n, 1.6)]),
        yaws=rows[:, 4],
        velocities=np.zeros((n, 2)),
        visibility=np.ones((n, 1)),
    )


def test_corners_of_a_turned_box_are_counter_clockwise_from_front_left() -> None:
    corners = bev_corners([[10.0, 20.0, 0.5]], [[4.0, 2.0, 1.5]], [np.pi / 2])
    expected = [[9.0, 22.0], [9.0, 18.0], [11.0, 18.0], [11.0, 22.0]]
    np.testing.assert_allclose(corners[0], expected, atol=1e-12)


def test_rows_hold_centre_size_and_yaw() -> None:
    rows = _boxes(5, seed=0)
    np.testing.assert_array_equal(bev_boxes(_objects(rows)), rows)


def test_rasterised_cells_are_those_whose_centre_lies_in_the_polygon() -> None:
    window = Window(-25, -40, 70, 90, 0.5)  # not square, boxes stick out of it
    for seed in range(5):
        rows = _boxes(12, seed)
        ids = rasterise(_objects(rows), window)
        expected = np.zeros(window.shape, dtype=np.int32)
        centres = window.centres()
        for n, polygon in enumerate(_polygons(rows), start=1):
            expected[shapely.contains_xy(polygon, centres[..., 0], centres[..., 1])] = n
        np.testing.assert_array_equal(ids, expected)
        assert ids.dtype == np.int32


def test_axis_aligned_box_covers_the_expected_cells() -> None:
    ids = rasterise_boxes([7], [[1.0, 0.5]], [[2.0, 1.0]], [0.0], Window(-2, -2, 8, 6, 0.5))
    expected = np.zeros((8, 6), dtype=np.int32)
    expected[2:6, 2:4] = 7
    np.testing.assert_array_equal(ids, expected)


def test_no_boxes_rasterise_to_an_empty_map_and_far_ones_leave_no_trace() -> None:
    window = square_window(5.0, 0.5)
    assert not rasterise_boxes([], np.zeros((0, 2)), np.zeros((0, 2)), [], window).any()
    assert not rasterise_boxes([1], [[100.0, 0.0]], [[4.0, 2.0]], [0.3], window).any()


def test_ids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        rasterise_boxes([0], [[0.0, 0.0]], [[4.0, 2.0]], [0.0], square_window(5.0, 0.5))


def test_iou_equals_shapely() -> None:
    a, b = _boxes(60, 1, extent_m=8.0), _boxes(50, 2, extent_m=8.0)
    pa, pb = _polygons(a)[:, None], _polygons(b)[None]
    overlap = shapely.area(shapely.intersection(pa, pb))
    expected = overlap / (shapely.area(pa) + shapely.area(pb) - overlap)
    assert (expected > 0).sum() > 300
    np.testing.assert_allclose(rotated_iou(a, b), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        ((0.0, 0.0, 4.0, 2.0, 0.0), 1.0),
        ((0.0, 0.0, 4.0, 2.0, np.pi), 1.0),
        ((2.0, 0.0, 4.0, 2.0, 0.0), 4.0 / 12.0),
        ((0.0, 0.0, 2.0, 4.0, np.pi / 2), 1.0),
        ((0.0, 0.0, 4.0, 2.0, np.pi / 2), 4.0 / 12.0),
        ((0.0, 0.0, 2.0, 1.0, 0.0), 2.0 / 8.0),
        ((4.0, 0.0, 4.0, 2.0, 0.0), 0.0),
        ((50.0, 0.0, 4.0, 2.0, 0.0), 0.0),
    ],
)
def test_iou_of_hand_computed_pairs_with_shared_edges(b: tuple[float, ...], expected: float) -> None:
    assert rotated_iou([(0.0, 0.0, 4.0, 2.0, 0.0)], [b])[0, 0] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    far_m=st.sampled_from([0.0, 5e4]),
    step=st.sampled_from([0.0, 1e-9, 1e-6, 0.1]),
)
def test_iou_is_symmetric_bounded_and_one_with_itself(seed: int, far_m: float, step: float) -> None:
    a = _boxes(6, seed, extent_m=6.0)
    a[:, :2] += far_m
    b = a + step
    iou = rotated_iou(a, b)
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_allclose(iou, rotated_iou(b, a).T, atol=1e-8)
    np.testing.assert_allclose(np.diag(rotated_iou(a, a)), 1.0, atol=1e-8)
    np.testing.assert_allclose(intersection_areas(a, a), a[:, 2] * a[:, 3], rtol=1e-8)
    if step < 1e-3:
        np.testing.assert_allclose(np.diag(iou), 1.0, atol=1e-3)
