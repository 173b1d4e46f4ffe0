"""Base of the nodes that are the world of a fleet: they play it in a thread of their own."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, TypeVar

from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.mission.lockstep import Lockstep, wait_for_end

S = TypeVar("S")


class WorldNode(RsdfmNode[S]):
    """Subclasses make `_lockstep` when they are configured, and implement `play`.

    finished: the world has ended · failure: why it failed, empty if it did not.
    """

    play_name: ClassVar[str]
    """What is played, for the log and for the name of the thread."""

    def __init__(self, name: str, settings: type[S], **options: Any) -> None:
        super().__init__(name, settings, **options)
        self.finished = threading.Event()
        self.failure = ""
        self._lockstep: Lockstep | None = None
        self._thread: threading.Thread | None = None

    def play(self, lockstep: Lockstep) -> None:
        """Play the world to its end, or until `lockstep.stopped`."""
        raise NotImplementedError

    def activate(self) -> None:
        assert self._lockstep is not None
        self.failure = ""
        self.finished.clear()
        self._lockstep.start()
        self._thread = threading.Thread(
            target=self._run, args=[self._lockstep], name=self.play_name, daemon=True
        )
        self._thread.start()

    def deactivate(self) -> None:
        if self._lockstep is not None:
            self._lockstep.stop()
        if self._thread is not None:
            wait_for_end(self._thread, self)
            self._thread = None

    def _run(self, lockstep: Lockstep) -> None:
        try:
            self.play(lockstep)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            self.get_logger().error(f"the {self.play_name} failed: {self.failure}")
        finally:
            self.finished.set()
