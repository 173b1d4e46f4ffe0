"""Teaches a trained model one more task on its frozen trunk: `rsdfm train --head NAME --freeze-trunk --init MODEL`.

The result is the model of `--init` with the head added: every other weight is the same to the bit, so the features that
its UAVs exchange mean what they meant before, and models with and without the head fly together.
"""

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
from torch import Tensor, nn

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.device import autocast_arguments, choose_device
from rsdfm_ros.model.heads.registry import BUILT_IN, Head, head_class
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model, save_model
from rsdfm_ros.training import command
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.features import HeadSamples
from rsdfm_ros.training.loop import Checkpoints, Clock, prefetch
from rsdfm_ros.training.objective import UncertaintyWeights


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


def run(args: argparse.Namespace, dataset: Dataset, config: TrainingConfig) -> int:
    """Train the head and write the model folder `<out>/model`; an interrupted run goes on where it stopped."""
    name = _checked(args)
    donor, manifest, _ = load_model(args.init)
    if name in donor.config.heads:
        raise RsdfmError(f"{args.init} has a {name} head already; it has {', '.join(donor.config.heads)}")
    require(dataset, [name], args.data)
    device = choose_device(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    model = with_head(donor, name)
    head, minutes = train_head(model, name, dataset, config, args, device)
    final = with_head(donor, name)
    final.head(name).load_state_dict(head.state_dict())
    seen = command.data_facts(dataset.scenes[: config.head_scenes or None])
    folder = save_model(args.out / "model", final, _about(manifest, name, config, seen, minutes))
    print(f"saved the model in {folder}: the weights of {args.init} and a {name} head")
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
    samples = HeadSamples(args.out, dataset, narrow.config, narrow.head(name), config, share)
    with command._bar() as bar:
        task = bar.add_task("features", losses="")
        samples.fill(narrow, device, lambda n, total: bar.update(task, completed=n, total=total))
    objective = HeadObjective(narrow.head(name)).to(device)
    optimiser = command._optimiser(objective, config)
    clock = Clock(config.head_steps, args.minutes * 60 if args.minutes else None)
    checkpoints = Checkpoints(args.out / f"head_{name}.pt")
    checkpoints.load(objective, optimiser, clock)

    def step(batch: Any, progress: float) -> dict[str, float]:
        history, targets = batch
        targets = {k: v.to(device) for k, v in targets.items()}
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(history.to(device, torch.float32), targets)
        command._descend(total, objective, optimiser)
        return {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}}

    objective.train()
    if clock.progress < 1.0:
        batches = prefetch(samples.batch, clock.step)
        command._run(
            objective, optimiser, clock, step, batches, checkpoints, f"head_{name}", config, args, True
        )
    return narrow.head(name), command._times(clock, config.head_batch)


def _checked(args: argparse.Namespace) -> str:
    name = str(args.head)
    if name in BUILT_IN:
        raise RsdfmError(
            f"--head {name}: that head belongs to the trunk's own training; expected a plug-in such as layout"
        )
    head_class(name)
    if not args.freeze_trunk:
        raise RsdfmError(
            "--head trains on a frozen trunk: add --freeze-trunk; to train it together with the trunk, name it under "
            "`heads:` of the model configuration instead"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RsdfmError("--head trains in one process, which is enough for it: start it without torchrun")
    if args.init is None:
        raise RsdfmError("--head needs the model whose trunk it learns on: add --init MODEL")
    return name


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
