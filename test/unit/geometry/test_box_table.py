"""Tables of boxes keep their columns together."""

from __future__ import annotations

import numpy as np
import pytest

from rsdfm_ros.data.frame import Objects
from rsdfm_ros.data.outputs import Boxes, join_boxes
from rsdfm_ros.geometry.box_table import BoxTable, Detections
from rsdfm_ros.wire.boxes import SideBoxes

SEED = 5


def table(kind: type[BoxTable], n: int) -> BoxTable:
    """Columns that are all different, each as the kind has them."""
    random = np.random.default_rng(SEED + n)
    shapes = {"centres": (n, 3), "sizes": (n, 3), "velocities": (n, 2), "visibility": (n, 4)}
    return kind(**{name: random.normal(size=shapes.get(name, (n,))) for name in kind.__dataclass_fields__})  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Detections, SideBoxes, Boxes, Objects])
def test_parts_of_a_table_joined_again_are_the_table(kind: type[BoxTable]) -> None:
    whole = table(kind, 9)
    parts = [
        whole.select(np.arange(9) < 4),
        whole.select(np.array([], np.int64)),
        whole.select(np.arange(4, 9)),
    ]
    again = kind.join(parts)
    assert type(again) is kind and [len(p) for p in parts] == [4, 0, 5]
    for name, column in whole.columns().items():
        np.testing.assert_array_equal(again.columns()[name], column)


def test_a_column_that_one_part_lacks_is_lacking() -> None:
    tracked = table(Boxes, 3)
    assert isinstance(tracked, Boxes)
    untracked = Boxes.of(tracked)
    assert untracked.ids is None and untracked.select(np.array([1])).ids is None
    assert Boxes.join([tracked, untracked]).ids is None
    assert join_boxes([tracked, tracked]).ids is None, "ids of different trackers do not go together"
    assert len(join_boxes([])) == 0
    with pytest.raises(ValueError, match="at least one"):
        Boxes.join([])
