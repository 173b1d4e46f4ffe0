"""Instants of a bag wait for the images of all UAVs by time, as long as memory allows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rsdfm_ros.data.bags.order import pending
from rsdfm_ros.data.bags.order.pending import LEAST_PENDING, PendingInstants

MS = 1_000_000
UAVS = tuple(f"uav{n}" for n in range(1, 7))


def matched(stamp_ns: int, size: int = 100) -> Any:
    image = SimpleNamespace(image=SimpleNamespace(message=SimpleNamespace(data=bytes(size))))
    return SimpleNamespace(stamp_ns=stamp_ns, images=(image,))


def arrivals(late_ms: int) -> list[tuple[int, str, int]]:
    """(recorded, UAV, stamp): 30 Hz with stamps of their own for 4 s, the last UAV recorded late."""
    out = []
    for n, uav in enumerate(UAVS):
        for k in range(120):
            stamp = (33 * k + n) * MS + MS
            out.append((stamp + (late_ms * MS if uav == UAVS[-1] else 0), uav, stamp))
    return sorted(out)


def given(late_ms: int) -> tuple[list[int], int]:
    instants, late, got = PendingInstants(UAVS), 0, []
    for log_ns, uav, stamp in arrivals(late_ms):
        late += not instants.add(uav, matched(stamp), log_ns)
        got += [i.stamp_ns for i in instants.due(log_ns, patient=False)]
    return got + [i.stamp_ns for i in instants.due(None, patient=False)], late


@pytest.mark.parametrize("late_ms", [0, 500, 1500])
def test_the_images_of_a_uav_that_are_recorded_late_are_not_left_out(late_ms: int) -> None:
    got, late = given(late_ms)
    assert late == 0 and got == sorted(stamp for _, _, stamp in arrivals(0))


def test_instants_make_room_where_their_images_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "MAX_PENDING_BYTES", 0)
    got, late = given(1500)
    assert got == sorted(got) and late > 0
    instants = PendingInstants(UAVS)
    for k in range(LEAST_PENDING + 3):
        instants.add("uav1", matched(k + 1), 0)
    assert len(list(instants.due(0, patient=False))) == 3
    assert not instants.add("uav2", matched(3), 0), "an image of an instant that was given"
    assert len(list(instants.due(None, patient=True))) == LEAST_PENDING
