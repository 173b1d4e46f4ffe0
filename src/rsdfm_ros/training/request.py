"""The request of `rsdfm train`, checked before anything is read, computed or written."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ModelConfig, load_model_config
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.heads.lookup import head_class, import_plugins
from rsdfm_ros.model.heads.registry import BUILT_IN
from rsdfm_ros.model.store import read_manifest
from rsdfm_ros.options import require_range
from rsdfm_ros.outputs import check_output_folder
from rsdfm_ros.training.config import TrainingConfig, load_training_config
from rsdfm_ros.yaml_file import YamlError, read_yaml

STAGES = ("distil", "trunk", "temporal", "codec")
_MOST_MINUTES = 60.0 * 24 * 365
_FLEET = ("uavs", "world", "uav", "evaluator", "network")


def check_options(args: argparse.Namespace) -> None:
    """Raise RsdfmError for options that contradict each other or are out of range, and for an impossible --out."""
    require_range("--steps", args.steps, 1, 1_000_000_000)
    for option in ("minutes", "temporal_minutes", "codec_minutes"):
        value = getattr(args, option)
        name = f"--{option.replace('_', '-')}"
        if value is not None and not 0.0 < value <= _MOST_MINUTES:
            raise RsdfmError(f"{name} {value:g}: expected minutes above 0")
    require_range("--threads", args.threads, 1, 1024)
    if args.learning_rate is not None and not 0.0 < args.learning_rate <= 1.0:
        raise RsdfmError(f"--learning-rate {args.learning_rate:g}: expected a rate above 0, at most 1")
    require_range("--seed", args.seed, 0, 2**31 - 1)
    stages = args.stages or STAGES
    if args.teacher is None and args.stages and "distil" in stages:
        raise RsdfmError("--stages distil: the encoder learns from another model: add --teacher MODEL")
    if args.head:
        _check_head(args)
    elif args.freeze_trunk:
        raise RsdfmError(
            "--freeze-trunk belongs to --head NAME, the task that is added to the model of --init"
        )
    elif args.freeze_encoder and (args.init is None or "trunk" not in stages):
        raise RsdfmError(
            "--freeze-encoder keeps the encoder of --init MODEL while the trunk stage trains the rest: it needs both"
        )
    elif args.init is None and args.teacher is None and not set(STAGES) - {"distil"} <= set(stages):
        raise RsdfmError("--stages leaves weights as they are: --init MODEL says which")
    for stage, minutes in (("temporal", args.temporal_minutes), ("codec", args.codec_minutes)):
        if minutes is not None and (args.head or stage not in stages):
            asked = f"--head {args.head}" if args.head else f"--stages {' '.join(stages)}"
            raise RsdfmError(
                f"--{stage}-minutes: the {stage} stage is not part of {asked}; leave one of them out"
            )
    check_output_folder("--out", args.out)
    choose_device(args.device)
    import_plugins(args.plugin)
    if args.head:
        head_class(args.head)
    for folder in (args.init, args.teacher):
        if folder is not None:
            read_manifest(folder)
    if args.freeze_encoder and args.teacher is not None:
        raise RsdfmError("--teacher trains the encoder, which --freeze-encoder keeps: leave one of them out")
    if args.teacher is not None and (args.head or "distil" not in stages):
        raise RsdfmError("--teacher is for the distil stage, which is not part of this run: leave it out")


def _check_head(args: argparse.Namespace) -> None:
    if args.head in BUILT_IN:
        raise RsdfmError(
            f"--head {args.head}: that head belongs to the trunk's own training; expected a plug-in such as layout"
        )
    if args.stages:
        raise RsdfmError("--stages says what is trained instead of --head: leave one of them out")
    if args.freeze_encoder:
        raise RsdfmError("--head leaves the encoder as it is anyway: leave --freeze-encoder out")
    if not args.freeze_trunk:
        raise RsdfmError(
            "--head trains on a frozen trunk: add --freeze-trunk; to train it together with the trunk, name it under "
            "`heads:` of the model configuration instead"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RsdfmError("--head trains in one process, which is enough for it: start it without torchrun")
    if args.init is None:
        raise RsdfmError("--head needs the model whose trunk it learns on: add --init MODEL")


def settings_of(args: argparse.Namespace) -> tuple[ModelConfig, TrainingConfig, TrainingConfig]:
    """The model's settings, those of the training as in the file, and with the changes by options.

    --steps is the number of steps of the trunk stage or of --head; no other stage takes more. Raises: RsdfmError that
    names --config.
    """
    _check_config(args.config)
    try:
        model, planned = load_model_config(args.config), load_training_config(args.config)
    except RsdfmError as error:
        raise RsdfmError(f"--config {args.config}: {error}") from error
    if args.seed is not None:
        planned = dataclasses.replace(planned, seed=args.seed)
    if args.learning_rate is not None:
        planned = dataclasses.replace(planned, learning_rate=args.learning_rate)
    if args.steps is None:
        return model, planned, planned
    steps: dict[str, Any] = {
        "steps": args.steps,
        "head_steps": args.steps,
        "distil_steps": min(planned.distil_steps, args.steps),
        "temporal_steps": min(planned.temporal_steps, args.steps),
        "codec_steps": min(planned.codec_steps, args.steps),
    }
    return model, planned, dataclasses.replace(planned, **steps)


def _check_config(path: Path) -> None:
    """Raise RsdfmError unless the file is a mapping of model settings."""
    expected = "expected a file of model and training settings, such as config/model/nano.yaml"
    try:
        values = read_yaml(path)
    except OSError as error:
        raise RsdfmError(f"--config {path} cannot be read ({error.strerror}): {expected}") from error
    except YamlError as error:
        raise RsdfmError(f"--config {path} is no YAML ({error}): {expected}") from error
    if not isinstance(values, dict):
        raise RsdfmError(f"--config {path} holds no settings: {expected}")
    if isinstance(values.get("model"), str) or len(set(values) & set(_FLEET)) >= 2:
        raise RsdfmError(f"--config {path} looks like a fleet description, for `rsdfm fleet`: {expected}")
    for section in ("model", "training"):
        if section in values and not isinstance(values[section], dict):
            raise RsdfmError(
                f"--config {path}: `{section}` is {values[section]!r}, expected settings by name"
            )
