"""A section of docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.page import Bar, bars_table, relative
from benchmarks.store import Content, Store
from rsdfm_ros.provenance import machine_words


@dataclass(frozen=True)
class Plan:
    """How everything is measured. model: folder, or `random:…` · quick: as little as possible, for a trial ·
    folder: of the runs."""

    model: str
    quick: bool
    folder: Path


@dataclass(frozen=True)
class Section:
    """One part of the page.

    run: computes what the store does not hold yet, unit by unit · tables: the Markdown of the results · figures: draws
    images into a folder and returns their captions by file name · bars: what the results have to clear.
    """

    name: str
    title: str
    run: Callable[[Plan, Store], None]
    tables: Callable[[Content], str]
    bars: Callable[[Content], Sequence[Bar]]
    figures: Callable[[Content, Path], Mapping[str, str]] = lambda content, folder: {}


def section_text(section: Section, results: Mapping[str, Any], images: Path, page: Path) -> str:
    """Text of a section: where its figures come from, its tables and bars, and its images, drawn into `images`."""
    units = results["units"]
    parts = [origin(section, results["common"]), section.tables(units).strip()]
    bars = section.bars(units)
    parts += [bars_table([(section.name, bar) for bar in bars])] if bars else []
    images.mkdir(parents=True, exist_ok=True)
    for name, caption in section.figures(units, images).items():
        parts.append(f"![{caption}]({relative(images / name, page)})")
    return "\n\n".join(parts)


def origin(section: Section, common: Mapping[str, Any]) -> str:
    """Command, model, version and machine of the figures of a section."""
    weights, commit = common["weights_sha256"], common["commit"]
    parts = [
        f"`make bench ONLY={section.name}`{' QUICK=1' if common['quick'] else ''}",
        f"{common['model']}, {f'weights {weights[:8]}…' if weights else 'untrained'}",
        f"version {common['version']}{f', commit {_short(commit)}' if commit else ''}",
        machine_words(dict(common["machine"])),
    ]
    return " · ".join(parts)


def _short(commit: str) -> str:
    """A commit with eight digits; files that were changed since then are still told."""
    digits, dash, changed = commit.partition("-")
    return f"{digits[:8]}{dash}{changed}"
