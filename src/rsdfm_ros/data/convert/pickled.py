"""Contents of pickles as plain values, read by a process of its own (`unpickle.py`) that can read nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsdfm_ros.data.errors import DatasetError

PROGRAM = Path(__file__).with_name("unpickle.py")
MAX_BYTES = 64 << 20
"""Size of a pickle; metadata of an agent take a few kB."""
_WAIT_S = 300.0


class PickleError(DatasetError):
    """A pickle that is missing, damaged, or holds more than plain containers, numbers and arrays."""


def read_pickles(paths: Sequence[Path]) -> list[Any]:
    """The values of several pickles, read by one process. Raises: PickleError for the first that is refused.

    Lists stand for tuples, sets and arrays; keys of dictionaries are texts.
    """
    blobs = [_bytes(path) for path in paths]
    message = b"".join(len(blob).to_bytes(8, "little") + blob for blob in blobs)
    try:
        done = subprocess.run(  # -I -S: without the user's environment, working directory and site packages
            [sys.executable, "-I", "-S", str(PROGRAM)],
            input=message,
            capture_output=True,
            timeout=_WAIT_S,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PickleError(
            paths[0].parent, f"reading pickles took more than {_WAIT_S:g} s", "leave this part out"
        ) from None
    lines = done.stdout.splitlines()
    values = []
    for n, path in enumerate(paths):
        if n >= len(lines):
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
            raise PickleError(
                path, f"ended the process that read it ({how})", "the file is damaged or hostile"
            )
        answer = json.loads(lines[n])
        if "error" in answer:
            raise PickleError(path, answer["error"], "only plain containers, numbers and arrays are read")
        values.append(answer["value"])
    return values


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PickleError(path, f"cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise PickleError(path, f"is larger than {MAX_BYTES >> 20} MiB")
    return data
