"""The stages of a training run: the trunk, what needs a history on the frozen rest, the compression alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.device import autocast_arguments
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import state_fingerprint
from rsdfm_ros.training.codec import CodecObjective, draw_habit
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.loop import Checkpoints, Clock, prefetch, run_stage
from rsdfm_ros.training.objective import Batch, TrunkObjective, collate, trunk_losses
from rsdfm_ros.training.samples import TrunkSampler
from rsdfm_ros.training.temporal import TemporalObjective, TemporalSamples
from rsdfm_ros.waiting import uninterrupted


@dataclass(frozen=True)
class Limits:
    """Time limits in minutes, None without: of each part of a run, and what stages have of their own."""

    minutes: float | None = None
    temporal: float | None = None
    codec: float | None = None

    def seconds(self, stage: str) -> float | None:
        """The time limit of a stage, or of the computation of "features"."""
        own = {"temporal": self.temporal, "codec": self.codec}.get(stage)
        minutes = self.minutes if own is None else own
        return None if minutes is None else 60.0 * minutes


@dataclass(frozen=True)
class Run:
    """Values that all stages of a run use. share: the window trained on, as a share of the model's whole window."""

    out: Path
    dataset: Dataset
    config: TrainingConfig
    limits: Limits
    device: torch.device
    share: float
    rank: int = 0
    world: int = 1


