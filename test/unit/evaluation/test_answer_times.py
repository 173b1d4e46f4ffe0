"""Rate, time from stamp to output, and images without an answer, against figures computed by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rsdfm_ros.evaluation.metrics.answer_times import AnswerTimes, published_ns

S = 1_000_000_000


def flown(times: AnswerTimes, period_s: float, delays_s: list[float | None], start_s: float = 100.0) -> None:
    """Instants of 2 Hz mission time that are published every period_s, answered by uav1 after these delays."""
    for k, delay_s in enumerate(delays_s):
        stamp_ns, shown_s = 10 * S + k * S // 2, start_s + k * period_s
        times.shown(stamp_ns, round(shown_s * S))
        if delay_s is not None:
            times.answered("uav1", stamp_ns, round((shown_s + delay_s) * S))


def test_figures_are_counts_hertz_and_milliseconds() -> None:
    times = AnswerTimes()
    delays_s = [0.10, 0.30, None, 0.20, 0.50, None, 0.25, 0.15, None, None]
    flown(times, 0.5, delays_s)
    took_ms = 1e3 * np.array([d for d in delays_s if d is not None])
    figures = times.figures("uav1")
    assert (figures["images"], figures["images_answered"], figures["images_not_answered"]) == (10, 6, 4)
    assert figures["rate_images_hz"] == pytest.approx(2.0)
    assert figures["rate_answered_hz"] == pytest.approx(2.0 * 6 / 10)
    assert figures["stamp_to_output_p50_ms"] == pytest.approx(np.median(took_ms))
    assert figures["stamp_to_output_p95_ms"] == pytest.approx(np.quantile(took_ms, 0.95))


def test_the_rate_is_of_real_time_however_fast_mission_time_passes() -> None:
    times = AnswerTimes()
    flown(times, 0.125, [0.05] * 9)  # mission time passes four times as fast
    assert times.figures("uav1")["rate_answered_hz"] == pytest.approx(8.0)


def test_a_uav_that_answers_nothing_has_no_times_and_a_rate_of_zero() -> None:
    times = AnswerTimes()
    flown(times, 0.5, [0.1, 0.1, 0.1])
    figures = times.figures("uav2")
    assert figures["rate_answered_hz"] == 0.0 and figures["images_not_answered"] == 3
    assert figures["stamp_to_output_p50_ms"] is None and figures["stamp_to_output_p95_ms"] is None
    assert set(figures.values()) >= {None} and AnswerTimes().figures("uav1")["rate_answered_hz"] is None


def test_instants_without_images_do_not_count() -> None:
    known, unknown = AnswerTimes(), AnswerTimes(open_end=True)
    for times in (known, unknown):
        flown(times, 0.5, [0.1, 0.1, 0.1, None, None])
        times.noticed(10 * S + 3 * S // 2)  # the fourth image was received, but not answered
    known.without_images(10 * S + 4 * S // 2)
    for times in (known, unknown):
        assert times.figures("uav1")["images"] == 4 and times.figures("uav1")["images_not_answered"] == 1


def test_answers_to_what_the_world_did_not_show_are_left_out() -> None:
    times = AnswerTimes()
    flown(times, 0.5, [0.1, 0.1])
    times.answered("uav1", 0, 5 * S)  # the status before the first image
    assert times.figures("uav1")["images_answered"] == 2


def test_the_first_output_of_a_stamp_counts() -> None:
    times = AnswerTimes()
    flown(times, 0.5, [0.1, 0.1])
    times.answered("uav1", 10 * S, 500 * S)
    assert times.figures("uav1")["stamp_to_output_p95_ms"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"source_timestamp": 7}, 7),
        (SimpleNamespace(source_timestamp=7), 7),
        ({"source_timestamp": 0}, 9),
        ({}, 9),
        (None, 9),
    ],
)
def test_the_publisher_tells_the_time_where_the_middleware_passes_it_on(info: object, expected: int) -> None:
    assert published_ns(info, 9) == expected
