"""Metrics of ids over time: ids of a tracker against the exact ids of the truth, over the frames of a scene.

**Matching.** Within a frame a true object keeps the predicted id that it had in the last frame, if that is still
within 2 m; of the rest the nearest pairs within 2 m are matched, each used once (as in CLEAR MOT, Bernardin &
Stiefelhagen 2008).

**Figures.** `idf1` = 2 IDTP / (true + predicted), where true ids are assigned to predicted ids one to one such that
the number of frames in which assigned ids are matched, IDTP, is greatest (Ristani et al. 2016) ·
`id_changes_per_track`: how often a true object is matched to another id than the last time · `breaks_per_track`: how
often it is lost and found again while it is there · `ids_kept`: of the occlusions of 1 to 3 s (no UAV in use sees a
tenth of the object; before and after one does), those after which the object has the id of before; an object that is
not found again within two frames counts as not kept, one that was not found in the last frame before does not count ·
`ids_kept_after_loss`: of the times when an object was not found for 1 to 3 s, for whatever reason, those after which
it has the id of before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from rsdfm_ros.evaluation.metrics.trajectory import PAIR_DISTANCE_M, nearest_pairs

OCCLUDED_FRAMES = (2, 6)
"""Shortest and longest occlusion that counts, in frames of 0.5 s."""
FOUND_WITHIN = 2
"""Frames after an occlusion in which the object must be found again."""

COUNTS = (
    "true",
    "predicted",
    "idtp",
    "tracks",
    "changes",
    "breaks",
    "occlusions",
    "kept",
    "losses",
    "kept_after_loss",
)
"""Counts that are added up over scenes."""

Observation = tuple[int, bool, int]
"""Frame, seen by a UAV in use, predicted id (0: not found)."""


@dataclass
class IdentityScore:
    """Accumulator over scenes; `add` the frames of one scene in order, then `close` it."""

    true: int = 0
    predicted: int = 0
    idtp: int = 0
    tracks: int = 0
    changes: int = 0
    breaks: int = 0
    occlusions: int = 0
    kept: int = 0
    losses: int = 0
    kept_after_loss: int = 0
    _last: dict[int, int] = field(default_factory=dict)
    _overlap: Counter[tuple[int, int]] = field(default_factory=Counter)
    _timelines: dict[int, list[Observation]] = field(default_factory=dict)
    _frame: int = 0

    def add(
        self,
        ids: NDArray[np.int64],
        positions: NDArray[np.float64],
        true_ids: NDArray[np.int64],
        true_positions: NDArray[np.float64],
        seen: NDArray[np.bool_],
    ) -> None:
        """The next frame: predicted ids (P,) at positions (P, 2) m, true ids (N,) at theirs, and which of them a UAV in
        use sees."""
        matches = self._match(ids, positions, true_ids, true_positions)
        self.true += len(true_ids)
        self.predicted += len(ids)
        for true_id, visible in zip(true_ids.tolist(), seen.tolist(), strict=True):
            found = matches.get(true_id, 0)
            self._timelines.setdefault(true_id, []).append((self._frame, bool(visible), found))
            if found:
                self._overlap[true_id, found] += 1
        self._last = matches
        self._frame += 1

    def _match(
        self,
        ids: NDArray[np.int64],
        positions: NDArray[np.float64],
        true_ids: NDArray[np.int64],
        true_positions: NDArray[np.float64],
    ) -> dict[int, int]:
        row_of = {int(i): n for n, i in enumerate(ids)}
        matches: dict[int, int] = {}
        for n, true_id in enumerate(true_ids.tolist()):
            row = row_of.get(self._last.get(true_id, 0))
            if row is not None and np.hypot(*(positions[row] - true_positions[n])) < PAIR_DISTANCE_M:
                matches[true_id] = int(ids[row])
        taken = set(matches.values())
        free = np.array([n for n, i in enumerate(ids.tolist()) if i not in taken], np.int64)
        open_ = np.array([n for n, i in enumerate(true_ids.tolist()) if i not in matches], np.int64)
        for a, b in nearest_pairs(positions[free], true_positions[open_], PAIR_DISTANCE_M):
            matches[int(true_ids[open_[b]])] = int(ids[free[a]])
        return matches

    def close(self) -> None:
        """End the scene: count everything that spans frames."""
        if self._overlap:
            rows, columns = (sorted({pair[side] for pair in self._overlap}) for side in (0, 1))
            table = np.zeros((len(rows), len(columns)))
            for (true_id, found), frames in self._overlap.items():
                table[rows.index(true_id), columns.index(found)] = frames
            self.idtp += int(table[linear_sum_assignment(-table)].sum())
        for timeline in self._timelines.values():
            self._judge(timeline)
        self._last, self._frame = {}, 0
        self._overlap, self._timelines = Counter(), {}

    def _judge(self, timeline: list[Observation]) -> None:
        found = [(n, i) for n, (_, _, i) in enumerate(timeline) if i]
        self.tracks += bool(found)
        for (a, before), (b, after) in pairwise(found):
            self.changes += before != after
            self.breaks += b > a + 1
            together = timeline[b][0] - timeline[a][0] == b - a  # it was in the area all the time
            if together and OCCLUDED_FRAMES[0] <= b - a - 1 <= OCCLUDED_FRAMES[1]:
                self.losses += 1
                self.kept_after_loss += before == after
        hidden = 0
        for n, (frame, visible, _) in enumerate(timeline):
            if n and frame != timeline[n - 1][0] + 1:  # it left the area in between
                hidden = 0
            if not visible:
                hidden += 1
                continue
            first = n - hidden
            if first > 0 and OCCLUDED_FRAMES[0] <= hidden <= OCCLUDED_FRAMES[1] and timeline[first - 1][2]:
                again = [i for _, _, i in timeline[n : n + FOUND_WITHIN] if i]
                self.occlusions += 1
                self.kept += bool(again) and again[0] == timeline[first - 1][2]
            hidden = 0

    def merge(self, other: IdentityScore) -> None:
        """Add the counts of another accumulator; both are closed first."""
        self.close()
        other.close()
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def result(self) -> dict[str, float | None]:
        """The figures of all closed scenes; None where undefined."""
        self.close()
        total = self.true + self.predicted
        return {
            "idf1": 2.0 * self.idtp / total if total else None,
            "id_changes_per_track": self.changes / self.tracks if self.tracks else None,
            "breaks_per_track": self.breaks / self.tracks if self.tracks else None,
            "ids_kept": self.kept / self.occlusions if self.occlusions else None,
            "occlusions": float(self.occlusions),
            "ids_kept_after_loss": self.kept_after_loss / self.losses if self.losses else None,
            "losses": float(self.losses),
        }
