"""The byte budget: the mean stays on target, single frames stay near it."""

import numpy as np
import pytest

from rsdfm_ros.wire.budget import BudgetConfig, BudgetController


def fly(config: BudgetConfig, frames: int, per_cell: float, fixed: int, content: list[int] | None = None):
    """Bytes of every frame for cells that cost `per_cell` ± 25 % and a low band of `fixed` ± 10 %."""
    rng = np.random.default_rng(4)
    budget, sent = BudgetController(config), []
    for k in range(frames):
        cells = budget.cells(None if content is None else content[k])
        low = int(fixed * rng.uniform(0.9, 1.1))
        high = int(cells * per_cell * rng.uniform(0.75, 1.25))
        budget.sent(low, high, cells)
        sent.append(low + high)
    return np.array(sent)


@pytest.mark.parametrize("per_cell", [6.0, 14.0, 40.0])
@pytest.mark.parametrize("target", [5_000, 18_000, 50_000])
def test_the_mean_of_a_mission_is_within_five_percent_of_the_target(target: int, per_cell: float) -> None:
    sent = fly(BudgetConfig(target), 60, per_cell, fixed=2_500)
    assert abs(sent.mean() / target - 1) < 0.05
    assert sent[1:].max() < 1.5 * target * 1.3


def test_unused_bytes_are_lent_to_later_frames_but_not_hoarded() -> None:
    content = [0] * 20 + [10_000] * 20
    sent = fly(BudgetConfig(18_000, burst_frames=1.0), 40, 14.0, 2_500, content)
    assert sent[20] > 1.2 * 18_000
    assert sent[20:].sum() < 18_000 * 21.5
    assert sent[22:].mean() == pytest.approx(18_000, rel=0.06)


def test_an_overdrawn_frame_is_paid_back() -> None:
    budget = BudgetController(BudgetConfig(10_000))
    budget.sent(2_000, 28_000, 1_000)
    assert budget.tokens_bytes == -10_000 and budget.cells() == 0
    budget.sent(2_000, 0, 0)
    assert budget.cells() == 0


def test_never_more_cells_than_there_are() -> None:
    assert BudgetController(10**6).cells(17) == 17


def test_the_same_history_gives_the_same_cells() -> None:
    a, b = (fly(BudgetConfig(12_000), 30, 12.0, 2_000) for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("wrong", [{"target_bytes_per_frame": 0}, {"max_factor": 0.5}, {"smoothing": 0.0}])
def test_a_senseless_budget_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        BudgetConfig(**wrong)


def test_negative_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        BudgetController().sent(-1, 0, 0)
