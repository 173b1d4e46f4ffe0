"""Evaluate a model on held-out scenes: a table of accuracy against bytes for every way to collaborate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from rsdfm_ros.agent.options import DEFAULTS
from rsdfm_ros.evaluation.commands.calibrate import run_calibration
from rsdfm_ros.evaluation.commands.mapping import run_mapping
from rsdfm_ros.evaluation.commands.request import (
    SCENES,
    asked_protocol,
    asked_scenes,
    asked_seeds,
    check_options,
)
from rsdfm_ros.evaluation.commands.results import write_results
from rsdfm_ros.evaluation.disturb import Disturbance, parse_disturbance
from rsdfm_ros.evaluation.engine import add_engine_argument
from rsdfm_ros.evaluation.methods import DEFAULT_METHODS, METHODS
from rsdfm_ros.evaluation.methods.by_name import check_methods, parse_methods
from rsdfm_ros.evaluation.report.progress import frames_shown
from rsdfm_ros.evaluation.report.spread import spread_table
from rsdfm_ros.evaluation.report.table import print_table
from rsdfm_ros.evaluation.scenes import CACHE, check_staggered, missing_truth, refuse_training_data
from rsdfm_ros.evaluation.scores import results_of
from rsdfm_ros.evaluation.session import evaluate_scenes
from rsdfm_ros.evaluation.settings import settings_of
from rsdfm_ros.model.engine.device import choose_device
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.shipped import SHIPPED_MODEL
from rsdfm_ros.sim.config import DEFAULT_FRAMES, DEFAULT_UAVS, TEST_SEEDS_FROM, VALIDATION_SEEDS_FROM
from rsdfm_ros.sim.dataset import world_options
from rsdfm_ros.wire.message import DATAGRAM_PACKET_BYTES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm evaluate`."""
    parser.add_argument(
        "--model", type=Path, default=Path(SHIPPED_MODEL), help="model folder (default %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="dataset (default: simulated scenes, kept in out/data)"
    )
    parser.add_argument(
        "--scenes", type=int, metavar="N", help=f"number of scenes (default {SCENES}, or all of --data)"
    )
    parser.add_argument("--seed", type=int, help=f"seed of the first scene (default {TEST_SEEDS_FROM})")
    parser.add_argument(
        "--frames", type=int, help=f"frames per scene at 2 Hz (default {DEFAULT_FRAMES}, or all of --data)"
    )
    parser.add_argument(
        "--uavs", type=int, default=DEFAULT_UAVS, help="UAVs that take part (default %(default)s)"
    )
    parser.add_argument(
        "--egos", type=int, help="how many UAVs are scored, each with all as peers (default all)"
    )
    parser.add_argument(
        "--methods",
        default=",".join(DEFAULT_METHODS),
        help="comma-separated, of " + ", ".join(METHODS) + ", or all (default %(default)s)",
    )
    parser.add_argument(
        "--budget-bytes",
        type=int,
        default=DEFAULTS.budget_bytes,
        help="serialised bytes per frame and UAV that rsdfm may send on average (default %(default)s)",
    )
    parser.add_argument(
        "--max-packet-bytes",
        type=int,
        default=DEFAULTS.max_packet_bytes,
        metavar="N",
        help=f"largest serialised message of those methods; {DATAGRAM_PACKET_BYTES}: with all headers one Ethernet "
        "frame (default %(default)s)",
    )
    parser.add_argument(
        "--disturb",
        default="",
        metavar="K=V,…",
        help="loss=0.2,latency_ms=200,pose_sigma_m=0.5,pose_sigma_deg=0.5,drop_uavs=1,attackers=1,"
        "attack_kind=mirrored,seed=0; more in docs/evaluation.md (default none)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write protocol and results there")
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="NAME=V,V…",
        help="evaluate at each value, e.g. loss=0,0.1,0.5 or pose=0/0,0.5/0.5 (m/deg); may be repeated; grid: the "
        "whole grid of docs/evaluation.md. Needs --json, goes on where an earlier sweep into that file ended",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="with --sweep: draw the gains there (.svg, .png, .pdf)"
    )
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module that registers a head of the model; may be repeated",
    )
    parser.add_argument(
        "--seeds-spread",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="instead: the spread of results (--json) of models that differ in their seed only, as a table",
    )
    parser.add_argument(
        "--mapping",
        action="store_true",
        help="evaluate the mapping instead: heights of pixels and places of objects' pixels against recorded depth "
        "(--data simulated with --depth, or scenes rendered now), with the true height and with --fixed-height",
    )
    parser.add_argument(
        "--fixed-height",
        type=float,
        default=50.0,
        metavar="M",
        help="with --mapping: the assumed camera height for comparison (default %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N (default %(default)s)")
    add_engine_argument(parser, "torch")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help=f"choose the thresholds instead, on validation scenes (default seed {VALIDATION_SEEDS_FROM})",
    )
    world_options.add_arguments(parser, "the world of simulated scenes (not with --data)")


def run(args: argparse.Namespace) -> int:
    """Runs `rsdfm evaluate`."""
    if args.seeds_spread:
        print(spread_table(args.seeds_spread))
        return 0
    check_options(args)
    methods = parse_methods(args.methods)
    disturbance = parse_disturbance(args.disturb)
    try:
        if args.sweep:
            from rsdfm_ros.evaluation.commands.sweep import run_sweeps  # matplotlib takes a second

            return run_sweeps(args, methods)
        if args.mapping:
            return run_mapping(args)
        if args.calibrate:
            return run_calibration(args)
        return _evaluate(args, methods, disturbance)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or _what_stays(args)) from None


def _what_stays(args: argparse.Namespace) -> str:
    """Message about the results that remain after an interruption."""
    nothing = (
        "no results were written, because figures count all scenes together; the same command starts anew"
    )
    return nothing if args.data is not None or args.mapping else f"{nothing}, with the scenes kept in {CACHE}"


def _evaluate(args: argparse.Namespace, methods: tuple[str, ...], disturbance: Disturbance) -> int:
    perception = Perception.load(args.model, choose_device(args.device), args.engine)
    check_methods(perception, methods, disturbance)
    if args.data is None:
        refuse_training_data(perception.manifest, asked_seeds(args))
    scenes, source = asked_scenes(args)
    check_staggered(scenes, disturbance)
    protocol = asked_protocol(args, perception, scenes, source, disturbance)
    for sentence in missing_truth(perception, scenes, source):
        print(sentence, file=sys.stderr)
    with frames_shown(scenes) as on_frame:
        (scores,) = evaluate_scenes(perception, scenes, [settings_of(protocol, methods)], on_frame)
    results = results_of(scores)
    print_table(results, Console())
    seed = protocol.seeds[0] if protocol.seeds else None
    write_results(args, perception, {"protocol": protocol.to_dict(), "results": results}, seed)
    return 0
