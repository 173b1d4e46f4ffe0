"""Check text files for leftovers of editors and merges: scripts/check_files.py FILE … (pre-commit calls it).

Trailing blanks, a missing newline at the end, leftovers of a merge, files that are too large, and YAML, JSON, TOML or
XML that cannot be read.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import yaml

LARGEST_BYTES = 16_000_000
_MERGE = re.compile(rb"^(<{7} |={7}$|>{7} )", re.MULTILINE)
_BLANKS = re.compile(rb"[ \t]+$", re.MULTILINE)


def problems(path: Path) -> Iterator[str]:
    """List the problems of a file."""
    data = path.read_bytes()
    if len(data) > LARGEST_BYTES:
        yield f"has {len(data)} bytes, more than {LARGEST_BYTES}"
    if b"\0" in data[:8000] or path.suffix in (".png", ".bin", ".safetensors"):
        return
    if _MERGE.search(data):
        yield "has the marks of a merge"
    if _BLANKS.search(data):
        yield f"has trailing blanks in line {data[: _BLANKS.search(data).start()].count(10) + 1}"  # type: ignore[union-attr]
    if data and not data.endswith(b"\n"):
        yield "does not end with a newline"
    try:
        read(path, data)
    except (ValueError, yaml.YAMLError, ElementTree.ParseError) as error:
        yield f"cannot be read: {error}"


def read(path: Path, data: bytes) -> None:
    """Parse a file by its name; raises what the parser raises."""
    if path.suffix in (".yaml", ".yml", ".rviz"):
        list(yaml.compose_all(data.decode()))
    elif path.suffix == ".json":
        json.loads(data)
    elif path.suffix in (".xml", ".sdf", ".config"):
        ElementTree.fromstring(data)
    elif path.suffix == ".toml" and sys.version_info >= (3, 11):
        import tomllib

        tomllib.loads(data.decode())


def main(names: list[str]) -> int:
    """Print every problem; the exit status."""
    found = [
        f"{name} {problem}" for name in names if Path(name).is_file() for problem in problems(Path(name))
    ]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
