"""Trust in publishers: evidence of their maps over the last seconds, and who is left out because of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rsdfm_ros.agent.prefusion.evidence import Evidence
from rsdfm_ros.agent.publishers import Gid

Key = tuple[str, Gid]
"""A publisher of a peer: name and global identifier."""

HONEST = 4.0
"""Logarithm of the odds that a peer is honest before there is any evidence: what the own UAV overlooks, behind trees or
in haze, speaks against honest peers, and only little at a time."""
FORGET_S = 1.0
"""Time in which evidence loses all but 1 / e of its weight."""
FULL_AFTER_S = 0.5
"""Images that follow sooner count less: they show the same."""
MOST_FOR, MOST_AGAINST = 2.0, 8.0
"""Bounds of the evidence, also of a single image: much trust is lost at once and gained over several images."""
FORGIVEN_S = 60.0
"""A publisher without evidence for so long starts anew."""
MAX_RECORDS = 64
"""Publishers with a record, the last ones with evidence: bounds the memory."""


@dataclass(frozen=True)
class _Record:
    """Evidence up to and with the image at stamp_ns, and whether the publisher is left out."""

    stamp_ns: int
    evidence: Evidence
    left_out: bool = False

    def probability(self) -> float:
        """Probability in [0, 1] that the maps are true: the worse kind of evidence counts if it speaks against."""
        false, missing = self.evidence.false, self.evidence.missing
        worst = max(false, missing)
        return 1.0 / (1.0 + math.exp((worst if worst > 0.0 else false + missing) - HONEST))


class Trust:
    """Records of publishers. `judge` may be called again for the same own image, and then counts once."""

    def __init__(self) -> None:
        self._records: dict[Key, tuple[_Record | None, _Record]] = {}  # before the newest image, and with it
        self._newest_ns = -(2**63)

    def judge(self, key: Key, stamp_ns: int, found: Evidence | None, at_least: float) -> bool:
        """Whether to believe the publisher of a map at the own image of a stamp.

        found: evidence of the map; None if the map cannot be read, and is not believed · at_least: probability that its
        maps are true below which it is left out, until that is 1 - at_least, or at_least if that is higher. A publisher
        of which there was never any evidence is believed. A stamp that goes back clears everything.
        """
        if stamp_ns < self._newest_ns:
            self._records.clear()
        self._newest_ns = stamp_ns
        before = self._before(key, stamp_ns)
        if found is None:
            found = Evidence(MOST_AGAINST, MOST_AGAINST)
        if found == Evidence():
            return before is None or not before.left_out
        record = _joined(before, stamp_ns, found)
        probability, was_out = record.probability(), before is not None and before.left_out
        record = replace(
            record, left_out=probability < (max(at_least, 1.0 - at_least) if was_out else at_least)
        )
        self._records.pop(key, None)
        self._records[key] = (before, record)
        if len(self._records) > MAX_RECORDS:
            del self._records[next(iter(self._records))]
        return not record.left_out

    def _before(self, key: Key, stamp_ns: int) -> _Record | None:
        """The record before the image of a stamp."""
        known = self._records.get(key)
        if known is None:
            return None
        before, newest = known
        record = before if newest.stamp_ns == stamp_ns else newest
        if record is None or stamp_ns - record.stamp_ns > FORGIVEN_S * 1e9:
            return None
        return record


def _joined(before: _Record | None, stamp_ns: int, found: Evidence) -> _Record:
    """The record with the evidence of one more image."""
    if before is None:
        return _Record(stamp_ns, Evidence(_bounded(found.false), _bounded(found.missing)))
    elapsed_s = (stamp_ns - before.stamp_ns) / 1e9
    kept, weight = math.exp(-elapsed_s / FORGET_S), min(1.0, elapsed_s / FULL_AFTER_S)
    false, missing = (
        _bounded(kept * old + weight * _bounded(new))
        for old, new in ((before.evidence.false, found.false), (before.evidence.missing, found.missing))
    )
    return _Record(stamp_ns, Evidence(false, missing))


def _bounded(value: float) -> float:
    return min(max(value, -MOST_FOR), MOST_AGAINST)
