"""Train a model on a dataset made by `rsdfm simulate --depth`, and write a model folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from rsdfm_ros.data.nuscenes import Dataset, SceneInfo, open_dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.device import choose_device
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import read_manifest, warm_start
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.request import STAGES, check_options, settings_of
from rsdfm_ros.training.run_folder import identity, publish, run_folder
from rsdfm_ros.training.stages import Limits, Run, train_temporal, train_trunk, tune_codec
from rsdfm_ros.training.temporal import temporal_heads


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
        "--out",
        type=Path,
        required=True,
        help="where checkpoints, logs and the model go; the same command goes on there",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="start over in --out, whatever was trained there; its model stays until the new one is complete",
    )
    parser.add_argument(
        "--init", type=Path, metavar="MODEL", help="model folder to start from instead of random weights"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="time limit of each part: trunk (or --head), features, temporal, codec; the schedules adapt to it",
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
        "--steps",
        type=int,
        help="overrides the optimiser steps of the trunk stage, or of --head; no other stage takes more",
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
        metavar="STAGE",
        help=f"which stages to run, of {', '.join(STAGES)} (default: all); the others leave the weights of --init",
    )
    parser.add_argument("--temporal-minutes", type=float, help="as --minutes, of the temporal stage alone")
    parser.add_argument("--codec-minutes", type=float, help="as --minutes, of the codec stage alone")
    parser.add_argument("--seed", type=int, help="overrides the seed of the configuration")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Train, stage by stage; everything that is finished is kept when the run is repeated.

    Raises: RsdfmError; KeyboardInterrupt with what was saved.
    """
    check_options(args)
    model_config, planned, config = settings_of(args)
    dataset = _open(args.data)
    from rsdfm_ros.training import add_head  # which uses this module

    add_head.require(dataset, [args.head] if args.head else list(model_config.heads), args.data)
    if args.threads:
        torch.set_num_threads(args.threads)
    what = identity(
        model_config.to_dict(),
        config,
        dataset.scenes,
        init=None if args.init is None else read_manifest(args.init)["weights_sha256"],
        head=args.head,
        stages=args.stages or STAGES,
    )
    try:
        if args.head:
            donor = add_head.open_donor(args)
            with run_folder(args.out, what, force=args.force):
                return add_head.run(args, donor, dataset, planned, config)
        trained = _starting_model(args, model_config, config)
        if int(os.environ.get("RANK", "0")):  # the first process looks after the folder
            return _train(args, trained, model_config, dataset, planned, config)
        with run_folder(args.out, what, force=args.force):
            return _train(args, trained, model_config, dataset, planned, config)
    except KeyboardInterrupt as interrupt:
        again = "the same command" + (" without --force" if args.force else "")
        raise KeyboardInterrupt(f"{interrupt or 'nothing is lost'}; {again} goes on from there") from None


def _open(paths: Sequence[Path]) -> Dataset:
    """The data sets as one; says what they lack. Raises: RsdfmError."""
    datasets = [open_dataset(path) for path in paths]
    for path, one in zip(paths, datasets, strict=True):
        if not any(s.frames for s in one.scenes):
            raise RsdfmError(f"{path} holds no frames; make some with `rsdfm simulate --out {path} --depth`")
        if not all(scene.depth for scene in one.scenes):
            print(
                f"{path} ({one.description.name}) stores no depth: heights are learned from the 3D boxes and the "
                "ground beside them, nothing is known of buildings and trees"
            )
    return datasets[0] if len(datasets) == 1 else Dataset.together(datasets)


def _starting_model(args: argparse.Namespace, model_config: ModelConfig, config: TrainingConfig) -> RSDFM:
    """The model that is trained, on the window trained on, with random weights or those of --init."""
    torch.manual_seed(config.seed)
    trained = RSDFM(dataclasses.replace(model_config, window_tiles=config.window_tiles))
    if args.init is not None:
        fresh = warm_start(trained, args.init)
        print(f"starting from {args.init}; new tensors: {', '.join(fresh) or 'none'}")
    return trained


def _train(
    args: argparse.Namespace,
    trained: RSDFM,
    model_config: ModelConfig,
    dataset: Dataset,
    planned: TrainingConfig,
    config: TrainingConfig,
) -> int:
    device = choose_device(args.device, int(os.environ.get("LOCAL_RANK", "0")))
    rank, world = _join(device)
    trained = trained.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    limits = Limits(args.minutes, args.temporal_minutes, args.codec_minutes)
    share = float(np.prod(config.window_tiles[2:]) / np.prod(model_config.window_tiles[2:]))
    run = Run(args.out, dataset, config, limits, device, share, rank, world)
    stages = args.stages or STAGES
    steps: dict[str, int] = {}
    try:
        times: dict[str, Any] = {}
        if "trunk" in stages:
            times["trunk"] = train_trunk(trained, run)
            steps["trunk"] = planned.steps
        if rank == 0:
            if "temporal" in stages and config.temporal_steps and temporal_heads(trained):
                times["temporal"] = train_temporal(trained, run)
                steps["temporal"] = planned.temporal_steps
            if "codec" in stages and config.codec_steps:
                times["codec"] = tune_codec(trained, run)
                steps["codec"] = planned.codec_steps
            final = RSDFM(model_config)
            final.load_state_dict(trained.state_dict())
            finish(args.out, final, _about(args, config, dataset, times), times, steps)
    finally:
        if world > 1:
            dist.destroy_process_group()
    return 0


def finish(
    out: Path, model: RSDFM, about: dict[str, Any], times: Mapping[str, Any], planned: Mapping[str, int]
) -> None:
    """Write the model folder, and say where it is and which stages were shorter than planned."""
    folder, new = publish(out, model, about)
    print(
        f"saved the model in {folder}"
        if new
        else f"the model in {folder} is finished: nothing is left to train"
    )
    short = [f"{n} {t['steps']} of {planned[n]} steps" for n, t in times.items() if t["steps"] < planned[n]]
    if short:
        print(f"it can be used, but was trained shorter than configured: {', '.join(short)}", file=sys.stderr)


def _join(device: torch.device) -> tuple[int, int]:
    """Rank and world size; joins the other processes when started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return dist.get_rank(), world
    return 0, 1


def data_facts(scenes: Sequence[SceneInfo]) -> dict[str, Any]:
    """Manifest entry of the scenes that a model was trained on."""
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
