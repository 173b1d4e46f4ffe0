"""The tests' own ROS domains: few per process, and none is refused while one will be free again."""

from __future__ import annotations

import gc

import pytest

from rsdfm_ros.domains import FIRST_PORT, PORTS
from support import own_domains


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Domains with a node in them; every domain can be locked, and three are enough."""
    nodes: set[int] = set()
    held: dict[int, str] = {}
    monkeypatch.setattr(own_domains, "has_ports", lambda domain: domain in nodes)
    monkeypatch.setattr(own_domains, "_lock", lambda domain: bool(held.setdefault(domain, "lock")))
    monkeypatch.setattr(own_domains, "remove_stale_ports", lambda domains: None)
    monkeypatch.setattr(own_domains, "_held", held)
    monkeypatch.setattr(own_domains, "ENOUGH", 3)
    return nodes


def test_what_only_garbage_holds_is_given_again_before_another_one_is_taken(
    busy: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        busy.add(own_domains.new_domain())
    first = set(busy)
    assert len(first) == 3
    monkeypatch.setattr(gc, "collect", busy.clear)
    assert own_domains.new_domain() in first


def test_more_than_enough_are_taken_only_while_all_are_in_use(busy: set[int]) -> None:
    for _ in range(5):
        busy.add(own_domains.new_domain())
    assert len(busy) == 5
    free = busy.pop()
    assert own_domains.new_domain() == free


def test_a_test_waits_for_a_domain_and_says_in_the_end_that_there_is_none(
    busy: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy.update(own_domains.DOMAINS)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            busy.remove(5)

    monkeypatch.setattr(own_domains.time, "sleep", sleep)
    assert own_domains.new_domain() == 5 and len(waited) == 3
    busy.add(5)
    monkeypatch.setattr(own_domains, "PATIENCE_S", -1.0)
    with pytest.raises(RuntimeError, match="in use"):
        own_domains.new_domain()


def test_no_domain_of_the_tests_has_ports_that_linux_gives_to_programs() -> None:
    for domain in own_domains.DOMAINS:
        first = FIRST_PORT + PORTS * domain
        assert first + PORTS <= 32768 or (first > 60999 and first + 136 <= 65536), domain
