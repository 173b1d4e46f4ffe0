"""docs/benchmarks.md: the text between its markers is written from the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy.section import Section
from benchmarks.page import relative

BARS = "bars"
"""The name of the place for the table of bars."""


def section_text(section: Section, results: Mapping[str, Any], images: Path, page: Path) -> str:
    """Text of a section: how it was made, its tables and its figures, drawn into `images`."""
    units = results["units"]
    images.mkdir(parents=True, exist_ok=True)
    parts = [provenance(section, results["common"]), section.tables(units).strip()]
    for name, caption in section.figures(units, images).items():
        parts.append(f"![{caption}]({relative(images / name, page)})")
    return "\n\n".join(parts)


def provenance(section: Section, common: Mapping[str, Any]) -> str:
    """Command and settings that reproduce the figures of a section."""
    seed, kind = common["first_seed"], f"{section.sizes}_" if section.sizes else ""
    scenes, frames = common[f"{kind}scenes"], common.get(f"{kind}frames", common["frames"])
    egos = common.get(f"{kind}egos") if section.scored else None
    as_ego = "" if egos is None else f", {egos} UAV{'s' * (egos > 1)} of each as ego"
    return (
        f"`make bench-accuracy ONLY={section.source}` · {common['model']}, weights {common['weights_sha256'][:8]}… · "
        f"seed{'s' * (scenes > 1)} {_span(seed, scenes)}, {frames} frames each{as_ego}"
    )


def _span(seed: int, count: int) -> str:
    return str(seed) if count == 1 else f"{seed} to {seed + count - 1}"
