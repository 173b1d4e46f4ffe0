"""Train a model on a dataset made by `rsdfm simulate --depth`, and write a model folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from rsdfm_ros.data.nuscenes import Dataset, SceneInfo, open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.device import autocast_arguments, choose_device
from rsdfm_ros.model.heads.registry import import_plugins
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import read_manifest, save_model, warm_start
from rsdfm_ros.training.codec import CodecObjective, draw_habit
from rsdfm_ros.training.config import TrainingConfig, load_training_config
from rsdfm_ros.training.loop import Checkpoints, Clock, prefetch, run_stage
from rsdfm_ros.training.objective import Batch, TrunkObjective, collate, trunk_losses
from rsdfm_ros.training.samples import TrunkSampler
from rsdfm_ros.training.temporal import FeatureCache, TemporalObjective, TemporalSampler, temporal_heads

STAGES = ("trunk", "temporal", "codec")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm train`."""
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="dataset folders (rsdfm simulate … --depth, or a public set: docs/datasets.md); DIR@train: a split of it",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config/model/nano.yaml"),
        help="model and training settings (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="where checkpoints, logs and the model go; resumes there"
    )
    parser.add_argument(
        "--init", type=Path, metavar="MODEL", help="model folder to start from instead of random weights"
    )
    parser.add_argument(
        "--minutes", type=float, help="time limit of the trunk stage; the schedule adapts to it"
    )
    parser.add_argument(
        "--head",
        metavar="NAME",
        help="teach the model of --init one more task, such as layout, instead of training a model",
    )
    parser.add_argument(
        "--freeze-trunk", action="store_true", help="with --head: leave every other weight as it is"
    )
    parser.add_argument(
        "--steps", type=int, help="overrides the optimiser steps of the trunk stage, or of --head"
    )
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module that registers a head; may be repeated",
    )
    parser.add_argument(
        "--stages",
        nargs="+",
        choices=STAGES,
        default=list(STAGES),
        metavar="STAGE",
        help=f"which stages to run, of {', '.join(STAGES)} (default: all); the others leave the weights of --init",
    )
    parser.add_argument("--temporal-minutes", type=float, help="time limit of the temporal stage")
    parser.add_argument("--codec-minutes", type=float, help="time limit of the codec stage")
    parser.add_argument("--seed", type=int, help="overrides the seed of the configuration")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Train, stage by stage; everything that is finished is kept when the run is repeated."""
    import_plugins(args.plugin)
    model_config, config = load_model_config(args.config), load_training_config(args.config)
    if args.seed is not None:
        config = dataclasses.replace(config, seed=args.seed)
    if args.steps is not None:
        changed = {"head_steps" if args.head else "steps": args.steps}
        config = dataclasses.replace(config, **changed)
    if args.init is None and set(args.stages) != set(STAGES):
        raise RsdfmError("--stages leaves weights as they are: --init MODEL says which")
    datasets = [open_dataset(path) for path in args.data]
    for path, one in zip(args.data, datasets, strict=True):
        if not any(s.frames for s in one.scenes):
            raise RsdfmError(f"{path} holds no frames; make some with `rsdfm simulate --out {path} --depth`")
        if not all(scene.depth for scene in one.scenes):
            print(
                f"{path} ({one.description.name}) stores no depth: heights are learned from the 3D boxes and the "
                "ground beside them, nothing is known of buildings and trees"
            )
    dataset = datasets[0] if len(datasets) == 1 else Dataset.together(datasets)
    if args.threads:
        torch.set_num_threads(args.threads)
    from rsdfm_ros.training import add_head  # which uses this module

    if args.head:
        return add_head.run(args, dataset, config)
    add_head.require(dataset, list(model_config.heads), args.data)
    device = choose_device(args.device, int(os.environ.get("LOCAL_RANK", "0")))
    rank, world = _join(device)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    trained = RSDFM(dataclasses.replace(model_config, window_tiles=config.window_tiles))
    if args.init is not None:
        fresh = warm_start(trained, args.init)
        print(f"starting from {args.init}; new tensors: {', '.join(fresh) or 'none'}")
    trained = trained.to(device, memory_format=torch.channels_last)
    try:
        times: dict[str, Any] = {}
        if "trunk" in args.stages:
            times["trunk"] = _train_trunk(trained, dataset, config, args, device, rank, world)
        if rank == 0:
            if "temporal" in args.stages and config.temporal_steps and temporal_heads(trained):
                times["temporal"] = _train_temporal(trained, dataset, config, args, device)
            if "codec" in args.stages and config.codec_steps:
                times["codec"] = _tune_codec(trained, dataset, config, args, device)
            final = RSDFM(model_config)
            final.load_state_dict(trained.state_dict())
            folder = save_model(args.out / "model", final, _about(args, config, dataset, times))
            print(f"saved the model in {folder}")
    finally:
        if world > 1:
            dist.destroy_process_group()
    return 0


def _join(device: torch.device) -> tuple[int, int]:
    """Rank and world size; joins the other processes when started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return dist.get_rank(), world
    return 0, 1


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:5.1f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
        refresh_per_second=0.5,
    )


