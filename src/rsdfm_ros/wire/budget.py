"""A byte budget per sender: a token bucket over the bytes of the serialised messages.

The bucket fills by the target each frame and holds at most one extra frame's worth: bytes that a small frame leaves
unused are available to the next one. The bytes per cell are predicted from recent frames; a wrong prediction is
compensated in the following frames, so the mean stays on target. At small targets high-band cells are worth more per
byte than the rest: the low band and tiles without cells are not sent, and latents are rounded to coarser steps
(`apply_plan`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.wire.features import FeatureFrame, half
from rsdfm_ros.wire.message import envelope_bytes
from rsdfm_ros.wire.rate import UNLIMITED, Share

MESSAGE_OVERHEAD_BYTES = envelope_bytes("uav1", FRAME_ID)
"""Bytes that a FeaturePacket message with short names adds to its payload."""

DEFAULT_BUDGET_BYTES = 5_000
"""Default mean of the serialised bytes per UAV and frame."""

FEW = 4
"""Frames with fewer cells do not update the estimate of bytes per cell."""


@dataclass(frozen=True)
class BudgetConfig:
    """Settings of a BudgetController.

    target_bytes_per_frame: mean of the serialised bytes per frame; one below the cost of a message means frames in
    which nothing is sent. burst_frames: unused bytes that may be kept, in frames of the target. max_factor: no frame is
    planned above this multiple of the target. smoothing: weight of the newest measurement. low_from_bytes: from that
    target on the low band is sent, with all seen tiles. small_below_bytes, small_coarseness: below that target the
    latents of the low and of the high band are rounded to multiples of so many steps. fixed_bytes: bytes of a frame
    without cells, low_bytes_per_tile: additional bytes of a tile with the low band. first_tiles, first_bytes_per_cell:
    assumed before the first measurement.
    """

    target_bytes_per_frame: int = DEFAULT_BUDGET_BYTES
    burst_frames: float = 1.0
    max_factor: float = 1.5
    smoothing: float = 0.3
    low_from_bytes: int = 8_000
    small_below_bytes: int = 15_000
    small_coarseness: tuple[int, int] = (3, 4)
    fixed_bytes: float = MESSAGE_OVERHEAD_BYTES + 150.0
    low_bytes_per_tile: float = 40.0
    first_tiles: int = 50
    first_bytes_per_cell: float = 5.0

    def __post_init__(self) -> None:
        if self.target_bytes_per_frame <= 0 or self.burst_frames < 0 or self.max_factor < 1:
            raise ValueError(f"a budget needs a positive target, burst >= 0 and max_factor >= 1, got {self}")
        if not 0 < self.smoothing <= 1 or self.first_bytes_per_cell <= 0:
            raise ValueError(f"smoothing must be in (0, 1] and first_bytes_per_cell positive, got {self}")
        if min(self.fixed_bytes, self.low_bytes_per_tile, self.first_tiles) < 0:
            raise ValueError(f"what a frame costs without cells cannot be negative, got {self}")


@dataclass(frozen=True)
class Plan:
    """Content of the next frame: `cells` of the high band, the low band or not, and the latents of both bands
    rounded to multiples of `coarseness`."""

    cells: int
    low: bool = True
    coarseness: tuple[int, int] = (1, 1)


class BudgetController:
    """One sender's byte budget. Call `plan` before a frame is compressed and `sent` after it was encoded."""

    def __init__(self, config: BudgetConfig | int = BudgetConfig()) -> None:
        self.config = BudgetConfig(target_bytes_per_frame=config) if isinstance(config, int) else config
        self._tokens = float(self.config.target_bytes_per_frame)
        self._bytes_per_cell: float | None = None
        self._other_bytes: float | None = None
        self._tiles = self.config.first_tiles

    def retarget(self, target_bytes_per_frame: int) -> None:
        """Change the target; the estimate of bytes per cell is kept. ValueError unless positive."""
        self.config = replace(self.config, target_bytes_per_frame=target_bytes_per_frame)
        self._tokens = min(self._tokens, target_bytes_per_frame * (1.0 + self.config.burst_frames))

    def plan(self, share: Share = UNLIMITED) -> Plan:
        """Plan the content of this frame. share: what a rate in bytes per second leaves to it."""
        c = self.config
        target = min(c.target_bytes_per_frame, share.mean_bytes)
        low = target >= c.low_from_bytes and share.bytes >= self._fixed_bytes(low=True)
        fixed = self._fixed_bytes(low=low)
        most = min(c.max_factor * max(c.target_bytes_per_frame, fixed), share.bytes)
        allowed = min(self._tokens, most) - (self._other_bytes or 0.0) - fixed
        return Plan(
            cells=max(0, int(allowed / (self._bytes_per_cell or c.first_bytes_per_cell))),
            low=low,
            coarseness=c.small_coarseness if target < c.small_below_bytes else (1, 1),
        )

    def sent(
        self, feature_bytes: int, cells: int, tiles: int, other_bytes: int = 0, *, low: bool | None = None
    ) -> None:
        """Account for a sent frame of so many cells and tiles: bytes of the serialised messages of its features, and of
        the others. low: whether it had the low band, None for as the target says. ValueError for negative numbers."""
        if low is None:
            low = self.config.target_bytes_per_frame >= self.config.low_from_bytes
        numbers = (feature_bytes, cells, tiles, other_bytes)
        if min(numbers) < 0:
            raise ValueError(f"bytes, cells and tiles cannot be negative: {numbers}")
        self._tiles = tiles
        self._other_bytes = self._smoothed(self._other_bytes, other_bytes)
        if cells >= FEW:
            each = max(1.0, (feature_bytes - self._fixed_bytes(low=low)) / cells)
            self._bytes_per_cell = self._smoothed(self._bytes_per_cell, each)
        target = self.config.target_bytes_per_frame
        most = target * (1.0 + self.config.burst_frames)
        self._tokens = min(most, self._tokens - feature_bytes - other_bytes + target)

    def _fixed_bytes(self, *, low: bool) -> float:
        """Bytes of a frame without cells, with the low band or without."""
        return self.config.fixed_bytes + low * self.config.low_bytes_per_tile * self._tiles

    def _smoothed(self, known: float | None, value: float) -> float:
        return value if known is None else known + self.config.smoothing * (value - known)


