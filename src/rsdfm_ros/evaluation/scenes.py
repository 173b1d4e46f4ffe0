"""The scenes of an evaluation: a given dataset, or simulated ones that are made once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rsdfm_ros.data.check import refuse_unusable
from rsdfm_ros.data.frame import Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.nuscenes import Dataset, DatasetError
from rsdfm_ros.data.opening import open_dataset
from rsdfm_ros.data.outputs import FUTURE_STEPS
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.live import LiveWorld
from rsdfm_ros.evaluation.protocol import HISTORY, scored_frames
from rsdfm_ros.geometry.height_grid import HeightGrid
from rsdfm_ros.model.heads.lookup import needs_of
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.sim.config import TEST_SEEDS_FROM, SimConfig
from rsdfm_ros.sim.dataset import world_options
from rsdfm_ros.sim.dataset.render import PARAMETERS_FILE, read_parameters
from rsdfm_ros.sim.dataset.simulate import progress_bar, say_simulated, simulate_dataset
from rsdfm_ros.sim.record import from_record
from rsdfm_ros.words import counted

CACHE = Path("out/data")
"""Folder of the simulated scenes, relative to the working directory."""

_NO_IMAGES_BETWEEN = (
    "staggered=1 needs images between the frames, which only simulated scenes (with a seed) have: "
    "leave it out, then delays count in whole frames"
)


class LeakageError(RsdfmError):
    """The scenes to evaluate on were used in training."""


@dataclass(frozen=True)
class DatasetScene:
    """One scene of a dataset, seen by its first `uavs` agents."""

    dataset: Dataset
    place: int
    uavs: int
    frames: int
    live: LiveWorld | None = field(default=None, compare=False, repr=False)

    @property
    def number(self) -> int:
        """The seed of the scene, or its place in the dataset."""
        seed = self.dataset.scenes[self.place].seed
        return self.place if seed is None else seed

    def ground(self) -> HeightGrid | None:
        """The terrain of the scene; None where the ground is the plane z = 0."""
        return self.dataset.dem(self.place)

    def load(self, k: int) -> WorldFrame:
        """Frame k with the images of the agents in use."""
        return self.dataset.load(self.place, k, agents=range(self.uavs))

    def objects(self, k: int) -> Objects:
        """The objects of frame k; visibility has a column for every agent of the dataset."""
        return self.dataset.objects(self.place, k)

    def layout(self) -> LayoutMap | None:
        """The static layout of the scene, where the data set has it."""
        return self.dataset.layout(self.place)

    def earlier(self, k: int, lead_s: float) -> WorldFrame | None:
        """The scene `lead_s` before frame k, rendered now; None before its beginning, RsdfmError if not simulated."""
        if self.live is None:
            raise RsdfmError(_NO_IMAGES_BETWEEN)
        return self.live.before(self.load(k), lead_s)

    def close(self) -> None:
        """Free what `earlier` holds."""
        if self.live is not None:
            self.live.close()


def simulated(
    seed: int, scenes: int, uavs: int, frames: int, world: Mapping[str, str] = MappingProxyType({})
) -> Path:
    """The folder of simulated scenes with seeds seed … seed + scenes − 1; missing ones are made now.

    world: options of sim.dataset.world_options by name, for another than the standard world. Raises: RsdfmError.
    """
    folder = CACHE / f"eval-seed{seed}-uavs{uavs}-frames{frames}{world_options.slug(world)}"
    if _has(folder, range(seed, seed + scenes)):
        return folder
    config = world_options.parse(world)
    with progress_bar(scenes, frames) as progress:
        done = simulate_dataset(
            config, folder, seed=seed, scenes=scenes, uavs=uavs, frames=frames, progress=progress
        )
    say_simulated(folder, done, scenes=scenes, frames=frames, uavs=uavs)
    return folder


def _has(folder: Path, seeds: range) -> bool:
    try:
        return set(seeds) <= {scene.seed for scene in open_dataset(folder).scenes}
    except DatasetError:
        return False


def open_scenes(
    folder: Path,
    uavs: int,
    *,
    first: int | None = None,
    scenes: int | None = None,
    frames: int | None = None,
    check: bool = False,
) -> list[DatasetScene]:
    """Scenes of a dataset: those with seeds from `first` on (to first + scenes − 1), or the first `scenes` of all;
    RsdfmError for fewer agents than asked for, or none to score. check: also for what `rsdfm data check` calls a
    problem of these scenes, since figures of such data mean nothing."""
    dataset = open_dataset(folder)
    config = simulated_as(dataset.path)
    out: list[DatasetScene] = []
    for place, info in enumerate(dataset.scenes):
        if first is None:
            wanted = scenes is None or len(out) < scenes
        else:
            last = info.seed if scenes is None else first + scenes - 1
            wanted = info.seed is not None and last is not None and first <= info.seed <= last
        if not wanted:
            continue
        if len(info.agents) < uavs:
            raise RsdfmError(
                f"{info.name} in {folder} has {counted(len(info.agents), 'UAV')}, --uavs asks for {uavs}"
            )
        length = info.frames if frames is None else min(frames, info.frames)
        live = None if info.seed is None else LiveWorld(info.seed, len(info.agents), config)
        out.append(DatasetScene(dataset, place, uavs, length, live))
    if not out and first is not None:
        seeds = ", ".join(str(i.seed) for i in dataset.scenes[:8]) + (" …" if len(dataset) > 8 else "")
        asked = f"from {first} on" if scenes is None else f"{first} to {first + scenes - 1}"
        raise RsdfmError(f"--seed asks for seeds {asked}: {folder} has scenes of seeds {seeds}")
    if check:
        refuse_unusable(dataset.chosen([scene.place for scene in out]), folder)
    if not any(len(scored_frames(s.frames)) for s in out):
        raise RsdfmError(
            f"{folder} has no frame to score: a scene needs at least {HISTORY + FUTURE_STEPS} frames, "
            "for the history of the first and the future of the last one scored (or a single one: then the present "
            "alone is scored)"
        )
    return out


def check_staggered(scenes: Sequence[DatasetScene], disturbance: Disturbance) -> None:
    """Raise RsdfmError if the disturbance needs images between the frames of scenes that have none."""
    if disturbance.lead_s and any(scene.live is None for scene in scenes):
        raise RsdfmError(_NO_IMAGES_BETWEEN)


def seeds_of(scenes: Sequence[DatasetScene]) -> tuple[int | None, ...]:
    """The seed of every scene, None for one that was not simulated."""
    return tuple(scene.dataset.scenes[scene.place].seed for scene in scenes)


def missing_truth(perception: Perception, scenes: Sequence[DatasetScene], source: str) -> list[str]:
    """Truth that the data lacks for tasks of the model, in sentences; the figures of these tasks are null."""
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


def simulated_as(folder: Path) -> SimConfig:
    """Simulator configuration recorded in a dataset; the default where there is none. Raises: RsdfmError."""
    camera = read_parameters(folder).get("camera", {})
    if not isinstance(camera, dict):
        raise DatasetError(
            folder / PARAMETERS_FILE, f"camera is {camera!r}, expected an object", "simulate it anew"
        )
    return from_record(camera)


def refuse_training_data(manifest: dict[str, Any], seeds: Sequence[int | None]) -> None:
    """LeakageError if a scene has a seed that the model's manifest lists as training data."""
    stages = [manifest.get("training", {}), *manifest.get("added_heads", {}).values()]
    trained = {seed for stage in stages for seed in stage.get("data", {}).get("seeds", [])}
    leaked = sorted({s for s in seeds if s is not None} & trained)
    if leaked:
        shown = ", ".join(map(str, leaked[:5])) + (" …" if len(leaked) > 5 else "")
        raise LeakageError(
            f"the model was trained on {len(leaked)} of these scenes (seeds {shown}): "
            f"evaluate on others, e.g. --seed {TEST_SEEDS_FROM}"
        )
