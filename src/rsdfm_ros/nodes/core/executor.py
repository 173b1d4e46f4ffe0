"""An executor for one thread that keeps its wait set until an entity is made or destroyed.

rclpy's SingleThreadedExecutor gathers all entities of all nodes in Python for every message: with the hundred and more
of a UAV's nodes that takes milliseconds, twice per message. This one does it when something changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.context import Context
from rclpy.event_handler import EventHandler
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.task import Task
from rclpy.utilities import timeout_sec_to_nsec
from rclpy.waitable import NumberOfEntities

_KINDS = ("timer", "subscription", "guard_condition", "client", "service")
"""Kinds of entities in the order in which those that are ready are handled."""
_TAKES = {kind: f"_take_{kind}" for kind in (*_KINDS, "waitable")}
_USED = (*_TAKES.values(), "wake", "can_execute", "add_node", "remove_node")
"""Methods of rclpy's Executor that CachingExecutor calls or extends; those with an underscore are not documented."""


def new_executor(context: Context | None = None) -> Executor:
    """A CachingExecutor where this rclpy has what it is built on, as those of Jazzy and Kilted have; otherwise rclpy's
    own executor for one thread."""
    known = all(hasattr(Executor, name) for name in _USED)
    return CachingExecutor(context=context) if known else SingleThreadedExecutor(context=context)


class _Events:
    """Stands for a wait set to QoS event handlers, which add one event each: keeps the handles in their order."""

    def __init__(self) -> None:
        self.handles: list[Any] = []

    def add_event(self, handle: Any) -> int:
        """As that of a wait set; the index of the event in it."""
        self.handles.append(handle)
        return len(self.handles) - 1


class _Waited:
    """Everything that an executor waits for, held so that nothing of it is destroyed until `release`.

    entities: by kind, those that may be executed · waitables: QoS event handlers and others · guards: of the executor
    itself. What was destroyed already is left out.
    """

    def __init__(
        self, entities: dict[str, list[Any]], waitables: list[Any], guards: list[Any], context: Any
    ) -> None:
        self._held: list[Any] = []
        entities = {kind: [e for e in found if self._hold(e.handle)] for kind, found in entities.items()}
        guards = [guard for guard in guards if self._hold(guard.handle)]
        waitables = [waitable for waitable in waitables if self._hold(waitable)]
        self._known = {
            kind: {e.handle.pointer: e for e in entities[kind]} for kind in _KINDS if entities[kind]
        }
        self._others = [w for w in waitables if not isinstance(w, EventHandler)]
        self._handlers = [w for w in waitables if isinstance(w, EventHandler)]
        events = _Events()
        for handler in self._handlers:
            handler.add_to_wait_set(events)
        count = sum((w.get_num_entities() for w in self._others), NumberOfEntities())
        self._set = rclpy_implementation.WaitSet(
            count.num_subscriptions + len(entities["subscription"]),
            count.num_guard_conditions + len(entities["guard_condition"]) + len(guards),
            count.num_timers + len(entities["timer"]),
            count.num_clients + len(entities["client"]),
            count.num_services + len(entities["service"]),
            count.num_events + len(events.handles),
            context,
        )
        self._added = [
            (getattr(self._set, f"add_{kind}"), e.handle) for kind in _KINDS for e in entities[kind]
        ]
        self._added += [(self._set.add_guard_condition, guard.handle) for guard in guards]
        self._added += [(self._set.add_event, handle) for handle in events.handles]

    def wait(self, timeout_ns: int) -> list[tuple[str, Any]]:
        """Kinds and entities that are ready within the time; -1: for as long as it takes."""
        waiting = self._set
        waiting.clear_entities()
        for add, handle in self._added:
            add(handle)
        for waitable in self._others:
            waitable.add_to_wait_set(waiting)
        waiting.wait(timeout_ns)
        is_ready = waiting.is_ready
        handlers = [h for index, h in enumerate(self._handlers) if is_ready("event", index)]
        ready = [("waitable", w) for w in (*handlers, *self._others) if w.is_ready(waiting)]
        for kind, known in self._known.items():
            ready += [(kind, known[p]) for p in waiting.get_ready_entities(kind) if p in known]
        return ready

    def release(self) -> None:
        """Hold nothing any more: what was destroyed meanwhile ends here."""
        while self._held:
            self._held.pop().__exit__(None, None, None)

    def _hold(self, item: Any) -> bool:
        try:
            item.__enter__()
        except InvalidHandle:
            return False
        self._held.append(item)
        return True


