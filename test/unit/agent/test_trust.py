"""Trust in publishers: who is left out by the evidence of several images, and who is believed again."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.agent.prefusion.evidence import Evidence
from rsdfm_ros.agent.prefusion.trust import MAX_RECORDS, Trust

PERIOD_NS = 500_000_000
AT_LEAST = 0.18
KEY = ("uav2", b"\x01")


def verdicts(found: list[Evidence | None], trust: Trust | None = None, first: int = 0) -> list[bool]:
    trust = Trust() if trust is None else trust
    return [trust.judge(KEY, (first + k) * PERIOD_NS, one, AT_LEAST) for k, one in enumerate(found)]


def test_honest_peers_whose_maps_differ_a_little_are_never_left_out() -> None:
    rng = np.random.default_rng(0)
    found = [Evidence(*rng.normal((-0.5, -1.0), 1.5)) for _ in range(500)]
    assert all(verdicts(found))


def test_strong_evidence_counts_at_once_and_weak_evidence_adds_up() -> None:
    assert verdicts([Evidence(8.0, -2.0)]) == [False]
    assert verdicts([Evidence(-2.0, 8.0)]) == [False]
    weak = verdicts([Evidence(3.0, 0.0)] * 6)
    assert weak[0] and not weak[-1]
    assert weak == sorted(weak, reverse=True), "once left out, it stays out"


def test_a_publisher_with_a_good_record_that_attacks_is_left_out_within_two_images() -> None:
    assert verdicts([Evidence(-2.0, -2.0)] * 20 + [Evidence(8.0, 0.0)] * 2)[-1] is False


def test_a_publisher_that_behaves_again_is_believed_again_after_some_images() -> None:
    after = verdicts([Evidence(8.0, 0.0)] * 10 + [Evidence(-1.5, -3.0)] * 10)[10:]
    assert not after[0] and after[-1]
    assert after == sorted(after)


def test_without_evidence_everybody_is_believed_and_nobody_is_readmitted() -> None:
    assert all(verdicts([Evidence()] * 5))
    assert verdicts([Evidence(8.0, 0.0)] + [Evidence()] * 5) == [False] * 6


def test_maps_that_cannot_be_read_are_not_believed() -> None:
    assert verdicts([None]) == [False]


def test_the_same_image_counts_once() -> None:
    trust = Trust()
    assert all(trust.judge(KEY, 0, Evidence(3.0, 0.0), AT_LEAST) for _ in range(10))


def test_images_in_quick_succession_count_less() -> None:
    trust = Trust()
    assert all(trust.judge(KEY, k * PERIOD_NS // 10, Evidence(3.0, 0.0), AT_LEAST) for k in range(4))


def test_records_belong_to_publishers_and_are_bounded() -> None:
    trust = Trust()
    for n in range(3 * MAX_RECORDS):
        trust.judge(("uav2", bytes([n])), 0, Evidence(8.0, 0.0), AT_LEAST)
    assert len(trust._records) == MAX_RECORDS
    assert trust.judge(("uav2", b"other"), 0, Evidence(-1.0, 0.0), AT_LEAST)


@pytest.mark.parametrize("later_ns", [-PERIOD_NS, 61 * 10**9])
def test_a_step_back_in_time_or_a_long_pause_starts_anew(later_ns: int) -> None:
    trust = Trust()
    assert not trust.judge(KEY, PERIOD_NS, Evidence(8.0, 0.0), AT_LEAST)
    assert trust.judge(KEY, PERIOD_NS + later_ns, Evidence(), AT_LEAST)
