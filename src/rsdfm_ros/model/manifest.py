"""manifest.yaml of a model folder: the description of its weights, and their hash. Needs no torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.outputs import write_atomically
from rsdfm_ros.yaml_file import YamlError, read_yaml

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.yaml"
FORMAT = 1
_SHOWN = 200
"""So many characters of a refused value are told."""


class ModelStoreError(RsdfmError):
    """A model folder that is missing, damaged or different from its manifest."""


class ManifestError(ModelStoreError):
    """A manifest with entries that cannot be used."""


def write_manifest(folder: str | Path, manifest: dict[str, Any]) -> None:
    """Replace a folder's manifest in one step."""
    write_atomically(Path(folder) / MANIFEST, yaml.safe_dump(manifest, sort_keys=False, width=100))


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a model folder, checked for the entries that loading needs."""
    path = Path(folder) / MANIFEST
    try:
        manifest = read_yaml(path)
    except OSError as error:
        raise ModelStoreError(
            f"no model at {folder}: cannot read {path.name} ({error.strerror}); give a folder made by `rsdfm train`"
        ) from error
    except YamlError as error:
        raise ModelStoreError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelStoreError(f"{path}: expected a manifest of format {FORMAT}")
    for key in ("config", "weights_sha256"):
        if key not in manifest:
            raise ModelStoreError(f"{path}: entry `{key}` is missing")
    for entry, expected, value in _faults(manifest):
        raise ManifestError(
            f"{path}: {entry}: expected {expected}, got {repr(value)[:_SHOWN]}; take the manifest that `rsdfm train` "
            "wrote"
        )
    return manifest


def _faults(manifest: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Entries of a manifest that cannot be used: name, what was expected, what came."""
    if not isinstance(manifest["config"], dict):
        yield "config", "model settings by name", manifest["config"]
    if not isinstance(manifest["weights_sha256"], str):
        yield "weights_sha256", "a hash in quotes", manifest["weights_sha256"]
    thresholds = manifest.get("thresholds", {})
    if not isinstance(thresholds, dict):
        yield "thresholds", "numbers by name", thresholds
    else:
        for name, value in thresholds.items():
            if not isinstance(name, str) or not _is_threshold(value):
                yield f"thresholds.{name}", "a number from -1 to 1", value
    added = manifest.get("added_heads", {})
    if not isinstance(added, dict):
        yield "added_heads", "entries by name", added
        return
    stages = {"training": manifest.get("training", {}), **{f"added_heads.{n}": v for n, v in added.items()}}
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            yield name, "entries by name", stage
        elif not isinstance(stage.get("data", {}), dict):
            yield f"{name}.data", "entries by name", stage["data"]
        else:
            seeds = stage.get("data", {}).get("seeds", [])
            if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
                yield f"{name}.data.seeds", "a list of integers", seeds


def _is_threshold(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and -1.0 <= value <= 1.0


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
