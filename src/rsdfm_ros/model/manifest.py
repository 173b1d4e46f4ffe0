"""manifest.yaml of a model folder: the description of its weights, and their hash. Needs no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.outputs import write_atomically

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.yaml"
FORMAT = 1


class ModelStoreError(RsdfmError):
    """A model folder that is missing, damaged or different from its manifest."""


def write_manifest(folder: str | Path, manifest: dict[str, Any]) -> None:
    """Replace a folder's manifest in one step."""
    write_atomically(Path(folder) / MANIFEST, yaml.safe_dump(manifest, sort_keys=False, width=100))


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a model folder, checked for the entries that loading needs."""
    path = Path(folder) / MANIFEST
    try:
        manifest = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ModelStoreError(
            f"no model at {folder}: cannot read {path.name} ({error.strerror}); give a folder made by `rsdfm train`"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelStoreError(f"{path} is not valid YAML: {reason(error)}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelStoreError(f"{path}: expected a manifest of format {FORMAT}")
    for key in ("config", "weights_sha256"):
        if key not in manifest:
            raise ModelStoreError(f"{path}: entry `{key}` is missing")
    return manifest


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
