"""Where and in which precision a model runs."""

from __future__ import annotations

from typing import Any

import torch

from rsdfm_ros.errors import RsdfmError


def choose_device(name: str = "auto", index: int = 0) -> torch.device:
    """`auto` is GPU number `index` if there is one, else the CPU. Raises: RsdfmError for one that cannot be used."""
    if name == "auto":
        name = f"cuda:{index}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise RsdfmError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        found = f"the GPUs here are cuda:0 to cuda:{count - 1}" if count else "PyTorch finds no GPU here"
        raise RsdfmError(f"device {name}: {found}; use another one, cpu or auto")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively (on a CPU: AVX-512 BF16)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())


def autocast_arguments(device: torch.device) -> dict[str, Any]:
    """Arguments of `torch.autocast`: bfloat16 where it is native, float32 elsewhere."""
    return {"device_type": device.type, "dtype": torch.bfloat16, "enabled": has_bfloat16(device)}
