"""IoU, PQ and VPQ: hand-computed cases, a naive reference, properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdfm_ros.evaluation.metrics.segmentation import CellCounts, PanopticCounts, match_instances


def _grid(*rows: str) -> np.ndarray:
    return np.array([[int(c) for c in row] for row in rows], dtype=np.int32)


def test_iou_counts_cells() -> None:
    counts = CellCounts()
    counts.add(_grid("1100", "0000") > 0, _grid("0110", "0010") > 0)
    assert (counts.tp, counts.fp, counts.fn) == (1, 1, 2)
    assert counts.iou == pytest.approx(1 / 4)


def test_iou_sums_over_frames_before_dividing() -> None:
    counts = CellCounts()
    counts.add(_grid("1111") > 0, _grid("1111") > 0)
    counts.add(_grid("0001") > 0, _grid("1100") > 0)
    assert counts.iou == pytest.approx(4 / 7)


def test_ignored_cells_count_neither_way() -> None:
    counts = CellCounts()
    counts.add(_grid("1111") > 0, _grid("1100") > 0, ignored=_grid("0101") > 0)
    assert (counts.tp, counts.fp, counts.fn) == (1, 1, 0)


def test_iou_of_nothing_is_undefined() -> None:
    assert CellCounts().iou is None
    assert PanopticCounts().quality is None


def test_pq_by_hand() -> None:
    true = _grid("111100220", "111100220", "000000000")
    predicted = _grid("555000777", "555000777", "000880000")  # 5: IoU 6/8; 7: IoU 4/6; 8: false
    counts = PanopticCounts()
    counts.add_still(predicted, true)
    assert (counts.tp, counts.fp, counts.fn) == (2, 1, 0)
    assert counts.quality == pytest.approx((6 / 8 + 4 / 6) / 2.5)


def test_half_overlap_is_not_a_match() -> None:
    counts = PanopticCounts()
    counts.add_still(_grid("1000"), _grid("2200"))
    assert (counts.tp, counts.fp, counts.fn, counts.quality) == (0, 1, 1, 0.0)


def test_vpq_counts_an_id_switch_once_as_fp_and_fn_and_then_expects_the_new_id() -> None:
    true = np.stack([_grid("1100")] * 4)
    predicted = np.stack([_grid("5500"), _grid("5500"), _grid("6600"), _grid("6600")])
    counts = PanopticCounts()
    counts.add_sequence(predicted, true)
    assert (counts.tp, counts.fp, counts.fn, counts.switches) == (3, 1, 1, 1)
    assert counts.quality == pytest.approx(3 / 4)


def test_vpq_remembers_the_id_over_a_gap() -> None:
    true = np.stack([_grid("1100")] * 3)
    counts = PanopticCounts()
    counts.add_sequence(np.stack([_grid("5500"), _grid("0000"), _grid("6600")]), true)
    assert (counts.tp, counts.fp, counts.fn, counts.switches) == (1, 1, 2, 1)


def test_ids_of_different_frames_are_unrelated() -> None:
    counts = PanopticCounts()
    counts.add_sequence(_grid("5500")[None], _grid("1100")[None])
    counts.add_sequence(_grid("6600")[None], _grid("1100")[None])
    assert (counts.tp, counts.switches, counts.quality) == (2, 0, 1.0)


def _naive_vpq(predicted: np.ndarray, true: np.ndarray) -> tuple[float, int, int, int]:
    iou_sum, tp, fp, fn = 0.0, 0, 0, 0
    known: dict[int, int] = {}
    for p_map, t_map in zip(predicted, true, strict=True):
        p_left = set(p_map[p_map > 0].tolist())
        t_ids = set(t_map[t_map > 0].tolist())
        for t in t_ids:
            best = None
            for p in list(p_left):
                iou = ((p_map == p) & (t_map == t)).sum() / ((p_map == p) | (t_map == t)).sum()
                if iou > 0.5:
                    best = (p, iou)
            if best is None:
                fn += 1
                continue
            p_left.remove(best[0])
            if t in known and known[t] != best[0]:
                fp, fn = fp + 1, fn + 1
            else:
                tp, iou_sum = tp + 1, iou_sum + best[1]
            known[t] = best[0]
        fp += len(p_left)
    return iou_sum, tp, fp, fn


def _noisy_maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = np.kron(rng.integers(0, 4, (3, 4, 4)), np.ones((1, 3, 3), dtype=int)).astype(np.int32)
    predicted = np.where(rng.uniform(size=true.shape) < 0.2, rng.integers(0, 5, true.shape), true)
    swap = rng.permutation(5) if rng.uniform() < 0.5 else np.arange(5)
    predicted[2] = np.where(predicted[2] > 0, swap[predicted[2]] + 1, 0)
    return predicted.astype(np.int32), true


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_panoptic_counts_equal_a_naive_loop(seed: int) -> None:
    predicted, true = _noisy_maps(seed)
    counts = PanopticCounts()
    counts.add_sequence(predicted, true)
    iou_sum, tp, fp, fn = _naive_vpq(predicted, true)
    assert (counts.tp, counts.fp, counts.fn) == (tp, fp, fn)
    assert counts.iou_sum == pytest.approx(iou_sum)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_panoptic_quality_is_bounded_symmetric_and_blind_to_the_names_of_ids(seed: int) -> None:
    predicted, true = _noisy_maps(seed)

    def quality(p: np.ndarray, t: np.ndarray) -> float:
        counts = PanopticCounts()
        counts.add_still(p[0], t[0])
        return counts.quality or 0.0

    value = quality(predicted, true)
    assert 0.0 <= value <= 1.0
    assert quality(true, predicted) == pytest.approx(value)
    names = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(9)]).astype(np.int32)
    assert quality(names[predicted], true) == pytest.approx(value)
    if (true[0] > 0).any():
        assert quality(true, true) == 1.0


def test_large_ids_do_not_collide() -> None:
    big = np.iinfo(np.int32).max
    matches, n_predicted, n_true = match_instances(_grid("11022") * (big // 2), _grid("11022"))
    assert (n_predicted, n_true) == (2, 2)
    assert [(t, p) for t, p, _ in matches] == [(1, big // 2), (2, 2 * (big // 2))]
