"""Joins the fragments of finished scenes into the tables of nuScenes v1.0."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.nuscenes import schema
from rsdfm_ros.outputs import write_atomically

Record = dict[str, Any]


def fragment_path(root: Path, name: str) -> Path:
    """Path of a finished scene's fragment."""
    return root / "scenes" / f"{name}.json.gz"


def encode_json(value: object) -> bytes:
    """Compact JSON with exact floats; refuses NaN and infinity, which are no JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def merge(root: Path | str, *, parameters: Mapping[str, object] | None = None) -> Path:
    """Joins the fragments of all finished scenes into the v1.0 tables, in the order of their names.

    The tables are made beside the old ones and swapped in at the end. Returns the folder of the tables. Raises
    :class:`DatasetError` if there is no finished scene or a fragment cannot be read.
    """
    root = Path(root)
    fragments = sorted((root / "scenes").glob("*.json.gz"))
    if not fragments:
        raise DatasetError(root, "holds no finished scene", "run rsdfm simulate first")
    tables: dict[str, list[Record]] = {name: [] for name in schema.TABLES}
    channels: set[str] = set()
    side: Record = {"format": schema.SIDE_FORMAT, "parameters": dict(parameters or {}), "scenes": {}}
    for path in fragments:
        fragment = read_fragment(path)
        for name, rows in fragment["tables"].items():
            tables[name] += rows
        channels.update(fragment["channels"])
        side["scenes"][fragment["tables"]["scene"][0]["token"]] = fragment["side"]
    _add_static_tables(root, tables, sorted(channels))
    target = root / schema.VERSION
    fresh, stale = root / f".{schema.VERSION}.new", root / f".{schema.VERSION}.old"
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, rows in tables.items():
        (fresh / f"{name}.json").write_bytes(encode_json(rows))
    (fresh / schema.SIDE_FILE).write_bytes(encode_json(side))
    if target.exists():
        target.rename(stale)
    fresh.rename(target)
    shutil.rmtree(stale, ignore_errors=True)
    return target


def read_fragment(path: Path) -> Record:
    """The tables and side information of a finished scene. Raises: DatasetError if the file is no such thing."""
    try:
        fragment: Record = json.loads(gzip.decompress(path.read_bytes()))
        if fragment["format"] == schema.SIDE_FORMAT and set(fragment["tables"]) <= set(schema.TABLES):
            return fragment
        problem = f"format {fragment['format']!r}, expected {schema.SIDE_FORMAT}"
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        problem = f"cannot be read as a finished scene ({error})"
    raise DatasetError(path, problem, "delete this file and run the same rsdfm simulate again")


def _add_static_tables(root: Path, tables: dict[str, list[Record]], channels: list[str]) -> None:
    tables["attribute"] = [
        {"token": schema.token("attribute", name), "name": name, "description": ""}
        for name in schema.ATTRIBUTES
    ]
    tables["category"] = [
        {"token": schema.token("category", name), "name": name, "description": ""}
        for name in schema.CATEGORY_NAMES
    ]
    tables["sensor"] = [
        {"token": schema.token("sensor", channel), "channel": channel, "modality": "camera"}
        for channel in channels
    ]
    tables["visibility"] = [
        {"token": token, "level": level, "description": f"visible share {level[1:]} % from the best UAV"}
        for token, level, _ in schema.VISIBILITY_LEVELS
    ]
    # nuscenes-devkit opens a map mask for every log; the mask of a scene without a layout is empty.
    known = {log for row in tables["map"] for log in row["log_tokens"]}
    logs = [row["token"] for row in tables["log"] if row["token"] not in known]
    if not logs:
        return
    mask = "maps/empty.png"
    _, png = cv2.imencode(".png", np.zeros((16, 16), np.uint8))
    write_atomically(root / mask, png.tobytes())
    tables["map"].append(
        {"token": schema.token("map"), "log_tokens": logs, "category": "semantic_prior", "filename": mask}
    )
