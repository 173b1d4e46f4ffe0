"""Everything that is missing or inconsistent in a data set: tables, images, geometry, time, classes.

Tables are checked as they lie on disk (nuscenes_check_tables); if they can be read, the output of the reader is checked
too: a wrong description (axes, ground, sizes) causes no error, but implausible values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from rsdfm_ros.data.errors import DatasetError, MissingFileError
from rsdfm_ros.data.frame import CLASSES, FRAME_PERIOD_S
from rsdfm_ros.data.nuscenes.check_tables import Problem, check_tables
from rsdfm_ros.data.nuscenes.pixels import read_image
from rsdfm_ros.data.nuscenes.reader import Dataset, open_dataset
from rsdfm_ros.data.nuscenes.tables import find_version
from rsdfm_ros.data.presets import locate
from rsdfm_ros.geometry.camera import project
from rsdfm_ros.words import counted

LOWEST_CAMERA_M = 2.0
"""A UAV's camera lower than this over the ground suggests a wrong description."""
FRAME_GAPS_S = (0.01, 60.0)
"""Key frames closer together or farther apart suggest timestamps of another unit."""


@dataclass
class Report:
    """Findings of a check, and the content of the data set as far as it could be read."""

    path: str
    problems: list[Problem] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def grave(self) -> int:
        """Number of kinds of problems that forbid using the set."""
        return sum(problem.grave for problem in self.problems)


def check(path: Path | str, *, decode: bool = False) -> Report:
    """Checks a data set. `decode`: also open every image instead of only looking for its file.

    Raises :class:`DatasetError` only if there are no tables at all or the description is malformed.
    """
    report = Report(str(path))
    folder, _, _ = locate(path)
    _, tables = find_version(folder)
    report.problems += check_tables(tables)
    if report.grave:
        return report
    try:
        dataset = open_dataset(path)
    except DatasetError as error:
        report.problems.append(
            Problem(error.path, error.problem + (f" ({error.remedy})" if error.remedy else ""))
        )
        return report
    report.facts = _facts(dataset)
    report.problems += _problems(dataset, decode)
    return report


def open_usable(path: Path | str) -> Dataset:
    """Open a data set of which nothing forbids using it. Raises: DatasetError."""
    dataset = open_dataset(path)
    refuse_unusable(dataset, path)
    return dataset


def refuse_unusable(dataset: Dataset, path: Path | str) -> None:
    """Raise :class:`DatasetError` for the first problem of the content of an opened data set that forbids using it.

    path: as it was given, for the sentence.
    """
    grave = [problem for problem in _problems(dataset, decode=False) if problem.grave]
    if grave:
        more = f"and {counted(len(grave) - 1, 'more problem')}: " if len(grave) > 1 else ""
        raise DatasetError(grave[0].path, grave[0].text, f"{more}`rsdfm data check {path}` lists all")


def _problems(dataset: Dataset, decode: bool) -> Iterator[Problem]:
    yield from _files(dataset, decode)
    yield from _geometry(dataset)
    yield from _time(dataset)
    yield from _classes(dataset)
    yield from _missing(dataset)
    yield from _names(dataset)


def _facts(dataset: Dataset) -> dict[str, object]:
    counts = np.zeros(len(CLASSES), np.int64)
    heights: list[float] = []
    for s, info in enumerate(dataset.scenes):
        for k in range(info.frames):
            counts += np.bincount(dataset.objects(s, k).classes, minlength=len(CLASSES))
            heights += [float(p.T_map_camera[2, 3]) for of in dataset.images(s, k) for p in of]
    grounds = [dataset.origin(s)[2] for s in range(len(dataset))]
    agents = sorted({len(info.agents) for info in dataset.scenes})
    return {
        "description": dataset.description.name,
        "scenes": len(dataset),
        "frames": sum(info.frames for info in dataset.scenes),
        "uavs": agents[0] if len(agents) == 1 else agents,
        "pictures": len(heights),
        "ground_height_m": [round(min(grounds), 2), round(max(grounds), 2)],
        "height_over_ground_m": [round(min(heights), 1), round(max(heights), 1)] if heights else [],
        "objects": dict(zip(CLASSES, counts.tolist(), strict=True)),
        "ignored": dataset.ignored,
        "depth": all(info.depth for info in dataset.scenes),
    }


def _files(dataset: Dataset, decode: bool) -> Iterator[Problem]:
    missing, damaged = [], []
    for s, info in enumerate(dataset.scenes):
        for k in range(info.frames):
            for p in (p for of in dataset.images(s, k) for p in of):
                if not p.path.is_file():
                    missing.append(p.path)
                elif decode or k == 0:  # of every camera at least the first image
                    try:
                        read_image(p.path, p.size)
                    except (MissingFileError, cv2.error) as error:
                        damaged.append((p.path, getattr(error, "problem", str(error))))
    if missing:
        yield Problem(str(missing[0]), "is missing, sample_data.json names it", len(missing))
    if damaged:
        yield Problem(str(damaged[0][0]), damaged[0][1], len(damaged))


