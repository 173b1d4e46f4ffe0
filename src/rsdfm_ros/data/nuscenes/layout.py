"""Layout masks in the map table of the nuScenes schema.

A row of ``map.json`` belongs to the scenes whose log it lists. Ours is a ``semantic_prior`` with three entries more
than nuScenes has, which describe the mask:

    filename       PNG of 8 bits, one channel, north up: column = x, first row = greatest y
    classes        class → value; a pixel is the sum of the values of the classes there: {"road": 1, "building": 2}
    resolution_m   side of a pixel, m
    origin         [x, y] of the mask's lower left corner, m, in the right-handed world of the tables

Rows without these entries (nuScenes' own masks, which have no position) are no layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdfm_ros.data.errors import MissingFileError, TableError
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.data.nuscenes.merge import Record
from rsdfm_ros.data.nuscenes.tables import REMEDY, below, is_vector, read_table
from rsdfm_ros.outputs import write_atomically

_LARGEST_SIDE = 20_000


@dataclass(frozen=True)
class LayoutSource:
    """Source of a scene's layout: the mask, the value of each class, pixel side and lower left corner in m."""

    path: Path
    classes: Mapping[str, int]
    resolution_m: float
    origin: tuple[float, float]

    def read(self, offset: tuple[float, float, float]) -> LayoutMap:
        """The layout in the map frame, which begins at `offset` (m) in the world of the tables.

        Raises: MissingFileError if the mask is missing or no 8-bit grey PNG.
        """
        try:
            data = np.fromfile(self.path, dtype=np.uint8)
        except OSError as error:
            raise MissingFileError(self.path, f"cannot be read ({error.strerror})", REMEDY) from None
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
        if (
            pixels is None
            or pixels.dtype != np.uint8
            or pixels.ndim != 2
            or max(pixels.shape) > _LARGEST_SIDE
        ):
            raise MissingFileError(self.path, "is no 8-bit grey PNG, expected a layout mask", REMEDY)
        values = np.ascontiguousarray(pixels[::-1].T, dtype=np.uint8)
        bits = np.zeros(values.shape, np.uint8)
        for k, value in enumerate(self.classes.values()):
            bits |= ((values & value) > 0).astype(np.uint8) << np.uint8(k)
        corner = (self.origin[0] - offset[0], self.origin[1] - offset[1])
        return LayoutMap(tuple(self.classes), bits, corner, self.resolution_m)


def write_layout(root: Path, scene: str, log_token: str, layout: LayoutMap) -> Record:
    """Writes the mask of a scene; returns its row of the map table."""
    name = f"maps/{scene}.png"
    ok, png = cv2.imencode(".png", np.ascontiguousarray(layout.bits.T[::-1]))
    if not ok:
        raise ValueError(f"scene {scene}: cannot encode a mask of shape {layout.bits.shape}")
    write_atomically(root / name, png.tobytes())
    return {
        "token": schema.token("map", log_token),
        "log_tokens": [log_token],
        "category": "semantic_prior",
        "filename": name,
        "classes": {label: 1 << k for k, label in enumerate(layout.classes)},
        "resolution_m": layout.resolution_m,
        "origin": list(layout.origin),
    }


def read_layouts(root: Path, folder: Path) -> dict[str, LayoutSource]:
    """Log token → layout, of a data set's root and its folder of tables; {} without a map table.

    Raises: TableError for a row that has `classes` but no usable resolution, origin or file name.
    """
    path = folder / "map.json"
    if not path.exists():
        return {}
    found: dict[str, LayoutSource] = {}
    for row in read_table(folder, "map").rows:
        if "classes" not in row:
            continue
        problem = _problem(row)
        if problem:
            raise TableError(path, f"{problem} (row {row['token']})", REMEDY)
        source = LayoutSource(
            root / below(row["filename"]),
            dict(row["classes"]),
            float(row["resolution_m"]),
            (float(row["origin"][0]), float(row["origin"][1])),
        )
        found |= {str(log): source for log in row.get("log_tokens", [])}
    return found


def _problem(row: Mapping[str, Any]) -> str:
    classes, resolution = row["classes"], row.get("resolution_m")
    fine = isinstance(classes, dict) and 0 < len(classes) <= 8
    if not fine or not all(type(v) is int and 0 < v < 256 and v & (v - 1) == 0 for v in classes.values()):
        return f"classes is {classes!r:.80}, expected class → power of two below 256"
    if len(set(classes.values())) < len(classes):
        return f"classes is {classes!r:.80}, expected a value of its own for each class"
    if not isinstance(resolution, int | float) or isinstance(resolution, bool) or not 0 < resolution < 100:
        return f"resolution_m is {resolution!r:.80}, expected metres per pixel"
    if not is_vector(row.get("origin"), 2):
        return f"origin is {row.get('origin')!r:.80}, expected [x, y] in metres"
    name = row.get("filename")
    if not isinstance(name, str) or below(name).is_absolute() or ".." in below(name).parts:
        return f"filename is {name!r:.80}, expected a path below the data set's folder"
    logs = row.get("log_tokens")
    if not isinstance(logs, list) or not all(isinstance(log, str) for log in logs):
        return f"log_tokens is {logs!r:.80}, expected a list of tokens"
    return ""
