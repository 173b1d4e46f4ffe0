"""Generalisation of a mapping to altitudes, pitches, fields of view and image sizes unlike those of training.

    scripts/with_ros python -m benchmarks.generalisation --models out/relative/model out/absolute/model \
        --json out/generalisation.json --plot out/generalisation.svg

Along every axis the simulator flies the same missions with one thing fixed to another value. Compared are a model with
the true height, the same model with every camera assumed at --fixed-height, and, for a model with the absolute lift,
its own depths. The file is written after every point; a restarted run skips the points in it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.protocol import BUDGET_BYTES, UAVS
from rsdfm_ros.data.frame import Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.mapping import rendered, variants
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.metrics.mapping import MappingScore, mapping_scores
from rsdfm_ros.evaluation.protocol import AREAS, HISTORY, scored_frames
from rsdfm_ros.evaluation.report.plots import LINES
from rsdfm_ros.evaluation.scenes import refuse_training_data
from rsdfm_ros.evaluation.scores import MethodScore, merge_scores
from rsdfm_ros.evaluation.session import evaluate_scene, worker_count
from rsdfm_ros.evaluation.settings import Settings
from rsdfm_ros.geometry.ground import Ground, GroundPlane
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.outputs import write_json
from rsdfm_ros.shipped import SHIPPED_MODEL
from rsdfm_ros.sim.config import TEST_SEEDS_FROM, FlightConfig, SimConfig, WorldConfig

METHODS = ("single", "dense")
MAPPING_STRIDE = 3
FIGURES: tuple[tuple[str, str, str], ...] = (
    ("IoU, UAVs together", "iou_long", ".3f"),
    ("IoU alone", "iou_single", ".3f"),
    ("AP at 2 m, together", "ap", ".3f"),
    ("position error m", "position_error_m", ".2f"),
    ("height MAE m", "height_mae_m", ".3f"),
)
"""Heading, key in the file, format."""


@dataclass(frozen=True)
class Axis:
    """The varied quantity: its label, its values as they are shown, and the simulator's settings at each of them."""

    label: str
    points: tuple[tuple[str, SimConfig], ...]


def _flying(**changes: Any) -> SimConfig:
    return SimConfig(flight=FlightConfig(**changes))


AXES: dict[str, Axis] = {
    "altitude": Axis(
        "altitude (m)",
        (
            *((f"{a}", _flying(altitude_m=(a, a))) for a in (20, 30, 45, 60, 80, 100)),
            ("20–100", _flying(altitude_m=(20, 100))),
        ),
    ),
    "pitch": Axis(
        "pitch below the horizon (°)",
        tuple((f"{p}", _flying(pitch_deg=(p, p))) for p in (30, 40, 50, 60, 70)),
    ),
    "fov": Axis(
        "horizontal field of view (°)",
        tuple((f"{v:g}", SimConfig(horizontal_fov_rad=math.radians(v))) for v in (50, 62.5, 75, 87.5, 100)),
    ),
    "terrain": Axis(
        "terrain", tuple((t, SimConfig(world=WorldConfig(terrain=t))) for t in ("flat", "slope", "steps"))
    ),
    "size": Axis(
        "image (px)",
        tuple(
            (f"{w}×{h}", SimConfig(width_px=w, height_px=h))
            for w, h in ((240, 136), (352, 192), (480, 270), (480, 360), (640, 360), (960, 540))
        ),
    ),
}
"""The study. Training data: 480 × 270 px, 75°, altitudes 30 to 80 m, pitches 35° to 60°."""


@dataclass(frozen=True)
class RenderedScene:
    """A scene (evaluation.scene_source.SceneSource) that is rendered once for all variants."""

    number: int
    uavs: int
    config: SimConfig
    frames: int

    @cached_property
    def _rendered(self) -> tuple[Ground, list[WorldFrame]]:
        ground, frames = rendered(self.number, self.uavs, self.config, range(scored_frames(self.frames).stop))
        return ground, list(frames)

    @property
    def images(self) -> list[WorldFrame]:
        """All frames that are looked at, with depth: those after the last scored one are only looked forward to."""
        return self._rendered[1]

    @cached_property
    def _later(self) -> list[Objects]:
        """The objects of the frames after those."""
        from rsdfm_ros.sim.world import World

        with World(self.number, self.uavs, self.config) as world:
            return [world.objects(k) for k in range(scored_frames(self.frames).stop, self.frames)]

    def ground(self) -> Ground | None:
        """The true ground."""
        return self._rendered[0]

    def load(self, k: int) -> WorldFrame:
        """Frame k."""
        return self.images[k]

    def objects(self, k: int) -> Objects:
        """The objects of frame k."""
        shown = len(self.images)
        return self.images[k].objects if k < shown else self._later[k - shown]

    def layout(self) -> LayoutMap | None:
        """Not asked for: this study is about vehicles."""
        return None

    def earlier(self, k: int, lead_s: float) -> WorldFrame | None:
        """Refused: nothing is delayed here."""
        raise RsdfmError("this study has no delays")


