"""The larger configuration: its shapes, and that a step of descent goes down; its weights do not exist yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from rsdfm_ros.model.config import ModelConfig, load_model_config
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.training.config import load_training_config
from rsdfm_ros.training.objective import TrunkObjective, collate
from rsdfm_ros.training.samples import TrunkSampler
from support.training_data import FlatWorld


@pytest.fixture(scope="module")
def path(root: Path) -> Path:
    return root / "config/model/base.yaml"


@pytest.fixture(scope="module")
def small(path: Path) -> ModelConfig:
    """The same network over a few tiles."""
    return dataclasses.replace(load_model_config(path), window_tiles=(-1, -1, 2, 2))


def test_the_larger_model_has_the_shapes_that_it_promises(path: Path, small: ModelConfig) -> None:
    config = load_model_config(path)
    assert (config.image_height, config.image_width, config.cell_size_m) == (224, 480, 0.5)
    assert config.window.bounds == (-64.0, -64.0, 64.0, 64.0) and config.window.shape == (256, 256)
    assert config.output_window.cell_size == 0.25
    settings = load_training_config(path)
    i, j, ni, nj = settings.window_tiles
    assert i >= config.window_tiles[0] and ni <= config.window_tiles[2] and j == i and nj == ni
    perception = Perception.random(small)
    parameters = sum(p.numel() for p in perception.model.parameters())
    assert 6e6 < parameters < 12e6
    view = FlatWorld().load(0, 0).views[0]
    bev = perception.perceive(view.image, view.K, view.T_map_camera)
    assert bev.features.shape == (config.channels, 32, 32)
    frame = perception.compress(bev, 50)
    assert frame.low.shape[1] == config.low_channels and frame.high.shape[1] == config.high_channels
    back = perception.decompress(frame, view.T_map_camera)
    fused = perception.fuse(bev, [back], [0.0])
    instances = perception.segment([fused])
    assert instances.ids.shape == (64, 64)
    assert perception.predict([fused], instances).ids.shape == (1 + config.horizon, 64, 64)
    assert perception.detect([fused]).centres.shape[1] == 3


def test_one_step_of_descent_goes_down(small: ModelConfig, path: Path) -> None:
    torch.manual_seed(0)
    model = RSDFM(small)
    config = dataclasses.replace(load_training_config(path), agents_weights=(0.0, 1.0), translate_m=0.0)
    sampler = TrunkSampler(FlatWorld(), small, config)  # type: ignore[arg-type]
    heads = ["detection", "segmentation"]
    objective = TrunkObjective(model, heads)
    batch = collate([sampler[0]], model, heads)
    before, _ = objective(batch, 100, 0.0)
    before.backward()
    gradients = [p for p in objective.parameters() if p.grad is not None]
    length = float(torch.stack([p.grad.norm() for p in gradients if p.grad is not None]).norm())
    assert length > 0
    with torch.no_grad():
        for p in gradients:
            assert p.grad is not None
            p -= 0.01 / length * p.grad
        after, _ = objective(batch, 100, 0.0)
    assert float(after) < float(before.detach())
