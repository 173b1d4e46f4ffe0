"""How many high-band cells to send now: a token bucket over the bytes of the serialised messages.

The bucket fills by the target each frame and holds at most one extra frame's worth, so that a frame with little to
say lends its bytes to the next. What cells cost is predicted from what they cost lately; a wrong prediction is paid
back in the following frames, so the mean stays on target.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Bytes that a FeaturePacket message adds to its payload: CDR header, stamp, strings, pose, covariance, lengths.
MESSAGE_OVERHEAD_BYTES = 480


@dataclass(frozen=True)
class BudgetConfig:
    """Settings of a BudgetController.

    target_bytes_per_frame: mean of the serialised bytes per frame. burst_frames: how much may be saved up, in frames
    of the target. max_factor: no frame is planned above this multiple of the target. smoothing: weight of the newest
    measurement. first_bytes_per_cell, first_fixed_bytes: assumed before anything was measured.
    """

    target_bytes_per_frame: int = 18_000
    burst_frames: float = 1.0
    max_factor: float = 1.5
    smoothing: float = 0.3
    first_bytes_per_cell: float = 16.0
    first_fixed_bytes: float = 4_000.0

    def __post_init__(self) -> None:
        if self.target_bytes_per_frame <= 0 or self.burst_frames < 0 or self.max_factor < 1:
            raise ValueError(f"a budget needs a positive target, burst >= 0 and max_factor >= 1, got {self}")
        if not 0 < self.smoothing <= 1 or self.first_bytes_per_cell <= 0 or self.first_fixed_bytes < 0:
            raise ValueError(f"smoothing must be in (0, 1] and first guesses positive, got {self}")


class BudgetController:
    """One sender's byte budget. Call `cells` before a frame is compressed and `sent` after it was encoded."""

    def __init__(self, config: BudgetConfig | int = BudgetConfig()) -> None:
        self.config = BudgetConfig(target_bytes_per_frame=config) if isinstance(config, int) else config
        self._tokens = float(self.config.target_bytes_per_frame)
        self._bytes_per_cell = self.config.first_bytes_per_cell
        self._fixed_bytes = self.config.first_fixed_bytes
        self._measured = False

    @property
    def tokens_bytes(self) -> float:
        """What may be sent now; negative while a too expensive frame is being paid back."""
        return self._tokens

    def retarget(self, target_bytes_per_frame: int) -> None:
        """Aim at another mean from now on; what cells cost stays known. ValueError unless positive."""
        self.config = replace(self.config, target_bytes_per_frame=target_bytes_per_frame)
        self._tokens = min(self._tokens, target_bytes_per_frame * (1.0 + self.config.burst_frames))

    def cells(self, most: int | None = None) -> int:
        """How many high-band cells this frame may carry, at least 0, at most `most`."""
        plan = min(self._tokens, self.config.max_factor * self.config.target_bytes_per_frame)
        affordable = max(0, int((plan - self._fixed_bytes) / self._bytes_per_cell))
        return affordable if most is None else min(affordable, most)

    def sent(self, fixed_bytes: int, cell_bytes: int, cells: int) -> None:
        """Book a frame. fixed_bytes: low band; cell_bytes: high band; both as serialised messages."""
        if min(fixed_bytes, cell_bytes, cells) < 0:
            raise ValueError(f"bytes and cells cannot be negative: {fixed_bytes}, {cell_bytes}, {cells}")
        weight = self.config.smoothing if self._measured else 1.0
        self._fixed_bytes += weight * (fixed_bytes - self._fixed_bytes)
        if cells:
            self._bytes_per_cell += weight * (cell_bytes / cells - self._bytes_per_cell)
            self._measured = True
        target = self.config.target_bytes_per_frame
        most = target * (1.0 + self.config.burst_frames)
        self._tokens = min(most, self._tokens - fixed_bytes - cell_bytes + target)
