"""Set-up that the sections share: the model, the scenes and sizes of a run."""

from __future__ import annotations

import dataclasses
import fcntl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.protocol import BUDGET_BYTES, UAVS
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.evaluation.disturb import Disturbance, parse_disturbance
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.protocol import AREAS, HISTORY
from rsdfm_ros.evaluation.report.progress import frames_shown
from rsdfm_ros.evaluation.scenes import (
    CACHE,
    DatasetScene,
    open_scenes,
    refuse_training_data,
    seeds_of,
    simulated,
)
from rsdfm_ros.evaluation.scores import results_of
from rsdfm_ros.evaluation.session import evaluate_scenes
from rsdfm_ros.evaluation.settings import Settings
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import TEST_SEEDS_FROM

Rows = dict[str, dict[str, Any]]
"""Figures by method."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run: the standard split of `scenes` × `frames`; for sections with many cases, `part_scenes` ×
    `part_frames` of it with `part_egos` of the UAVs scored; in other worlds `world_…`; in the study of how far the
    mapping carries `study_…`; and `mission_scenes` of the standard split in full length."""

    scenes: int = 8
    frames: int = 40
    part_scenes: int = 2
    part_frames: int = 16
    part_egos: int = 1
    world_scenes: int = 2
    world_frames: int = 12
    world_egos: int = 1
    study_scenes: int = 2
    study_frames: int = 9
    study_egos: int = 2
    mission_scenes: int = 2

    def __post_init__(self) -> None:
        fewest = HISTORY + FUTURE_STEPS
        sizes = dataclasses.asdict(self)
        frames = [n for name, n in sizes.items() if name.endswith("frames")]
        if min(sizes.values()) < 1 or min(frames) < fewest:
            raise BenchError(f"a benchmark needs scenes and UAVs, and {fewest} frames or more, got {self}")
        parts = (self.part_scenes, self.world_scenes, self.mission_scenes)
        if max(self.part_frames, self.world_frames) > self.frames or max(parts) > self.scenes:
            raise BenchError(f"a part of the standard split cannot be larger than all of it, got {self}")

    def changed(self, text: str) -> Sizes:
        """The same with NAME=N,… in it. Raises: BenchError."""
        changes: dict[str, int] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            if name not in dataclasses.asdict(self) or not value.isdecimal():
                known = ", ".join(dataclasses.asdict(self))
                raise BenchError(f"--sizes {part}: expected NAME=N with a name of {known}")
            changes[name] = int(value)
        return dataclasses.replace(self, **changes)

    def at_most(self, scenes: int) -> Sizes:
        """The same with no more than so many scenes."""
        counts = {n: v for n, v in dataclasses.asdict(self).items() if n.endswith("scenes")}
        return dataclasses.replace(self, **{name: min(count, scenes) for name, count in counts.items()})


QUICK = Sizes(
    **dict.fromkeys(("scenes", "part_scenes", "world_scenes", "study_scenes", "mission_scenes"), 1),
    **dict.fromkeys(("part_egos", "world_egos", "study_egos"), 1),
    **{"frames": 12, "part_frames": 12, "world_frames": 8, "study_frames": 7},
)
"""For trying: figures of a few frames mean little."""


@dataclass(frozen=True)
class Case:
    """One evaluation: methods, budget, disturbance (in the syntax of --disturb)."""

    methods: tuple[str, ...]
    budget_bytes: int = BUDGET_BYTES
    disturb: str = ""


