"""Use of a given ground by the model: places of maps and boxes, uncertainty of positions, fusion."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rsdfm_ros.data.terrain import load_height_grid, save_height_grid
from rsdfm_ros.geometry.ground import Ground, GroundPlane, position_sigma, sloped_plane
from rsdfm_ros.geometry.height_grid import GroundError, HeightGrid
from rsdfm_ros.model.maps import AgentBev
from rsdfm_ros.model.perception import Perception
from support.cameras import oblique_camera
from support.places import ROOT
from support.tiny_model import CONFIG, K, view

COVARIANCE = np.diag([0.3, 0.3, 0.5, 0.01, 0.01, 0.01]) ** 2
SLOPE = sloped_plane((-0.15, 0.1, 1.0), 3.0)
NODES = np.stack(np.meshgrid(np.arange(-80.0, 81.0, 4.0), np.arange(-80.0, 81.0, 4.0), indexing="ij"), -1)
HILL = HeightGrid((9.0 * np.exp(-(NODES**2).sum(-1) / 2000.0)).astype(np.float32), -80.0, -80.0, 4.0)
GROUNDS = [GroundPlane(offset=12.0), SLOPE, HILL]


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception.random(dataclasses.replace(CONFIG, heads=("detection", "segmentation")), seed=1)


def raised(T: np.ndarray, height: float) -> np.ndarray:
    moved = T.copy()
    moved[2, 3] += height
    return moved


def test_a_scene_and_its_ground_raised_together_give_the_same_map_and_boxes_as_high(
    perception: Perception,
) -> None:
    image, T = view(1)
    there = perception.on_ground(GroundPlane(offset=40.0))
    low, high = perception.perceive(image, K, T), there.perceive(image, K, raised(T, 40.0))
    assert torch.equal(low.features, high.features) and torch.equal(low.visible, high.visible)
    as_keyword = perception.perceive(image, K, raised(T, 40.0), ground_height_m=40.0)
    assert torch.equal(as_keyword.features, low.features)
    boxes = [
        p.with_thresholds({"detection": 0.0}).detect([p.fuse(bev, [], [])])
        for p, bev in ((perception, low), (there, high))
    ]
    assert len(boxes[0]) > 0
    assert np.allclose(boxes[1].centres - boxes[0].centres, [0.0, 0.0, 40.0])


@pytest.mark.parametrize("ground", GROUNDS)
def test_boxes_stand_on_the_ground_below_them(perception: Perception, ground: Ground) -> None:
    fused = perception.fuse(perception.perceive(*[view(1)[0], K, view(1)[1]]), [], [])
    here = perception.with_thresholds({"detection": 0.0})
    flat, there = here.detect([fused]), here.on_ground(ground).detect([fused])
    expected = flat.centres[:, 2] + ground.elevation(flat.centres[:, :2])
    assert len(flat) > 0 and np.allclose(there.centres[:, 2], expected)
    assert np.array_equal(there.centres[:, :2], flat.centres[:, :2])


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_uncertainty_of_cells_is_that_of_their_place_on_the_ground(
    perception: Perception, ground: Ground
) -> None:
    image, T = view(2)
    T = raised(T, 25.0)
    there = perception.on_ground(ground)
    own = there.perceive(image, K, T, COVARIANCE)
    peer = there.decompress(there.compress(own, 10), T, COVARIANCE)
    assert torch.equal(own.sigma, peer.sigma)
    i, j = 20, 41
    xy = perception.window.centres()[i, j]
    point, normal = np.append(xy, ground.elevation(xy)), ground.normals(xy)
    expected = float(position_sigma(point, T[:3, 3], COVARIANCE, normal))
    assert expected < 5.0 and float(own.sigma[i, j]) == pytest.approx(expected, rel=1e-4)
    assert not torch.allclose(own.sigma, perception.perceive(image, K, T, COVARIANCE).sigma, rtol=1e-3)


def test_the_shipped_model_trusts_cells_less_the_less_sure_their_place_is() -> None:
    perception = Perception.load(ROOT / "models" / "nano")
    rng = np.random.default_rng(0)
    maps = []
    for n in range(2):
        image = rng.integers(0, 255, (192, 352, 3), dtype=np.uint8)
        T = oblique_camera(50.0, 50.0, 0.4 * n)
        maps.append(perception.perceive(image, np.array([[230.0, 0, 176], [0, 230, 96], [0, 0, 1]]), T))
    own, peer = maps
    both = own.visible & peer.visible
    assert both.float().mean() > 0.05
    shares = []
    for sigma in (0.0, 1.0, 3.0):
        unsure = AgentBev(peer.features, both, torch.full_like(peer.sigma, sigma))
        shares.append(perception.fuse(own, [unsure], [0.0]).shares[1])
    assert shares[0] > 1.05 * shares[1] > 1.05 * shares[2]


def test_a_height_grid_survives_its_file(tmp_path: Path) -> None:
    save_height_grid(tmp_path / "deep" / "hill.npz", HILL)
    again = load_height_grid(tmp_path / "deep" / "hill.npz")
    assert np.array_equal(again.heights, HILL.heights) and again.bounds == HILL.bounds


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "there is no height grid"),
        (b"not a zip", "npz"),
        ({"heights": HILL.heights, "x0": 0.0, "y0": 0.0}, "lacks cell_m"),
        ({"heights": HILL.heights, "x0": [0.0, 1.0], "y0": 0.0, "cell_m": 1.0}, "one number x0"),
        ({"heights": HILL.heights.astype(float), "x0": 0.0, "y0": 0.0, "cell_m": 1.0}, "float32"),
        ({"heights": np.array([[{}]]), "x0": 0.0, "y0": 0.0, "cell_m": 1.0}, "npz form"),
        ({"heights": HILL.heights, "x0": 0.0, "y0": 0.0, "cell_m": -1.0}, "cells"),
    ],
)
def test_a_bad_file_is_refused_with_a_sentence(tmp_path: Path, content: object, word: str) -> None:
    path = tmp_path / "grid.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    with pytest.raises(GroundError, match=word):
        load_height_grid(path)
