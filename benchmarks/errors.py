"""The error of the benchmarks, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rsdfm_ros.errors import RsdfmError


class BenchError(RsdfmError):
    """Results of something else, sizes that are impossible, or a page without the places to write to."""


def status_of(work: Callable[[], int], out: Path) -> int:
    """The exit status of a benchmark that keeps its results in `out`; errors and Ctrl-C are told in a sentence."""
    try:
        return work()
    except RsdfmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"interrupted: what was measured is in {out}; the same command goes on from there",
            file=sys.stderr,
        )
        return 130
