"""Train a model on a dataset made by `rsdfm simulate --depth`, and write a model folder."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rsdfm_ros.data.check import open_usable
from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.store import read_manifest
from rsdfm_ros.training import add_head
from rsdfm_ros.training.distil import load_teacher, start_from_teacher
from rsdfm_ros.training.request import STAGES, check_options, settings_of
from rsdfm_ros.training.run_folder import identity, run_folder
from rsdfm_ros.training.stage import Limits
from rsdfm_ros.training.trainer import Job, Trained, rank_of_process, starting_model, train


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
        help="start over in --out, in place of any run there; its model stays until the new one is complete",
    )
    parser.add_argument(
        "--init", type=Path, metavar="MODEL", help="model folder to start from instead of random weights"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="MODEL",
        help="model with a larger encoder: it starts as a part of that one, and learns in the stage distil to "
        "give the same features",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="time limit of each part: distil, trunk (or --head), features, temporal, codec; the schedules adapt to it",
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

    Raises: RsdfmError; KeyboardInterrupt that names the saved state.
    """
    check_options(args)
    model_config, planned, config = settings_of(args)
    dataset = _open(args.data)
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
        teacher=None if args.teacher is None else read_manifest(args.teacher)["weights_sha256"],
    )
    limits = Limits(args.minutes, args.temporal_minutes, args.codec_minutes)
    job = Job(args.out, dataset, planned, config, limits, args.device, args.init)
    try:
        if args.head:
            _add_head(args, job, what)
        else:
            _train(args, job, model_config, what)
    except KeyboardInterrupt as interrupt:
        again = "the same command" + (" without --force" if args.force else "")
        raise KeyboardInterrupt(f"{interrupt or 'nothing is lost'}; {again} goes on from there") from None
    return 0


def _add_head(args: argparse.Namespace, job: Job, what: dict[str, Any]) -> None:
    donor, manifest = add_head.open_donor(args.init, args.head)
    with run_folder(args.out, what, force=args.force):
        _say(add_head.train(job, args.head, donor, manifest))
        print(f"its weights are those of {args.init} and a {args.head} head")


def _train(args: argparse.Namespace, job: Job, model_config: ModelConfig, what: dict[str, Any]) -> None:
    model, fresh = starting_model(model_config, job.config, args.init)
    if args.init is not None:
        print(f"starting from {args.init}; new tensors: {', '.join(fresh) or 'none'}")
    teacher = None if args.teacher is None else load_teacher(args.teacher, model)
    if teacher is not None and args.init is None:
        start_from_teacher(model, teacher)
    first = rank_of_process() == 0
    with run_folder(args.out, what, force=args.force) if first else contextlib.nullcontext():
        trained = train(job, model, model_config, args.stages or STAGES, teacher)
        if trained is not None:
            _say(trained)


def _say(trained: Trained) -> None:
    """Print the path of the model and the stages that were shorter than planned."""
    print(
        f"saved the model in {trained.folder}"
        if trained.new
        else f"the model in {trained.folder} is finished: nothing is left to train"
    )
    if trained.short:
        print(
            f"it can be used, but was trained shorter than configured: {', '.join(trained.short)}",
            file=sys.stderr,
        )


def _open(paths: Sequence[Path]) -> Dataset:
    """The data sets as one, with a note on missing truth. Raises: RsdfmError."""
    datasets = [open_usable(path) for path in paths]
    for path, one in zip(paths, datasets, strict=True):
        if not any(s.frames for s in one.scenes):
            raise RsdfmError(f"{path} holds no frames; make some with `rsdfm simulate --out {path} --depth`")
        if not all(scene.depth for scene in one.scenes):
            print(
                f"{path} ({one.description.name}) stores no depth: heights are learned from the 3D boxes and the "
                "ground beside them, nothing is known of buildings and trees"
            )
    return datasets[0] if len(datasets) == 1 else Dataset.together(datasets)
