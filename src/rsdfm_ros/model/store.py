"""Model folders: weights.safetensors with a manifest.yaml that describes them and holds their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from rsdfm_ros.model.config import ModelConfigError, model_config_from_dict
from rsdfm_ros.model.manifest import (
    FORMAT,
    MANIFEST,
    WEIGHTS,
    ModelStoreError,
    read_manifest,
    sha256_of,
    write_manifest,
)
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.weights import check_size, read_weights
from rsdfm_ros.outputs import replacing

__all__ = [
    "ModelStoreError",
    "load_model",
    "load_state",
    "read_manifest",
    "save_model",
    "state_fingerprint",
    "trunk_fingerprint",
    "warm_start",
    "wire_fingerprint",
    "write_manifest",
]

#: Parts of the network before the exchange of features, and those after it.
WIRE_PARTS = ("encoder", "embed", "compression", "interaction")
TRUNK_PARTS = (*WIRE_PARTS, "neck")


def wire_fingerprint(model: RSDFM) -> int:
    """64-bit identity of the features of a model: agents that differ in it cannot use each other's features.

    Encoder, mapping, compression and interaction (which merges the maps of several cameras before they are sent) count,
    by their settings and tensors. Neck, heads, window and name do not: UAVs with different tasks fuse each other's
    maps.
    """
    return _identity(model.config.wire_digest(), model, WIRE_PARTS)


def state_fingerprint(model: RSDFM) -> int:
    """64-bit identity of a whole model: settings and all tensors."""
    return _identity(model.config.digest(), model)


def trunk_fingerprint(model: RSDFM) -> int:
    """64-bit identity of all parts up to the task features, the neck included; heads do not count."""
    return _identity(model.config.wire_digest(), model, TRUNK_PARTS)


def _identity(config_digest: bytes, model: RSDFM, parts: tuple[str, ...] = ()) -> int:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not parts or name.partition(".")[0] in parts:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    joint = hashlib.sha256(config_digest + digest.digest()).digest()
    return int.from_bytes(joint[:8], "little")


def save_model(folder: str | Path, model: RSDFM, about: dict[str, Any]) -> Path:
    """Write weights and manifest; `about` (training data, time, metrics, thresholds …) goes into the manifest."""
    folder = Path(folder)
    state = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as beside:
        save_file(state, beside)
        beside.chmod(0o644)
    manifest = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "weights_sha256": sha256_of(folder / WEIGHTS),
        "parameters": sum(p.numel() for p in model.parameters()),
        **about,
    }
    write_manifest(folder, manifest)
    return folder


def load_model(folder: str | Path) -> tuple[RSDFM, dict[str, Any], int]:
    """The network in evaluation mode, its manifest and its fingerprint on the wire.

    Raises ModelStoreError if the weights do not match the hash of the manifest or do not fit its configuration.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelStoreError(f"{folder} has a manifest but no {WEIGHTS}")
    check_size(path)
    actual = sha256_of(path)
    if actual != manifest["weights_sha256"]:
        raise ModelStoreError(
            f"{path} hashes to {actual[:16]}…, its manifest says {str(manifest['weights_sha256'])[:16]}…: "
            "the file is damaged or belongs to another manifest; fetch or train the model again"
        )
    state = read_weights(path)
    try:
        config = model_config_from_dict(manifest["config"])
    except ModelConfigError as error:
        raise ModelConfigError(f"{folder / MANIFEST}: {error}") from error
    model = RSDFM(config)
    load_state(model, state, path)
    return model.eval(), manifest, wire_fingerprint(model)


def load_state(model: RSDFM, state: dict[str, Tensor], source: str | Path) -> None:
    """Copy tensors into a model; ModelStoreError names what is missing, unknown or of another shape or type."""
    expected = model.state_dict()
    problems = [f"missing {k}" for k in expected if k not in state]
    problems += [f"unknown {k}" for k in state if k not in expected]
    problems += [
        f"{k} is {_words(state[k])}, expected {_words(v)}"
        for k, v in expected.items()
        if k in state and not _fits(state[k], v)
    ]
    if problems:
        shown = "; ".join(problems[:4]) + (f" and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise ModelStoreError(f"{source} does not fit the model configuration: {shown}")
    model.load_state_dict(state)


def _fits(given: Tensor, own: Tensor) -> bool:
    return given.shape == own.shape and given.dtype == own.dtype


def _words(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def warm_start(model: RSDFM, folder: str | Path) -> list[str]:
    """Copy every tensor of a model folder that fits; names of the model's own tensors that stay as they are.

    Raises: ModelStoreError if the folder is no model, or nothing of it fits.
    """
    read_manifest(folder)
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise ModelStoreError(f"{folder} has a manifest but no {WEIGHTS}")
    own = model.state_dict()
    found = {k: v for k, v in read_weights(path).items() if k in own and _fits(v, own[k])}
    if not found:
        raise ModelStoreError(f"no tensor of {path} fits the model configuration")
    model.load_state_dict(found, strict=False)
    return sorted(set(own) - set(found))
