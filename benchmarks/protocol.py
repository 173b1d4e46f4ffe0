"""Settings that the benchmarks share; part of the protocol of docs/benchmarks.md."""

from __future__ import annotations

UAVS = 4
BUDGET_BYTES = 18_000
"""Budget of the methods with one, unless a benchmark varies it."""
