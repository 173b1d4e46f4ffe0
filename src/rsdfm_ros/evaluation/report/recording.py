"""Reads the folder of an evaluated mission. Free of ROS.

- result.json: protocol, results per method, figures per UAV, and a line of figures per frame
- status.jsonl: the same lines, one per frame, appended while the mission flies
- frames/NNNNNN.npz: arrays of one frame, as described at `RunFrame` (nodes/mission/recorder.py writes them)
- scene.json: optional: the static scene and the cameras, for images, as described at `Surroundings`
- bag/: the mission as a rosbag2 bag

run = RunReader("out/demo"); run.result; run.lines; for n in run.frames: frame = run.load(n)
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.outputs import Boxes
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import write_atomically

SCENE_FILE = "scene.json"


class RunError(RsdfmError):
    """A folder that holds no run, or a damaged one."""


@dataclass(frozen=True)
class RecordedAnswer:
    """One UAV's answer: ids (ni, nj) 0 for none · percent (ni, nj) uint8, probability of a vehicle · boxes ·
    tracks (N, 5, 2) m, present first. None or empty where nothing was recorded."""

    ids: NDArray[np.int32] | None
    percent: NDArray[np.uint8] | None
    boxes: Boxes | None
    tracks: NDArray[np.float64]


@dataclass(frozen=True)
class RunFrame:
    """Everything recorded of one frame: true_ids (ni, nj) on a window of 0.5 m cells around the map's origin
    · answers by (UAV, "single" or "collaborative") · images (H, W, 3) RGB and poses T_map_camera (4, 4) by
    UAV."""

    frame: int
    stamp_s: float
    true_ids: NDArray[np.int32]
    answers: dict[tuple[str, str], RecordedAnswer]
    images: dict[str, NDArray[np.uint8]]
    poses: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Surroundings:
    """The static scene, as polygons of (x, y) in metres, and the intrinsics (3, 3) of all cameras if known."""

    roads: list[list[tuple[float, float]]] = field(default_factory=list)
    buildings: list[list[tuple[float, float]]] = field(default_factory=list)
    K: NDArray[np.float64] | None = None

    def write(self, folder: Path) -> None:
        """Write scene.json."""
        content = {
            "roads": self.roads,
            "buildings": self.buildings,
            "K": None if self.K is None else self.K.tolist(),
        }
        write_atomically(folder / SCENE_FILE, json.dumps(content) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Surroundings:
        """Read scene.json; empty if there is none."""
        path = folder / SCENE_FILE
        if not path.is_file():
            return cls()
        content = _json(path)
        K = content.get("K")
        polygons = [
            [[(float(x), float(y)) for x, y in p] for p in content.get(k, [])] for k in ("roads", "buildings")
        ]
        return cls(polygons[0], polygons[1], None if K is None else np.array(K, dtype=np.float64))


class RunReader:
    """A recorded run. folder: where it is · place: where it will be, if it is still to be moved."""

    def __init__(self, folder: str | Path, place: Path | None = None) -> None:
        self.folder = Path(folder)
        self.place = place or self.folder
        if not (self.folder / "result.json").is_file():
            raise RunError(
                f"{self.folder} holds no result.json: give the folder of a finished run, e.g. out/demo made by "
                "`rsdfm demo` or `rsdfm fleet`"
            )
        self.result: dict[str, Any] = _json(self.folder / "result.json")
        if not _is_result(self.result):
            raise RunError(
                f"{self.folder / 'result.json'} is not of a mission: expected protocol.agents, results and frames, as "
                "`rsdfm demo` and `rsdfm fleet` write them"
            )
        self.lines: list[dict[str, Any]] = self.result.get("frames", [])
        self.agents: list[str] = list(self.result.get("protocol", {}).get("agents", []))
        self.frames: list[int] = sorted(int(p.stem) for p in (self.folder / "frames").glob("*.npz"))
        self.surroundings = Surroundings.read(self.folder)

    @property
    def start_s(self) -> float:
        """Stamp of the first frame, at which mission time begins."""
        return float(self.lines[0]["stamp_s"]) if self.lines else 0.0

    def load(self, frame: int) -> RunFrame:
        """The arrays of a frame; RunError if they are missing or damaged."""
        return read_frame(self.folder / "frames" / f"{frame:06d}.npz")

    def method(self, name: str) -> dict[str, Any]:
        """The results of a method; empty if it was not run."""
        rows: Sequence[dict[str, Any]] = self.result.get("results", [])
        return next((row for row in rows if row.get("method") == name), {})


def read_frame(path: Path) -> RunFrame:
    """The arrays of a frame's file; RunError if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _frame({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _is_result(content: dict[str, Any]) -> bool:
    """Whether it is of the shape that nodes/mission/recorder.py writes, as far as all readers need it."""
    protocol, rows, lines = content.get("protocol", {}), content.get("results", []), content.get("frames", [])
    return (
        isinstance(protocol, dict)
        and isinstance(protocol.get("agents", []), list)
        and isinstance(rows, list)
        and all(isinstance(row, dict) for row in rows)
        and isinstance(lines, list)
        and all(isinstance(line, dict) and {"frame", "stamp_s", "agents"} <= set(line) for line in lines)
    )


def _frame(arrays: dict[str, NDArray[Any]]) -> RunFrame:
    answers: dict[tuple[str, str], RecordedAnswer] = {}
    images, poses = {}, {}
    for name in arrays:
        agent, *rest = name.split("/")
        if len(rest) == 2 and (agent, rest[0]) not in answers:
            answers[agent, rest[0]] = _answer(arrays, f"{agent}/{rest[0]}")
        elif rest == ["image"]:
            pixels = cv2.imdecode(arrays[name], cv2.IMREAD_COLOR)
            if pixels is None:
                raise ValueError(f"{name} is no image")
            images[agent] = np.asarray(pixels[..., ::-1], dtype=np.uint8)
        elif rest == ["pose"]:
            poses[agent] = arrays[name]
    return RunFrame(
        int(arrays["frame"]), float(arrays["stamp_ns"]) / 1e9, arrays["true_ids"], answers, images, poses
    )


def _answer(arrays: dict[str, NDArray[Any]], prefix: str) -> RecordedAnswer:
    table = arrays.get(f"{prefix}/boxes")
    boxes = None
    if table is not None:
        c = np.asarray(table, dtype=np.float64).reshape(-1, 11)
        boxes = Boxes(c[:, 0].astype(np.int64), c[:, 1], c[:, 2:5], c[:, 5:8], c[:, 8], c[:, 9:11])
    ids = arrays.get(f"{prefix}/ids")
    return RecordedAnswer(
        None if ids is None else ids.astype(np.int32),
        arrays.get(f"{prefix}/percent"),
        boxes,
        np.asarray(arrays.get(f"{prefix}/tracks", np.zeros((0, 5, 2))), dtype=np.float64).reshape(-1, 5, 2),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object")
    return content
