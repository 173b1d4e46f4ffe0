"""Weights as they lie on disk: safetensors files, read within limits."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from rsdfm_ros.errors import reason
from rsdfm_ros.model.manifest import ModelStoreError

MAX_WEIGHTS_BYTES = 1 << 30
"""A hundred times the shipped model."""
MAX_HEADER_BYTES = 1 << 20
"""Twenty times the header of the shipped model: 100 bytes per tensor."""
_REMEDY = "fetch or train the model again"


def check_size(path: Path) -> None:
    """Raise ModelStoreError unless the file is there, and its size and that of its header can be right."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise ModelStoreError(f"{path} cannot be read ({reason(error)}); {_REMEDY}") from error
    if size > MAX_WEIGHTS_BYTES:
        raise ModelStoreError(
            f"{path}: expected at most {MAX_WEIGHTS_BYTES} bytes of weights, got {size}; {_REMEDY}"
        )
    header, most = int.from_bytes(head, "little"), min(MAX_HEADER_BYTES, size - 8)
    if len(head) < 8 or header > most:
        got = f"{header} in a file of {size} bytes" if len(head) == 8 else f"a file of {size} bytes"
        raise ModelStoreError(
            f"{path}: expected a safetensors file with a header of at most {MAX_HEADER_BYTES} bytes, got {got}; "
            f"{_REMEDY}"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises: ModelStoreError, also for values that are not finite."""
    check_size(path)
    try:
        tensors = load(path.read_bytes())  # load_file keeps some kilobytes for ever, every time
    except (
        SafetensorError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise ModelStoreError(
            f"{path}: expected a safetensors file, got {reason(error)}; {_REMEDY}"
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype.is_floating_point and not torch.isfinite(tensor.float()).all():
            raise ModelStoreError(f"{path}: expected finite weights, got others in {name}; {_REMEDY}")
    return tensors
