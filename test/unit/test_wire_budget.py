"""The byte budget: the mean stays on target, from the first frames on; what does not fit is left out sensibly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_frames import feature_frame, same

from rsdfm_ros.wire.budget import (
    MESSAGE_OVERHEAD_BYTES,
    BudgetConfig,
    BudgetController,
    Plan,
    coarsened,
    fitted,
    trim,
)
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame

HEADER_BYTES = MESSAGE_OVERHEAD_BYTES + 100


def fly(
    config: BudgetConfig,
    frames: int,
    per_cell: float,
    per_tile: float = 45.0,
    tiles: int = 50,
    content: list[int] | None = None,
    other: int = 0,
    seed: int = 4,
) -> np.ndarray:
    """Bytes of every frame of a sender that sees `tiles` tiles, whose cells cost `per_cell` ± 10 % and whose tiles cost
    `per_tile` ± 10 %, with a message around each band and `other` bytes beside them."""
    rng = np.random.default_rng(seed)
    budget, sent = BudgetController(config), []
    for k in range(frames):
        plan = budget.plan()
        cells = plan.cells if content is None else min(plan.cells, content[k])
        taken = min(plan.tiles, tiles)
        low = int(HEADER_BYTES + taken * per_tile * rng.uniform(0.9, 1.1))
        high = int(HEADER_BYTES + cells * per_cell * rng.uniform(0.9, 1.1)) if cells else 0
        budget.sent(low, high, cells, tiles=taken, other_bytes=other)
        sent.append(low + high + other)
    return np.array(sent)


@given(
    target=st.integers(2_000, 50_000),
    per_cell=st.floats(6.0, 20.0),
    per_tile=st.floats(30.0, 70.0),
    tiles=st.integers(20, 64),
    seed=st.integers(0, 99),
)
def test_the_mean_is_within_five_percent_of_the_target_from_the_tenth_frame_on(
    target: int, per_cell: float, per_tile: float, tiles: int, seed: int
) -> None:
    sent = fly(BudgetConfig(target), 40, per_cell, per_tile, tiles, seed=seed)
    means = np.cumsum(sent) / np.arange(1, 41)
    assert np.abs(means[9:] / target - 1).max() < 0.05
    assert sent.max() < 2.1 * target


@pytest.mark.parametrize("target", [2_500, 18_000])
def test_what_is_sent_beside_the_features_comes_out_of_the_same_budget(target: int) -> None:
    sent = fly(BudgetConfig(target), 40, 10.0, other=900)
    assert abs(sent.mean() / target - 1) < 0.05


def test_unused_bytes_are_lent_to_later_frames_but_not_hoarded() -> None:
    content = [0] * 20 + [10_000] * 20
    sent = fly(BudgetConfig(18_000, burst_frames=1.0), 40, 14.0, content=content)
    assert sent[20] > 1.2 * 18_000
    assert sent[20:].sum() < 18_000 * 21.5
    assert sent[22:].mean() == pytest.approx(18_000, rel=0.06)


def test_an_overdrawn_frame_is_paid_back() -> None:
    budget = BudgetController(BudgetConfig(10_000))
    budget.sent(2_000, 28_000, 1_000)
    assert budget.tokens_bytes == -10_000 and budget.cells() == 0
    budget.sent(2_000, 0, 0)
    assert budget.cells() == 0


def test_a_small_budget_leaves_bytes_for_cells() -> None:
    plan = BudgetController(2_500).plan()
    assert plan.cells > 0 and 0 < plan.tiles < 30
    assert plan.coarseness == (3, 4)
    usual = BudgetController(18_000).plan()
    assert usual.tiles >= 64 and usual.coarseness == (
        1,
        1,
    )  # all tiles of the shipped model's map, as they are


def test_never_more_cells_than_there_are() -> None:
    assert BudgetController(10**6).cells(17) == 17


def test_the_same_history_gives_the_same_cells() -> None:
    a, b = (fly(BudgetConfig(12_000), 30, 12.0) for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "wrong",
    [{"target_bytes_per_frame": 0}, {"max_factor": 0.5}, {"smoothing": 0.0}, {"low_share": 1.0}],
)
def test_a_senseless_budget_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        BudgetConfig(**wrong)


def test_negative_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        BudgetController().sent(-1, 0, 0)


@given(seed=st.integers(0, 50), tiles=st.integers(0, 12))
def test_trimming_keeps_the_tiles_with_the_most_cells_as_they_are(seed: int, tiles: int) -> None:
    frame = feature_frame(seed)
    kept = trim(frame, tiles).validate()
    assert len(kept.tiles) == min(tiles, len(frame.tiles))
    counts = np.bincount(frame.high_tile, minlength=len(frame.tiles))
    names = [tuple(t) for t in frame.tiles]
    rows = [names.index(tuple(t)) for t in kept.tiles]
    left = np.delete(counts, rows)
    assert not len(left) or not rows or left.max() <= counts[rows].min()
    np.testing.assert_array_equal(kept.low, frame.low[rows])
    np.testing.assert_array_equal(kept.visible, frame.visible[rows])
    for new, old in enumerate(rows):
        np.testing.assert_array_equal(
            kept.high_cell[kept.high_tile == new], frame.high_cell[frame.high_tile == old]
        )
        np.testing.assert_array_equal(kept.high[kept.high_tile == new], frame.high[frame.high_tile == old])
    if tiles >= len(frame.tiles):
        assert kept is frame


@given(seed=st.integers(0, 50), low=st.integers(1, 4), high=st.integers(1, 6))
def test_coarser_latents_are_off_by_half_a_step_at_most(seed: int, low: int, high: int) -> None:
    frame = feature_frame(seed)
    coarse = coarsened(frame, (low, high)).validate()
    for band, factor, axes in (("low", low, (-1, 1, 1)), ("high", high, (-1,))):
        scale = getattr(coarse, f"{band}_scale")
        np.testing.assert_allclose(scale, factor * getattr(frame, f"{band}_scale"), rtol=1e-6)
        before = getattr(frame, band) * getattr(frame, f"{band}_scale").reshape(axes)
        after = getattr(coarse, band) * scale.reshape(axes)
        assert (np.abs(after - before) <= 0.5001 * scale.reshape(axes)).all()
    assert (coarse is frame) == (low == high == 1)


def test_a_fitted_frame_travels() -> None:
    frame = fitted(feature_frame(1), Plan(cells=200, tiles=3, coarseness=(2, 3)))
    assert len(frame.tiles) == 3
    again = assemble([decode_packet(p) for p in encode_frame(frame)])
    assert same(again, frame)