def _geometry(dataset: Dataset) -> Iterator[Problem]:
    hint = f"does description {dataset.description.name!r} fit?"
    low, unseen, sizes, floating = [], [], [], []
    for s, info in enumerate(dataset.scenes):
        seen = total = 0
        try:
            dem = dataset.dem(s)
        except MissingFileError as error:
            yield Problem(str(error.path), error.problem)
            continue
        for k in range(info.frames):
            objects = dataset.objects(s, k)
            images = [p for of in dataset.images(s, k) for p in of]
            low += [
                (info.name, p.path.name, p.T_map_camera[2, 3])
                for p in images
                if p.T_map_camera[2, 3] < LOWEST_CAMERA_M
            ]
            inside = np.zeros(len(objects), bool)
            for p in images:
                height, width = p.size if all(p.size) else (2 * p.K[1, 2], 2 * p.K[0, 2])
                uv, depth = project(objects.centres, p.K, p.T_map_camera)
                inside |= (depth > 0) & (uv >= 0).all(axis=1) & (uv < [width, height]).all(axis=1)
            seen, total = seen + int(inside.sum()), total + len(objects)
            if len(objects):
                bottoms = objects.centres[:, 2] - objects.sizes[:, 2] / 2
                bottoms -= 0.0 if dem is None else dem.elevation(objects.centres[:, :2])
                sizes.append(float(np.median(objects.sizes[:, 0] / objects.sizes[:, 1])))
                if abs(float(np.median(bottoms))) > 1.0:
                    floating.append((info.name, float(np.median(bottoms))))
        if total and not seen:
            unseen.append(info.name)
    path = str(dataset.path)
    if low:
        name, file, height = low[0]
        text = f"{name}: the camera of {file} is {height:.1f} m over the ground, expected above {LOWEST_CAMERA_M:g}"
        yield Problem(path, f"{text}; {hint}", len(low))
    if unseen:
        yield Problem(path, f"{unseen[0]}: no vehicle is in any image; {hint}", len(unseen))
    if sizes and float(np.median(sizes)) < 1.2:
        text = f"vehicles are {float(np.median(sizes)):.2f} times as long as wide, expected about 2"
        yield Problem(path, f"{text}; is size_order {dataset.description.size_order!r} right?")
    if floating:
        text = f"{floating[0][0]}: vehicles stand {floating[0][1]:+.1f} m over the ground; is ground_height_m right?"
        yield Problem(path, text, len(floating))


def _time(dataset: Dataset) -> Iterator[Problem]:
    wrong, standing, absurd = [], [], []
    for s, info in enumerate(dataset.scenes):
        stamps = [dataset.stamp_ns(s, k) for k in range(info.frames)]
        gaps = np.diff(stamps) * 1e-9
        if (gaps <= 0).any():
            standing.append(info.name)
        elif len(gaps) and not FRAME_GAPS_S[0] <= float(np.median(gaps)) <= FRAME_GAPS_S[1]:
            absurd.append((info.name, float(np.median(gaps))))
        elif len(gaps) and abs(float(np.median(gaps)) - FRAME_PERIOD_S) > 0.1 * FRAME_PERIOD_S:
            wrong.append((info.name, float(np.median(gaps))))
    if standing:
        text = f"{standing[0]}: two samples have the same timestamp; are timestamps in microseconds or nanoseconds?"
        yield Problem(str(dataset.path), text, len(standing))
    if absurd:
        text = f"{absurd[0][0]}: key frames are {absurd[0][1]:.3g} s apart"
        text += "; are timestamps in microseconds or nanoseconds?"
        yield Problem(str(dataset.path), text, len(absurd))
    if wrong:
        text = f"{wrong[0][0]}: key frames are {wrong[0][1]:.3f} s apart; trajectories and delays count in steps of "
        yield Problem(str(dataset.path), f"{text}{FRAME_PERIOD_S:g} s", len(wrong), grave=False)


def _classes(dataset: Dataset) -> Iterator[Problem]:
    if not any(len(dataset.objects(s, k)) for s, i in enumerate(dataset.scenes) for k in range(i.frames)):
        shown = ", ".join(list(dataset.ignored)[:5]) or "there are no annotations"
        yield Problem(str(dataset.path), f"no annotation is of one of our classes ({shown})")
    elif dataset.ignored:
        shown = ", ".join(f"{name} × {count}" for name, count in list(dataset.ignored.items())[:5])
        yield Problem(str(dataset.path), f"annotations of other categories are ignored: {shown}", grave=False)


def _missing(dataset: Dataset) -> Iterator[Problem]:
    gaps, blind = [], []
    for s, info in enumerate(dataset.scenes):
        counts = np.array([[len(of) for of in dataset.images(s, k)] for k in range(info.frames)])
        for k, a in np.argwhere(counts == 0):
            blind.append(f"{info.name} frame {k}: {info.agents[a]} has no image")
        for k, a in np.argwhere((counts > 0) & (counts < counts.max(axis=0))):
            gaps.append(
                f"{info.name} frame {k}: {info.agents[a]} has {counts[k, a]} of {counts[:, a].max()} images"
            )
    for cases in (blind, gaps):
        if cases:
            yield Problem(str(dataset.path), cases[0], len(cases), grave=False)


def _names(dataset: Dataset) -> Iterator[Problem]:
    names = Counter(info.name for info in dataset.scenes)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        text = (
            f"{names[twice[0]]} scenes are called {twice[0]!r}: options that name a scene take the first one"
        )
        yield Problem(str(dataset.path), text, len(twice), grave=False)