def progress_bar() -> Progress:
    """A bar with losses beside it, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:5.1f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
        refresh_per_second=0.5,
        console=Console(stderr=True),
    )


def train_trunk(model: RSDFM, run: Run) -> dict[str, Any]:
    """The trunk with every head that needs no history."""
    config, device, rank, world = run.config, run.device, run.rank, run.world
    heads = [n for n in model.config.heads if not model.head(n).temporal]
    objective = TrunkObjective(model, heads, trunk_losses(model, heads)).to(device)
    optimiser = make_optimiser(objective, config)
    clock = Clock(config.steps, run.limits.seconds("trunk"))
    checkpoints = Checkpoints(run.out / "trunk.pt")
    checkpoints.load(objective, optimiser, clock)
    if clock.progress >= 1.0:
        return stage_facts(clock, config.batch_frames * world)
    wrapped: nn.Module = objective
    if world > 1:
        wrapped = nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)
    sampler = TrunkSampler(run.dataset, model.config, config)

    def make(index: int) -> Batch:
        first = index * config.batch_frames
        return collate([sampler[first + n] for n in range(config.batch_frames)], model, heads)

    def step(batch: Batch, progress: float) -> dict[str, float]:
        rng = np.random.default_rng([config.seed, 6, clock.step])  # the same on every rank
        # What torch draws depends on the step alone too, so that a resumed run equals one in a single go.
        torch.manual_seed(int(np.random.default_rng([config.seed, 10, clock.step, rank]).integers(1 << 62)))
        cells = 0
        if progress >= config.codec_from and rng.random() < config.codec_share:
            cells = round(config.draw_cells(rng) * run.share)
        tile_drop = config.tile_drop if rng.random() < config.tile_drop_share else 0.0
        with torch.autocast(**autocast_arguments(device)):
            total, parts = wrapped(batch.to(device), cells, tile_drop)
        descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    batches = prefetch(make, clock.step * world + rank, stride=world)
    run_logged("trunk", objective, optimiser, clock, step, batches, checkpoints, run)
    return stage_facts(clock, config.batch_frames * world)


def train_temporal(model: RSDFM, run: Run) -> dict[str, Any]:
    """Train the modules that need a history, on the frozen rest."""
    config, device = run.config, run.device
    model.eval()
    origin = f"{state_fingerprint(model):016x}"
    objective = TemporalObjective(model).to(device)
    optimiser = make_optimiser(objective, config)
    clock = Clock(config.temporal_steps, run.limits.seconds("temporal"))
    checkpoints = Checkpoints(run.out / "temporal.pt", origin)
    checkpoints.load(objective, optimiser, clock)
    if clock.progress >= 1.0:
        return stage_facts(clock, config.temporal_batch)
    samples = TemporalSamples(run.out, run.dataset, model, config)
    with progress_bar() as bar:
        task = bar.add_task("features", losses="")
        samples.fill(
            device,
            config.temporal_steps,
            lambda n, total: bar.update(task, completed=n, total=total),
            run.limits.seconds("features"),
        )

    def step(batch: Any, progress: float) -> dict[str, float]:
        history, targets = batch
        targets = {n: {k: v.to(device) for k, v in t.items()} for n, t in targets.items()}
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(history.to(device, torch.float32), targets)
        descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    batches = prefetch(samples.batch, clock.step)
    run_logged("temporal", objective, optimiser, clock, step, batches, checkpoints, run)
    return stage_facts(clock, config.temporal_batch)


def tune_codec(model: RSDFM, run: Run) -> dict[str, Any]:
    """The compression alone, on the frozen rest."""
    config, device = run.config, run.device
    model.eval()
    origin = f"{state_fingerprint(model):016x}"
    objective = CodecObjective(model).to(device)
    optimiser = make_optimiser(objective, config)
    clock = Clock(config.codec_steps, run.limits.seconds("codec"))
    checkpoints = Checkpoints(run.out / "codec.pt", origin)
    checkpoints.load(objective, optimiser, clock)
    if clock.progress >= 1.0:
        return stage_facts(clock, config.batch_frames)
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
        rng = np.random.default_rng([config.seed, 7, clock.step])
        cells = config.draw_cells(rng)
        low, coarseness = draw_habit(rng, cells)
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(batch.to(device), round(cells * run.share), low, coarseness)
        descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    batches = prefetch(make, clock.step)
    run_logged("codec", objective, optimiser, clock, step, batches, checkpoints, run)
    return stage_facts(clock, config.batch_frames)


def make_optimiser(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; no weight decay on norms, biases and loss weights."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def descend(total: torch.Tensor, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """One step of the optimiser with clipped gradients. Raises: RsdfmError for a loss that is not finite."""
    if not torch.isfinite(total):
        raise RsdfmError(
            "the loss is no longer finite: lower `learning_rate` and train into another folder, or start over with "
            "--force"
        )
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    # What an earlier stage left on frozen parameters is no gradient of this one.
    trained = [p for p in module.parameters() if p.requires_grad and p.grad is not None]
    nn.utils.clip_grad_norm_(trained, 10.0)
    optimiser.step()


def run_logged(
    name: str,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    clock: Clock,
    step: Callable[[Any, float], dict[str, float]],
    batches: Iterator[Any],
    checkpoints: Checkpoints,
    run: Run,
) -> None:
    """Run a stage to its end, with a progress bar, a line in log.jsonl now and then, and logs for TensorBoard."""
    main, config = run.rank == 0, run.config
    writer = SummaryWriter(str(run.out / "tensorboard")) if main else None
    log = (run.out / "log.jsonl").open("a") if main else None
    with progress_bar() as bar:
        task = bar.add_task(name, losses="", total=1.0)

        def progress(clock: Clock, averages: dict[str, float]) -> None:
            shown = " ".join(f"{k.rpartition('.')[2]} {v:.3f}" for k, v in averages.items())
            bar.update(task, completed=clock.progress, losses=f"step {clock.step} {shown}")
            if log is not None and clock.step % 50 == 0:
                row = {"stage": name, "step": clock.step, "elapsed_s": round(clock.elapsed_s, 1)}
                log.write(json.dumps(row | {k: round(v, 5) for k, v in averages.items()}) + "\n")
                log.flush()

        try:
            run_stage(
                name,
                module,
                optimiser,
                clock,
                step,
                batches,
                checkpoints,
                peak_rate=config.codec_rate if name == "codec" else config.learning_rate,
                warmup=config.warmup,
                writer=writer,
                progress=progress,
                main=main,
            )
        finally:
            with uninterrupted():
                batches.close()  # type: ignore[attr-defined]
            if writer is not None:
                writer.close()
            if log is not None:
                log.close()


def stage_facts(clock: Clock, per_step: int) -> dict[str, Any]:
    """Duration of a stage, for the manifest."""
    return {"steps": clock.step, "samples": clock.step * per_step, "minutes": round(clock.elapsed_s / 60, 1)}
