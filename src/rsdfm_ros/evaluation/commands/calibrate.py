"""`rsdfm evaluate --calibrate`."""

from __future__ import annotations

import argparse

import torch
from rich.console import Console

from rsdfm_ros.evaluation.calibrate import METHODS, calibrate
from rsdfm_ros.evaluation.commands.request import asked_scenes, asked_seeds
from rsdfm_ros.evaluation.commands.results import write_results
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods.by_name import check_methods
from rsdfm_ros.evaluation.report.progress import frames_shown
from rsdfm_ros.evaluation.scenes import refuse_training_data, seeds_of
from rsdfm_ros.evaluation.session import worker_pool
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.perception import Perception


def run_calibration(args: argparse.Namespace) -> int:
    """Choose the thresholds, print them and write them where --json says."""
    perception = Perception.load(args.model, choose_device(args.device), args.engine)
    check_methods(perception, METHODS, Disturbance())
    if args.data is None:
        refuse_training_data(perception.manifest, asked_seeds(args))
    scenes, _ = asked_scenes(args)
    seeds = seeds_of(scenes)
    refuse_training_data(perception.manifest, seeds)
    torch.set_num_threads(1)
    with frames_shown(scenes) as on_frame, worker_pool() as pool:
        chosen = calibrate(perception, scenes, args.budget_bytes, pool, on_frame)
    Console().print(chosen.describe())
    write_results(args, perception, chosen.to_dict(), seeds[0], say=False)
    return 0
