"""Images of UAVs with a table of poses and without boxes, made into a data set to be replayed and looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.convert.poses import PosedImage
from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.frame import FRAME_PERIOD_S, CameraView, Objects, WorldFrame
from rsdfm_ros.data.nuscenes.pixels import read_image
from rsdfm_ros.geometry.rotations import R_BODY_OPTICAL, transform

Array = NDArray[np.float64]

MAX_OFFSET_S = FRAME_PERIOD_S / 2
"""An image counts for an instant at most this far away in time."""


@dataclass(frozen=True)
class Flight:
    """Images of one UAV in order of time: paths, seconds (N,), T_world_camera (N, 4, 4) optical, K (N, 3, 3)."""

    paths: tuple[Path, ...]
    seconds: Array
    poses: Array
    intrinsics: Array


def flight(
    folder: Path,
    rows: Sequence[PosedImage],
    *,
    K: Array | None,
    rate_hz: float | None,
    forward: bool = False,
) -> Flight:
    """What a table says of the images that are in a folder; rows without an image are left out.

    K: camera matrix, before that of the table · rate_hz: images per second, where the table has no times; else the
    names of the images count as seconds · forward: cameras look along x with z up instead of along z.
    Raises: DatasetError.
    """
    if not folder.is_dir():
        raise DatasetError(folder, "is no folder", "give the folder of the images")
    there = {path.name for path in folder.iterdir()}
    found = []
    for n, row in enumerate(rows):
        if row.name in there:
            matrix = row.K if K is None else K
            if matrix is None:
                raise DatasetError(
                    folder, f"nothing says the camera matrix of {row.name}", "give --intrinsics FX FY CX CY"
                )
            found.append((_time(folder, n, row, rate_hz), folder / row.name, row.T_world_camera, matrix))
    if not found:
        raise DatasetError(
            folder, "holds none of the images that the table names", "give the folder of the images"
        )
    found.sort(key=lambda item: item[0])
    seconds = np.array([item[0] for item in found])
    if (np.diff(seconds) <= 0).any():
        raise DatasetError(folder, "two images have the same time", "give --rate, or times in the table")
    turn = transform(R_BODY_OPTICAL, np.zeros(3)) if forward else np.eye(4)
    return Flight(
        tuple(item[1] for item in found),
        seconds,
        np.array([item[2] @ turn for item in found]),
        np.array([item[3] for item in found]),
    )


def instants(flights: Sequence[Flight]) -> list[tuple[float, tuple[int, ...]]]:
    """Times half a second apart at which every UAV has an image near enough, with the places of these images."""
    start = max(float(f.seconds[0]) for f in flights)
    end = min(float(f.seconds[-1]) for f in flights)
    found: list[tuple[float, tuple[int, ...]]] = []
    for n in range(int(np.floor((end - start) / FRAME_PERIOD_S + 1e-6)) + 1):  # none if they do not overlap
        t = start + n * FRAME_PERIOD_S
        places = tuple(int(np.abs(f.seconds - t).argmin()) for f in flights)
        near = all(abs(f.seconds[p] - t) <= MAX_OFFSET_S for f, p in zip(flights, places, strict=True))
        fresh = not found or all(p > q for p, q in zip(places, found[-1][1], strict=True))
        if near and fresh:
            found.append((t, places))
    return found


def frames(flights: Sequence[Flight], when: Sequence[tuple[float, tuple[int, ...]]]) -> Iterator[WorldFrame]:
    """The frames of these instants, without objects."""
    agents = tuple(f"uav{n + 1}" for n in range(len(flights)))
    first = when[0][0] if when else 0.0
    for k, (t, places) in enumerate(when):
        views = tuple(
            CameraView(agent, read_image(f.paths[p]), f.intrinsics[p], f.poses[p])
            for agent, f, p in zip(agents, flights, places, strict=True)
        )
        yield WorldFrame(k, round((t - first) * 1e9), views, _nothing(len(agents)), agents)


def _nothing(agents: int) -> Objects:
    none = np.zeros(0, np.int64)
    return Objects(
        none, none, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 2)), np.zeros((0, agents))
    )


def _time(folder: Path, n: int, row: PosedImage, rate_hz: float | None) -> float:
    if row.time_s is not None:
        return row.time_s
    if rate_hz is not None:
        return n / rate_hz
    try:
        return float(Path(row.name).stem)
    except ValueError:
        problem = f"nothing says when {row.name} was taken"
        raise DatasetError(folder, problem, "give --rate HZ, or times in the table") from None
