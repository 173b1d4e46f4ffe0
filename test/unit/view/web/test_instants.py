"""The instants of a mission are bounded, ordered and tell what has changed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rsdfm_ros.view.web import instants as module
from rsdfm_ros.view.web.instants import OPEN_INSTANTS, Instants


def filled(store: Instants, count: int, image_bytes: int = 0) -> None:
    for n in range(count):
        instant = store.at(n * 500_000_000)
        if image_bytes:
            instant.images["uav1", "camera"] = bytes(image_bytes)
        store.touch(instant)


def test_instants_have_numbers_and_are_listed_by_time_however_they_come() -> None:
    store = Instants()
    for ns in (3_000, 1_000, 2_000):
        store.touch(store.at(ns))
    assert [i.ns for i in store.all()] == [1_000, 2_000, 3_000]
    assert [i.number for i in store.all()] == [1, 2, 0]
    assert store.at(2_000) is store.numbered(2) and store.numbered(7) is None
    assert store.known(1_000) and not store.known(5)


def test_what_has_changed_is_told_once() -> None:
    store = Instants()
    filled(store, 3)
    seen = store.revision
    assert store.since(seen) == []
    store.touch(store.at(0))
    assert [i.number for i in store.since(seen)] == [0]
    assert json.loads(store.text(store.at(0))) == {"number": 0, "t": 0.0, "uavs": {}}


def test_text_is_made_anew_after_a_change() -> None:
    store = Instants()
    instant = store.at(0)
    instant.uav("uav1")["facts"] = {"objects": 1}
    store.touch(instant)
    assert '"objects":1' in store.text(instant) and store.text(instant) is store.text(instant)
    instant.uav("uav1")["facts"] = {"objects": 2}
    store.touch(instant)
    assert '"objects":2' in store.text(instant)


def test_the_oldest_go_when_there_are_too_many() -> None:
    store = Instants(max_instants=5)
    filled(store, 9)
    assert [i.number for i in store.all()] == [4, 5, 6, 7, 8] and store.numbered(3) is None


def test_beyond_the_limit_of_bytes_old_images_go_before_instants() -> None:
    store = Instants(max_bytes=60_000)
    filled(store, 20, image_bytes=5_000)
    kept = [i.number for i in store.all() if i.images]
    assert len(store) == 20 and kept == list(range(kept[0], 20)) and 5 <= len(kept) <= 8
    filled(store, 100)
    assert store.all()[-1].ns == 99 * 500_000_000 and len(store) < 70


def test_the_newest_is_shown_when_all_have_answered_that_did_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    store = Instants()

    def answer(ns: int, *agents: str) -> None:
        for agent in agents:
            store.at(ns).uav(agent)["facts"] = {}
        store.touch(store.at(ns))

    assert store.newest_settled() is None
    answer(1, "uav1", "uav2")
    assert store.newest_settled() is store.at(1)
    answer(2, "uav1")
    assert store.newest_settled() is store.at(1)
    answer(2, "uav2")
    assert store.newest_settled() is store.at(2)
    answer(3, "uav1")  # uav2 is lost
    assert store.newest_settled() is store.at(2)
    now[0] = 1.5
    assert store.newest_settled() is store.at(3)
    answer(4, "uav1")
    assert store.newest_settled() is store.at(4)


def test_the_truth_that_goes_on_after_a_mission_is_not_shown_as_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    store = Instants()
    store.touch(store.at(0))
    now[0] = 5.0
    assert store.newest_settled() is store.at(0)  # nothing else is known yet
    store.at(1).uav("uav1")["facts"] = {}
    store.touch(store.at(1))
    for ns in range(2, 6):
        store.touch(store.at(ns))
    now[0] = 10.0
    assert store.newest_settled() is store.at(1)
    store.clear()
    store.touch(store.at(7))
    now[0] = 20.0
    assert store.newest_settled() is store.at(7)


def test_maps_to_compare_are_kept_of_the_newest_only() -> None:
    store = Instants()
    for n in range(OPEN_INSTANTS + 5):
        store.at(n).cells["uav1", "single"] = np.ones((4, 4), bool)
    assert [bool(i.cells) for i in store.all()] == [False] * 5 + [True] * OPEN_INSTANTS


def test_after_a_jump_back_numbers_go_on() -> None:
    store = Instants()
    filled(store, 3)
    store.clear()
    store.touch(store.at(0))
    assert [i.number for i in store.all()] == [3]
