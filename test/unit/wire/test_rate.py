"""The budget in bytes per second: kept over every 10 s, whatever is sent and however it changes in flight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.wire.budget import (
    COARSER,
    FEWER_CELLS,
    NO_LOW_BAND,
    NOT_SENT,
    BudgetController,
    reductions,
)
from rsdfm_ros.wire.rate import IMAGE_BYTES, SLACK_S, UNLIMITED, RateBudget, lower

WINDOW_S = 10.0


class Flight:
    """A sender with images whose cells and tiles cost what they cost in flight, ± 10 %, and boxes in every third."""

    def __init__(self, rate: int | None, budget_bytes: int = 50_000, seed: int = 0) -> None:
        self.rate, self.budget = RateBudget(rate), BudgetController(budget_bytes)
        self.rng = np.random.default_rng(seed)
        self.sent: list[tuple[float, int]] = []
        self.reduced: set[str] = set()

    def image(self, now_s: float, wanted: bool = True, per_cell: float = 7.0, tiles: int = 50) -> None:
        share = self.rate.image(now_s)
        if not wanted or not share.enough:
            self.reduced |= set() if share.enough else {NOT_SENT}
            return
        full, plan = self.budget.plan(), self.budget.plan(share)
        of_tiles = tiles * 40 if plan.low else min(tiles, plan.cells / 10) * 10
        noise = self.rng.uniform(0.9, 1.1, 2)
        features = int(630 + of_tiles * noise[0] + plan.cells * per_cell * noise[1])
        boxes = 300 * (len(self.sent) % 3 == 0)
        self.rate.spend(features + boxes)
        self.budget.sent(features, plan.cells, tiles, boxes, low=plan.low)
        self.sent.append((now_s, features + boxes))
        self.reduced |= set(reductions(full, plan, plan.cells, enough=True))

    def bytes_in(self, start_s: float, end_s: float) -> int:
        return sum(size for at_s, size in self.sent if start_s <= at_s + 1e-6 < end_s)

    def windows(self, start_s: float, end_s: float) -> np.ndarray:
        starts = [at_s for at_s, _ in self.sent if start_s <= at_s <= end_s - WINDOW_S]
        return np.array([self.bytes_in(s, s + WINDOW_S) for s in starts])


@settings(deadline=None)
@given(
    rate=st.integers(4_000, 60_000),
    hz=st.integers(2, 10),
    per_cell=st.floats(3.0, 9.0),
    seed=st.integers(0, 99),
)
def test_every_ten_seconds_carry_the_rate_within_five_percent(
    rate: int, hz: int, per_cell: float, seed: int
) -> None:
    flight = Flight(rate, seed=seed)
    for k in range(40 * hz):
        flight.image(k / hz, per_cell=per_cell)
    ratios = flight.windows(5.0, 40.0) / (rate * WINDOW_S)
    assert ratios.min() > 0.95 and ratios.max() < 1.05
    assert flight.bytes_in(5.0, 40.0) == pytest.approx(rate * 35.0, rel=0.05)


def test_a_rate_that_changes_in_flight_holds_from_then_on() -> None:
    flight = Flight(40_000)
    for k in range(160):
        if k == 80:
            flight.rate.set(5_000)
        flight.image(k / 2)
    assert flight.bytes_in(10.0, 40.0) == pytest.approx(40_000 * 30, rel=0.05)
    assert flight.bytes_in(40.0, 50.0) < 1.05 * 50_000
    assert (np.abs(flight.windows(41.0, 80.0) / 50_000 - 1) < 0.05).all()


def test_irregular_images_use_the_rate_as_well() -> None:
    rng, flight, now_s = np.random.default_rng(3), Flight(10_000), 0.0
    while now_s < 60.0:
        flight.image(now_s)
        now_s += 0.5 * float(rng.choice([1, 1, 1, 2])) * float(rng.uniform(0.9, 1.1))
    assert flight.bytes_in(5.0, 60.0) == pytest.approx(10_000 * 55, rel=0.08)
    assert flight.windows(5.0, 60.0).max() < 1.05 * 100_000 + 5_000


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    flight = Flight(10_000)
    for k in range(120):
        flight.image(k / 2, wanted=not 20 <= k < 60)
    late = flight.windows(30.0, 60.0)
    assert late.max() < 1.05 * 100_000 and late.min() > 0.95 * 100_000
    silent = RateBudget(10_000)
    shares = [silent.image(t).bytes for t in (0.0, 0.5, 1.0, 1.5, 600.0)]
    assert max(shares) <= 10_000 * (0.5 + SLACK_S)


def test_what_is_sent_beside_images_comes_out_of_the_same_rate() -> None:
    flight = Flight(5_000)
    for k in range(80):
        flight.image(k / 2)
        if k % 2:
            flight.rate.spend(330)
    images = flight.bytes_in(10.0, 40.0)
    assert images + 30 * 330 == pytest.approx(5_000 * 30, rel=0.05)


def test_the_budget_per_image_stays_an_upper_bound() -> None:
    flight = Flight(1_000_000, budget_bytes=5_000)
    for k in range(60):
        flight.image(k / 2)
    assert np.mean([size for _, size in flight.sent]) == pytest.approx(5_000, rel=0.05)
    assert not flight.reduced


def test_a_falling_rate_takes_cells_then_steps_then_the_low_band_then_images() -> None:
    found = []
    for rate in (38_000, 22_000, 10_000, 1_000, 0):
        flight = Flight(rate, budget_bytes=20_000)
        for k in range(60):
            flight.image(k / 2)
            flight.reduced = flight.reduced if k > 5 else set()
        found.append(flight.reduced)
    assert found[0] == {FEWER_CELLS}
    assert found[1] == {FEWER_CELLS, COARSER}
    assert found[2] == {FEWER_CELLS, COARSER, NO_LOW_BAND}
    assert NOT_SENT in found[3] and found[4] == {NOT_SENT}
    assert flight.sent == [], "a rate of 0 is for nothing"


def test_below_the_size_of_an_image_fewer_images_are_sent() -> None:
    flight = Flight(900)
    for k in range(120):
        flight.image(k / 2)
    assert 20 < len(flight.sent) < 70
    assert all(size > IMAGE_BYTES * 0.8 for _, size in flight.sent)
    assert flight.bytes_in(10.0, 60.0) == pytest.approx(900 * 50, rel=0.15)


def test_without_a_rate_there_is_no_limit_and_time_that_runs_back_adds_nothing() -> None:
    free = RateBudget()
    assert free.image(0.0) is UNLIMITED
    free.spend(10**9)
    assert free.image(1.0) is UNLIMITED
    free.set(8_000)
    first = free.image(1.5)
    assert first.bytes == pytest.approx(4_000) == free.image(0.2).bytes
    free.set(None)
    assert free.image(2.0) is UNLIMITED


def test_the_lower_rate_counts() -> None:
    assert lower(None, None) is None
    assert lower(5, None) == 5 == lower(None, 5)
    assert lower(5, 0) == 0 and lower(7, 9) == 7


def test_senseless_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        RateBudget(-1)
    with pytest.raises(ValueError, match="negative"):
        RateBudget(1).spend(-1)
