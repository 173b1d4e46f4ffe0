"""Provenance of figures: command, version, model, seed, date and machine, for result files and pages.

Neither the machine's name nor the person's is noted. Free of ROS and torch.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from rsdfm_ros import __version__
from rsdfm_ros.model.manifest import WEIGHTS
from rsdfm_ros.words import command_line, counted, without_home

GIT_LIMIT_S = 10.0
INSTRUCTION_SETS = (
    ("AVX2", "avx2"),
    ("AVX-512", "avx512f"),
    ("AVX-512 VNNI", "avx512_vnni"),
    ("AVX-512 BF16", "avx512_bf16"),
    ("AMX", "amx_tile"),
    ("NEON", "asimd"),
)
"""Name and flag in /proc/cpuinfo of what speed and the last bits of results depend on."""


def provenance(
    *,
    seed: int | None = None,
    model: str | Path | None = None,
    fingerprint: int | None = None,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Provenance of a result that is made now, as plain values; what is not known is None.

    seed: of the simulated world · model: folder, or `random:…` · fingerprint: of the model on the wire, if it was
    loaded · command: words of the command line, by default those of this process.
    """
    return {
        "command": command_line(command),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": commit_of(Path(__file__).resolve().parents[2]),
        "seed": seed,
        "model": None if model is None else model_identity(model, fingerprint),
        "machine": machine(),
    }


def model_identity(model: str | Path, fingerprint: int | None = None) -> dict[str, Any]:
    """Folder, hash of the weights and fingerprint of a model; the hash is None where there are no weights."""
    weights = Path(model) / WEIGHTS
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None
    return {
        "folder": without_home(str(model)),
        "weights_sha256": digest,
        "fingerprint": None if fingerprint is None else f"{fingerprint:016x}",
    }


def commit_of(root: Path) -> str | None:
    """Commit of a checkout, with `-dirty` where files were changed; None outside a checkout or without git."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and versions that speed and the last bits of results depend on."""
    about = _first_processor()
    flags = set(about.get("flags", about.get("Features", "")).split())
    return {
        "cpu": about.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "instruction_sets": [name for name, flag in INSTRUCTION_SETS if flag in flags],
        "os": _system(),
        "python": platform.python_version(),
        "torch": _version("torch"),
    }


def machine_words(facts: dict[str, Any], *, short: bool = False) -> str:
    """The machine in one line for people; short: without instruction sets and versions."""
    cores, memory = facts.get("cores"), facts.get("memory_gb")
    parts = (
        facts.get("cpu"),
        counted(cores, "core") if cores else None,
        f"{memory:g} GB" if memory else None,
        None if short else ", ".join(facts.get("instruction_sets") or ()),
        facts.get("os"),
        None if short or not facts.get("python") else f"Python {facts['python']}",
        None if short or not facts.get("torch") else f"PyTorch {facts['torch']}",
    )
    return " · ".join(part for part in parts if part)


def _first_processor() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (AttributeError, KeyError, OSError):
        return f"{platform.system()} {platform.release()}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