def evaluate_point(
    models: dict[str, Perception], scenes: Sequence[RenderedScene], egos: int
) -> dict[str, dict[str, Any]]:
    """Figures of every variant of every model over scenes."""
    rows: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(worker_count()) as pool:
        for name, perception in models.items():
            settings = Settings(METHODS, egos, BUDGET_BYTES, Thresholds.of(perception), Disturbance(), AREAS)
            scores: dict[str, MethodScore] = {}
            mapping = MappingScore()
            for scene in scenes:
                frames, ground = scene.images[::MAPPING_STRIDE], scene.ground() or GroundPlane()
                mapping.merge(mapping_scores({name: perception.on_ground(ground)}, frames, ground)[name])
                merge_scores(scores, evaluate_scene(perception, scene, settings, pool))
            together, alone = scores["dense"].result(), scores["single"].result()
            rows[name] = {
                **{key: together[key] for key in ("iou_long", "iou_visible_long", "ap", "map")},
                "iou_single": alone["iou_long"],
                "ap_single": alone["ap"],
                **mapping.result(),
            }
    return rows


def compared(folders: Sequence[Path], fixed_height_m: float, seeds: Sequence[int]) -> dict[str, Perception]:
    """Every variant of every model: `<model>, <variant>`, the model's name only where there are several."""
    models = [Perception.load(folder) for folder in folders]
    out: dict[str, Perception] = {}
    for folder, model in zip(folders, models, strict=True):
        refuse_training_data(model.manifest, list(seeds))
        for variant, perception in variants(model, fixed_height_m).items():
            name = f"{model.config.name}, {variant}" if len(models) > 1 else variant
            if name in out:
                raise RsdfmError(f"{folder}: a model called {model.config.name} is compared already")
            out[name] = perception
    return out


def run(args: argparse.Namespace) -> None:
    """Evaluate the points missing in the file, then print and draw."""
    if args.frames < HISTORY + FUTURE_STEPS:
        raise RsdfmError(f"--frames {args.frames}: a scored frame needs {HISTORY + FUTURE_STEPS}")
    torch.set_num_threads(1)
    seeds = range(args.seed, args.seed + args.scenes)
    models = compared(args.models, args.fixed_height, seeds)
    protocol = {
        "models": {n: f"{p.fingerprint:016x}" for n, p in models.items()},
        "seeds": list(seeds),
        "uavs": args.uavs,
        "egos": args.egos,
        "frames_per_scene": args.frames,
        "scored_frames_per_scene": len(scored_frames(args.frames)),
        "fixed_height_m": args.fixed_height,
        "methods": list(METHODS),
    }
    content: dict[str, Any] = {"protocol": protocol, "axes": {}}
    if args.json.is_file():
        content = json.loads(args.json.read_text())
        if content["protocol"] != protocol:
            raise RsdfmError(
                f"{args.json} holds a study of something else: choose another file, or delete it"
            )
    for name in args.axes:
        points = content["axes"].setdefault(name, {})
        for value, config in AXES[name].points:
            if value in points:
                continue
            print(f"{name} {value}", file=sys.stderr)
            scenes = [RenderedScene(seed, args.uavs, config, args.frames) for seed in seeds]
            points[value] = evaluate_point(models, scenes, min(args.egos, args.uavs))
            write_json(args.json, content)
    print_study(content, Console())
    if args.plot is not None:
        draw(content, args.plot)


def print_study(content: dict[str, Any], console: Console) -> None:
    """A table per axis: a row per value and variant."""
    for axis, points in content["axes"].items():
        table = Table(title=AXES[axis].label)
        for heading in ("", "variant", *(f[0] for f in FIGURES)):
            table.add_column(heading, justify="left" if heading in ("", "variant") else "right")
        for value, rows in points.items():
            for place, (variant, row) in enumerate(rows.items()):
                cells = ("–" if row[key] is None else format(row[key], kind) for _, key, kind in FIGURES)
                table.add_row(value if place == 0 else "", variant, *cells)
            table.add_section()
        console.print(table)


def draw(content: dict[str, Any], path: Path) -> None:
    """A panel per figure and axis, a line per variant."""
    axes = [a for a in AXES if content["axes"].get(a)]
    figure = Figure(figsize=(3.6 * len(axes), 2.4 * len(FIGURES)), layout="constrained")
    panels = figure.subplots(len(FIGURES), len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        points = content["axes"][axis]
        names = list(next(iter(points.values())))
        for row, (heading, key, _) in enumerate(FIGURES):
            panel = panels[row][column]
            for n, name in enumerate(names):
                values = [p[name][key] for p in points.values()]
                numbers = [math.nan if v is None else v for v in values]
                panel.plot(range(len(points)), numbers, marker="o", markersize=3, color=LINES[n], label=name)
            panel.set_xticks(range(len(points)), list(points), fontsize=7)
            panel.set_ylim(bottom=0.0)
            panel.grid(alpha=0.15)
            for side in ("top", "right"):
                panel.spines[side].set_visible(False)
            if column == 0:
                panel.set_ylabel(heading)
            if row == len(FIGURES) - 1:
                panel.set_xlabel(AXES[axis].label)
    panels[0][0].legend(frameon=False, fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "rsdfm", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", default=[Path(SHIPPED_MODEL)])
    parser.add_argument("--json", type=Path, default=Path("out/bench/generalisation.json"))
    parser.add_argument("--plot", type=Path, help="draw there (.svg, .png, .pdf)")
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--seed", type=int, default=TEST_SEEDS_FROM + 100, help="of the first scene")
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--frames", type=int, default=10, help="per scene, all but six are scored")
    parser.add_argument("--uavs", type=int, default=UAVS)
    parser.add_argument("--egos", type=int, default=2)
    parser.add_argument("--fixed-height", type=float, default=50.0)
    try:
        run(parser.parse_args())
    except RsdfmError as error:
        print(f"generalisation: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is finished is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