FEWER_CELLS, COARSER, NO_LOW_BAND, NOT_SENT = "fewer_cells", "coarser", "no_low_band", "not_sent"
"""What a rate takes from an image, in this order as it falls."""


def reductions(full: Plan, plan: Plan, cells: int, *, enough: bool) -> tuple[str, ...]:
    """What `plan` lacks of the plan `full` without a rate. cells: those that were sent · enough: see Share."""
    if not enough:
        return (NOT_SENT,)
    found = {
        FEWER_CELLS: plan.cells < full.cells and cells >= plan.cells,
        COARSER: plan.coarseness > full.coarseness,
        NO_LOW_BAND: full.low and not plan.low,
    }
    return tuple(name for name, true in found.items() if true)


def apply_plan(frame: FeatureFrame, plan: Plan) -> FeatureFrame:
    """The frame coarsened as planned, and without its tiles that have no sent cell if the low band is not sent. Tiles
    that were left out are not listed: to receivers they are unknown."""
    frame = coarsened(frame, plan.coarseness)
    return frame if plan.low else frame.rows(frame.counts > 0)


def coarsened(frame: FeatureFrame, factors: tuple[int, int]) -> FeatureFrame:
    """The frame with the latents of the low and of the high band rounded to multiples of so many steps, with scales to
    match; itself for (1, 1)."""
    low, high = factors
    if factors == (1, 1):
        return frame
    return replace(
        frame,
        low=np.round(frame.low / low).astype(np.int8),
        low_scale=half(frame.low_scale * np.float32(low)),
        high=np.round(frame.high / high).astype(np.int8),
        high_scale=half(frame.high_scale * np.float32(high)),
    )