class CachingExecutor(SingleThreadedExecutor):
    """See the module. Used like rclpy's; `spin_once` runs everything that is ready when it has waited.

    Entities that are destroyed in the thread that spins end at once, as with rclpy's; those that another thread
    destroys end when the wait does.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        self._waited: _Waited | None = None
        self._changed, self._waiting, self._spinner = True, False, 0
        super().__init__(context=context)

    def wake(self) -> None:
        """Nodes call this whenever one of their entities was made or destroyed."""
        self._change()
        super().wake()

    def add_node(self, node: Any) -> bool:
        """As rclpy's."""
        self._change()
        return bool(super().add_node(node))

    def remove_node(self, node: Any) -> None:
        """As rclpy's."""
        self._change()
        super().remove_node(node)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """As rclpy's."""
        self._change()
        return bool(super().shutdown(timeout_sec))

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait until something is ready, not longer than the time (None: for ever), and run all that is. Raises: what a
        callback raises; then the callbacks that were ready after it follow in the next call."""
        if self._run_tasks():
            timeout_sec = 0.0
        for kind, entity in self._ready(timeout_sec):
            self._run(entity, getattr(self, _TAKES[kind]))

    def _change(self) -> None:
        self._changed = True
        if not self._waiting and self._spinner == threading.get_ident() and self._waited is not None:
            self._waited.release()
            self._waited = None

    def _ready(self, timeout_sec: float | None) -> list[tuple[str, Any]]:
        if self._is_shutdown:
            return []
        if not self._context.ok():
            raise ExternalShutdownException
        self._spinner = threading.get_ident()
        if self._changed or self._waited is None:
            self._change()
            self._changed = False
            self._waited = self._gathered()
        self._waiting = True
        try:
            ready = self._waited.wait(timeout_sec_to_nsec(timeout_sec))
        finally:
            self._waiting = False
        if not self._context.ok():
            raise ExternalShutdownException
        return ready

    def _gathered(self) -> _Waited:
        entities: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
        waitables: list[Any] = []
        for node in self.get_nodes():
            for kind, found in (
                ("timer", node.timers),
                ("subscription", node.subscriptions),
                ("guard_condition", node.guards),
                ("client", node.clients),
                ("service", node.services),
            ):
                entities[kind] += filter(self.can_execute, found)
            waitables += filter(self.can_execute, node.waitables)
        guards = [guard for guard in (self._guard, self._sigint_gc) if guard is not None]
        return _Waited(entities, waitables, guards, self._context.handle)

    def _run(self, entity: Any, take: Callable[[Any], Any]) -> None:
        group = entity.callback_group
        if not group.can_execute(entity) or not group.beginning_execution(entity):
            return

        async def handle() -> None:
            try:
                call = take(entity)
                if call is not None:
                    await call()
            except InvalidHandle:
                pass  # a callback before it has destroyed the entity
            finally:
                group.ending_execution(entity)

        self._step(Task(handle, executor=self))

    def _step(self, task: Task[Any]) -> None:
        """Run a task as far as it goes; what is not over goes on in the next call of spin_once."""
        task()
        if not task.done():
            self._changed = True  # it may keep its callback group from being waited for
            with self._tasks_lock:
                self._tasks.append((task, None, None))
            return
        error = task.exception()
        if error is not None:
            raise error

    def _run_tasks(self) -> bool:
        """Run the tasks that callbacks have left, such as those of futures that are done; whether there were any."""
        with self._tasks_lock:
            tasks, self._tasks = self._tasks, []
        for task, _, _ in tasks:
            if not task.done():
                self._step(task)
        return bool(tasks)