def _train_trunk(
    model: RSDFM,
    dataset: Dataset,
    config: TrainingConfig,
    args: argparse.Namespace,
    device: torch.device,
    rank: int,
    world: int,
) -> dict[str, Any]:
    heads = [n for n in model.config.heads if not model.head(n).temporal]
    objective = TrunkObjective(model, heads, trunk_losses(model, heads)).to(device)
    optimiser = _optimiser(objective, config)
    clock = Clock(config.steps, args.minutes * 60 if args.minutes else None)
    checkpoints = Checkpoints(args.out / "trunk.pt")
    checkpoints.load(objective, optimiser, clock)
    if clock.progress >= 1.0:
        return _times(clock, config.batch_frames * world)
    wrapped: nn.Module = objective
    if world > 1:
        wrapped = nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)
    sampler = TrunkSampler(dataset, model.config, config)

    def make(index: int) -> Batch:
        first = index * config.batch_frames
        return collate([sampler[first + n] for n in range(config.batch_frames)], model, heads)

    share = _share(config, args)

    def step(batch: Batch, progress: float) -> dict[str, float]:
        rng = np.random.default_rng([config.seed, 6, clock.step])  # the same on every rank
        # What torch draws depends on the step alone too, so that a resumed run equals one in a single go.
        torch.manual_seed(int(np.random.default_rng([config.seed, 10, clock.step, rank]).integers(1 << 62)))
        cells = 0
        if progress >= config.codec_from and rng.random() < config.codec_share:
            cells = round(config.draw_cells(rng) * share)
        tile_drop = config.tile_drop if rng.random() < config.tile_drop_share else 0.0
        with torch.autocast(**autocast_arguments(device)):
            total, parts = wrapped(batch.to(device), cells, tile_drop)
        _descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    batches = prefetch(make, clock.step * world + rank, stride=world)
    _run(objective, optimiser, clock, step, batches, checkpoints, "trunk", config, args, rank == 0)
    return _times(clock, config.batch_frames * world)


