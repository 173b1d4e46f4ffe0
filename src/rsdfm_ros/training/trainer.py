"""Trains a model stage by stage and publishes it in the folder of the run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from rsdfm_ros.agent.camera_range import ranges_over
from rsdfm_ros.data.nuscenes import Dataset, SceneInfo
from rsdfm_ros.model.config import ModelConfig
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import read_manifest, warm_start
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.run_folder import publish
from rsdfm_ros.training.stage import Limits, Run
from rsdfm_ros.training.stages import distil_encoder, train_temporal, train_trunk, tune_codec


@dataclass(frozen=True)
class Job:
    """One training run as it is asked for.

    planned: the settings of the configuration · config: those with what the options change, such as fewer steps ·
    device: its name, for `choose_device` · init: folder of the model that it starts from.
    """

    out: Path
    dataset: Dataset
    planned: TrainingConfig
    config: TrainingConfig
    limits: Limits
    device: str
    init: Path | None = None


@dataclass(frozen=True)
class Trained:
    """The model folder of a run, whether it holds other weights than before, and the stages that were cut short."""

    folder: Path
    new: bool
    short: tuple[str, ...]


def rank_of_process() -> int:
    """Number of this process among those that torchrun started; the first one looks after the run's folder."""
    return int(os.environ.get("RANK", "0"))


def starting_model(model: ModelConfig, config: TrainingConfig, init: Path | None) -> tuple[RSDFM, list[str]]:
    """The model that is trained, on the window trained on, and the names of its tensors that `init` has not.

    Its weights are random, or those of `init`.
    """
    torch.manual_seed(config.seed)
    trained = RSDFM(dataclasses.replace(model, window_tiles=config.window_tiles))
    return trained, [] if init is None else list(warm_start(trained, init))


def train(
    job: Job, model: RSDFM, final: ModelConfig, stages: Sequence[str], teacher: RSDFM | None = None
) -> Trained | None:
    """Train a model in `stages` and publish it with the configuration `final`; None in all processes but the first.

    teacher: of the distil stage, which is left out without.
    """
    config, cameras = job.config, ranges_over(job.dataset)
    device = choose_device(job.device, int(os.environ.get("LOCAL_RANK", "0")))
    rank, world = _join(device)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    share = window_share(config, final)
    run = Run(job.out, job.dataset, config, job.limits, device, share, rank, world)
    times: dict[str, Any] = {}
    steps: dict[str, int] = {}
    try:
        if "distil" in stages and teacher is not None and config.distil_steps and not rank:
            times["distil"] = distil_encoder(model, teacher, run)
            steps["distil"] = job.planned.distil_steps
        if "trunk" in stages:
            times["trunk"] = train_trunk(model, run)
            steps["trunk"] = job.planned.steps
        if rank:
            return None
        if "temporal" in stages and config.temporal_steps and model.heads:
            times["temporal"] = train_temporal(model, run)
            steps["temporal"] = job.planned.temporal_steps
        if "codec" in stages and config.codec_steps:
            times["codec"] = tune_codec(model, run)
            steps["codec"] = job.planned.codec_steps
        whole = RSDFM(final)
        whole.load_state_dict(model.state_dict())
        return finish(job.out, whole, _about(job, cameras, times), times, steps)
    finally:
        if world > 1:
            dist.destroy_process_group()


def finish(
    out: Path, model: RSDFM, about: dict[str, Any], times: Mapping[str, Any], planned: Mapping[str, int]
) -> Trained:
    """Publish a model. times: what `Stage.facts` says, by stage · planned: the steps of the configuration, likewise."""
    folder, new = publish(out, model, about)
    short = tuple(
        f"{n} {t['steps']} of {planned[n]} steps" for n, t in times.items() if t["steps"] < planned[n]
    )
    return Trained(folder, new, short)


def window_share(config: TrainingConfig, model: ModelConfig) -> float:
    """The window trained on, as a share of the model's whole window."""
    return float(np.prod(config.window_tiles[2:]) / np.prod(model.window_tiles[2:]))


def data_facts(scenes: Sequence[SceneInfo]) -> dict[str, Any]:
    """Manifest entry of the scenes that a model was trained on."""
    return {
        "scenes": len(scenes),
        "frames": sum(s.frames for s in scenes),
        "seeds": sorted(s.seed for s in scenes if s.seed is not None),
    }


def _join(device: torch.device) -> tuple[int, int]:
    """Rank and world size; joins the other processes when started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return dist.get_rank(), world
    return 0, 1


def _about(job: Job, cameras: dict[str, list[float]], times: dict[str, Any]) -> dict[str, Any]:
    """The manifest's part on the training, and thresholds to begin with."""
    return {
        "training": {
            "settings": json.loads(json.dumps(dataclasses.asdict(job.config))),
            "data": data_facts(job.dataset.scenes),
            "cameras": cameras,
            "stages": times,
            "init": None if job.init is None else read_manifest(job.init)["weights_sha256"],
            "torch": str(torch.__version__),
            "device": job.device,
        },
        "thresholds": {"segmentation": 0.5, "trajectory": 0.5, "detection": 0.05},
    }
