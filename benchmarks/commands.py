"""Commands whose results are JSON on their standard output, run as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.errors import BenchError

END_S = 60.0
"""Time that a command may take to end once it is interrupted."""


def rsdfm(*words: str) -> list[str]:
    """The command line of `rsdfm`."""
    return [sys.executable, "-m", "rsdfm_ros.cli", *words]


def python(*words: str) -> list[str]:
    """The command line of a module of this repository."""
    return [sys.executable, "-m", *words]


def output_of(command: Sequence[str]) -> str:
    """Standard output of a command; its standard error is shown. Raises: BenchError if it fails; KeyboardInterrupt once
    it has ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:  # Ctrl-C reaches the command too, which ends what it has started
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.terminate()
            raise
    if process.returncode:
        raise BenchError(f"`{' '.join(command[2:])}` failed with status {process.returncode}")
    return said


def json_of(command: Sequence[str]) -> dict[str, Any]:
    """The object that a command prints. Raises: as `output_of`, and BenchError for anything else."""
    said = output_of(command)
    try:
        content = json.loads(said)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise BenchError(f"`{' '.join(command[2:])}` printed no JSON object: {said[:80]!r}")
    return content
