"""Base of the nodes of a UAV's pipeline: its name, the model while active, the worker."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from rclpy.lifecycle import LifecycleNode

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav.manager_bond import ManagerBond
from rsdfm_ros.nodes.uav.model import SharedModel, Source

S = TypeVar("S")


class PipelineNode(RsdfmNode[S]):
    """Subclasses call `super()` first in `activate` and in `deactivate`.

    model, worker: of the process, when nodes are composed; otherwise the node has its own. `_model` is the Perception
    while the node is active, and None otherwise: a job reads it once and gives up without it.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    """Slots of the worker that this node's jobs use, in the order of its steps."""

    def __init__(
        self,
        name: str,
        settings: type[S],
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, settings, health, **options)
        self.agent = ""
        self.shared_model = model or SharedModel(self._source)
        self.worker = worker or Worker(self.on_job_error, stages=self.slots)
        self._model: Any = None
        self._entered = self._acquired = False
        self._bond = ManagerBond(self)

    def _source(self) -> Source:
        settings: Any = self.settings
        return Source(settings.model, settings.threads, settings.engine)

    def prepare(self) -> None:
        self.agent = agent_name(self, self.settings.agent)  # type: ignore[attr-defined]

    def activate(self) -> None:
        self._model = self.shared_model.acquire()
        self._acquired = True
        self.worker.enter()
        self._entered = True

    def _activate(self) -> None:
        super()._activate()
        settings: Any = self.settings
        if not settings.autostart:  # a node that starts itself has no manager
            self._bond.start(settings.bond_heartbeat_period)

    def _deactivate(self) -> None:
        self._bond.end()
        super()._deactivate()

    def deactivate(self) -> None:
        self._model = None
        if self._entered:
            self._entered = False
            if not self.worker.leave(self.slots):
                self.get_logger().error("a job did not end within 10 s after the node was deactivated")
        if self._acquired:
            self._acquired = False
            self.shared_model.release()


def agent_name(node: LifecycleNode, configured: str) -> str:
    """The configured name of the UAV, or else the last part of the node's namespace. RsdfmError if there is none."""
    name = configured or node.get_namespace().rstrip("/").rpartition("/")[2]
    if not 1 <= len(name) <= 64:
        name = node.get_name()
        raise RsdfmError(f"{name} needs a UAV: start it in a namespace such as /uav1, or set `agent`")
    return name
