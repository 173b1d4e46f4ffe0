"""Every switch of the training changes what is trained on, or what comes out; none is dead."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
import yaml

from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.store import load_model
from rsdfm_ros.training import command
from rsdfm_ros.training.augmentation.photometric import PhotometricConfig
from rsdfm_ros.training.codec import bits, draw_habit
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.samples import Sample, TrunkSampler
from support.training_data import FlatWorld
from support.training_runs import SETTINGS, arguments

MODEL = ModelConfig("tiny", image_height=64, image_width=96)
CALM = TrainingConfig(pose_noise_share=0.0, delay_share=0.0, agents_weights=(0.0, 1.0))
#: Switches that act on the samples: where they start from, and what they are turned to.
ON_SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "seed": ({}, {"seed": 1}),
    "agents_weights": ({}, {"agents_weights": (0.0, 0.0, 1.0)}),
    "pose_noise_share": ({}, {"pose_noise_share": 1.0}),
    "pose_noise_m": ({"pose_noise_share": 1.0}, {"pose_noise_m": 2.0}),
    "pose_noise_deg": ({"pose_noise_share": 1.0}, {"pose_noise_deg": 2.0}),
    "delay_share": ({}, {"delay_share": 1.0}),
    "translate_m": ({}, {"translate_m": 0.0}),
    "photometric": ({}, {"photometric": PhotometricConfig(noise_share=1.0, shot=(0.01, 0.01))}),
}
#: Switches that act on the run: what they are turned to, from BASE.
BASE: dict[str, Any] = {
    **SETTINGS["training"],  # type: ignore[dict-item]
    "steps": 2,
    "temporal_steps": 0,
    "codec_steps": 0,
    "agents_weights": [0.0, 0.0, 1.0],
    "codec_share": 1.0,
    "tile_drop_share": 0.0,
}
ON_RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "batch_frames": ({}, {"batch_frames": 2}),
    "steps": ({}, {"steps": 3}),
    "learning_rate": ({}, {"learning_rate": 1e-3}),
    "weight_decay": ({}, {"weight_decay": 0.5}),
    "warmup": ({}, {"warmup": 0.9}),
    "window_tiles": ({}, {"window_tiles": [-1, -1, 1, 2]}),
    "codec_from": ({}, {"codec_from": 1.1}),
    "codec_share": ({}, {"codec_share": 0.0}),
    "cells_min": ({}, {"cells_min": 2500}),
    "cells_max": ({}, {"cells_max": 150}),
    "tile_drop_share": ({}, {"tile_drop_share": 1.0}),
    "tile_drop": ({"tile_drop_share": 1.0}, {"tile_drop": 0.9}),
    "temporal_steps": ({}, {"temporal_steps": 1}),
    "temporal_batch": ({"temporal_steps": 1}, {"temporal_batch": 1}),
    "temporal_scenes": ({"temporal_steps": 1}, {"temporal_scenes": 1}),
    "codec_steps": ({}, {"codec_steps": 1}),
    "codec_rate": ({"codec_steps": 1}, {"codec_rate": 1e-2}),
}
ON_HEADS: dict[str, dict[str, Any]] = {
    "head_samples": {"head_samples": 2},
    "head_scenes": {"head_scenes": 1},
    "head_steps": {"head_steps": 2},
    "head_batch": {"head_batch": 2},
}


def test_every_setting_is_in_one_of_these_lists() -> None:
    tried = set(ON_SAMPLES) | set(ON_RUNS) | set(ON_HEADS) | {"distil_steps"}  # test_distil.py
    assert {f.name for f in dataclasses.fields(TrainingConfig)} <= tried


@pytest.mark.parametrize("name", ON_SAMPLES)
def test_a_switch_changes_the_samples(name: str) -> None:
    start, turned = ON_SAMPLES[name]
    base = dataclasses.replace(CALM, **start)
    samples = [
        TrunkSampler(FlatWorld(), MODEL, config)  # type: ignore[arg-type]
        for config in (base, dataclasses.replace(base, **turned))
    ]
    assert any(not same(samples[0][n], samples[1][n]) for n in range(6))


def same(a: Sample, b: Sample) -> bool:
    return all(
        np.array_equal(getattr(a, n), getattr(b, n), equal_nan=n == "heights")
        for n in ("images", "K", "T_map_camera", "covariance", "ages_s", "heights", "agents")
    )


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, torch.Tensor]]:
    return {}


@pytest.mark.parametrize("name", ON_RUNS)
def test_a_switch_changes_the_weights(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: dict[str, dict[str, torch.Tensor]],
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())

    def run(values: dict[str, Any]) -> dict[str, torch.Tensor]:
        key = yaml.safe_dump(values)
        if key not in known:
            out = tmp_path / str(len(known))
            config = out.with_suffix(".yaml")
            config.write_text(yaml.safe_dump({**SETTINGS, "training": values}))
            command.run(arguments(config, out))
            known[key] = load_model(out / "model")[0].state_dict()
        return known[key]

    start, turned = ON_RUNS[name]
    one, two = run({**BASE, **start}), run({**BASE, **start, **turned})
    assert any(not torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("name", ON_HEADS)
def test_a_switch_changes_the_head(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, dict[str, torch.Tensor]]
) -> None:
    from rsdfm_ros.model.config import model_config_from_dict
    from rsdfm_ros.model.rsdfm import RSDFM
    from rsdfm_ros.model.store import save_model

    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    torch.manual_seed(0)
    donor = save_model(tmp_path / "donor", RSDFM(model_config_from_dict(SETTINGS["model"])), {})  # type: ignore[arg-type]
    few = {"head_samples": 3, "head_steps": 3, "head_batch": 1}

    def run(label: str, values: dict[str, Any]) -> dict[str, torch.Tensor]:
        if label not in known:
            path = tmp_path / f"{label}.yaml"
            path.write_text(yaml.safe_dump({**SETTINGS, "training": {**BASE, **values}}))
            parser = argparse.ArgumentParser()
            command.add_arguments(parser)
            words = [
                "--data",
                "flat",
                "--config",
                str(path),
                "--out",
                str(tmp_path / label),
                "--threads",
                "1",
            ]
            words += ["--head", "layout", "--freeze-trunk", "--init", str(donor)]
            assert command.run(parser.parse_args(words)) == 0
            known[label] = load_model(tmp_path / label / "model")[0].state_dict()
        return known[label]

    one, two = run("head", few), run(name, {**few, **ON_HEADS[name]})
    assert any(not torch.equal(one[k], two[k]) for k in one)


def test_few_cells_travel_without_the_low_band_and_coarsely_more_often_than_many() -> None:
    rng = np.random.default_rng(0)
    low, coarse = [], []
    for cells in (100, 1000, 3000):
        habits = [draw_habit(rng, cells) for _ in range(400)]
        low.append(np.mean([with_low for with_low, _ in habits]))
        coarse.append(np.mean([factors != (1, 1) for _, factors in habits]))
    assert 0.1 < low[0] < low[1] < low[2] == 1.0 and 0.9 > coarse[0] > coarse[1] > coarse[2] > 0.0


def test_the_bits_of_training_follow_the_entropy_of_rounded_laplace_latents() -> None:
    rng = np.random.default_rng(0)
    estimates, truths = [], []
    for scale in (0.3, 0.6, 1.2, 2.5, 5.0):
        z = np.round(rng.laplace(scale=scale, size=(1, 16, 64, 64)))
        _, counts = np.unique(z, return_counts=True)
        truths.append(float(scipy.stats.entropy(counts, base=2)))
        everywhere = torch.ones(1, 1, 64, 64, dtype=torch.bool)
        estimates.append(float(bits(torch.from_numpy(z), everywhere)))
    np.testing.assert_allclose(estimates, truths, atol=0.3)
