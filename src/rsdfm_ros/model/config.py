"""The typed configuration of a model; one YAML file in config/model/ per model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.geometry.lattice import TILE_CELLS, Window
from rsdfm_ros.settings import Builder
from rsdfm_ros.shipped import shipped
from rsdfm_ros.wire.limits import Limits
from rsdfm_ros.yaml_file import YamlError, read_yaml


class ModelConfigError(RsdfmError):
    """A model configuration that cannot be used."""


ENGINES = ("auto", "torch", "openvino")
"""What runs a network (engine/engines.py)."""
_WIRE = Limits()
_MAX_BINS = 256
_MAX_HEADS = 32
_LIMITS: Mapping[str, tuple[float, float]] = {
    "image_height": (32, 4096),
    "image_width": (32, 4096),
    "max_depth_m": (1, 100_000),
    "cell_size_m": (0.01, 100),
    "subcells": (1, 8),
    "channels": (1, 1024),
    "encoder_widths": (1, 1024),
    "pyramid_channels": (1, 1024),
    "pyramid_convolutions": (1, 8),
    "low_channels": (1, 256),
    "high_channels": (1, 256),
    "fill_radius": (0, 32),
    "neck_widths": (1, 1024),
    "memory_channels": (1, 256),
    "motion_channels": (1, 256),
    "task_channels": (1, 1024),
    "fine_channels": (1, 256),
    "history": (1, 64),
    "horizon": (1, 64),
}
"""A model within these limits can be built in a few seconds and GB; every element of a list counts."""


def _numbers(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that determines the shape and meaning of a model's weights."""

    name: str
    image_height: int = 192
    image_width: int = 352
    heights_m: tuple[float, ...] = (0.0, 0.4, 0.8, 1.2, 1.6, 2.2, 2.8, 3.4)
    """Heights above ground of the relative-depth bins."""
    lift: str = "relative"
    """`relative` (ground prior) or `absolute` (Lift-Splat depths, an ablation)."""
    depths_m: tuple[float, ...] = ()
    """Depth bins of the absolute lift."""
    max_depth_m: float = 250.0
    cell_size_m: float = 1.0
    window_tiles: tuple[int, int, int, int] = (-4, -4, 8, 8)
    """First tile (ti, tj) and number of tiles in x and y of the window that is mapped and fused."""
    subcells: int = 2
    """Each feature cell is lifted as subcells × subcells finer cells, folded into channels."""
    channels: int = 64
    encoder_widths: tuple[int, ...] = (32, 48, 96, 112)
    """Channels at strides 2, 4, 8, 16."""
    pyramid_channels: int = 64
    """Channels of the feature pyramid at stride 4."""
    pyramid_convolutions: int = 3
    """Convolutions on the pyramid's finest level."""
    low_channels: int = 16
    high_channels: int = 16
    quantisation_levels: int = 15
    """Latents are integers in ±levels."""
    fill_radius: int = 2
    neck_widths: tuple[int, int, int] = (24, 48, 64)
    """Channels of the neck on cells of 1, 2 and 4 times the size."""
    memory_channels: int = 16
    """Channels that are kept of a fused map for the instants after it."""
    motion_channels: int = 32
    """Channels of the neck's branch for motion, on cells of twice the size."""
    task_channels: int = 40
    """Channels that the heads read per feature cell."""
    fine_channels: int = 16
    """Channels that the heads read per output cell."""
    history: int = 3
    """Fused maps that an answer is made of, the present one included."""
    horizon: int = 4
    heads: tuple[str, ...] = ("detection", "segmentation", "trajectory")

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be {low} to {high}, got {value:g}"
            for name, (low, high) in _LIMITS.items()
            for value in _numbers(getattr(self, name))
            if not low <= value <= high
        ]
        if len(self.encoder_widths) != 4 or len(self.neck_widths) != 3:
            problems.append("encoder_widths must be four numbers and neck_widths three")
        if len(self.bins) > _MAX_BINS or len(self.heads) > _MAX_HEADS:
            problems.append(f"expected at most {_MAX_BINS} height (or depth) bins and {_MAX_HEADS} heads")
        if self.image_height % 32 or self.image_width % 32:
            problems.append("image_height and image_width must be multiples of 32")
        if self.lift not in ("relative", "absolute"):
            problems.append(f"lift must be `relative` or `absolute`, not {self.lift!r}")
        if len(self.bins) < 2 or list(self.bins) != sorted(set(self.bins)) or self.bins[0] < 0:
            problems.append("the height (or depth) bins must be at least two, ascending and not negative")
        if self.subcells and self.channels % self.subcells**2:
            problems.append("channels must be a multiple of subcells²")
        if min(self.window_tiles[2:]) < 1:
            problems.append("window_tiles must span at least one tile")
        tiles, far = self.window_tiles, _WIRE.max_tile_key
        if tiles[2] * tiles[3] > _WIRE.max_tiles:
            problems.append(
                f"window_tiles must span at most {_WIRE.max_tiles} tiles, got {tiles[2]} x {tiles[3]}"
            )
        if min(tiles) < -far or max(tiles[0] + tiles[2], tiles[1] + tiles[3]) > far:
            problems.append(
                f"window_tiles must lie within ±{far} tiles of the map's origin, got {list(tiles)}"
            )
        if not 1 <= self.quantisation_levels <= 127:
            problems.append("quantisation_levels must lie in 1 to 127")
        if problems:
            raise ModelConfigError(f"model configuration {self.name!r}: " + "; ".join(problems))

    @property
    def bins(self) -> tuple[float, ...]:
        """The heights (relative lift) or depths (absolute lift) in metres."""
        return self.heights_m if self.lift == "relative" else self.depths_m

    @property
    def window(self) -> Window:
        """The lattice window of the features."""
        ti, tj, ni, nj = (v * TILE_CELLS for v in self.window_tiles)
        return Window(ti, tj, ni, nj, self.cell_size_m)

    @property
    def output_window(self) -> Window:
        """The same area at the resolution of the task outputs (half a feature cell)."""
        return self.window.refined(2)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary that :func:`model_config_from_dict` takes back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    def digest(self) -> bytes:
        """SHA-256 of the configuration."""
        return _digest(self.to_dict())

    def wire_digest(self) -> bytes:
        """SHA-256 of the settings that determine the meaning of features from another agent."""
        return _digest({k: v for k, v in self.to_dict().items() if k not in _OWN_AFFAIRS})


#: Settings that act on fused features only, and the window.
_OWN_AFFAIRS = (
    "name",
    "window_tiles",
    "neck_widths",
    "memory_channels",
    "motion_channels",
    "task_channels",
    "fine_channels",
    "history",
    "horizon",
    "heads",
)


def _digest(values: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()


BUILDER = Builder(
    ModelConfigError,
    "a model configuration",
    prefix="model setting ",
    noun="model settings",
    lenient=True,
    words={int: "int", float: "float", str: "str"},
)


def model_config_from_dict(values: Mapping[str, Any]) -> ModelConfig:
    """Build a configuration from parsed YAML or JSON; ModelConfigError names unknown or ill-typed entries."""
    return BUILDER.build(ModelConfig, values)


def load_model_config(path: str | Path) -> ModelConfig:
    """Read a model configuration from a YAML file."""
    try:
        values = read_yaml(shipped(path))
    except (OSError, YamlError) as error:
        raise ModelConfigError(f"cannot read the model configuration {path}: {reason(error)}") from error
    if not isinstance(values, dict):
        raise ModelConfigError(f"{path} must be a mapping of model settings")
    return model_config_from_dict(values.get("model", values))
