"""Training: exact augmentation, deterministic samples, resumable runs, and a loss that goes down."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.geometry.rotations import is_rigid
from rsdfm_ros.model.config import ModelConfig, load_model_config, model_config_from_dict
from rsdfm_ros.model.heads.registry import Truth
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import ModelStoreError, save_model, warm_start
from rsdfm_ros.training import command, stages
from rsdfm_ros.training.augmentation.geometric import WorldMotion, perturb_pose
from rsdfm_ros.training.codec import CodecObjective
from rsdfm_ros.training.config import TrainingConfig, TrainingConfigError, load_training_config
from rsdfm_ros.training.loop import Checkpoints, Clock, learning_rate, prefetch
from rsdfm_ros.training.objective import (
    TrunkObjective,
    collate,
    height_distribution,
    lift_target,
)
from rsdfm_ros.training.samples import Sample, TrunkSampler, pixel_heights, resize_view
from rsdfm_ros.training.temporal import TemporalObjective
from support.places import ROOT
from support.training_data import FlatWorld, K
from support.training_runs import SETTINGS, arguments

CONFIGS = ROOT / "config/model"


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@given(st.floats(-3, 3), st.floats(-20, 20), st.floats(-20, 20), st.booleans())
def test_moving_the_world_moves_no_pixel(yaw: float, x: float, y: float, mirror: bool) -> None:
    motion = WorldMotion(yaw, (x, y), mirror)
    frame = FlatWorld().load(0, 2)
    view = frame.views[1]
    before, depth = project(frame.objects.centres, view.K, view.T_map_camera)
    pose = motion.camera(view.T_map_camera)
    assert is_rigid(pose)
    after, depth_after = project(motion.objects(frame.objects).centres, motion.intrinsics(view.K, 96), pose)
    if mirror:
        before[:, 0] = 96 - before[:, 0]
    front = depth > 1.0
    assert np.allclose(after[front], before[front], atol=1e-6)
    assert np.allclose(depth_after, depth)


def test_moving_the_world_turns_headings_and_velocities_alike() -> None:
    objects = FlatWorld().objects(0, 0)
    turned = WorldMotion(0.7, (1.0, 2.0), True).objects(objects)
    heading = np.arctan2(turned.velocities[:, 1], turned.velocities[:, 0])
    assert np.allclose(np.cos(heading - turned.yaws), 1.0)


def test_pose_noise_has_the_covariance_it_reports() -> None:
    rng = np.random.default_rng(0)
    T = FlatWorld().load(0, 0).views[0].T_map_camera
    shifts = np.stack([perturb_pose(T, rng, 0.5, 0.01)[0][:3, 3] - T[:3, 3] for _ in range(2000)])
    assert np.allclose(shifts.std(axis=0), 0.5, rtol=0.1)
    noisy, covariance = perturb_pose(T, rng, 0.5, 0.01)
    assert is_rigid(noisy)
    assert np.allclose(np.diag(covariance), [0.25] * 3 + [1e-4] * 3)


def test_heights_of_flat_ground_are_zero() -> None:
    heights = pixel_heights(FlatWorld().load(0, 0).views[0], (32, 48))
    known = np.isfinite(heights)
    assert known.mean() > 0.5 and np.abs(heights[known]).max() < 1e-3


def test_height_targets_have_the_true_mean() -> None:
    bins = ModelConfig("x").heights_m
    heights = np.array([[0.0, 0.3, 1.0, 3.39, 3.69, 9.0, np.nan]], np.float32)[None]
    target = height_distribution(heights, bins)
    assert np.allclose(target.sum(axis=1)[0, 0], [1, 1, 1, 1, 1, 1, 0])
    mean = (target[0, :-1, 0] * np.array(bins)[:, None]).sum(axis=0)
    assert np.allclose(mean[:4], heights[0, 0, :4], atol=1e-5)
    assert target[0, -1, 0].tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_the_targets_of_the_absolute_lift_are_the_depths_of_the_same_points() -> None:
    """Against the recorded depth of the image itself."""
    depths = tuple(np.linspace(10.0, 150.0, 40).tolist())
    config = ModelConfig("absolute", image_height=64, image_width=96, lift="absolute", depths_m=depths)
    view = FlatWorld().load(0, 0).views[0]
    heights = pixel_heights(view, (32, 48))
    heights[:4, :4] = 7.0  # a roof
    sample = Sample(
        images=view.image[None],
        K=resize_view(view, (64, 96))[1][None],
        T_map_camera=view.T_map_camera[None],
        covariance=np.zeros((1, 6, 6)),
        ages_s=np.zeros(1, np.float32),
        heights=heights[None],
        truth=Truth((FlatWorld().objects(0, 0),), np.zeros(0, bool)),
    )
    target = lift_target(sample, config)[0]
    assert view.depth is not None
    step = (view.depth.shape[0] // 32, view.depth.shape[1] // 48)
    depth = view.depth[step[0] // 2 :: step[0], step[1] // 2 :: step[1]]
    known = np.isfinite(heights) & (heights < 1.0) & (depth > 10.0) & (depth < 150.0)
    mean = (target[:-1] * np.array(depths)[:, None, None]).sum(axis=0)
    # The recorded pixels lie up to half a pixel beside the points of the grid.
    assert known.mean() > 0.5 and np.abs(mean / depth - 1.0)[known].max() < 0.02
    assert (target[-1, :4, :4] == 1.0).all() and (target[:-1, :4, :4] == 0.0).all()
    assert np.array_equal(
        lift_target(sample, ModelConfig("r"))[0],
        height_distribution(heights[None], ModelConfig("r").heights_m)[0],
    )


def test_samples_depend_on_seed_and_index_alone() -> None:
    model, config = ModelConfig("tiny", image_height=64, image_width=96), TrainingConfig(seed=3)
    one, two = TrunkSampler(FlatWorld(), model, config), TrunkSampler(FlatWorld(), model, config)  # type: ignore[arg-type]
    for index in (0, 5, 13):
        a, b = one[index], two[index]
        assert np.array_equal(a.images, b.images) and np.array_equal(a.T_map_camera, b.T_map_camera)
    other = TrunkSampler(FlatWorld(), model, TrainingConfig(seed=4))  # type: ignore[arg-type]
    assert not np.array_equal(one[0].T_map_camera, other[0].T_map_camera)
    assert sorted(one.frame_of(n) for n in range(len(one))) == sorted(one.frames)


def test_every_parameter_of_the_trunk_gets_a_gradient(config_path: Path) -> None:
    torch.manual_seed(0)
    model = RSDFM(load_model_config(config_path))
    for module in model.modules():  # gentle blocks begin as nothing, and hand no gradient on
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
    config = TrainingConfig(agents_weights=(0.0, 0.0, 1.0), translate_m=0.0)
    sampler = TrunkSampler(FlatWorld(), model.config, config)  # type: ignore[arg-type]
    heads = ["detection", "segmentation"]
    objective = TrunkObjective(model, heads)
    total, parts = objective(collate([sampler[0], sampler[1]], model, heads), 100, 0.0)
    total.backward()
    assert set(parts) >= {"height", "reconstruction", "distillation", "score", *objective.names}
    temporal = ("heads.trajectory", "heads.detection.velocity")
    missing = [
        n
        for n, p in model.named_parameters()
        if not n.startswith(temporal)
        and (p.grad is None or not torch.isfinite(p.grad).all() or not p.grad.any())
    ]
    assert missing == []


def test_the_trunk_loss_falls(config_path: Path) -> None:
    torch.manual_seed(0)
    model = RSDFM(load_model_config(config_path))
    config = TrainingConfig(translate_m=0.0, pose_noise_share=0.0)
    sampler = TrunkSampler(FlatWorld(), model.config, config)  # type: ignore[arg-type]
    heads = ["detection", "segmentation"]
    objective = TrunkObjective(model, heads)
    batch = collate([sampler[0], sampler[1]], model, heads)
    optimiser = torch.optim.AdamW(objective.parameters(), 1e-2)
    history = []
    for _ in range(150):
        optimiser.zero_grad()
        total, parts = objective(batch, 100, 0.0)
        total.backward()
        optimiser.step()
        history.append(float(parts["segmentation.mask"]))
    assert np.mean(history[-3:]) < 0.2 * np.mean(history[:3])


def test_the_temporal_stage_leaves_the_trunk_alone(config_path: Path) -> None:
    model = RSDFM(load_model_config(config_path)).eval()
    objective = TemporalObjective(model).train()
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all(n.startswith(("neck.", "heads.")) for n in trained)
    assert objective.neck.training and not model.encoder.training and not model.interaction.training
    history = torch.rand(2, model.config.history, model.config.channels + 1, *model.config.window.shape)
    history[1, 0] = 0.0  # a history that begins later
    truth = Truth(
        tuple(FlatWorld().objects(0, k) for k in range(3)), np.ones(len(FlatWorld().objects(0, 0)), bool)
    )
    targets = {n: model.head(n).targets(truth) for n in model.config.heads}
    batch = {n: {k: torch.from_numpy(np.stack([v, v])) for k, v in t.items()} for n, t in targets.items()}
    total, parts = objective(history, batch)
    total.backward()
    assert set(parts) >= {"detection.velocity", "segmentation.mask", "trajectory.flow", "trajectory.shift"}
    assert all(p.grad is not None for n, p in model.named_parameters() if n in trained)


@pytest.mark.parametrize("habit", [(True, (1, 1)), (False, (3, 4))], ids=["whole", "sparse"])
def test_the_codec_stage_brings_the_received_map_closer_and_changes_nothing_else(
    config_path: Path, habit: tuple[bool, tuple[int, int]]
) -> None:
    torch.manual_seed(0)
    model = RSDFM(load_model_config(config_path))
    before = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("compression")}
    objective = CodecObjective(model).train()
    config = TrainingConfig(agents_weights=(0.0, 0.0, 1.0), translate_m=0.0, pose_noise_share=0.0)
    sampler = TrunkSampler(FlatWorld(), model.config, config)  # type: ignore[arg-type]
    batch = collate([sampler[0]], model, [])
    optimiser = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], 5e-3)
    history = []
    for _ in range(25):
        optimiser.zero_grad()
        total, parts = objective(batch, 100, *habit)
        total.backward()
        optimiser.step()
        history.append(float(parts["distillation"]))
    assert np.mean(history[-3:]) < 0.8 * history[0]
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())


def test_a_run_makes_a_model_that_loads(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    out = tmp_path / "run"
    assert command.run(arguments(config_path, out)) == 0
    perception = Perception.load(out / "model")
    assert perception.config == load_model_config(config_path)
    training = perception.manifest["training"]
    assert training["data"]["seeds"] == [0, 1]
    assert training["stages"]["trunk"]["steps"] == 6 and training["stages"]["temporal"]["steps"] == 3
    assert training["stages"]["codec"]["steps"] == 2
    assert command.run(arguments(config_path, out)) == 0  # finished: nothing is trained again
    assert Perception.load(out / "model").fingerprint == perception.fingerprint


def test_stages_that_are_left_out_leave_the_weights_of_the_first_model(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    with pytest.raises(RsdfmError, match="--init"):
        command.run(arguments(config_path, tmp_path / "none", stages=["codec"]))
    command.run(arguments(config_path, tmp_path / "first"))
    first = tmp_path / "first" / "model"
    command.run(arguments(config_path, tmp_path / "next", stages=["codec"], init=first))
    old, new = (Perception.load(f) for f in (first, tmp_path / "next" / "model"))
    assert list(new.manifest["training"]["stages"]) == ["codec"]
    before, after = old.model.state_dict(), new.model.state_dict()
    changed = {
        name.partition(".")[0] for name, value in after.items() if not torch.equal(value, before[name])
    }
    assert changed == {"compression"}


def test_an_interrupted_run_goes_on_where_it_stopped(
    config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "open_usable", lambda path: FlatWorld())
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command.run(arguments(config_path, whole))
    original = stages.descend
    calls = {"n": 0}

    def interrupted(*args: object) -> None:
        calls["n"] += 1
        if calls["n"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "descend", interrupted)
    with pytest.raises(
        KeyboardInterrupt, match=r"step 4 of stage trunk is saved in .*trunk\.pt; the same command"
    ):
        command.run(arguments(config_path, parts))
    monkeypatch.setattr(stages, "descend", original)
    command.run(arguments(config_path, parts))
    a, b = Perception.load(whole / "model"), Perception.load(parts / "model")
    assert (
        a.manifest["training"]["stages"]["trunk"]["steps"]
        == b.manifest["training"]["stages"]["trunk"]["steps"]
    )


def test_prefetching_keeps_the_order_and_passes_errors_on() -> None:
    def make(n: int) -> int:
        if n == 20:
            raise ValueError("broken sample")
        return n

    items = prefetch(make, 2, stride=3, threads=2)
    assert [next(items) for _ in range(6)] == [2, 5, 8, 11, 14, 17]
    with pytest.raises(ValueError, match="broken sample"):
        next(items)
    items.close()  # type: ignore[attr-defined]


def test_the_schedule_ends_by_steps_or_by_time() -> None:
    assert Clock(100, step=50).progress == 0.5
    assert Clock(100, limit_s=10.0, step=50, elapsed_s=8.0).progress == 0.8
    rates = [learning_rate(p, 1.0, 0.1) for p in np.linspace(0, 1, 50)]
    assert max(rates) <= 1.0 and rates[-1] == pytest.approx(0.01) and rates[0] < 0.1


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    small, large = torch.nn.Linear(2, 2), torch.nn.Linear(3, 3)
    Checkpoints(path).save(small, torch.optim.AdamW(small.parameters()), Clock(10, step=4))
    clock = Clock(10)
    assert Checkpoints(path).load(small, torch.optim.AdamW(small.parameters()), clock) and clock.step == 4
    with pytest.raises(Exception, match="cannot be continued"):
        Checkpoints(path).load(large, torch.optim.AdamW(large.parameters()), clock)


@pytest.mark.parametrize("bad", [{"stepz": 3}, {"steps": "many"}, {"cells_min": 9, "cells_max": 3}])
def test_a_bad_training_configuration_is_refused(tmp_path: Path, bad: dict[str, object]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(json.dumps({"training": bad}))
    with pytest.raises(TrainingConfigError):
        load_training_config(path)


def test_the_shipped_configuration_is_valid() -> None:
    path = CONFIGS / "nano.yaml"
    assert sum(p.numel() for p in RSDFM(load_model_config(path)).parameters()) <= 2_500_000  # 10 MB
    assert load_training_config(path).steps > 0
    assert K.shape == (3, 3)


def test_the_two_lifts_are_compared_with_otherwise_equal_models() -> None:
    relative, absolute = (CONFIGS / f"ablation_{lift}.yaml" for lift in ("relative", "absolute"))
    assert load_training_config(relative) == load_training_config(absolute)
    one, two = load_model_config(relative), load_model_config(absolute)
    assert (one.lift, two.lift) == ("relative", "absolute")
    assert dataclasses.replace(two, name=one.name, lift=one.lift, depths_m=()) == one


def test_a_warm_start_takes_what_fits_and_names_the_rest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = model_config_from_dict(SETTINGS["model"])
    donor, other = RSDFM(config), RSDFM(config)
    with torch.no_grad():
        for parameter in donor.parameters():
            parameter.uniform_(0.1, 0.2)
    folder = save_model(tmp_path / "donor", donor, {})
    assert warm_start(other, folder) == []
    for key, value in donor.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    wider = RSDFM(dataclasses.replace(config, high_channels=config.high_channels + 1))
    fresh = warm_start(wider, folder)
    assert fresh and all(name.startswith("compression.high") for name in fresh)
    with pytest.raises(ModelStoreError, match="cannot read"):
        warm_start(other, tmp_path / "nothing")
