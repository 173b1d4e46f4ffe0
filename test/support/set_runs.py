"""One short training run and one evaluation on a data set, and where its boxes appear in its images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rsdfm_ros.data.nuscenes import Dataset
from rsdfm_ros.evaluation.commands import evaluate as evaluate_command
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.model.config import load_model_config
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.model.store import save_model
from rsdfm_ros.training import command as train_command
from support.public_sets import COLOURS
from support.training_runs import SETTINGS


def write_settings(folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


def write_model(folder: Path) -> Path:
    """A tiny random model whose window holds the areas of the evaluation."""
    wide = {name: value for name, value in SETTINGS["model"].items() if name != "window_tiles"}
    (folder / "wide.yaml").write_text(yaml.safe_dump({"model": wide}))
    perception = Perception.random(load_model_config(folder / "wide.yaml"))
    about = {"thresholds": {"segmentation": 0.5, "trajectory": 0.5, "detection": 0.05}}
    return save_model(folder / "tiny", perception.model, about)


def train_one_step(data: Path, folder: Path, *options: str) -> Path:
    """The model of a run of a single step of the trunk and of each later stage."""
    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    config, out = write_settings(folder), folder / "run"
    words = [
        "--data",
        str(data),
        "--out",
        str(out),
        "--config",
        str(config),
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    assert train_command.run(parser.parse_args([*words, "--steps", "1", *options])) == 0
    return out / "model"


def evaluate(data: Path, model: Path, uavs: int, out: Path) -> dict[str, dict[str, Any]]:
    """The rows of the methods single and rsdfm, by name."""
    parser = argparse.ArgumentParser()
    evaluate_command.add_arguments(parser)
    words = [
        "--data",
        str(data),
        "--model",
        str(model),
        "--uavs",
        str(uavs),
        "--egos",
        "1",
        "--json",
        str(out),
    ]
    assert evaluate_command.run(parser.parse_args([*words, "--methods", "single,rsdfm"])) == 0
    return {row["method"]: row for row in json.loads(out.read_text())["results"]}


def hits(dataset: Dataset, scene: int, k: int, colours: dict[int, int]) -> tuple[int, int]:
    """Boxes of frame k whose middle has the colour of its vehicle in an image, and all whose middle is in an image.

    colours: object id → which of COLOURS.
    """
    frame, found, seen = dataset.load(scene, k), 0, 0
    for view in frame.views:
        uv, depth = project(frame.objects.centres, view.K, view.T_map_camera)
        for n, (u, v) in enumerate(uv):
            if depth[n] > 4.0 and 2 <= u < view.image.shape[1] - 2 and 2 <= v < view.image.shape[0] - 2:
                seen += 1
                expected = COLOURS[colours[int(frame.objects.ids[n])]]
                found += bool(np.abs(view.image[int(v), int(u)].astype(int) - expected).max() < 60)
    return found, seen
