"""The executor of a process runs everything that rclpy's does, and gathers entities only when they have changed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy")
import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Empty as Nothing

from rsdfm_ros.nodes.core import executor as executors
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.executor import CachingExecutor, new_executor
from rsdfm_ros.nodes.core.polling import Unwaited
from rsdfm_ros.nodes.core.runner import woken_by_signals
from support.own_domains import new_domain

WAIT_S = 60.0


class Bench:
    """A node in an executor, in a context of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=new_domain())
        self.node = Node("bench", context=self.context)
        self.executor: Any = new_executor(self.context)
        self.executor.add_node(self.node)
        self.gathered = 0
        original = executors._Waited.__init__

        def counted(waited: Any, *arguments: Any) -> None:
            self.gathered += 1
            original(waited, *arguments)

        monkeypatch.setattr(executors._Waited, "__init__", counted)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def topic(self, name: str, got: list[Any], **options: Any) -> tuple[Any, Any]:
        """A publisher, and a connected subscription that appends to `got`."""
        subscription = self.node.create_subscription(Nothing, name, got.append, 10, **options)
        publisher = self.node.create_publisher(Nothing, name, 10)
        self.until(lambda: publisher.get_subscription_count() == 1, "they are connected")
        return publisher, subscription

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(monkeypatch)
    yield made
    made.close()


def test_messages_timers_services_clients_and_events_are_served(bench: Bench) -> None:
    assert isinstance(bench.executor, CachingExecutor)
    got: list[Any] = []
    matched: list[int] = []
    publisher, _ = bench.topic(
        "t",
        got,
        event_callbacks=SubscriptionEventCallbacks(matched=lambda event: matched.append(event.current_count)),
    )
    bench.until(lambda: matched == [1], "the subscription is told that it is connected")
    publisher.publish(Nothing())
    bench.until(lambda: len(got) == 1, "the message comes")
    ticks: list[int] = []
    bench.node.create_timer(0.01, lambda: ticks.append(1), clock=STEADY)
    bench.until(lambda: len(ticks) > 2, "the timer ticks")

    def answer(request: GetState.Request, response: GetState.Response) -> GetState.Response:
        response.current_state.label = "here"
        return response

    bench.node.create_service(GetState, "s", answer)
    client = bench.node.create_client(GetState, "s")
    bench.until(client.service_is_ready, "the service is there")
    done: list[str] = []
    client.call_async(GetState.Request()).add_done_callback(
        lambda future: done.append(future.result().current_state.label)
    )
    bench.until(lambda: done == ["here"], "the answer comes, and what waits for it runs")


def test_entities_are_gathered_again_only_when_one_was_made_or_destroyed(bench: Bench) -> None:
    got: list[Any] = []
    publisher, _ = bench.topic("t", got)
    before = bench.gathered
    for number in range(1, 6):
        publisher.publish(Nothing())
        bench.until(lambda n=number: len(got) == n, "the message comes")
    bench.executor.spin_once(timeout_sec=0.0)
    assert bench.gathered <= before + 1
    before = bench.gathered
    second: list[Any] = []
    late, subscription = bench.topic("made_later", second)
    late.publish(Nothing())
    bench.until(lambda: len(second) == 1, "the message on the new topic comes")
    assert bench.gathered > before
    bench.node.destroy_subscription(subscription)
    publisher.publish(Nothing())
    bench.until(lambda: len(got) == 6, "the others go on")


def test_what_the_thread_that_spins_destroys_ends_at_once(bench: Bench) -> None:
    got: list[Any] = []
    publisher, subscription = bench.topic("t", got)
    bench.executor.spin_once(timeout_sec=0.0)
    bench.node.destroy_subscription(subscription)
    with pytest.raises(InvalidHandle):
        subscription.handle.__enter__()
    bench.until(lambda: publisher.get_subscription_count() == 0, "the publisher has no listener")


