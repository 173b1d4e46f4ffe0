"""Teaches a trained model one more task on its frozen trunk: `rsdfm train --head NAME --freeze-trunk --init MODEL`.

The result is the model of `--init` with the head added: every other weight is the same to the bit, so the features that
its UAVs exchange mean what they meant before, and models with and without the head fly together.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.device import autocast_arguments, choose_device
from rsdfm_ros.model.heads.lookup import head_class
from rsdfm_ros.model.heads.registry import Head
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model
from rsdfm_ros.training import command
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.features import HeadSamples
from rsdfm_ros.training.loop import Checkpoints, Clock, prefetch
from rsdfm_ros.training.objective import UncertaintyWeights
from rsdfm_ros.training.stages import (
    Limits,
    Run,
    descend,
    make_optimiser,
    progress_bar,
    run_logged,
    stage_facts,
)


class HeadObjective(nn.Module):
    """The losses of one head, weighted by their learned uncertainty."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.weights = UncertaintyWeights(head.loss_names)

    def forward(self, history: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts."""
        parts = self.head.losses(self.head(history), targets)
        return self.weights(parts), {k: v.detach() for k, v in parts.items()}


def open_donor(args: argparse.Namespace) -> tuple[RSDFM, dict[str, Any]]:
    """The model of --init and its manifest. Raises: RsdfmError if it has the head already."""
    donor, manifest, _ = load_model(args.init)
    if args.head in donor.config.heads:
        raise RsdfmError(
            f"{args.init} has a {args.head} head already; it has {', '.join(donor.config.heads)}"
        )
    return donor, manifest


def run(
    args: argparse.Namespace,
    given: tuple[RSDFM, dict[str, Any]],
    dataset: Dataset,
    planned: TrainingConfig,
    config: TrainingConfig,
) -> int:
    """Train the head and write the model folder `<out>/model`; an interrupted run goes on where it stopped."""
    name, (donor, manifest) = str(args.head), given
    device = choose_device(args.device)
    torch.manual_seed(config.seed)
    model = with_head(donor, name)
    head, facts = train_head(model, name, dataset, config, args, device)
    final = with_head(donor, name)
    final.head(name).load_state_dict(head.state_dict())
    seen = command.data_facts(dataset.scenes[: config.head_scenes or None])
    about = _about(manifest, name, config, seen, facts)
    command.finish(args.out, final, about, {f"{name} head": facts}, {f"{name} head": planned.head_steps})
    print(f"its weights are those of {args.init} and a {name} head")
    return 0


def with_head(donor: RSDFM, name: str) -> RSDFM:
    """A model with the weights of `donor` and one more head, whose weights are new."""
    model = RSDFM(dataclasses.replace(donor.config, heads=(*donor.config.heads, name)))
    model.load_state_dict(donor.state_dict(), strict=False)
    return model.eval()


def require(dataset: Dataset, heads: list[str], sources: Sequence[Path | str]) -> None:
    """RsdfmError if the data set lacks what the heads learn from; it names the first scene without it."""
    for name in heads:
        if "layout" not in head_class(name).needs:
            continue
        missing = [scene.name for n, scene in enumerate(dataset.scenes) if dataset.layout(n) is None]
        if missing:
            source = " ".join(str(s) for s in sources)
            raise RsdfmError(
                f"the {name} head learns from layout masks, which {len(missing)} of {len(dataset.scenes)} scenes in "
                f"{source} have not ({missing[0]} …): add them with `rsdfm data layout {source}` if it was simulated, "
                "or in its map table (docs/datasets.md)"
            )


def train_head(
    model: RSDFM,
    name: str,
    dataset: Dataset,
    config: TrainingConfig,
    args: argparse.Namespace,
    device: torch.device,
) -> tuple[Head, dict[str, Any]]:
    """The trained head, and how long that took. The trunk works on the (smaller) window of the training settings."""
    narrow = RSDFM(dataclasses.replace(model.config, window_tiles=config.window_tiles))
    narrow.load_state_dict(model.state_dict())
    narrow = narrow.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    share = float(np.prod(config.window_tiles[2:]) / np.prod(model.config.window_tiles[2:]))
    objective = HeadObjective(narrow.head(name)).to(device)
    optimiser = make_optimiser(objective, config)
    limits = Limits(args.minutes)
    clock = Clock(config.head_steps, limits.seconds("head"))
    checkpoints = Checkpoints(args.out / f"head_{name}.pt")
    checkpoints.load(objective, optimiser, clock)
    if clock.progress >= 1.0:
        return narrow.head(name), stage_facts(clock, config.head_batch)
    samples = HeadSamples(args.out, dataset, narrow.config, narrow.head(name), config, share)
    with progress_bar() as bar:
        task = bar.add_task("features", losses="")
        samples.fill(
            narrow,
            device,
            config.head_steps,
            lambda n, total: bar.update(task, completed=n, total=total),
            limits.seconds("features"),
        )

    def step(batch: Any, progress: float) -> dict[str, float]:
        history, targets = batch
        targets = {k: v.to(device) for k, v in targets.items()}
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(history.to(device, torch.float32), targets)
        descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    batches = prefetch(samples.batch, clock.step)
    run = Run(args.out, dataset, config, limits, device, share)
    run_logged(f"head_{name}", objective, optimiser, clock, step, batches, checkpoints, run)
    return narrow.head(name), stage_facts(clock, config.head_batch)


def _about(
    manifest: dict[str, Any], name: str, config: TrainingConfig, seen: dict[str, Any], stage: dict[str, Any]
) -> dict[str, Any]:
    """The manifest of the donor, with an entry for the head."""
    own = ("format", "config", "weights_sha256", "parameters")
    about = {k: v for k, v in manifest.items() if k not in own}
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k.startswith("head_") or k == "seed"}
    added = {
        "trunk": manifest["weights_sha256"],
        "settings": json.loads(json.dumps(settings)),
        "data": seen,
        **stage,
    }
    return about | {"added_heads": {**about.get("added_heads", {}), name: added}}
