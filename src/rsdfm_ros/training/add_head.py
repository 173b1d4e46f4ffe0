"""Trains one more task of a trained model on its frozen trunk: `rsdfm train --head NAME --freeze-trunk --init MODEL`.

The result is the model of `--init` with the head added: every other weight is the same to the bit, so the features that
its UAVs exchange stay compatible, and models with and without the head fly together.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.engine.device import autocast_arguments, choose_device
from rsdfm_ros.model.heads.lookup import head_class
from rsdfm_ros.model.heads.registry import Head
from rsdfm_ros.model.neck import Neck
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import load_model
from rsdfm_ros.training.config import TrainingConfig
from rsdfm_ros.training.features import HeadSamples, task_features
from rsdfm_ros.training.loop import prefetch
from rsdfm_ros.training.objective import UncertaintyWeights
from rsdfm_ros.training.stage import Run, Stage, descend, features_shown, loss_figures, run_logged
from rsdfm_ros.training.trainer import Job, Trained, data_facts, finish, window_share


class HeadObjective(nn.Module):
    """The losses of one head, weighted by their learned uncertainty."""

    def __init__(self, head: Head, neck: Neck) -> None:
        super().__init__()
        self.head = head
        self._neck = (neck,)  # frozen, and no part of what is trained
        self.weights = UncertaintyWeights(head.loss_names)

    def forward(self, history: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its parts. history: see `task_features`."""
        with torch.no_grad():
            features = task_features(self._neck[0], history)
        parts = self.head.losses(self.head(features), targets)
        return self.weights(parts), {k: v.detach() for k, v in parts.items()}


def open_donor(folder: Path, name: str) -> tuple[RSDFM, dict[str, Any]]:
    """The model of a folder and its manifest. Raises: RsdfmError if it has a head of that name already."""
    donor, manifest, _ = load_model(folder)
    if name in donor.config.heads:
        raise RsdfmError(f"{folder} has a {name} head already; it has {', '.join(donor.config.heads)}")
    return donor, manifest


def train(job: Job, name: str, donor: RSDFM, manifest: dict[str, Any]) -> Trained:
    """Train the head and publish the donor with it; an interrupted run goes on where it stopped."""
    config = job.config
    torch.manual_seed(config.seed)
    head, facts = train_head(with_head(donor, name), name, job)
    final = with_head(donor, name)
    final.head(name).load_state_dict(head.state_dict())
    seen = data_facts(job.dataset.scenes[: config.head_scenes or None])
    about = _about(manifest, name, config, seen, facts)
    return finish(job.out, final, about, {f"{name} head": facts}, {f"{name} head": job.planned.head_steps})


def with_head(donor: RSDFM, name: str) -> RSDFM:
    """A model with the weights of `donor` and one more head, whose weights are new."""
    model = RSDFM(dataclasses.replace(donor.config, heads=(*donor.config.heads, name)))
    model.load_state_dict(donor.state_dict(), strict=False)
    return model.eval()


def require(dataset: Dataset, heads: list[str], sources: Sequence[Path | str]) -> None:
    """RsdfmError if the data set lacks truth that the heads need; it names the first scene without it."""
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


def train_head(model: RSDFM, name: str, job: Job) -> tuple[Head, dict[str, Any]]:
    """The trained head, and the duration of its training. The trunk works on the (smaller) window of the training
    settings."""
    config, device = job.config, choose_device(job.device)
    narrow = RSDFM(dataclasses.replace(model.config, window_tiles=config.window_tiles))
    narrow.load_state_dict(model.state_dict())
    narrow = narrow.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    head, share = narrow.head(name), window_share(config, model.config)
    run = Run(job.out, job.dataset, config, job.limits, device, share)
    objective = HeadObjective(head, narrow.neck).to(device)
    stage = Stage.open(f"head_{name}", objective, run, steps=config.head_steps, per_step=config.head_batch)
    if stage.finished:
        return head, stage.facts()
    samples = HeadSamples(job.out, job.dataset, narrow.config, head, config, share)
    with features_shown() as shown:
        samples.fill(narrow, device, config.head_steps, shown, run.limits.seconds("features"))

    def step(batch: Any, progress: float) -> dict[str, float]:
        history, targets = batch
        targets = {k: v.to(device) for k, v in targets.items()}
        with torch.autocast(**autocast_arguments(device)):
            total, parts = objective(history.to(device, torch.float32), targets)
        descend(total, objective, stage.optimiser)
        return loss_figures(total, parts)

    objective.train()
    batches = prefetch(samples.batch, stage.clock.step)
    run_logged(stage, step, batches, run)
    return head, stage.facts()


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
