"""How much to send now: a token bucket over the bytes of the serialised messages.

The bucket fills by the target each frame and holds at most one extra frame's worth, so that a frame with little to
say lends its bytes to the next. What tiles and cells cost is predicted from what they cost lately; a wrong prediction
is paid back in the following frames, so the mean stays on target. At small targets the low band of all tiles would
leave nothing for cells: it may take a share of the target, and tiles beyond are not sent; and latents are rounded to
coarser steps, because more cells tell more than finer ones (`fitted`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rsdfm_ros.wire.features import FeatureFrame

#: Bytes that a FeaturePacket message adds to its payload: CDR header, stamp, strings, pose, covariance, lengths.
MESSAGE_OVERHEAD_BYTES = 480


FEW = 4
"""Of fewer tiles or cells in a frame nothing is learned about what one costs."""


@dataclass(frozen=True)
class BudgetConfig:
    """Settings of a BudgetController.

    target_bytes_per_frame: mean of the serialised bytes per frame. burst_frames: how much may be saved up, in frames
    of the target. max_factor: no frame is planned above this multiple of the target. smoothing: weight of the newest
    measurement. low_share: most of the target that the low band may take. small_below_bytes, small_coarseness: below
    that target the latents of the low and of the high band are rounded to multiples of so many steps. message_bytes:
    what each band costs before its first tile or cell. first_bytes_per_cell, first_bytes_per_tile, first_fixed_bytes:
    assumed before anything was measured; the last one is what a frame costs besides its high band.
    """

    target_bytes_per_frame: int = 18_000
    burst_frames: float = 1.0
    max_factor: float = 1.5
    smoothing: float = 0.3
    low_share: float = 0.4
    small_below_bytes: int = 15_000
    small_coarseness: tuple[int, int] = (3, 4)
    message_bytes: float = MESSAGE_OVERHEAD_BYTES + 100.0
    first_bytes_per_cell: float = 11.0
    first_bytes_per_tile: float = 60.0
    first_fixed_bytes: float = 4_000.0

    def __post_init__(self) -> None:
        if self.target_bytes_per_frame <= 0 or self.burst_frames < 0 or self.max_factor < 1:
            raise ValueError(f"a budget needs a positive target, burst >= 0 and max_factor >= 1, got {self}")
        if not 0 < self.smoothing <= 1 or self.first_bytes_per_cell <= 0 or self.first_fixed_bytes < 0:
            raise ValueError(f"smoothing must be in (0, 1] and first guesses positive, got {self}")
        if not 0 < self.low_share < 1 or self.first_bytes_per_tile <= 0:
            raise ValueError(f"low_share must be in (0, 1) and first guesses positive, got {self}")


@dataclass(frozen=True)
class Plan:
    """What the next frame may carry: `cells` of the high band, in at most `tiles` tiles, with the latents of the low
    and of the high band rounded to multiples of `coarseness`."""

    cells: int
    tiles: int
    coarseness: tuple[int, int] = (1, 1)


class BudgetController:
    """One sender's byte budget. Call `plan` before a frame is compressed and `sent` after it was encoded."""

    def __init__(self, config: BudgetConfig | int = BudgetConfig()) -> None:
        self.config = BudgetConfig(target_bytes_per_frame=config) if isinstance(config, int) else config
        self._tokens = float(self.config.target_bytes_per_frame)
        self._bytes_per_cell: float | None = None
        self._bytes_per_tile: float | None = None
        self._fixed_bytes: float | None = None
        self._other_bytes: float | None = None

    @property
    def tokens_bytes(self) -> float:
        """What may be sent now; negative while a too expensive frame is being paid back."""
        return self._tokens

    def retarget(self, target_bytes_per_frame: int) -> None:
        """Aim at another mean from now on; what cells cost stays known. ValueError unless positive."""
        self.config = replace(self.config, target_bytes_per_frame=target_bytes_per_frame)
        self._tokens = min(self._tokens, target_bytes_per_frame * (1.0 + self.config.burst_frames))

    def plan(self) -> Plan:
        """What this frame may carry."""
        c = self.config
        low_most = c.low_share * max(0.0, c.target_bytes_per_frame - (self._other_bytes or 0.0))
        fixed = min(c.first_fixed_bytes, low_most) if self._fixed_bytes is None else self._fixed_bytes
        affordable = min(self._tokens, c.max_factor * c.target_bytes_per_frame) - fixed - c.message_bytes
        low_room = low_most - c.message_bytes
        return Plan(
            cells=max(0, int(affordable / (self._bytes_per_cell or c.first_bytes_per_cell))),
            tiles=max(1, int(low_room / (self._bytes_per_tile or c.first_bytes_per_tile))),
            coarseness=c.small_coarseness if c.target_bytes_per_frame < c.small_below_bytes else (1, 1),
        )

    def cells(self, most: int | None = None) -> int:
        """How many high-band cells this frame may carry, at least 0, at most `most`."""
        affordable = self.plan().cells
        return affordable if most is None else min(affordable, most)

    def sent(
        self, low_bytes: int, high_bytes: int, cells: int, *, tiles: int = 0, other_bytes: int = 0
    ) -> None:
        """Book a frame of `tiles` tiles (0: not known) and `cells` cells. Bytes of the serialised messages of the low
        band, of the high band, and of what else was sent. ValueError for negative numbers."""
        if min(low_bytes, high_bytes, cells, tiles, other_bytes) < 0:
            raise ValueError(
                "bytes, cells and tiles cannot be negative: "
                f"{low_bytes}, {high_bytes}, {cells}, {tiles}, {other_bytes}"
            )
        self._fixed_bytes = self._smoothed(self._fixed_bytes, low_bytes + other_bytes)
        self._other_bytes = self._smoothed(self._other_bytes, other_bytes)
        for name, total, count in (
            ("_bytes_per_cell", high_bytes, cells),
            ("_bytes_per_tile", low_bytes, tiles),
        ):
            if count >= FEW:
                each = max(1.0, (total - self.config.message_bytes) / count)
                setattr(self, name, self._smoothed(getattr(self, name), each))
        target = self.config.target_bytes_per_frame
        most = target * (1.0 + self.config.burst_frames)
        self._tokens = min(most, self._tokens - low_bytes - high_bytes - other_bytes + target)

    def _smoothed(self, known: float | None, value: float) -> float:
        return value if known is None else known + self.config.smoothing * (value - known)


