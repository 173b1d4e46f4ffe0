"""The model of a process: loaded when the first node needs it, freed when the last one releases it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.memory import give_back
from rsdfm_ros.model.heads.answers import plug_ins
from rsdfm_ros.yaml_file import YamlError, read_yaml


class Source(NamedTuple):
    """model: a folder (models/nano), or ``random:<model configuration>[:<seed>]`` for untrained weights, which tests
    use and torch runs · threads: of the network · engine: one of model.config.ENGINES."""

    model: str
    threads: int
    engine: str = "auto"


class SharedModel:
    """A Perception shared by the nodes of a process. `source` is asked each time that the model is loaded."""

    def __init__(self, source: Callable[[], Source]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._model: Any = None
        self._loaded: Source | None = None
        self._users = 0

    def acquire(self) -> Any:
        """The Perception; loads it on the first call. Raises an RsdfmError if it cannot be loaded."""
        with self._lock:
            wanted = self._source()
            if self._model is None:
                self._model = _load(wanted.model, wanted.threads, wanted.engine)
                self._loaded = wanted
                give_back()
            elif wanted != self._loaded:
                used = self._loaded.model if self._loaded else ""
                raise RsdfmError(
                    f"the other nodes of this process still use the model {used!r}: "
                    f"deactivate all of them before {wanted.model!r} is loaded"
                )
            self._users += 1
            return self._model

    def release(self) -> None:
        """Release the model; the last release frees it."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if self._users == 0:
                self._model = self._loaded = None
                give_back()


def plug_ins_of(source: str) -> tuple[str, ...]:
    """Tasks of a model beside the three of every model, without loading it; none if it cannot be read (loading it
    raises the reason)."""
    random = source.startswith("random:")
    path = source.removeprefix("random:").partition(":")[0] if random else f"{source}/manifest.yaml"
    try:
        values = read_yaml(path)
        return plug_ins(map(str, values.get("model" if random else "config", values).get("heads", ())))
    except (OSError, YamlError, AttributeError, TypeError):
        return ()


def at_region(model: Any, bounds_m: Sequence[float]) -> Any:
    """The Perception on the tiles that the bounds (m) touch; empty: its own window. Raises: RegionError."""
    from rsdfm_ros.model.region import region_of

    return model.at(region_of(model.config, bounds_m))


def check_region(bounds_m: Sequence[float], model: Any | None) -> None:
    """RegionError unless the bounds are a region, and one of the model if that is loaded already."""
    if not bounds_m:
        return
    from rsdfm_ros.model.region import check_bounds, region_of

    if model is None:
        check_bounds(bounds_m)
    else:
        region_of(model.config, bounds_m)


def _load(source: str, threads: int, engine: str) -> Any:
    # Imported here: torch takes a second, and a node without a model never needs it.
    import torch

    from rsdfm_ros.model.config import load_model_config
    from rsdfm_ros.model.perception import Perception

    torch.set_num_threads(threads)
    if source.startswith("random:"):
        path, _, seed = source.removeprefix("random:").partition(":")
        if not seed.isdecimal() and seed:
            raise RsdfmError(
                f"model {source!r}: the seed must be a number, as in random:config/model/nano.yaml:7"
            )
        return Perception.random(load_model_config(path), seed=int(seed or 0))
    if not Path(source).is_dir():
        raise RsdfmError(f"no model at {source!r}: give a folder with manifest.yaml and weights.safetensors")
    model = Perception.load(source, engine=engine)
    _rehearse(model)
    return model


def _rehearse(model: Any) -> None:
    """Answer a black image with three peers once: the first of a model takes twice the time, and all UAVs of a fleet
    get theirs at once."""
    import numpy as np

    height, width = model.config.image_height, model.config.image_width
    K = np.array([[width, 0.0, 0.5 * width], [0.0, width, 0.5 * height], [0.0, 0.0, 1.0]])
    down = np.array(
        [[0.0, -1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 50.0], [0.0, 0.0, 0.0, 1.0]]
    )
    bev = model.perceive(np.zeros((height, width, 3), np.uint8), K, down)
    fused = [model.fuse(bev, [bev] * 3, [0.0] * 3)] * 3
    answers = {"detection": model.detect, "segmentation": model.segment, "trajectory": model.predict}
    for head in answers.keys() & set(model.config.heads):
        answers[head](fused)
