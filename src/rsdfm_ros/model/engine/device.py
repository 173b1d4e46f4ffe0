"""Device and precision that a model runs with."""

from __future__ import annotations

from typing import Any

import torch

from rsdfm_ros.errors import RsdfmError


class DeviceError(RsdfmError):
    """An unknown or missing device."""


def choose_device(name: str = "auto", index: int = 0) -> torch.device:
    """`auto` is GPU number `index` if there is one, else the CPU. Raises: DeviceError."""
    if name == "auto":
        name = f"cuda:{index}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"unknown device {name!r}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        why = "finds no GPU" if torch.version.cuda else "is built for CPUs only"
        raise DeviceError(
            f"device {name!r} cannot be used: the installed PyTorch {torch.__version__} {why}; take auto or cpu"
        )
    there = torch.cuda.device_count()
    if (device.index or 0) >= there:
        raise DeviceError(f"there is no device {name!r}: expected cuda:0 to cuda:{there - 1}, auto or cpu")
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
