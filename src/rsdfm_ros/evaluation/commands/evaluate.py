"""Evaluate a model on held-out scenes: a table of accuracy against bytes for every way to collaborate."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.calibrate import calibrate
from rsdfm_ros.evaluation.commands.progress import frame_bar
from rsdfm_ros.evaluation.commands.request import FRAMES, SCENES, asked_seeds, check_options
from rsdfm_ros.evaluation.disturb import Disturbance, parse_disturbance
from rsdfm_ros.evaluation.methods import DEFAULT_METHODS, METHODS
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.metrics.accumulator import Result
from rsdfm_ros.evaluation.protocol import TEST_SEEDS_FROM, VALIDATION_SEEDS_FROM, Protocol
from rsdfm_ros.evaluation.report.table import print_table
from rsdfm_ros.evaluation.scenes import (
    CACHE,
    DatasetScene,
    check_staggered,
    open_scenes,
    refuse_training_data,
    simulated,
    simulated_as,
)
from rsdfm_ros.evaluation.session import MethodScore, Settings, evaluate_cases, worker_pool
from rsdfm_ros.evaluation.spread import spread_table
from rsdfm_ros.model.device import choose_device
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.provenance import provenance
from rsdfm_ros.sim.dataset import world_options
from rsdfm_ros.sim.record import changes
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES

#: Methods that exchange boxes, always or where something disturbs.
BY_BOXES = ("late", "where2comm", "rsdfm", "rsdfm-ondemand")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rsdfm evaluate`."""
    parser.add_argument(
        "--model", type=Path, default=Path("models/nano"), help="model folder (default %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="dataset (default: simulated scenes, kept in out/data)"
    )
    parser.add_argument(
        "--scenes", type=int, metavar="N", help=f"number of scenes (default {SCENES}, or all of --data)"
    )
    parser.add_argument("--seed", type=int, help=f"seed of the first scene (default {TEST_SEEDS_FROM})")
    parser.add_argument(
        "--frames", type=int, help=f"frames per scene at 2 Hz (default {FRAMES}, or all of --data)"
    )
    parser.add_argument("--uavs", type=int, default=4, help="UAVs that take part (default %(default)s)")
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
        default=DEFAULT_BUDGET_BYTES,
        help="serialised bytes per frame and UAV that rsdfm may send on average (default %(default)s)",
    )
    parser.add_argument(
        "--disturb",
        default="",
        metavar="K=V,…",
        help="loss=0.2,latency_ms=200,pose_sigma_m=0.5,pose_sigma_deg=0.5,drop_uavs=1,attackers=1,seed=0; more in "
        "docs/evaluation.md (default none)",
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
        help="judge the mapping instead: heights of pixels and places of objects' pixels against recorded depth "
        "(--data simulated with --depth, or scenes rendered now), with the true height and with --fixed-height",
    )
    parser.add_argument(
        "--fixed-height",
        type=float,
        default=50.0,
        metavar="M",
        help="with --mapping: the camera height that is believed for comparison (default %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N (default %(default)s)")
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
            from rsdfm_ros.evaluation.commands.sweep import run_sweeps

            return run_sweeps(args, methods)
        if args.mapping:
            from rsdfm_ros.evaluation.commands.mapping import run_mapping

            return run_mapping(args)
        return _evaluate(args, methods, disturbance)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or _what_stays(args)) from None


def _what_stays(args: argparse.Namespace) -> str:
    """What an interruption leaves, in a sentence."""
    nothing = (
        "no results were written, because figures count all scenes together; the same command starts anew"
    )
    return nothing if args.data is not None or args.mapping else f"{nothing}, with the scenes kept in {CACHE}"


def _evaluate(args: argparse.Namespace, methods: tuple[str, ...], disturbance: Disturbance) -> int:
    perception = Perception.load(args.model, choose_device(args.device))
    check_methods(perception, ("late", "rsdfm") if args.calibrate else methods, disturbance)
    if args.data is None:
        refuse_training_data(perception.manifest, asked_seeds(args))
    scenes, source = find_scenes(args)
    check_staggered(scenes, disturbance)
    if args.calibrate:
        refuse_training_data(perception.manifest, _seeds(scenes))
        return _calibrate(perception, scenes, args)
    protocol = make_protocol(args, perception, scenes, source, disturbance)
    for sentence in missing_truth(perception, scenes, source):
        print(sentence, file=sys.stderr)
    scores = evaluate(perception, scenes, settings_of(protocol, methods))
    results = results_of(scores)
    print_table(results, Console())
    if args.json is not None:
        origin = origin_of(args.model, perception, protocol.seeds[0] if protocol.seeds else None)
        write_json(args.json, {"protocol": protocol.to_dict(), "results": results, "provenance": origin})
        print(f"results written to {args.json}", file=sys.stderr)
    return 0


def make_protocol(
    args: argparse.Namespace,
    perception: Perception,
    scenes: Sequence[DatasetScene],
    source: str,
    disturbance: Disturbance,
) -> Protocol:
    """What the options ask for, as it is written beside the results. Raises: LeakageError."""
    seeds = _seeds(scenes)
    refuse_training_data(perception.manifest, seeds)
    thresholds = Thresholds.of(perception)
    infos = [s.dataset.scenes[s.place] for s in scenes]
    return Protocol(
        model=str(args.model),
        model_fingerprint=f"{perception.fingerprint:016x}",
        data=source,
        scenes=tuple(info.name for info in infos),
        seeds=seeds,
        uavs=args.uavs,
        egos=args.uavs if args.egos is None else min(args.egos, args.uavs),
        frames_per_scene=tuple(s.frames for s in scenes),
        budget_bytes=args.budget_bytes,
        segmentation_threshold=thresholds.segmentation,
        detection_threshold=thresholds.detection,
        disturbance=disturbance,
        world=changes(simulated_as(scenes[0].dataset.path)),
        cell_size_m=perception.output_window.cell_size,
        styles=tuple(info.style for info in infos),
        weathers=tuple(info.weather for info in infos),
        terrains=tuple(info.terrain for info in infos),
    )


