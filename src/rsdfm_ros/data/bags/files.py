"""The files of a bag: as metadata.yaml lists them, or as they lie in the folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import zstandard

from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.yaml_file import YamlError, YamlLimits, read_yaml

SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
MAX_FILES = 10_000
MAX_NAME_BYTES = 255
"""Of a file: what is longer raises an error of the system."""
METADATA_LIMITS = YamlLimits(max_bytes=1 << 24, max_values=200_000)
"""Each file has about 15 values, each topic about 10 and its QoS profiles."""


@dataclass(frozen=True)
class BagFiles:
    """Storage files in the order of recording · storage: `mcap` or `sqlite3` · damage: sentences."""

    paths: tuple[Path, ...]
    storage: str
    damage: list[str] = field(default_factory=list)


def is_bag(place: Path) -> bool:
    """Whether `place` is what can be a bag: a folder, its metadata.yaml, or a file named as one of a bag."""
    return place.is_dir() or place.name == "metadata.yaml" or place.name.endswith(SUFFIXES)


def find_files(place: Path) -> BagFiles:
    """The files of the bag at `place`. Raises: BagError if there are none."""
    if place.name == "metadata.yaml" and place.is_file():
        place = place.parent
    if place.is_file():
        if not place.name.endswith(SUFFIXES):
            raise BagError(
                place, "is no bag file", f"expected a folder, or a file ending in {', '.join(SUFFIXES)}"
            )
        return BagFiles((place,), _storage(place))
    if not place.is_dir():
        raise BagError(place, "does not exist", "give the folder of a bag, e.g. out/demo/bag")
    damage: list[str] = []
    here = _lying(place)
    named = _named(place, damage)
    for name in named or ():
        if not (place / name).is_file():
            damage.append(f"{name}: is missing, although metadata.yaml names it")
    # Files that metadata.yaml does not list are part of the bag too if it is missing, or if one that it lists is
    # missing, which may have been renamed.
    listed = [place / name for name in named or ()]
    paths = [p for p in listed if p.is_file()]
    others = [p for p in here if p not in paths]
    if not paths:
        paths = here
    elif others and len(paths) < len(listed):
        spare = iter(others)
        paths = [p if p.is_file() else next(spare, p) for p in listed]
        paths = [p for p in paths if p.is_file()] + list(spare)
        damage += [
            f"{_within(p, place)}: metadata.yaml does not name it; it is read as the missing part"
            for p in others
        ]
    else:
        damage += [
            f"{_within(p, place)}: is left out, because metadata.yaml does not name it" for p in others
        ]
    if not paths:
        facts = damage if (place / "metadata.yaml").exists() else []
        raise BagError(
            place, "; ".join(["holds no bag file", *facts]), f"expected {' or '.join(SUFFIXES)} in it"
        )
    return BagFiles(tuple(paths), _storage(paths[0]), damage)


def _named(place: Path, damage: list[str]) -> list[str] | None:
    """File names in metadata.yaml, None without a readable one."""
    file = place / "metadata.yaml"
    if not file.is_file():
        damage.append("metadata.yaml: is missing; the files in the folder are read as they are")
        return None
    try:
        content = read_yaml(file, METADATA_LIMITS)
        names = content["rosbag2_bagfile_information"]["relative_file_paths"]
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ValueError("relative_file_paths is no list of names")
    except (OSError, YamlError, ValueError, KeyError, TypeError) as error:
        damage.append(
            f"metadata.yaml: cannot be used ({_short(error)}); the files in the folder are read as they are"
        )
        return None
    # Only files in this folder, each once: a bag must not refer to files elsewhere, or be read again and again.
    found = dict.fromkeys(PurePosixPath(n).name for n in names[:MAX_FILES])
    return [name for name in found if name.endswith(SUFFIXES) and len(os.fsencode(name)) <= MAX_NAME_BYTES]


def _lying(place: Path) -> list[Path]:
    """Bag files in the folder, or in one just below it, where a recorder keeps what is not finished."""
    found = [p for p in (*place.glob("*"), *place.glob("*/*")) if p.is_file() and p.name.endswith(SUFFIXES)]
    return sorted(found, key=lambda p: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", p.name)])[
        :MAX_FILES
    ]


def _within(path: Path, place: Path) -> str:
    return str(path.relative_to(place))


def _storage(path: Path) -> str:
    return "sqlite3" if ".db3" in path.suffixes else "mcap"


def unpack_file(source: Path, target: Path, limit: int, damage: list[str]) -> None:
    """Decompress a whole file (rosbag2's compression per file), at most `limit` bytes; damage is named."""
    size = 0
    with source.open("rb") as packed, target.open("wb") as out:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            packed, read_across_frames=True
        )
        try:
            while part := reader.read(1 << 20):
                size += len(part)
                if size > limit:
                    damage.append(f"{source.name}: more than {limit} bytes unpacked, the rest is left out")
                    return
                out.write(part)
        except zstandard.ZstdError as error:
            damage.append(f"{source.name}: damaged after {size} unpacked bytes ({error})")


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:160].replace("\n", " ")
