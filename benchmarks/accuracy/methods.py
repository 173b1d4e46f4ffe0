"""Every method on a part of the standard split, undisturbed."""

from __future__ import annotations

from benchmarks.accuracy import standard
from benchmarks.accuracy.bench import Bench, Case
from benchmarks.accuracy.section import Section
from benchmarks.store import Store
from rsdfm_ros.evaluation.methods import METHODS

NAMES = tuple(name for name in METHODS if name != "rsdfm-plain")
"""Undisturbed, `rsdfm-plain` is `rsdfm`."""
UNIT = "all methods"


def run(bench: Bench, store: Store) -> None:
    """One unit: all is evaluated in one pass."""
    store.unit(
        UNIT,
        lambda: bench.evaluate(bench.part_scenes(), {UNIT: Case(NAMES)}, UNIT, bench.sizes.part_egos)[UNIT],
    )


SECTION = Section("methods", "Other methods and ablations", run, standard.tables)
