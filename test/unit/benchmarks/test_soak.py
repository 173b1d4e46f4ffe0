"""The soak's judgement: slopes with their uncertainty, events from a seed, bars, and times of recoveries."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from benchmarks.soak import lifecycle
from benchmarks.soak.campaign import Seen
from benchmarks.soak.plan import ATTACK, KILL, RADIO, RESTART, STOP, events
from benchmarks.soak.report import MET, UNDECIDED, result_of
from benchmarks.soak.slope import Life, slope_of, slope_of_points
from benchmarks.soak.uav import START, Recovery

AGENTS = ("uav1", "uav2", "uav3")
HOUR_S, WARM_S = 3600.0, 300.0


def life(mb_h: float, seconds: float = HOUR_S, noise: float = 0.3, seed: int = 0) -> Life:
    """Memory that settles in the first minutes and then grows at a rate, with steps."""
    rng, out = np.random.default_rng(seed), Life()
    for t in np.arange(0.0, seconds, 1.0):
        out.note(t, 400.0 - 50.0 * np.exp(-t / 20.0) + mb_h * t / 3600.0 + rng.normal(0, noise))
    return out


@pytest.mark.parametrize("mb_h", [0.0, 0.5, 5.0])
def test_the_slope_is_that_of_the_memory_after_the_warm_up(mb_h: float) -> None:
    slope = slope_of([life(mb_h)], WARM_S)
    assert slope is not None and slope.low <= mb_h <= slope.high
    assert slope.value == pytest.approx(mb_h, abs=0.15) and slope.high - slope.low < 0.4


def test_a_step_and_outliers_do_not_turn_the_slope() -> None:
    steady = life(0.0)
    steady.rss_mb[2000:2030] = [900.0] * 30
    slope = slope_of([steady], WARM_S)
    assert slope is not None and abs(slope.value) < 0.1


def test_lives_of_a_process_are_taken_together_without_the_jumps_between_them() -> None:
    lives = [life(2.0, 1200.0, seed=k) for k in range(3)]
    for k, one in enumerate(lives):
        one.rss_mb = [value + 100.0 * k for value in one.rss_mb]
    together, alone = slope_of(lives, WARM_S), slope_of(lives[:1], WARM_S)
    assert together is not None and alone is not None
    assert together.low <= 2.0 <= together.high
    assert together.high - together.low < alone.high - alone.low and together.points == 3 * alone.points


def test_a_life_that_is_too_short_is_not_judged() -> None:
    assert slope_of([life(0.0, WARM_S + 100.0)], WARM_S) is None
    assert slope_of_points([([1, 2], [3, 4])]) is None


def test_events_come_from_the_seed_and_spare_the_first_uav() -> None:
    first, again, other = (list(islice(events(seed, AGENTS, 5.0), 400)) for seed in (1, 1, 2))
    assert first == again != other
    assert {e.kind for e in first} == {KILL, STOP, RESTART, RADIO, ATTACK}
    assert {e.agent for e in first if e.kind in (KILL, RESTART)} == set(AGENTS[1:])
    assert {e.agent for e in first if e.kind == STOP} == set(AGENTS)
    times = [e.at_s for e in first]
    assert times == sorted(times) and np.mean(np.diff(times)) == pytest.approx(5.0, rel=0.2)
    assert all(e.parameters for e in first if e.kind in (RADIO, ATTACK))


def recovery(output_s: float | None, kind: str = KILL, ready_s: float | None = 5.0) -> Recovery:
    return Recovery("uav2", kind, 1.0, ready_s, None if ready_s is None else ready_s + 0.5, 7, output_s)


def test_outputs_are_timed_from_the_start_from_readiness_and_from_the_image() -> None:
    result = result_of(Seen(recoveries=[recovery(6.0), recovery(50.0, START)]), HOUR_S, complete=True)
    spread = {begin: r["most"] for begin, r in result["outputs_again_s"].items()}
    assert spread == {"started": 5.0, "ready": 1.0, "image": 0.5}, "first starts are no restarts"
    assert result["bars"]["outputs_again_s"]["verdict"] == MET and result["missed"] == []


def test_every_bar_can_be_missed() -> None:
    good = Seen(recoveries=[recovery(6.0)], lives={"uav1": [life(0.2)]})
    assert {b["verdict"] for b in result_of(good, HOUR_S, complete=True)["bars"].values()} == {MET}
    for bad, bar in (
        (Seen(lives={"uav1": [life(0.0)], "uav2": [life(6.0)]}), "rss_slope_mb_h"),
        (Seen(recoveries=[recovery(6.0), recovery(8.5)]), "outputs_again_s"),
        (Seen(orphans=["7: python"]), "no_orphan"),
        (Seen(stuck=["uav2 has not answered"]), "no_stuck_process"),
        (Seen(crashes=["uav2 ended"]), "no_crash"),
        (Seen(tracebacks=["uav2: Traceback"]), "no_untyped_error"),
        (Seen(errors=2), "no_untyped_error"),
    ):
        assert result_of(bad, HOUR_S, complete=True)["missed"] == [bar]


def test_what_is_not_certain_is_undecided() -> None:
    noisy = result_of(Seen(lives={"uav1": [life(0.9, 900.0, noise=3.0)]}), 900.0, complete=True)
    assert noisy["bars"]["rss_slope_mb_h"]["verdict"] == UNDECIDED and noisy["missed"] == []
    unfinished = result_of(Seen(recoveries=[recovery(None)]), HOUR_S, complete=False)
    assert unfinished["bars"]["outputs_again_s"]["verdict"] == UNDECIDED and not unfinished["complete"]


def test_lines_of_logs_are_counted() -> None:
    seen = Seen()
    for line in (
        "[WARN] a publisher of uav2 is quarantined for 30 s after 9 refusals",
        "Traceback (most recent call last):",
    ):
        seen.on_line("uav1", line)
    assert seen.quarantines == 1 and seen.tracebacks == ["uav1: Traceback (most recent call last):"]


def test_a_leak_per_round_is_found_and_a_warm_up_is_not() -> None:
    rng = np.random.default_rng(0)
    rounds = np.arange(60)

    def used(threads: list[int], files: list[int], growth: float) -> lifecycle.Used:
        memory = 300.0 + 20.0 * (1 - np.exp(-rounds / 3.0)) + growth * rounds + rng.normal(0, 0.05, 60)
        return lifecycle.Used(threads, files, list(memory))

    steady = [18] * 60
    for content, leaks in (
        (used(steady, [12, *[20] * 59], 0.0), []),
        (used([18 + k for k in range(60)], steady, 0.0), ["threads"]),
        (used(steady, [20 + k // 9 for k in range(60)], 0.0), ["files"]),
        (used(steady, steady, 0.1), ["memory"]),
    ):
        figures = lifecycle.figures_of(content) | {"status": 0}
        assert figures["leaks"] == leaks and figures["rounds"] == 60
        assert lifecycle.result_of({"x": figures}, complete=True)["missed"] == (["x"] if leaks else [])