def _train_temporal(
    model: RSDFM, dataset: Dataset, config: TrainingConfig, args: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    model.eval()
    cache = FeatureCache(args.out, dataset, model.config, config.seed, scenes=config.temporal_scenes)
    with _bar() as bar:
        task = bar.add_task("features", losses="")
        cache.fill(model, device, lambda n, total: bar.update(task, completed=n, total=total))
    objective = TemporalObjective(model).to(device)
    optimiser = _optimiser(objective, config)
    clock = Clock(config.temporal_steps, args.temporal_minutes * 60 if args.temporal_minutes else None)
    checkpoints = Checkpoints(args.out / "temporal.pt")
    checkpoints.load(objective, optimiser, clock)
    sampler = TemporalSampler(cache, model, config)

    def step(batch: Any, progress: float) -> dict[str, float]:
        history, targets = batch
        targets = {n: {k: v.to(device) for k, v in t.items()} for n, t in targets.items()}
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(history.to(device, torch.float32), targets)
        _descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    if clock.progress < 1.0:
        batches = prefetch(sampler.batch, clock.step)
        _run(objective, optimiser, clock, step, batches, checkpoints, "temporal", config, args, True)
    return _times(clock, config.temporal_batch)


def _tune_codec(
    model: RSDFM, dataset: Dataset, config: TrainingConfig, args: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    model.eval()
    objective = CodecObjective(model).to(device)
    optimiser = _optimiser(objective, config)
    clock = Clock(config.codec_steps, args.codec_minutes * 60 if args.codec_minutes else None)
    checkpoints = Checkpoints(args.out / "codec.pt")
    checkpoints.load(objective, optimiser, clock)
    # Everybody fuses with everybody, undisturbed: only the compression is to blame for a difference.
    agents = (*[0.0] * (len(config.agents_weights) - 1), 1.0)
    calm = dataclasses.replace(
        config, agents_weights=agents, pose_noise_share=0.0, delay_share=0.0, seed=config.seed + 1
    )
    sampler, share = TrunkSampler(dataset, model.config, calm), _share(config, args)

    def make(index: int) -> Batch:
        first = index * config.batch_frames
        return collate([sampler[first + n] for n in range(config.batch_frames)], model, [])

    def step(batch: Batch, progress: float) -> dict[str, float]:
        rng = np.random.default_rng([config.seed, 7, clock.step])
        cells = config.draw_cells(rng)
        low, coarseness = draw_habit(rng, cells)
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(batch.to(device), round(cells * share), low, coarseness)
        _descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    if clock.progress < 1.0:
        batches = prefetch(make, clock.step)
        _run(objective, optimiser, clock, step, batches, checkpoints, "codec", config, args, True)
    return _times(clock, config.batch_frames)


def _share(config: TrainingConfig, args: argparse.Namespace) -> float:
    """The window trained on as a share of the whole."""
    return float(np.prod(config.window_tiles[2:]) / np.prod(load_model_config(args.config).window_tiles[2:]))


def _optimiser(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; no weight decay on norms, biases and loss weights."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _descend(total: torch.Tensor, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    if not torch.isfinite(total):
        raise RsdfmError(
            "the loss is no longer finite; lower `learning_rate` and resume from the last checkpoint"
        )
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    # What an earlier stage left on frozen parameters is no gradient of this one.
    trained = [p for p in module.parameters() if p.requires_grad and p.grad is not None]
    nn.utils.clip_grad_norm_(trained, 10.0)
    optimiser.step()


def _run(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    clock: Clock,
    step: Any,
    batches: Any,
    checkpoints: Checkpoints,
    name: str,
    config: TrainingConfig,
    args: argparse.Namespace,
    main: bool,
) -> None:
    writer = SummaryWriter(str(args.out / "tensorboard")) if main else None
    log = (args.out / "log.jsonl").open("a") if main else None
    with _bar() as bar:
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
        except KeyboardInterrupt:
            print(
                f"interrupted at step {clock.step} of stage {name}; the same command resumes from {checkpoints.path}"
            )
            raise
        finally:
            batches.close()
            if writer is not None:
                writer.close()
            if log is not None:
                log.close()


def _times(clock: Clock, per_step: int) -> dict[str, Any]:
    return {"steps": clock.step, "samples": clock.step * per_step, "minutes": round(clock.elapsed_s / 60, 1)}


def data_facts(scenes: Sequence[SceneInfo]) -> dict[str, Any]:
    """What a manifest says of the scenes that a model has seen."""
    return {
        "scenes": len(scenes),
        "frames": sum(s.frames for s in scenes),
        "seeds": sorted(s.seed for s in scenes if s.seed is not None),
    }


def _about(
    args: argparse.Namespace, config: TrainingConfig, dataset: Dataset, times: dict[str, Any]
) -> dict[str, Any]:
    return {
        "training": {
            "settings": json.loads(json.dumps(dataclasses.asdict(config))),
            "data": data_facts(dataset.scenes),
            "stages": times,
            "init": None if args.init is None else read_manifest(args.init)["weights_sha256"],
            "torch": str(torch.__version__),
            "device": str(args.device),
        },
        "thresholds": {"segmentation": 0.5, "trajectory": 0.5, "detection": 0.05},
    }
