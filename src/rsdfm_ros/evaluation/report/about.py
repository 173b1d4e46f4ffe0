"""The parts of report.html on the provenance of its figures and on next steps."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from rsdfm_ros.evaluation.report.next_steps import steps_after_demo, steps_with
from rsdfm_ros.evaluation.report.recording import RunReader
from rsdfm_ros.evaluation.report.timing import LOCKSTEP
from rsdfm_ros.provenance import machine_words
from rsdfm_ros.words import without_home

SHOWN_HASH = 12


def in_short(run: RunReader) -> str:
    """Seed, model, budget, machine and date, in a line below the first figures."""
    facts, protocol = _facts(run), run.result.get("protocol", {})
    model, machine = facts.get("model") or {}, facts.get("machine") or {}
    digest, budget = model.get("weights_sha256"), protocol.get("budget_bytes")
    entries = (
        ("world", f"{protocol['world']}, seed {facts['seed']}" if facts.get("seed") is not None else None),
        (
            "model",
            model.get("folder") and model["folder"] + (f" ({digest[:SHOWN_HASH]})" if digest else ""),
        ),
        ("byte budget", f"{budget / 1000:g} kB per UAV and frame" if budget else None),
        ("machine", machine_words(machine, short=True) if machine else None),
        ("date", facts.get("date", "")[:10]),
    )
    items = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in entries if value)
    return f"<dl class=facts>{items}</dl>" if items else ""


def how_it_was_measured(run: RunReader, page: Path) -> str:
    """Definitions, provenance and protocol. page: file that this becomes a part of."""
    figures = (
        "<code>result.json</code> beside this page"
        if page.resolve().parent == run.folder.resolve()
        else f"<code>{html.escape(without_home(str(run.place.resolve() / 'result.json')))}</code>"
    )
    protocol = run.result.get("protocol", {})
    text = html.escape(json.dumps(protocol, indent=2))
    lockstep = f"<p>{LOCKSTEP[:1].upper()}{LOCKSTEP[1:]}.</p>" if protocol.get("lockstep") else ""
    return (
        "<h2>How it was measured</h2><p>Cells of 0.5 m; a vehicle counts whether or not a camera sees it. All figures, "
        f"frame by frame, are in {figures}; the definitions in "
        f"<code>docs/evaluation.md</code>.</p>{lockstep}{_provenance(run)}"
        f"<details><summary>Protocol</summary><pre>{text}</pre></details>"
    )


def next_steps(run: RunReader) -> str:
    """Commands to try with this run."""
    seed = _facts(run).get("seed")
    steps = (
        steps_with(run.folder, paged=True, place=run.place)
        if seed is None
        else steps_after_demo(run.folder, seed, run.place)
    )
    items = "".join(
        f"<li>{html.escape(what)}:<pre>{html.escape(command)}</pre></li>" for what, command in steps
    )
    return f"<h2>What to try next</h2><ul class=next>{items}</ul>" if items else ""


def _provenance(run: RunReader) -> str:
    facts = _facts(run)
    model = facts.get("model") or {}
    version = facts.get("version")
    commit = facts.get("commit")
    entries = (
        ("command", facts.get("command")),
        ("date (UTC)", facts.get("date")),
        ("version", version and f"rsdfm_ros {version}" + (f", commit {commit}" if commit else "")),
        ("seed of the world", facts.get("seed")),
        ("model", model.get("folder")),
        ("SHA-256 of its weights", model.get("weights_sha256")),
        ("its fingerprint in packets", model.get("fingerprint")),
        ("machine", machine_words(facts["machine"]) if facts.get("machine") else None),
    )
    rows = "".join(
        f"<tr><th>{name}</th><td>{_text(value)}</td></tr>" for name, value in entries if value is not None
    )
    return f"<table class=origin><tbody>{rows}</tbody></table>" if rows else ""


def _facts(run: RunReader) -> dict[str, Any]:
    return dict(run.result.get("provenance") or {})


def _text(value: object) -> str:
    return html.escape(str(value))