def test_what_another_thread_destroys_or_makes_while_the_executor_waits_wakes_it(bench: Bench) -> None:
    got: list[Any] = []
    publisher, subscription = bench.topic("t", got)
    other: list[Any] = []

    def change() -> None:
        bench.node.destroy_subscription(subscription)
        bench.node.create_subscription(Nothing, "t", other.append, 10)

    bench.executor.spin_once(timeout_sec=0.0)
    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(3):  # waits that would take hours
        bench.executor.spin_once(timeout_sec=3600.0 if thread.is_alive() else 0.0)
    thread.join()
    bench.until(lambda: publisher.get_subscription_count() == 1, "the new one is connected")
    publisher.publish(Nothing())
    bench.until(lambda: len(other) == 1, "the new one gets the message")
    assert not got


def test_a_callback_may_destroy_what_is_ready_and_one_that_fails_does_not_keep_the_others_from_running(
    bench: Bench,
) -> None:
    got: list[Any] = []
    publishers: list[Any] = []
    subscriptions: list[Any] = []

    def first(message: Any) -> None:
        bench.node.destroy_subscription(subscriptions[1])
        raise ZeroDivisionError("nobody foresaw this")

    for name, callback in (("a", first), ("b", got.append), ("c", got.append)):
        subscriptions.append(bench.node.create_subscription(Nothing, name, callback, 10))
        publishers.append(bench.node.create_publisher(Nothing, name, 10))
    bench.until(lambda: all(p.get_subscription_count() == 1 for p in publishers), "they are connected")
    publishers[0].publish(Nothing())
    with pytest.raises(ZeroDivisionError):
        bench.until(lambda: False, "the first one fails")
    publishers[2].publish(Nothing())
    bench.until(lambda: len(got) == 1, "the last one gets its message")


def test_entities_that_may_not_be_executed_are_left_alone(bench: Bench) -> None:
    got: list[Any] = []
    other: list[Any] = []
    publisher, subscription = bench.topic("t", got, callback_group=Unwaited())
    second, _ = bench.topic("u", other)
    publisher.publish(Nothing())
    second.publish(Nothing())
    bench.until(lambda: len(other) == 1, "the other one gets its message")
    assert not got
    assert subscription.handle.take_message(subscription.msg_type, False) is not None


def test_a_callback_that_awaits_goes_on_when_what_it_awaits_is_done(bench: Bench) -> None:
    steps: list[str] = []
    awaited = bench.executor.create_future() if hasattr(bench.executor, "create_future") else rclpy.Future()

    async def callback(message: Any) -> None:
        steps.append("begun")
        await awaited
        steps.append("over")

    bench.node.create_subscription(Nothing, "t", callback, 10)
    publisher = bench.node.create_publisher(Nothing, "t", 10)
    bench.until(lambda: publisher.get_subscription_count() == 1, "they are connected")
    publisher.publish(Nothing())
    bench.until(lambda: steps == ["begun"], "it has begun")
    bench.executor.spin_once(timeout_sec=0.0)
    assert steps == ["begun"]
    awaited.set_result(None)
    bench.until(lambda: steps == ["begun", "over"], "it is over")


def test_it_ends_as_rclpys_does(bench: Bench) -> None:
    bench.executor.spin_once(timeout_sec=0.0)
    bench.executor.shutdown()
    bench.executor.spin_once()  # returns
    context = Context()
    rclpy.init(context=context, domain_id=new_domain())
    waiting = new_executor(context)
    rclpy.shutdown(context=context)
    with pytest.raises(ExternalShutdownException):
        waiting.spin_once()


def test_an_rclpy_that_is_built_otherwise_gets_its_own_executor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "_USED", (*executors._USED, "_take_telegram"))
    assert type(new_executor(bench.context)) is SingleThreadedExecutor


def test_a_signal_ends_a_long_wait(bench: Bench) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    sender = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        with woken_by_signals(bench.executor):
            sender.start()
            while not came:
                bench.executor.spin_once(timeout_sec=3600.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
        sender.join()
