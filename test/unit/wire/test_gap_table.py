"""The table of the gaps between sent cells: ten bytes, near the entropy, the same on every machine."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rsdfm_ros.wire.entropy import Coded, decode, encode
from rsdfm_ros.wire.gap_table import FIRST, GAP_BYTES, GapTable, fitted_gaps
from rsdfm_ros.wire.tables import TOTAL


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.just(1), st.integers(1, 80))))
def test_any_gaps_come_back(gaps: np.ndarray) -> None:
    table = fitted_gaps(gaps.astype(np.int16))
    again = GapTable.from_bytes(table.to_bytes())
    assert len(table.to_bytes()) == GAP_BYTES and np.array_equal(again.levels, table.levels)
    words = encode([gaps.astype(np.int16)], [table])
    (back,) = decode(Coded([again], words, [gaps.shape])).bands
    assert np.array_equal(back, gaps)


def test_gaps_of_a_checkerboard_take_hardly_more_than_their_entropy() -> None:
    rng = np.random.default_rng(4)
    gaps = (2 * rng.geometric(0.6, (1, 600)) - 1).clip(0, 255).astype(np.int16)
    gaps[0, ::40] = rng.integers(16, 200, 15)
    words = encode([gaps], [fitted_gaps(gaps)])
    counts = np.unique(gaps, return_counts=True)[1]
    entropy = -(counts * np.log2(counts / counts.sum())).sum() / 8
    assert len(words) < 1.1 * entropy + 8


def reference_gaps(levels: list[int]) -> list[int]:
    """A table of gaps as docs/wire_format.md describes it, in exact fractions."""
    weights = [(2 + level % 2) * 2 ** (level // 2) if level else 0 for level in levels]
    ends, table = [*FIRST.tolist()[1:], 256], []
    for first, end, weight in zip(FIRST.tolist(), ends, weights, strict=True):
        share = Fraction(weight * (2**14 - 256), (end - first) * max(1, sum(weights))) // 1
        table += [1 + share] * (end - first)
    table[table.index(max(table))] += 2**14 - sum(table)
    return table


@given(st.lists(st.integers(0, 15), min_size=len(FIRST), max_size=len(FIRST)))
def test_every_table_of_gaps_is_that_of_the_documentation(levels: list[int]) -> None:
    (table,) = GapTable(np.array(levels, np.uint8)).frequencies()
    assert table.tolist() == reference_gaps(levels)
    assert table.sum() == TOTAL and table.min() >= 1 and len(table) == 256
