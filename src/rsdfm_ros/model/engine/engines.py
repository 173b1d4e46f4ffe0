"""Engines that run a network: PyTorch, or OpenVINO where that is asked for and installed and the device is a CPU.

PyTorch is the reference and does all training; OpenVINO gives the same answers within a tolerance that the tests state.
"""

from __future__ import annotations

from pathlib import Path

import torch

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.model.config import ENGINES
from rsdfm_ros.model.engine.runtime import Runtime
from rsdfm_ros.model.rsdfm import RSDFM


def make_runtime(
    model: RSDFM, device: torch.device, engine: str = "torch", folder: Path | None = None
) -> Runtime:
    """The runtime of an engine. `auto`: PyTorch, which measures as fast or faster (`rsdfm bench --engine`).

    folder: of the model, beside which OpenVINO's form of it is kept. Raises: RsdfmError.
    """
    if engine not in ENGINES:
        raise RsdfmError(f"unknown engine {engine!r}: expected {', '.join(ENGINES)}")
    if engine != "openvino":
        return Runtime(model, device)
    if device.type != "cpu":
        raise RsdfmError(f"engine openvino runs on the CPU, not on {device}: take torch")
    try:
        from rsdfm_ros.model.engine.openvino_runtime import OpenVinoRuntime
    except ImportError as error:
        raise RsdfmError(
            "engine openvino needs the package openvino, which is not installed: `pip install openvino`, or take torch"
        ) from error
    return OpenVinoRuntime(model, device, folder)
