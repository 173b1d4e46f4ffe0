"""Decoding of the heads' outputs, which works on the cells that matter, against the same on whole maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.heads.detection import DetectionHead, at_finer_cells, on_finer_cells
from rsdfm_ros.model.heads.segmentation import OFFSET_SCALE_M, InstanceMap
from rsdfm_ros.model.heads.trajectory import follow_flow, mean_shift, move_instances
from rsdfm_ros.model.layers import per_cell

WINDOW = Window(-8, 4, 24, 32, 0.5)
STEPS = 3


def instances() -> InstanceMap:
    """Four rectangles, the last one under the others."""
    ids = np.zeros(WINDOW.shape, np.int32)
    for n, (i, j) in enumerate([(2, 3), (2, 20), (12, 6), (14, 9)], start=1):
        area = ids[i : i + 4, j : j + 7]
        area[area == 0] = n
    centres = np.array([WINDOW.centres()[ids == n].mean(axis=0) for n in range(1, 5)])
    scores = np.array([0.9, 0.6, 0.7, 0.8])
    return InstanceMap((ids > 0).astype(np.float32), ids, centres, scores)


def maps(count: int, seed: int) -> np.ndarray:
    """Maps (count, H, W) on the feature lattice."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 0.2, (count, WINDOW.ni // 2, WINDOW.nj // 2)).astype(np.float32)


def upsampled_m(x: np.ndarray) -> np.ndarray:
    return (on_finer_cells(torch.from_numpy(x)[None])[0] * OFFSET_SCALE_M).numpy()


def test_values_at_finer_cells_are_those_of_the_map_of_finer_cells() -> None:
    x = maps(5, 0)
    index = np.arange(WINDOW.ni * WINDOW.nj)
    expected = on_finer_cells(torch.from_numpy(x)[None])[0].flatten(1).numpy()
    np.testing.assert_allclose(at_finer_cells(x, index), expected, atol=1e-6)
    some = np.array([700, 0, 31, 700])
    np.testing.assert_allclose(at_finer_cells(x, some), expected[:, some], atol=1e-6)
    assert at_finer_cells(x, some[:0]).shape == (5, 0)


@pytest.mark.parametrize("weight_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_a_projection_per_cell_is_the_convolution_and_keeps_layout_and_precision(
    format: torch.memory_format, weight_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 3, 1).to(memory_format=weight_format)  # type: ignore[call-overload]
    x = torch.randn(2, 6, 8, 10).to(memory_format=format)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = per_cell(x, layer.weight, layer.bias)
        half = per_cell(x.bfloat16(), layer.weight, layer.bias)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=format)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, atol=0.05, rtol=0.05)
    torch.testing.assert_close(per_cell(x, layer.weight) + layer.bias[:, None, None], expected)


def test_instances_move_by_the_mean_of_their_cells() -> None:
    present, shift = instances(), maps(2 * STEPS, 1)
    moved = upsampled_m(shift)
    found = mean_shift(present, shift)
    for n in range(4):
        cells = present.ids == n + 1
        np.testing.assert_allclose(found[n, 0], present.centres[n])
        for k in range(STEPS):
            expected = present.centres[n] + moved[2 * k : 2 * k + 2, cells].mean(axis=1)
            np.testing.assert_allclose(found[n, k + 1], expected, atol=1e-5)


def test_cells_of_the_futures_belong_to_the_object_that_their_flow_points_to() -> None:
    rng = np.random.default_rng(2)
    foreground = rng.random((STEPS, *WINDOW.shape)) < 0.3
    foreground[1] = False
    flow = maps(2 * STEPS, 3)
    forward = instances().centres[:, None] + rng.normal(0.0, 0.5, (4, 1 + STEPS, 2))
    forward[3] += 100.0  # nothing points there
    found = follow_flow(foreground, flow, forward, WINDOW, reach_m=1.5)
    expected, way, centres = forward.copy(), upsampled_m(flow), WINDOW.centres()
    for k in range(STEPS):
        pointed = centres + way[2 * k : 2 * k + 2].transpose(1, 2, 0)
        distance = np.linalg.norm(pointed[:, :, None] - expected[:, k], axis=-1)
        for n in range(4):
            own = foreground[k] & (distance.argmin(axis=-1) == n) & (distance[..., n] < 1.5)
            if own.any():
                expected[n, k + 1] = 0.5 * (expected[n, k + 1] + centres[own].mean(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found[:3], forward[:3]) and np.array_equal(found[3], forward[3])
    assert follow_flow(foreground, flow, forward[:0], WINDOW).shape == (0, 1 + STEPS, 2)


def test_moved_instances_stand_by_score_and_leave_without_a_cell_in_the_foreground() -> None:
    present, rng = instances(), np.random.default_rng(4)
    positions = present.centres[:, None] + rng.uniform(-3.0, 3.0, (4, 1 + STEPS, 2))
    positions[:, 0] = present.centres
    foreground = rng.random((STEPS, *WINDOW.shape)) < 0.1
    foreground[:, : WINDOW.ni // 2] = False
    found = move_instances(present, positions, foreground, WINDOW)
    assert np.array_equal(found[0], present.ids)
    left = 0
    for k in range(STEPS):
        expected = np.zeros(WINDOW.shape, np.int32)
        for n in np.argsort(present.scores):
            shift = np.round((positions[n, k + 1] - positions[n, 0]) / WINDOW.cell_size).astype(int)
            to = np.argwhere(present.ids == n + 1) + shift
            to = to[WINDOW.contains(to)]
            expected[to[:, 0], to[:, 1]] = n + 1
        for n in range(1, 5):
            cells = expected == n
            if not foreground[k][cells].any():
                expected[cells] = 0
                left += bool(cells.any())
        assert np.array_equal(found[k + 1], expected)
    assert left > 0 and found[1:].any()


def test_boxes_are_the_local_maxima_of_all_classes_above_the_threshold() -> None:
    config = ModelConfig("test", window_tiles=(0, 0, 2, 1))
    generator = torch.Generator().manual_seed(5)
    outputs = {
        name: torch.randn(1, n, *config.window.shape, generator=generator)
        for name, n in (("heat", 4), ("box", 10), ("velocity", 2))
    }
    found = DetectionHead(config).decode(outputs, threshold=0.9, limit=20)
    scores = torch.sigmoid(outputs["heat"][0]).numpy()
    peaks = []
    for i, j in np.ndindex(*config.window.shape):
        near = scores[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        if 0.9 < scores[:, i, j].max() == near.max():
            peaks.append((scores[:, i, j].max(), scores[:, i, j].argmax(), i, j))
    peaks = sorted(peaks, reverse=True)[:20]
    assert 10 < len(peaks) == len(found)
    np.testing.assert_allclose(found.scores, [p[0] for p in peaks], atol=1e-6)
    assert found.classes.tolist() == [p[1] for p in peaks]
    i, j = np.array([p[2:] for p in peaks]).T
    expected = config.window.centres()[i, j] + outputs["box"][0, :2].numpy()[:, i, j].T
    np.testing.assert_allclose(found.centres[:, :2], expected, atol=1e-6)
    np.testing.assert_allclose(found.velocities, outputs["velocity"][0].numpy()[:, i, j].T)
    everything = DetectionHead(config).decode(outputs, threshold=0.0, limit=1000)
    assert len(found) < len(everything) < 200
    assert len(DetectionHead(config).decode(outputs, threshold=1.0)) == 0
