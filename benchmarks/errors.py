"""The error of the benchmarks."""

from __future__ import annotations

from rsdfm_ros.errors import RsdfmError


class BenchError(RsdfmError):
    """Results of something else, sizes that are impossible, or a page without the places to write to."""
