"""The one model of a process: loaded when the first node needs it, freed when the last one lets go."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError


class SharedModel:
    """A Perception shared by the nodes of a process.

    source: a model folder (models/nano), or ``random:<model configuration>[:<seed>]`` for untrained weights, which
    tests use. threads: threads of torch.
    """

    def __init__(self, source: str, threads: int = 1) -> None:
        self.source, self.threads = source, threads
        self._lock = threading.Lock()
        self._model: Any = None
        self._users = 0

    def acquire(self) -> Any:
        """The Perception; loads it if nobody did yet. Raises an RsdfmError if it cannot be loaded."""
        with self._lock:
            if self._model is None:
                self._model = _load(self.source, self.threads)
            self._users += 1
            return self._model

    def release(self) -> None:
        """One user less; the last one frees the model."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if self._users == 0:
                self._model = None


def _load(source: str, threads: int) -> Any:
    # Imported here: torch takes a second, and a node without a model never needs it.
    import torch

    from rsdfm_ros.model.config import load_model_config
    from rsdfm_ros.model.perception import Perception

    torch.set_num_threads(threads)
    if source.startswith("random:"):
        path, _, seed = source.removeprefix("random:").partition(":")
        return Perception.random(load_model_config(path), seed=int(seed or 0))
    if not Path(source).is_dir():
        raise RsdfmError(f"no model at {source!r}: give a folder with manifest.yaml and weights.safetensors")
    return Perception.load(source)
