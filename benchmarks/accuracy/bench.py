"""What the sections measure with: the model, the scenes and sizes of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy.section import BenchError
from rsdfm_ros.evaluation.command import evaluate_together, results_of
from rsdfm_ros.evaluation.disturb import Disturbance, parse_disturbance
from rsdfm_ros.evaluation.frames import FUTURE_STEPS
from rsdfm_ros.evaluation.heads import Thresholds
from rsdfm_ros.evaluation.protocol import HISTORY, TEST_SEEDS_FROM
from rsdfm_ros.evaluation.runner import Settings
from rsdfm_ros.evaluation.scenes import DatasetScene, open_scenes, refuse_training_data, simulated
from rsdfm_ros.geometry.lattice import square_window
from rsdfm_ros.model.perception import Perception

UAVS = 4
BUDGET_BYTES = 18_000
"""Of the methods with a budget, where nothing else is said; the default of `rsdfm evaluate`."""

Rows = dict[str, dict[str, Any]]
"""Figures by method."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured: the standard split of `scenes` × `frames`, and for sections with many cases
    `part_scenes` × `part_frames` of it with `part_egos` of the UAVs scored."""

    scenes: int = 8
    frames: int = 40
    part_scenes: int = 4
    part_frames: int = 16
    part_egos: int = 2

    def __post_init__(self) -> None:
        fewest = HISTORY + FUTURE_STEPS
        if (
            min(self.scenes, self.part_scenes, self.part_egos) < 1
            or min(self.frames, self.part_frames) < fewest
        ):
            raise BenchError(f"a benchmark needs scenes and UAVs, and {fewest} frames or more, got {self}")

    def at_most(self, scenes: int) -> Sizes:
        """The same with no more than so many scenes."""
        return dataclasses.replace(
            self, scenes=min(self.scenes, scenes), part_scenes=min(self.part_scenes, scenes)
        )


QUICK = Sizes(scenes=1, frames=12, part_scenes=1, part_frames=12, part_egos=1)
"""For trying: figures of a few frames mean little."""


@dataclass(frozen=True)
class Case:
    """What is evaluated once: methods, budget, disturbance (in the words of --disturb)."""

    methods: tuple[str, ...]
    budget_bytes: int = BUDGET_BYTES
    disturb: str = ""


class Bench:
    """The model on the scenes of the test split."""

    def __init__(self, model: Path, sizes: Sizes) -> None:
        self.model, self.sizes = model, sizes
        self.perception = Perception.load(model)

    @property
    def weights(self) -> str:
        """SHA-256 of the weights."""
        return str(self.perception.manifest["weights_sha256"])

    def common(self) -> dict[str, Any]:
        """What all results of a run share; a file of results is of one such."""
        return {
            "model": str(self.model),
            "weights_sha256": self.weights,
            "first_seed": TEST_SEEDS_FROM,
            **dataclasses.asdict(self.sizes),
        }

    def standard_scenes(self) -> list[DatasetScene]:
        """The standard split."""
        return self.scenes(self.sizes.scenes, self.sizes.frames)

    def part_scenes(self) -> list[DatasetScene]:
        """The part of the standard split that sections with many cases use: the first frames of its first scenes."""
        scenes = simulated(TEST_SEEDS_FROM, self.sizes.scenes, UAVS, self.sizes.frames)
        return self.open(scenes, self.sizes.part_scenes, self.sizes.part_frames, UAVS)

    def missions(self) -> list[DatasetScene]:
        """The first two scenes of the standard split in full length."""
        return self.standard_scenes()[:2]

    def scenes(self, count: int, frames: int, uavs: int = UAVS) -> list[DatasetScene]:
        """Simulated test scenes, kept in out/data as those of `rsdfm evaluate`."""
        return self.open(simulated(TEST_SEEDS_FROM, count, uavs, frames), count, frames, uavs)

    def open(self, folder: Path, count: int, frames: int, uavs: int) -> list[DatasetScene]:
        """Test scenes of a folder. Raises: LeakageError if the model was trained on them."""
        found = open_scenes(folder, uavs, first=TEST_SEEDS_FROM, scenes=count, frames=frames)
        refuse_training_data(self.perception.manifest, [s.dataset.scenes[s.place].seed for s in found])
        return found

    def evaluate(
        self,
        scenes: Sequence[DatasetScene],
        cases: Mapping[str, Case],
        title: str,
        egos: int | None = None,
    ) -> dict[str, Rows]:
        """The figures of every case by method, all evaluated in one pass; `egos` UAVs are scored, all by default."""
        uavs = scenes[0].uavs
        settings = [self.settings(case, min(egos or uavs, uavs)) for case in cases.values()]
        scores = evaluate_together(self.perception, scenes, settings, title)
        return {
            name: {row["method"]: row for row in results_of(score)}
            for name, score in zip(cases, scores, strict=True)
        }

    def settings(self, case: Case, egos: int) -> Settings:
        """What the runner needs of a case."""
        areas = {"long": square_window(50.0, 0.5), "short": square_window(25.0, 0.5)}
        disturbance: Disturbance = parse_disturbance(case.disturb)
        thresholds = Thresholds.of(self.perception)
        return Settings(case.methods, egos, case.budget_bytes, thresholds, disturbance, areas)
