"""The network's parts by OpenVINO on the CPU. Importing this module needs openvino."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from rsdfm_ros.model.encoder import Encoder, normalise_images
from rsdfm_ros.model.engine.device import has_bfloat16
from rsdfm_ros.model.engine.runtime import Runtime
from rsdfm_ros.model.neck import Look, Neck
from rsdfm_ros.model.rsdfm import RSDFM
from rsdfm_ros.model.store import state_fingerprint
from rsdfm_ros.outputs import write_atomically

CACHE = ".openvino"
"""Folder with the converted parts: in the model's folder, or in the user's cache where that cannot be written."""
_FORM = 1
"""Part of the names of the converted parts; counts up when they are converted in another way."""
_KEPT_SHAPES = 3
"""A part is kept compiled for so many shapes: that of the model's window, and those of the last regions."""


class _Encode(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.encoder(normalise_images(images))
        return features, logits


class _Call(nn.Module):
    def __init__(self, neck: Neck, call: Callable[..., Any]) -> None:
        super().__init__()
        self.neck, self.call = neck, call

    def forward(self, *inputs: Tensor) -> Any:
        found = self.call(*inputs)
        return found if isinstance(found, Tensor) else tuple(found)


class OpenVinoRuntime(Runtime):
    """Encoder and neck by OpenVINO, in bfloat16 where the CPU multiplies it natively; heads by PyTorch."""

    engine = "openvino"

    def __init__(self, model: RSDFM, device: torch.device, folder: Path | None = None) -> None:
        super().__init__(model, device)
        config = model.config
        neck, (h, w) = model.neck, config.window.shape
        c1, c2, _ = config.neck_widths
        images = torch.zeros(1, config.image_height, config.image_width, 3, dtype=torch.uint8)
        map_ = (torch.zeros(1, config.channels, h, w), torch.zeros(1, 1, h, w))
        near, wide = torch.zeros(1, c1, h, w), torch.zeros(1, c2, h // 2, w // 2)
        memories = torch.zeros(1, config.history * config.memory_channels, h // 2, w // 2)
        cells = torch.zeros(1, config.task_channels, h, w)
        parts: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
            "encode": (_Encode(model.encoder), (images,)),
            "look": (_Call(neck, neck.look), map_),
            "cells": (_Call(neck, neck.cells), (near, wide, memories)),
            "fine": (_Call(neck, neck.fine), (cells,)),
        }
        self.precision = "bf16" if has_bfloat16(device) else "f32"
        settings = {"NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": self.precision}
        core, name = openvino.Core(), f"{_FORM}-{state_fingerprint(model):016x}-{openvino.get_version()}"
        known = _Converted(core, folder, name.replace(os.sep, "_"))
        self._parts = {
            part: _Part(core, known.part(part, *form), settings, form[1]) for part, form in parts.items()
        }

    @property
    def words(self) -> str:
        return f"OpenVINO {openvino.__version__.partition('-')[0]} ({self.precision}) on {self.device}"

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1:3] != (self.model.config.image_height, self.model.config.image_width):
            return super().encode(images)  # what shows a region: of another size every time
        features, logits = self._parts["encode"](images)
        return features, logits

    def look(self, fused: Tensor, visible: Tensor) -> Look:
        return Look(*self._parts["look"](fused, visible.float()))

    def cells(self, near: Tensor, wide: Tensor, memories: Tensor) -> tuple[Tensor, Tensor]:
        cells, motion = self._parts["cells"](near, wide, memories)
        return cells, motion

    def fine(self, cells: Tensor) -> Tensor:
        return self._parts["fine"](cells)[0]


class _Part:
    """A part, compiled for the last shapes of its inputs and numbers of threads (as torch's); every thread has requests
    of its own."""

    def __init__(
        self, core: openvino.Core, converted: Any, settings: dict[str, Any], example: tuple[Tensor, ...]
    ) -> None:
        self._core, self._converted, self._settings = core, converted, settings
        self._lock, self._local = threading.Lock(), threading.local()
        self._compiled: dict[tuple[Any, ...], Any] = {}
        self._for(tuple(x.shape for x in example))

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        shapes = tuple(x.shape for x in inputs)
        compiled = self._compiled.get((torch.get_num_threads(), *shapes)) or self._for(shapes)
        known, request = getattr(self._local, "request", (None, None))
        if known is not compiled:
            request = compiled.create_infer_request()
            self._local.request = (compiled, request)
        given = [np.ascontiguousarray(x.numpy()) for x in inputs]
        found = request.infer(given, share_inputs=True)  # type: ignore[union-attr]
        return [torch.from_numpy(np.array(found[output])) for output in compiled.outputs]

    def _for(self, shapes: tuple[torch.Size, ...]) -> Any:
        """The part compiled for these shapes: those of the model's window, or of the region of interest."""
        threads = torch.get_num_threads()
        key = (threads, *shapes)
        with self._lock:
            if key not in self._compiled:
                if len(self._compiled) >= _KEPT_SHAPES:
                    del self._compiled[list(self._compiled)[-1]]
                self._converted.reshape({n: list(shape) for n, shape in enumerate(shapes)})
                settings = {**self._settings, "INFERENCE_NUM_THREADS": threads}
                self._compiled[key] = self._core.compile_model(self._converted, "CPU", settings)
            return self._compiled[key]


class _Converted:
    """Parts of a model in OpenVINO's form, kept on disk if a folder can be written."""

    def __init__(self, core: openvino.Core, folder: Path | None, name: str) -> None:
        self._core, self._name = core, name
        own = None if folder is None else folder / CACHE
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsdfm_ros" / "openvino"
        self._folders = [] if own is None else [own, cache]

    def part(self, part: str, module: nn.Module, example: tuple[Tensor, ...]) -> Any:
        """The part as kept, or converted now and kept."""
        name = f"{self._name}-{part}"
        for folder in self._folders:
            with contextlib.suppress(OSError, RuntimeError):
                if (folder / f"{name}.xml").is_file():
                    return self._core.read_model(folder / f"{name}.xml")
        converted = _convert(module, example)
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                _keep(converted, folder, name)
                break
        return converted


def _convert(module: nn.Module, example: tuple[Tensor, ...]) -> Any:
    """A module in OpenVINO's form. `openvino.convert_model` does the same and reports every use to its makers over the
    network, which no user of this package asked for."""
    with torch.no_grad():
        decoder = TorchScriptPythonDecoder(module.eval(), example_input=example)
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))


def _keep(converted: Any, folder: Path, name: str) -> None:
    """Write a part, the weights first, so that a reader never finds a part without them."""
    beside = folder / f".{name}.{os.getpid()}.xml"
    weights = beside.with_suffix(".bin")
    try:
        openvino.save_model(converted, beside, compress_to_fp16=False)
        weights.replace(folder / f"{name}.bin")
        write_atomically(folder / f"{name}.xml", beside.read_bytes())
    finally:
        beside.unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
