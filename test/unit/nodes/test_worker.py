"""The worker never queues stale work and survives errors; histories follow time."""

import os
import sys
import threading
from typing import Any

import pytest

from rsdfm_ros.agent.history import History
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.worker import WAITING_NICENESS, Worker, give_way


@pytest.fixture
def worker():
    errors: list[tuple[str, Exception]] = []
    w = Worker(lambda slot, error: errors.append((slot, error)))
    w.errors = errors  # type: ignore[attr-defined]
    yield w
    assert w.close()


def test_only_the_newest_job_of_a_slot_runs_and_the_others_are_counted(worker: Worker) -> None:
    begun, go, done = threading.Event(), threading.Event(), []
    worker.submit("a", lambda: (begun.set(), go.wait(60)))
    assert begun.wait(60)
    for n in range(4):
        worker.submit("b", lambda n=n: done.append(n))
    worker.submit("c", lambda: done.append("c"))
    go.set()
    assert worker.wait_idle(60)
    assert done == [3, "c"] and worker.dropped == {"b": 3}


def test_an_error_is_reported_and_the_next_job_runs(worker: Worker) -> None:
    done = threading.Event()
    worker.submit("bad", lambda: 1 / 0)
    worker.submit("good", done.set)
    assert done.wait(60)
    assert [(slot, type(error)) for slot, error in worker.errors] == [("bad", ZeroDivisionError)]


def test_an_error_in_the_error_handler_does_not_end_the_thread() -> None:
    def breaks(slot: str, error: Exception) -> None:
        raise error

    w, done = Worker(breaks), threading.Event()
    w.submit("bad", lambda: 1 / 0)
    w.submit("good", done.set)
    assert done.wait(60) and w.close()


def test_submitting_tells_whether_something_was_dropped(worker: Worker) -> None:
    begun, go = threading.Event(), threading.Event()
    worker.submit("a", lambda: (begun.set(), go.wait(60)))
    assert begun.wait(60)
    assert [worker.submit("b", lambda: None) for _ in range(3)] == [False, True, True]
    go.set()
    assert worker.wait_idle(60)


def test_what_was_begun_is_finished_before_something_newer_is_begun() -> None:
    w, order = Worker(lambda slot, error: None, stages=("encode", "fuse", "answer")), []
    begun, go = threading.Event(), threading.Event()
    w.submit("fuse", lambda: (begun.set(), go.wait(60)))
    assert begun.wait(60)
    for slot in ("other", "encode", "fuse", "answer"):
        w.submit(slot, lambda slot=slot: order.append(slot))
    go.set()
    assert w.wait_idle(60) and order == ["answer", "fuse", "encode", "other"]
    assert w.close()


def test_a_held_job_waits_until_the_worker_looks_again_and_the_newest_one_runs_then() -> None:
    holds, order = [True], []
    w = Worker(lambda slot, error: None, stages=("encode", "fuse"), held={"encode": lambda: bool(holds)})
    for number in range(3):
        w.submit("encode", lambda n=number: order.append(n))
    done = threading.Event()
    w.submit("fuse", done.set)
    assert done.wait(60) and not w.wait_idle(0.05) and order == []
    holds.clear()
    w.look()
    assert w.wait_idle(60) and order == [2] and w.dropped == {"encode": 2}
    holds.append(True)
    w.submit("encode", lambda: pytest.fail("ran"))
    assert w.close(), "a held job does not keep it from ending"


def test_the_thread_lives_while_somebody_uses_the_worker() -> None:
    before, done = threading.active_count(), threading.Event()
    w = Worker(lambda slot, error: None)
    for _ in range(3):
        w.enter()
        w.enter()
        assert threading.active_count() == before, "no thread before the first job"
        w.submit("a", done.set)
        assert done.wait(60) and threading.active_count() == before + 1
        assert w.leave(["a"])
        assert threading.active_count() == before + 1, "somebody still uses it"
        assert w.leave(["a"])
        assert threading.active_count() == before
        w.submit("a", lambda: pytest.fail("ran"))
        done.clear()


def test_who_leaves_waits_for_his_own_job_and_takes_no_others_along() -> None:
    w, order = Worker(lambda slot, error: None), []
    begun, go = threading.Event(), threading.Event()
    w.enter()
    w.enter()
    w.submit("mine", lambda: (begun.set(), go.wait(60), order.append("mine")))
    assert begun.wait(60)
    w.submit("mine", lambda: pytest.fail("the waiting job of who left ran"))
    w.submit("other", lambda: order.append("other"))
    assert not w.leave(["mine"], timeout_s=0.05), "his job still runs"
    go.set()
    assert w.wait_idle(60) and order == ["mine", "other"]
    assert w.leave(["other"])


def test_a_closed_worker_ignores_jobs() -> None:
    w = Worker(lambda slot, error: None)
    assert w.close()
    w.submit("a", lambda: pytest.fail("ran"))
    assert w.wait_idle(0.1)


def fused(stamp_ns: int) -> Fused:
    nothing: Any = None  # only the stamp matters here
    return Fused(stamp_ns, 0, nothing, None, ("uav1",), (0.0,), nothing)


def test_a_history_is_the_newest_maps_and_starts_anew_after_a_gap_or_a_step_back() -> None:
    history = History(length=3, max_gap_ns=10)
    stamps = [[f.stamp_ns for f in history.add(fused(s))] for s in (10, 15, 20, 25, 40, 45, 45, 30)]
    assert stamps == [[10], [10, 15], [10, 15, 20], [15, 20, 25], [40], [40, 45], [45], [30]]


def test_health_reports_rate_in_mission_time_and_latency() -> None:
    health = Health()
    assert health.rate_hz() == 0.0 and health.latency_s(50) == 0.0
    for k in range(20):
        health.answered(k * 500_000_000, 0.1 + 0.01 * k)
    assert health.rate_hz() == pytest.approx(2.0)
    assert health.latency_s(50) == pytest.approx(0.195)
    health.clear_times()
    assert health.rate_hz() == 0.0 and health.counts["frames"] == 20


@pytest.mark.skipif(sys.platform != "linux", reason="a priority per thread exists on Linux only")
def test_only_the_calling_thread_gives_way() -> None:
    seen: list[int] = []

    def work() -> None:
        assert give_way()
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [min(before + WAITING_NICENESS, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
