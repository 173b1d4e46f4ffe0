"""What the three head nodes share: fused maps in, a history, one task, and its outputs with and without peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.model.history import History
from rsdfm_ros.msg import FusedBev
from rsdfm_ros.nodes import qos
from rsdfm_ros.nodes.base import RsdfmNode, agent_name, monotonic, wanted
from rsdfm_ros.nodes.convert_features import fused_from_message
from rsdfm_ros.nodes.handover import Fused
from rsdfm_ros.nodes.health import Health
from rsdfm_ros.nodes.model import SharedModel
from rsdfm_ros.nodes.settings import HeadSettings
from rsdfm_ros.nodes.worker import Worker

COLLABORATIVE, SINGLE = "", "single/"


class HeadNode(RsdfmNode[HeadSettings]):
    """Composed, `take` is called with every Fused; alone (`fused_from_topic`), bev/fused is subscribed to.

    `answered` are called in the worker thread after the outputs of a Fused were published.
    """

    task: ClassVar[str] = ""

    def __init__(
        self,
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        *,
        fused_from_topic: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(f"{self.task}_head_node", HeadSettings, health, **options)
        s = self.settings
        self.agent = agent_name(self, s.agent)
        self.shared_model = model or SharedModel(s.model, s.threads)
        self.worker = worker or Worker(self.on_job_error)
        self.answered: list[Callable[[Fused], None]] = []
        self.fused_from_topic = fused_from_topic
        self._history: History[Fused] | None = None
        self._model: Any = None
        self._input: Any = None
        self._outputs: dict[str, Any] = {}

    # --- for subclasses -------------------------------------------------------------------------------------------

    def advertise(self, prefix: str) -> None:
        """Make the publishers of one variant."""
        raise NotImplementedError

    def work(self, prefix: str, maps: Sequence[Any], fused: Fused, model: Any) -> None:
        """Run the task on a history of FusedMaps, newest last, and publish under `prefix`."""
        raise NotImplementedError

    def output(self, kind: type[Any], topic: str) -> None:
        """Make a publisher that `offer` finds by its topic."""
        self._outputs[topic] = self.create_publisher(kind, topic, qos.outputs())

    def offer(self, topic: str, build: Callable[[], Any]) -> None:
        """Publish what `build` returns on a topic made with `output`; nothing is built while nobody listens."""
        publisher = self._outputs.get(topic)
        if wanted(publisher):
            publisher.publish(build())

    # --- life -----------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self.advertise(COLLABORATIVE)
        if self.settings.publish_single:
            self.advertise(SINGLE)

    def activate(self) -> None:
        self._model = self.shared_model.acquire()
        self._history = History(self._model.config.history, round(self.settings.max_gap_s * 1e9))
        if self.fused_from_topic:
            self._input = self.create_subscription(FusedBev, "bev/fused", self._on_fused, qos.fused())

    def deactivate(self) -> None:
        if self._input is not None:
            self.destroy_subscription(self._input)
            self._input = None
        self.worker.clear()
        self.worker.wait_idle(5.0)
        if self._model is not None:
            self.shared_model.release()
            self._model = None

    def clear(self) -> None:
        if self._history is not None:
            self._history.clear()

    def take(self, fused: Fused) -> None:
        """Answer a fused map soon. May be called from any thread."""
        self.worker.submit(self.task, lambda: self._answer(fused))

    def _on_fused(self, message: FusedBev) -> None:
        arrived, model = monotonic(), self._model
        if model is None:
            return
        try:
            self.take(fused_from_message(message, model, frame_id=self.settings.frame_id, arrived_s=arrived))
        except MessageError as error:
            self.reject(error.reason, str(error))

    def _answer(self, fused: Fused) -> None:
        model, history = self._model, self._history
        if model is None or history is None:
            return
        start = monotonic()
        items = history.add(fused)
        self.work(COLLABORATIVE, [f.collaborative for f in items], fused, model)
        self.health.took(self.task, monotonic() - start)
        if self.settings.publish_single and fused.single is not None:
            self.work(SINGLE, [f.single for f in items], fused, model)
        for listener in self.answered:
            listener(fused)
