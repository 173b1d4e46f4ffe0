"""Tables of upright boxes as structures of arrays: what detectors find, UAVs exchange and scenes contain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Table = TypeVar("Table", bound="BoxTable")


class BoxTable:
    """N upright boxes in the ``map`` frame; the base of all tables of boxes, which are frozen dataclasses of columns.

    A column is an array whose first axis counts boxes, or None where the table lacks it. Every table has these:
    classes (N,) int64 index into CLASSES · centres (N, 3) m, middle of the box · sizes (N, 3) m as length, width,
    height · yaws (N,) rad, counter-clockwise from +x to the front · velocities (N, 2) m/s.
    """

    classes: NDArray[np.int64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaws: NDArray[np.float64]
    velocities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.classes)

    def columns(self) -> dict[str, Any]:
        """The columns by name, in order."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def select(self: Table, index: NDArray[np.bool_] | NDArray[np.integer]) -> Table:
        """The boxes picked by a boolean mask or an integer index."""
        return type(self)(**{k: None if v is None else v[index] for k, v in self.columns().items()})

    @classmethod
    def join(cls: type[Table], parts: Sequence[Table]) -> Table:
        """All boxes of one table or more, in order; a column that one of them lacks is None.

        Raises: ValueError for no table.
        """
        columns = [part.columns() for part in parts]
        if not columns:
            raise ValueError("expected at least one table of boxes")
        together = {name: [c[name] for c in columns] for name in columns[0]}
        return cls(
            **{k: None if any(v is None for v in vs) else np.concatenate(vs) for k, vs in together.items()}
        )


@dataclass(frozen=True)
class Detections(BoxTable):
    """Detected boxes: the columns of :class:`BoxTable`, and scores (N,) in [0, 1]."""

    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaws: NDArray[np.float64]
    velocities: NDArray[np.float64]