def fitted(frame: FeatureFrame, plan: Plan) -> FeatureFrame:
    """The frame trimmed and coarsened as planned; its cells are those that the plan allowed."""
    return coarsened(trim(frame, plan.tiles), plan.coarseness)


def coarsened(frame: FeatureFrame, factors: tuple[int, int]) -> FeatureFrame:
    """The frame with the latents of the low and of the high band rounded to multiples of so many steps, which the
    scales say; itself for (1, 1)."""
    low, high = factors
    if factors == (1, 1):
        return frame
    return replace(
        frame,
        low=np.round(frame.low / low).astype(np.int8),
        low_scale=frame.low_scale * np.float32(low),
        high=np.round(frame.high / high).astype(np.int8),
        high_scale=frame.high_scale * np.float32(high),
    )


def trim(frame: FeatureFrame, tiles: int) -> FeatureFrame:
    """The frame with at most `tiles` tiles, those with the most sent cells; the cells of the others go with them.

    The frame itself if it has no more. Which tiles were left out needs not be said: to receivers they are unknown.
    """
    if len(frame.tiles) <= tiles:
        return frame
    counts = np.bincount(frame.high_tile, minlength=len(frame.tiles))
    seen = np.count_nonzero(frame.visible.reshape(len(frame.tiles), -1), axis=1)
    order = np.lexsort((np.arange(len(counts)), -seen, -counts))
    kept = np.sort(order[: max(tiles, 0)])
    row = np.full(len(counts), -1, np.int32)
    row[kept] = np.arange(len(kept))
    stays = row[frame.high_tile] >= 0
    return replace(
        frame,
        tiles=frame.tiles[kept],
        low=frame.low[kept],
        visible=frame.visible[kept],
        high_tile=row[frame.high_tile[stays]],
        high_cell=frame.high_cell[stays],
        high=frame.high[stays],
    )