def settings_of(protocol: Protocol, methods: tuple[str, ...]) -> Settings:
    """What the runner needs of a protocol."""
    thresholds = Thresholds(protocol.segmentation_threshold, protocol.detection_threshold)
    return Settings(
        methods, protocol.egos, protocol.budget_bytes, thresholds, protocol.disturbance, protocol.areas
    )


def _seeds(scenes: Sequence[DatasetScene]) -> tuple[int | None, ...]:
    return tuple(s.dataset.scenes[s.place].seed for s in scenes)


def parse_methods(text: str) -> tuple[str, ...]:
    """Method names in the order given; RsdfmError names an unknown one."""
    names = tuple(dict.fromkeys(filter(None, (n.strip() for n in text.split(",")))))
    if names == ("all",):
        return tuple(METHODS)
    unknown = [n for n in names if n not in METHODS]
    if unknown or not names:
        raise RsdfmError(
            f"unknown method {', '.join(unknown) or '(none)'}: expected some of {', '.join(METHODS)}"
        )
    return names


def check_methods(perception: Perception, methods: Sequence[str], disturbance: Disturbance) -> None:
    """RsdfmError if a method exchanges boxes and the model detects none."""
    if "detection" in perception.config.heads:
        return
    boxes = ("late", "where2comm") if disturbance == Disturbance() else BY_BOXES
    wrong = [m for m in methods if m in boxes]
    if wrong:
        fine = ", ".join(m for m in METHODS if m not in boxes)
        raise RsdfmError(
            f"{', '.join(wrong)} exchange boxes, and this model has no detection head (it has "
            f"{', '.join(perception.config.heads)}): give --methods of {fine}"
        )


def missing_truth(perception: Perception, scenes: Sequence[DatasetScene], source: str) -> list[str]:
    """What the data lacks that tasks of the model are judged by, in sentences; their figures are null."""
    if "layout" not in needs_of(perception.plug_ins):
        return []
    missing = [s for s in scenes if s.layout() is None]
    if not missing:
        return []
    folder = missing[0].dataset.path
    return [
        f"{len(missing)} of {len(scenes)} scenes ({source}) have no layout masks, so the layout is not scored there: "
        f"add them with `rsdfm data layout {folder}` if they are simulated"
    ]


def find_scenes(args: argparse.Namespace) -> tuple[list[DatasetScene], str]:
    """The scenes that the options ask for, and where they come from."""
    if args.data is not None:
        scenes = open_scenes(args.data, args.uavs, first=args.seed, scenes=args.scenes, frames=args.frames)
        return scenes, str(args.data)
    seeds = asked_seeds(args)
    folder = simulated(seeds.start, len(seeds), args.uavs, args.frames or FRAMES, world_options.given(args))
    return open_scenes(folder, args.uavs, first=seeds.start, scenes=len(seeds)), "simulated"


def evaluate(
    perception: Perception, scenes: Sequence[DatasetScene], settings: Settings, title: str = "frames"
) -> dict[str, MethodScore]:
    """Figures of every method over all scenes, with a progress bar."""
    return evaluate_together(perception, scenes, [settings], title)[0]


def evaluate_together(
    perception: Perception, scenes: Sequence[DatasetScene], cases: Sequence[Settings], title: str = "frames"
) -> list[dict[str, MethodScore]]:
    """As :func:`evaluate` for several cases in one pass, which share what they can."""
    totals: list[dict[str, MethodScore]] = [{} for _ in cases]
    torch.set_num_threads(1)  # several agents and methods run side by side instead
    with frame_bar() as bar, worker_pool() as pool:
        task = bar.add_task(title, total=sum(max(s.frames - 4, 0) for s in scenes))
        for scene in scenes:
            scores = evaluate_cases(perception, scene, cases, pool, lambda: bar.advance(task))
            for total, case in zip(totals, scores, strict=True):
                for name, score in case.items():
                    if name in total:
                        total[name].merge(score)
                    else:
                        total[name] = score
            scene.close()
    return totals


def results_of(scores: dict[str, MethodScore]) -> list[dict[str, Any]]:
    """One dictionary per method; `gain_*` is the difference to single, where that was evaluated."""
    figures = {name: score.result() for name, score in scores.items()}
    results: list[dict[str, Any]] = []
    for name, row in figures.items():
        gains: Result = {}
        for key in ("iou_long", "iou_short", "vpq_long", "vpq_short", "map", "ap"):
            value, base = row[key], figures.get("single", {}).get(key)
            if value is not None and base is not None:
                gains[f"gain_{key}"] = value - base
        results.append({"method": name, "frames": scores[name].areas["long"].frames, **row, **gains})
    return results


def origin_of(model: Path | str, perception: Perception, seed: int | None) -> dict[str, Any]:
    """Provenance of what was computed with a loaded model. seed: of the first simulated scene."""
    return provenance(seed=seed, model=model, fingerprint=perception.fingerprint)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a result file in one step."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _calibrate(perception: Perception, scenes: Sequence[DatasetScene], args: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    with frame_bar() as bar, worker_pool() as pool:
        task = bar.add_task("frames", total=sum(max(s.frames - 4, 0) for s in scenes))
        found = calibrate(perception, scenes, args.budget_bytes, pool, lambda: bar.advance(task))
    Console().print(found.describe())
    if args.json is not None:
        origin = origin_of(args.model, perception, _seeds(scenes)[0])
        write_json(args.json, {**found.to_dict(), "provenance": origin})
    return 0
