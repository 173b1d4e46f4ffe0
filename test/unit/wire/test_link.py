"""The faults of a link: shares, bursts, order, rate and damage are those that are asked for, from a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.wire.faults.link import FLIPPED_BITS, Arrival, Link, LinkFaults, damaged, lost

SHARES = st.floats(0.0, 1.0)
FAULTS = st.builds(
    LinkFaults,
    loss=SHARES,
    loss_correlation=st.floats(0.0, 0.99),
    delay_s=st.floats(0.0, 1.0),
    jitter_s=st.floats(0.0, 1.0),
    reorder=SHARES,
    reorder_s=st.floats(0.0, 1.0),
    duplicate=SHARES,
    corrupt=SHARES,
    rate_bytes_s=st.floats(0.0, 1e6),
    queue_s=st.floats(0.0, 1.0),
)


def passed(faults: LinkFaults, messages: int, seed: int = 1, period_s: float = 0.01) -> list[list[Arrival]]:
    """Arrivals of messages of 1000 bytes, one every period."""
    link = Link([seed])
    return [link.arrivals(1000, k * period_s, faults) for k in range(messages)]


def bursts(mask: np.ndarray) -> np.ndarray:
    """Lengths of the runs of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@given(FAULTS, st.integers(0, 1000))
def test_whatever_the_faults_arrivals_come_after_the_sending_and_one_seed_gives_one_fate(
    faults: LinkFaults, seed: int
) -> None:
    found = passed(faults, 40, seed)
    assert found == passed(faults, 40, seed)
    for k, arrivals in enumerate(found):
        assert len(arrivals) <= 2
        assert all(a.due_s >= k * 0.01 for a in arrivals)
    on_time = [a.due_s for arrivals in found for a in arrivals if not a.late]
    assert on_time == sorted(on_time)


@given(st.lists(st.floats(0.0, 0.999999), max_size=50), SHARES)
def test_without_correlation_losses_are_the_draws_below_the_share(draws: list[float], loss: float) -> None:
    assert lost(draws, loss).tolist() == [d < loss for d in draws]


@given(st.lists(st.floats(0.0, 0.999999), max_size=30), SHARES, st.floats(0.0, 0.99))
def test_losses_drawn_one_by_one_are_those_drawn_together(
    draws: list[float], loss: float, correlation: float
) -> None:
    together = lost(draws, loss, correlation).tolist()
    before, single = None, []
    for draw in draws:
        before = bool(lost([draw], loss, correlation, before)[0])
        single.append(before)
    assert together == single


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("loss", [0.05, 0.2, 0.5])
def test_bursts_have_the_mean_length_and_leave_the_share_as_it_is(loss: float, correlation: float) -> None:
    mask = lost(np.random.default_rng(2).random(200_000), loss, correlation)
    assert mask.mean() == pytest.approx(loss, rel=0.08)
    assert bursts(mask).mean() == pytest.approx(1 / ((1 - loss) * (1 - correlation)), rel=0.08)


def test_no_loss_and_all_loss_hold_with_any_correlation() -> None:
    draws = np.random.default_rng(3).random(100)
    assert not lost(draws, 0.0, 0.9).any() and lost(draws, 1.0, 0.9).all()


def test_the_offline_evaluation_draws_from_the_same_function() -> None:
    key = {"scene": 1, "frame": 2, "sender": 0, "receiver": 1}
    draws = np.random.default_rng([7, 2, 1, 2, 0, 1]).uniform(size=50)
    for correlation in (0.0, 0.8):
        disturbance = Disturbance(loss=0.4, loss_correlation=correlation, seed=7)
        assert disturbance.arrives(50, **key).tolist() == (~lost(draws, 0.4, correlation)).tolist()
    bursty = Disturbance(loss=0.4, loss_correlation=0.8, seed=7).arrives(50, **key)
    assert not np.array_equal(bursty, draws >= 0.4)


def test_a_link_without_faults_passes_everything_at_once() -> None:
    assert passed(LinkFaults(), 20) == [[Arrival(k * 0.01)] for k in range(20)]


def test_delays_lie_within_the_jitter_and_keep_the_order() -> None:
    found = passed(LinkFaults(delay_s=0.05, jitter_s=0.03), 500, period_s=0.1)
    delays = np.array([a.due_s - 0.1 * k for k, (a,) in enumerate(found)])
    assert delays.min() >= 0.02 - 1e-9 and delays.max() <= 0.08 + 1e-9
    assert np.std(delays) == pytest.approx(0.06 / np.sqrt(12), rel=0.1)
    close = [a.due_s for (a,) in passed(LinkFaults(delay_s=0.05, jitter_s=0.05), 500, period_s=0.001)]
    assert close == sorted(close)


def test_messages_that_are_held_back_are_overtaken_and_hold_up_no_others() -> None:
    found = [a for (a,) in passed(LinkFaults(reorder=0.25, reorder_s=0.035), 400)]
    assert np.mean([a.late for a in found]) == pytest.approx(0.25, abs=0.06)
    for k, arrival in enumerate(found):
        assert arrival.due_s == pytest.approx(0.01 * k + (0.035 if arrival.late else 0.0))
    order = np.argsort([a.due_s for a in found], kind="stable")
    assert not np.array_equal(order, np.arange(400))


def test_shares_of_copies_and_of_damage() -> None:
    found = passed(LinkFaults(duplicate=0.3, corrupt=0.1), 2000)
    assert np.mean([len(a) == 2 for a in found]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([a[0].corrupt for a in found]) == pytest.approx(0.1, abs=0.03)


def test_a_rate_holds_and_what_would_wait_for_too_long_is_dropped() -> None:
    faults = LinkFaults(rate_bytes_s=50_000, queue_s=0.2)  # 50 messages a second, 100 are sent
    link = Link([1])
    found = [link.arrivals(1000, 0.01 * k, faults) for k in range(1000)]
    due = [a[0].due_s for a in found if a]
    assert len(due) == pytest.approx(50 * 10 + 10, abs=2) and link.overflowed == 1000 - len(due)
    assert np.diff(due).min() >= 0.02 - 1e-9
    waits = [a[0].due_s - 0.01 * k for k, a in enumerate(found) if a]
    assert max(waits) <= 0.2 + 0.02 + 1e-9


def test_strengths_that_change_in_flight_leave_the_draws_of_later_messages() -> None:
    steady, changed = Link([5]), Link([5])
    faults = LinkFaults(loss=0.3, duplicate=0.3)
    for k in range(50):
        steady.arrivals(1000, 0.01 * k, faults)
        changed.arrivals(1000, 0.01 * k, replace(faults, loss=0.9))
    after = [[link.arrivals(1000, 1 + 0.01 * k, faults) for k in range(50)] for link in (steady, changed)]
    assert after[0] == after[1] and steady.lost < changed.lost


@given(st.binary(max_size=40), st.integers(0, 2**31))
def test_damage_flips_some_bits_and_keeps_the_length(payload: bytes, seed: int) -> None:
    found = damaged(payload, np.random.default_rng(seed))
    flipped = sum((a ^ b).bit_count() for a, b in zip(payload, found, strict=True))
    assert flipped <= FLIPPED_BITS and (flipped >= 1 or not payload)
