"""The stages of a training run: the encoder after a teacher, the trunk, neck and heads on the rest, the compression."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from rsdfm_ros.model.engine.device import autocast_arguments
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import state_fingerprint
from rsdfm_ros.training.codec import CodecObjective, draw_habit
from rsdfm_ros.training.distil import DistilObjective
from rsdfm_ros.training.loop import prefetch
from rsdfm_ros.training.objective import Batch, TrunkObjective, collate, instant_heads
from rsdfm_ros.training.samples import TrunkSampler
from rsdfm_ros.training.stage import Run, Stage, descend, features_shown, loss_figures, run_logged
from rsdfm_ros.training.temporal import TemporalObjective, TemporalSamples


def distil_encoder(model: RSDFM, teacher: RSDFM, run: Run) -> dict[str, Any]:
    """The encoder, which learns to give the features of the teacher's."""
    config, device = run.config, run.device
    objective = DistilObjective(model, teacher.to(device)).to(device)
    stage = Stage.open(
        "distil",
        objective,
        run,
        steps=config.distil_steps,
        per_step=config.batch_frames,
        origin=f"{state_fingerprint(teacher):016x}",
    )
    if stage.finished:
        return stage.facts()
    agents = (*[0.0] * (len(config.agents_weights) - 1), 1.0)  # all views of every instant
    calm = dataclasses.replace(
        config, agents_weights=agents, pose_noise_share=0.0, delay_share=0.0, seed=config.seed + 2
    )
    sampler = TrunkSampler(run.dataset, model.config, calm)

    def make(index: int) -> Batch:
        first = index * config.batch_frames
        return collate([sampler[first + n] for n in range(config.batch_frames)], model, [])

    def step(batch: Batch, progress: float) -> dict[str, float]:
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(batch.to(device))
        descend(total, objective, stage.optimiser)
        return loss_figures(total, parts)

    objective.train()
    batches = prefetch(make, stage.clock.step)
    run_logged(stage, step, batches, run)
    return stage.facts()


def train_trunk(model: RSDFM, run: Run) -> dict[str, Any]:
    """The trunk with the heads, on single instants."""
    config, device, rank, world = run.config, run.device, run.rank, run.world
    heads = instant_heads(model)
    objective = TrunkObjective(model, heads, frozen_encoder=run.frozen_encoder).to(device)
    stage = Stage.open("trunk", objective, run, steps=config.steps, per_step=config.batch_frames * world)
    if stage.finished:
        return stage.facts()
    wrapped: nn.Module = objective
    if world > 1:
        wrapped = nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)
    sampler = TrunkSampler(run.dataset, model.config, config)

    def make(index: int) -> Batch:
        first = index * config.batch_frames
        return collate([sampler[first + n] for n in range(config.batch_frames)], model, heads)

    def step(batch: Batch, progress: float) -> dict[str, float]:
        rng = np.random.default_rng([config.seed, 6, stage.clock.step])  # the same on every rank
        # The random numbers of torch depend on the step alone too, so that a resumed run equals one in a single go.
        torch.manual_seed(
            int(np.random.default_rng([config.seed, 10, stage.clock.step, rank]).integers(1 << 62))
        )
        cells = 0
        if progress >= config.codec_from and rng.random() < config.codec_share:
            cells = round(config.draw_cells(rng) * run.share)
        tile_drop = config.tile_drop if rng.random() < config.tile_drop_share else 0.0
        with torch.autocast(**autocast_arguments(device)):
            total, parts = wrapped(batch.to(device), cells, tile_drop)
        descend(total, objective, stage.optimiser)
        return loss_figures(total, parts)

    objective.train()
    batches = prefetch(make, stage.clock.step * world + rank, stride=world)
    run_logged(stage, step, batches, run)
    return stage.facts()


def train_temporal(model: RSDFM, run: Run) -> dict[str, Any]:
    """Train neck and heads on histories of fused maps, on the frozen rest."""
    config, device = run.config, run.device
    model.eval()
    origin = f"{state_fingerprint(model):016x}"
    objective = TemporalObjective(model).to(device)
    stage = Stage.open(
        "temporal", objective, run, steps=config.temporal_steps, per_step=config.temporal_batch, origin=origin
    )
    if stage.finished:
        return stage.facts()
    samples = TemporalSamples(run.out, run.dataset, model, config, run.share)
    with features_shown() as shown:
        samples.fill(device, config.temporal_steps, shown, run.limits.seconds("features"))

    def step(batch: Any, progress: float) -> dict[str, float]:
        history, targets = batch
        targets = {n: {k: v.to(device) for k, v in t.items()} for n, t in targets.items()}
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(history.to(device, torch.float32), targets)
        descend(total, objective, stage.optimiser)
        return loss_figures(total, parts)

    objective.train()
    batches = prefetch(samples.batch, stage.clock.step)
    run_logged(stage, step, batches, run)
    return stage.facts()


def tune_codec(model: RSDFM, run: Run) -> dict[str, Any]:
    """The compression alone, on the frozen rest."""
    config, device = run.config, run.device
    model.eval()
    origin = f"{state_fingerprint(model):016x}"
    objective = CodecObjective(model).to(device)
    stage = Stage.open(
        "codec", objective, run, steps=config.codec_steps, per_step=config.batch_frames, origin=origin
    )
    if stage.finished:
        return stage.facts()
    # Everybody fuses with everybody, undisturbed: only the compression is to blame for a difference.
    agents = (*[0.0] * (len(config.agents_weights) - 1), 1.0)
    calm = dataclasses.replace(
        config, agents_weights=agents, pose_noise_share=0.0, delay_share=0.0, seed=config.seed + 1
    )
    sampler = TrunkSampler(run.dataset, model.config, calm)

    def make(index: int) -> Batch:
        first = index * config.batch_frames
        return collate([sampler[first + n] for n in range(config.batch_frames)], model, [])

    def step(batch: Batch, progress: float) -> dict[str, float]:
        rng = np.random.default_rng([config.seed, 7, stage.clock.step])
        cells = config.draw_cells(rng)
        low, coarseness = draw_habit(rng, cells)
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(batch.to(device), round(cells * run.share), low, coarseness)
        descend(total, objective, stage.optimiser)
        return loss_figures(total, parts)

    objective.train()
    batches = prefetch(make, stage.clock.step)
    run_logged(stage, step, batches, run)
    return stage.facts()
