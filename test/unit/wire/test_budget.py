"""The byte budget: the mean stays on target, from the first frames on; what does not fit is left out sensibly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsdfm_ros.wire.budget import (
    MESSAGE_OVERHEAD_BYTES,
    BudgetConfig,
    BudgetController,
    Plan,
    apply_plan,
    coarsened,
)
from rsdfm_ros.wire.features import half
from rsdfm_ros.wire.packet import assemble, decode_packet, encode_frame
from support.wire_frames import feature_frame, same

HEADER_BYTES = MESSAGE_OVERHEAD_BYTES + 150


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
    `per_tile` ± 10 % where the low band travels and a quarter of it where only those with a cell do, in one message
    with `other` bytes beside it, which are sent every third frame."""
    rng = np.random.default_rng(seed)
    budget, sent = BudgetController(config), []
    for k in range(frames):
        plan = budget.plan()
        cells = plan.cells if content is None else min(plan.cells, content[k])
        tile_bytes = tiles * per_tile if plan.low else min(tiles, cells / 10) * per_tile / 4
        features = (
            HEADER_BYTES + tile_bytes * rng.uniform(0.9, 1.1) + cells * per_cell * rng.uniform(0.9, 1.1)
        )
        if not plan.low and not cells:
            features = 0.0
        beside = 3 * other * (k % 3 == 0)
        budget.sent(int(features), cells, tiles, beside)
        sent.append(int(features) + beside)
    return np.array(sent)


@given(
    target=st.integers(1_500, 50_000),
    per_cell=st.floats(3.0, 9.0),
    per_tile=st.floats(30.0, 55.0),
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


@pytest.mark.parametrize("target", [2_000, 2_500, 18_000])
def test_what_is_sent_beside_the_features_comes_out_of_the_same_budget(target: int) -> None:
    sent = fly(BudgetConfig(target), 40, 7.0, other=300)
    assert abs(sent.mean() / target - 1) < 0.05


def test_a_target_below_the_cost_of_a_message_means_few_cells_and_silent_frames() -> None:
    target = HEADER_BYTES - 50
    sent = fly(BudgetConfig(target), 60, 7.0)
    assert (sent == 0).any() and (sent > 0).any()
    assert sent.mean() < 1.05 * target


def test_unused_bytes_are_lent_to_later_frames_but_not_hoarded() -> None:
    content = [0] * 20 + [10_000] * 20
    sent = fly(BudgetConfig(18_000, burst_frames=1.0), 40, 7.0, content=content)
    assert sent[20] > 1.2 * 18_000
    assert sent[20:].sum() < 18_000 * 21.5
    assert sent[22:].mean() == pytest.approx(18_000, rel=0.06)


def test_an_overdrawn_frame_is_paid_back() -> None:
    budget = BudgetController(BudgetConfig(10_000))
    budget.sent(30_000, 1_000, 50)
    assert budget.plan().cells == 0
    budget.sent(2_000, 0, 50)
    assert budget.plan().cells == 0, "8 000 of 10 000 bytes are paid back"
    for _ in range(2):
        budget.sent(0, 0, 50)
    assert budget.plan().cells > 0


def test_a_small_budget_is_for_cells_alone() -> None:
    small = BudgetController(2_500).plan()
    assert small.cells > 200 and not small.low and small.coarseness == (3, 4)
    medium = BudgetController(10_000).plan()
    assert medium.cells > 500 and medium.low and medium.coarseness == (3, 4)
    usual = BudgetController(18_000).plan()
    assert usual.cells > 1_000 and usual.low and usual.coarseness == (1, 1)


def test_another_target_changes_what_travels() -> None:
    budget = BudgetController(18_000)
    budget.sent(18_000, 2_000, 50)
    budget.retarget(2_500)
    assert not budget.plan().low and budget.plan().cells < 500
    budget.retarget(18_000)
    assert budget.plan().low
    with pytest.raises(ValueError, match="positive"):
        budget.retarget(0)


def test_the_same_history_gives_the_same_cells() -> None:
    a, b = (fly(BudgetConfig(12_000), 30, 12.0) for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "wrong",
    [{"target_bytes_per_frame": 0}, {"max_factor": 0.5}, {"smoothing": 0.0}, {"low_bytes_per_tile": -1.0}],
)
def test_a_senseless_budget_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        BudgetConfig(**wrong)


def test_negative_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        BudgetController().sent(-1, 0, 0)


@given(seed=st.integers(0, 50), low=st.integers(1, 4), high=st.integers(1, 6))
def test_coarser_latents_are_off_by_half_a_step_at_most(seed: int, low: int, high: int) -> None:
    frame = feature_frame(seed)
    coarse = coarsened(frame, (low, high)).validate()
    for band, factor, axes in (("low", low, (-1, 1, 1)), ("high", high, (-1,))):
        scale = getattr(coarse, f"{band}_scale")
        assert np.array_equal(scale, half(factor * getattr(frame, f"{band}_scale")))
        before = getattr(frame, band) * getattr(frame, f"{band}_scale").reshape(axes)
        after = getattr(coarse, band) * scale.reshape(axes)
        assert (np.abs(after - before) <= 0.57 * scale.reshape(axes)).all()
    assert (coarse is frame) == (low == high == 1)


def test_without_the_low_band_only_tiles_with_cells_travel() -> None:
    frame = feature_frame(1, tiles=30, cells=20)
    kept = apply_plan(frame, Plan(cells=20, low=False)).validate()
    assert {tuple(t) for t in kept.tiles} == {tuple(t) for t in frame.tiles[frame.high_tile]}
    assert len(kept.tiles) < len(frame.tiles) and np.array_equal(kept.high, frame.high)
    assert same(kept, frame.rows(frame.counts > 0))
    assert apply_plan(frame, Plan(cells=20)) is frame


def test_a_fitted_frame_travels() -> None:
    for low in (True, False):
        frame = apply_plan(feature_frame(1), Plan(cells=200, low=low, coarseness=(2, 3)))
        assert same(assemble([decode_packet(p) for p in encode_frame(frame)]), frame)


def test_a_frame_of_which_nothing_is_to_be_sent_is_no_packet() -> None:
    assert encode_frame(apply_plan(feature_frame(1, cells=0), Plan(cells=0, low=False))) == []
