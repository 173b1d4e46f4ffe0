"""The sections of docs/benchmarks.md, and of other pages, in order. A new one is a Section in here and its markers in
its page."""

from __future__ import annotations

from benchmarks.accuracy import (
    attacks,
    budget,
    carrying,
    disturbances,
    entropy,
    layout,
    methods,
    rates,
    standard,
    styles,
    tasks,
    terrain,
)
from benchmarks.accuracy.section import Section

SECTIONS: tuple[Section, ...] = (
    standard.SECTION,
    tasks.SECTION,
    methods.SECTION,
    rates.SECTION,
    entropy.SECTION,
    budget.SECTION,
    disturbances.SECTION,
    attacks.SECTION,
    carrying.SECTION,
    terrain.SECTION,
    styles.SECTION,
    layout.SECTION,
)