class Bench:
    """The model on the scenes of the test split, and models beside it that some sections compare.

    layouts: folders of models with a layout head · lifts: of two models that differ in their lift alone, or none.
    """

    def __init__(
        self, model: Path, sizes: Sizes, layouts: Sequence[Path] = (), lifts: Sequence[Path] = ()
    ) -> None:
        self.model, self.sizes = model, sizes
        self.layouts, self.lifts = tuple(layouts), tuple(lifts)
        self.perception = Perception.load(model)

    @property
    def weights(self) -> str:
        """SHA-256 of the weights."""
        return str(self.perception.manifest["weights_sha256"])

    def common(self) -> dict[str, Any]:
        """Values that all results of a run have in common; a file of results belongs to one set of them."""
        return {
            "model": self.model.name if self.model.is_absolute() else self.model.as_posix(),
            "weights_sha256": self.weights,
            "first_seed": TEST_SEEDS_FROM,
            **dataclasses.asdict(self.sizes),
        }

    def standard_scenes(self) -> list[DatasetScene]:
        """The standard split."""
        return self.open(self.standard(), self.sizes.scenes, self.sizes.frames, UAVS)

    def part_scenes(self, uavs: int = UAVS) -> list[DatasetScene]:
        """The part of the standard split that sections with many cases use: the first frames of its first scenes."""
        return self.open(self.standard(), self.sizes.part_scenes, self.sizes.part_frames, uavs)

    def missions(self) -> list[DatasetScene]:
        """The first scenes of the standard split in full length."""
        return self.standard_scenes()[: self.sizes.mission_scenes]

    def standard(self) -> Path:
        """The folder of the standard split."""
        return self.made(lambda: simulated(TEST_SEEDS_FROM, self.sizes.scenes, UAVS, self.sizes.frames))

    def fleet(self, uavs: int) -> list[DatasetScene]:
        """The seeds of `part_scenes` flown by another number of UAVs."""
        sizes = self.sizes
        if uavs == UAVS:
            return self.part_scenes()
        folder = self.made(lambda: simulated(TEST_SEEDS_FROM, sizes.part_scenes, uavs, sizes.part_frames))
        return self.open(folder, sizes.part_scenes, sizes.part_frames, uavs)

    def world(self, *options: str) -> list[DatasetScene]:
        """Test scenes of another world, in the words of `rsdfm simulate` (`--style`, `rural`)."""
        names = [option.removeprefix("--") for option in options[::2]]
        sizes, world = self.sizes, dict(zip(names, options[1::2], strict=True))
        count, frames = sizes.world_scenes, sizes.world_frames
        if not options:
            return self.open(self.standard(), count, frames, UAVS)
        folder = self.made(lambda: simulated(TEST_SEEDS_FROM, count, UAVS, frames, world))
        return self.open(folder, count, frames, UAVS)

    def made(self, make: Callable[[], Path]) -> Path:
        """The folder that `make` simulates scenes into; of several benchmarks side by side, one at a time does so."""
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / ".benchmark.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return make()

    def open(self, folder: Path, count: int, frames: int, uavs: int) -> list[DatasetScene]:
        """Test scenes of a folder. Raises: LeakageError if the model was trained on them."""
        found = open_scenes(folder, uavs, first=TEST_SEEDS_FROM, scenes=count, frames=frames)
        refuse_training_data(self.perception.manifest, seeds_of(found))
        return found

    def evaluate(
        self,
        scenes: Sequence[DatasetScene],
        cases: Mapping[str, Case],
        title: str,
        egos: int | None = None,
        perception: Perception | None = None,
    ) -> dict[str, Rows]:
        """The figures of every case by method, all evaluated in one pass; `egos` UAVs are scored, all by default.

        perception: another model than that of the benchmark.
        """
        perception = perception or self.perception
        uavs = scenes[0].uavs
        settings = [settings_of(perception, case, min(egos or uavs, uavs)) for case in cases.values()]
        with frames_shown(scenes, title) as on_frame:
            scores = evaluate_scenes(perception, scenes, settings, on_frame)
        return {
            name: {row["method"]: row for row in results_of(score)}
            for name, score in zip(cases, scores, strict=True)
        }


def settings_of(perception: Perception, case: Case, egos: int) -> Settings:
    """Settings of the session for a case."""
    disturbance: Disturbance = parse_disturbance(case.disturb)
    return Settings(case.methods, egos, case.budget_bytes, Thresholds.of(perception), disturbance, AREAS)
