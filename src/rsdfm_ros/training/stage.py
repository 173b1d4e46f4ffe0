"""One stage of a training run: its limits, its state on disk, its optimiser steps and its log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.loop import Checkpoints, Clock, run_stage
from rsdfm_ros.waiting import uninterrupted


@dataclass(frozen=True)
class Limits:
    """Time limits in minutes, None without: of each part of a run, and of single stages."""

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
    """Values that all stages of a run use. share: the window trained on, as a share of the model's whole window ·
    frozen_encoder: whether the trunk stage leaves the encoder as it is."""

    out: Path
    dataset: Dataset
    config: TrainingConfig
    limits: Limits
    device: torch.device
    share: float
    rank: int = 0
    world: int = 1
    frozen_encoder: bool = False


@dataclass(frozen=True)
class Stage:
    """Modules that a stage trains, and its progress. per_step: samples that a step of the optimiser sees."""

    name: str
    module: nn.Module
    optimiser: torch.optim.Optimizer
    clock: Clock
    checkpoints: Checkpoints
    per_step: int

    @classmethod
    def open(
        cls, name: str, module: nn.Module, run: Run, *, steps: int, per_step: int, origin: str = ""
    ) -> Stage:
        """A stage of `steps` steps, new or where its checkpoint left it. origin: see `Checkpoints`."""
        optimiser = make_optimiser(module, run.config)
        clock = Clock(steps, run.limits.seconds(name))
        checkpoints = Checkpoints(run.out / f"{name}.pt", origin)
        checkpoints.load(module, optimiser, clock)
        return cls(name, module, optimiser, clock, checkpoints, per_step)

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.clock.progress >= 1.0

    def facts(self) -> dict[str, Any]:
        """Duration so far, for the manifest."""
        clock = self.clock
        return {
            "steps": clock.step,
            "samples": clock.step * self.per_step,
            "minutes": round(clock.elapsed_s / 60, 1),
        }


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
    # A gradient that an earlier stage left on frozen parameters is none of this one.
    trained = [p for p in module.parameters() if p.requires_grad and p.grad is not None]
    nn.utils.clip_grad_norm_(trained, 10.0)
    optimiser.step()


def loss_figures(total: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """A total loss and its parts as numbers, for the log."""
    return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}


def run_logged(
    stage: Stage, step: Callable[[Any, float], dict[str, float]], batches: Iterator[Any], run: Run
) -> None:
    """Run a stage to its end, with a progress bar, a line in log.jsonl now and then, and logs for TensorBoard."""
    main, config = run.rank == 0, run.config
    writer = SummaryWriter(str(run.out / "tensorboard")) if main else None
    log = (run.out / "log.jsonl").open("a") if main else None
    with progress_bar() as bar:
        task = bar.add_task(stage.name, losses="", total=1.0)

        def progress(clock: Clock, averages: dict[str, float]) -> None:
            shown = " ".join(f"{k.rpartition('.')[2]} {v:.3f}" for k, v in averages.items())
            bar.update(task, completed=clock.progress, losses=f"step {clock.step} {shown}")
            if log is not None and clock.step % 50 == 0:
                row = {"stage": stage.name, "step": clock.step, "elapsed_s": round(clock.elapsed_s, 1)}
                log.write(json.dumps(row | {k: round(v, 5) for k, v in averages.items()}) + "\n")
                log.flush()

        try:
            run_stage(
                stage.name,
                stage.module,
                stage.optimiser,
                stage.clock,
                step,
                batches,
                stage.checkpoints,
                peak_rate=config.codec_rate if stage.name == "codec" else config.learning_rate,
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


@contextlib.contextmanager
def features_shown() -> Iterator[Callable[[int, int], None]]:
    """Show a bar while features are computed; yields what takes their number so far and in all."""
    with progress_bar() as bar:
        task = bar.add_task("features", losses="")
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
