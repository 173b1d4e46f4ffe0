"""Adds layout masks to a simulated data set that was made without them; nothing is rendered again."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsdfm_ros.data.errors import DatasetError
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.data.nuscenes.layout import write_layout
from rsdfm_ros.data.nuscenes.merge import encode_json, fragment_path, merge, read_fragment
from rsdfm_ros.data.nuscenes.schema import SIDE_FILE, VERSION
from rsdfm_ros.outputs import locked_folder, output_folder, write_atomically
from rsdfm_ros.sim.dataset.render import PARAMETERS_FILE, read_parameters

COPIED = ("scenes", PARAMETERS_FILE)
LINKED = ("samples", "depth")
OWNED = (VERSION, "maps", *COPIED, *LINKED)
"""Files and folders of a simulated data set."""


def simulated_layout(seed: int, record: Mapping[str, Any]) -> LayoutMap:
    """The layout of a world of the built-in simulator. record: its configuration, as the data set holds it."""
    from rsdfm_ros.sim.layout_map import layout_of_seed
    from rsdfm_ros.sim.record import from_record

    return layout_of_seed(seed, from_record(record).world)


def add_layout(
    root: Path,
    out: Path | None = None,
    *,
    force: bool = False,
    layout_of: Callable[[int, Mapping[str, Any]], LayoutMap] = simulated_layout,
    progress: Callable[[int, int], None] = lambda n, total: None,
) -> int:
    """Writes the layout of every scene that has none; returns how many that were.

    out: leave `root` as it is and make a data set there, with tables and masks of its own and links to the images ·
    force: replace a data set that is there.
    Raises: DatasetError if `root` was not made by `rsdfm simulate`, OutputError if `out` cannot be used.
    """
    fragments = sorted((root / "scenes").glob("*.json.gz"))
    if not fragments:
        raise DatasetError(
            root,
            "holds no finished simulated scene (scenes/*.json.gz)",
            "write a map table as docs/datasets.md says",
        )
    if out is None:
        place = locked_folder(root, "the data set")
    else:
        for name in LINKED:
            if (root / name).resolve().is_relative_to(out.resolve()):
                raise DatasetError(out, f"holds the images of {root}", "choose another --out")
        place = output_folder(out, marker=f"{VERSION}/{SIDE_FILE}", owned=OWNED, force=force)
    with place as target:
        if out is not None:
            _link(root, target)
        added, known = 0, read_parameters(target)
        for n, path in enumerate(fragments):
            fragment = read_fragment(path)
            scene, log = fragment["tables"]["scene"][0], fragment["tables"]["log"][0]
            side = fragment["side"]
            if side.get("seed") is None:
                raise DatasetError(path, "has no seed: not a simulated scene", "leave it out")
            if not fragment["tables"].get("map"):
                layout = layout_of(int(side["seed"]), known.get("camera", {}))
                fragment["tables"]["map"] = [write_layout(target, scene["name"], log["token"], layout)]
                packed = gzip.compress(encode_json(fragment), compresslevel=6, mtime=0)
                write_atomically(fragment_path(target, scene["name"]), packed)
                added += 1
            progress(n + 1, len(fragments))
        merge(target, parameters={key: known[key] for key in ("seed", "uavs", "frames") if key in known})
    return added


def _link(root: Path, out: Path) -> None:
    """Makes `out` a data set with copies of changed files and links to the others."""
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, out / name)
        elif source.is_file():
            shutil.copyfile(source, out / name)
    if (root / "maps").is_dir():
        shutil.copytree(root / "maps", out / "maps")
    for name in LINKED:
        if (root / name).is_dir():
            (out / name).symlink_to((root / name).resolve(), target_is_directory=True)
