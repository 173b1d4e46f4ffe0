"""Base of the three head nodes: fused maps in, a history, one task, and its outputs with and without peers."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, ClassVar

from rclpy.qos import QoSProfile

from rsdfm_ros.agent.tasks import COLLABORATIVE, SINGLE, FusedHistory, TaskInput, Tasks
from rsdfm_ros.agent.tracking import Identities
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.msg import FusedBev
from rsdfm_ros.nodes.convert.features import fused_from_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.core.worker import Worker
from rsdfm_ros.nodes.uav.model import SharedModel
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import HeadSettings

PREFIX = {COLLABORATIVE: "", SINGLE: "single/"}
"""Variant → what the topics of its answers begin with."""
ANSWER = "answer"
"""Slot of the worker in which a fused map is answered; composed heads answer it one after the other in one job."""
THRESHOLDS = {
    "detection": "detection_score",
    "objects": "object_score",
    "segmentation": "segmentation_probability",
    "trajectory": "trajectory_probability",
}
"""Threshold of the model → setting that replaces it, unless negative."""


class HeadNode(PipelineNode[HeadSettings]):
    """Alone (`fused_from_topic`), the node subscribes to bev/fused and answers in the worker; composed, the owner calls
    `answer` in the worker with every Fused. tasks: of the process, when nodes are composed: the same object then has
    the same id in all of them."""

    task: ClassVar[str] = ""
    settings_type: ClassVar[type[HeadSettings]] = HeadSettings
    slots = (ANSWER,)

    def __init__(
        self,
        model: SharedModel | None = None,
        worker: Worker | None = None,
        health: Health | None = None,
        *,
        tasks: Tasks | None = None,
        fused_from_topic: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(f"{self.task}_head_node", self.settings_type, model, worker, health, **options)
        self.fused_from_topic = fused_from_topic
        self.tasks = tasks or Tasks(Identities())
        self._history: FusedHistory | None = None
        self._tuned: tuple[HeadSettings, Any] | None = None
        self._outputs: dict[str, Any] = {}

    # --- for subclasses -------------------------------------------------------------------------------------------

    def advertise(self, variant: str, prefix: str) -> None:
        """Make the publishers of one variant, whose topics begin with `prefix`."""
        raise NotImplementedError

    def work(self, given: TaskInput, fused: Fused, model: Any) -> None:
        """Run the task on a history of fused maps, and publish its answer under the prefix of its variant.

        fused: the newest · model: the Perception on the region of the maps, with the thresholds of the settings.
        """
        raise NotImplementedError

    def output(self, kind: type[Any], topic: str, profile: QoSProfile | None = None) -> None:
        """Make a publisher that `offer` finds by its topic. profile: instead of that of all outputs."""
        self._outputs[topic] = self.create_publisher(kind, topic, profile or qos.outputs())

    def offer(self, topic: str, build: Callable[[], Any]) -> None:
        """Publish the result of `build` on a topic made with `output`; nothing is built without a subscriber."""
        publisher = self._outputs.get(topic)
        if has_subscribers(publisher):
            self.send(publisher, build())

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self.advertise(COLLABORATIVE, PREFIX[COLLABORATIVE])
        if self.settings.publish_single:
            self.advertise(SINGLE, PREFIX[SINGLE])

    def cleanup(self) -> None:
        self._outputs = {}

    def activate(self) -> None:
        super().activate()
        if self.task not in self._model.config.heads:
            raise RsdfmError(
                f"the model {self.settings.model!r} has no {self.task} head; it has "
                + ", ".join(self._model.config.heads)
            )
        self._start_history()
        if self.fused_from_topic:
            self.create_subscription(FusedBev, "bev/fused", self._on_fused, qos.fused())
            self.expect("bev/fused", "fused map")

    def deactivate(self) -> None:
        super().deactivate()
        self._history = self._tuned = None

    def clear(self) -> None:
        self.tasks.clear()
        if self._history is not None:
            self._history.clear()

    def changed(self, before: HeadSettings, after: HeadSettings) -> None:
        if after.max_gap_s != before.max_gap_s and self._history is not None:
            self._start_history()

    def _start_history(self) -> None:
        self._history = FusedHistory(self._model.config.history, round(self.settings.max_gap_s * 1e9))

    def _on_fused(self, message: FusedBev) -> None:
        arrived, model = monotonic(), self._model
        if model is None:
            return
        try:
            fused = fused_from_message(message, model, frame_id=self.settings.frame_id, arrived_s=arrived)
        except MessageError as error:
            self.reject(error.reason, str(error))
            return
        self.take(fused)

    def take(self, fused: Fused) -> None:
        """Answer a fused map soon, or not at all if a newer one comes first. May be called from any thread."""
        if self.worker.submit(ANSWER, lambda: self.answer(fused)):
            self.health.count("answers_dropped")

    def answer(self, fused: Fused) -> None:
        """Answer a fused map, in the worker thread; nothing while the node is not active."""
        model, history = self._model, self._history
        if model is None or history is None:
            return
        start = monotonic()
        tuned = self._tune(model, fused.region)
        items = history.add(fused)
        self.work(TaskInput.of(COLLABORATIVE, items), fused, tuned)
        stages = {self.task: monotonic() - start}
        if self.settings.publish_single and fused.single is not None:
            self.work(TaskInput.of(SINGLE, items), fused, tuned)
            stages[f"{self.task}_single"] = monotonic() - start - stages[self.task]
        self.publish_processing_time(fused.stamp_ns, stages, fused.arrived_s)

    def _tune(self, model: Any, region: Any) -> Any:
        """The model on a region with the thresholds of the settings; the last one is kept."""
        settings, tuned = self.settings, self._tuned
        if tuned is None or tuned[0] is not settings or tuned[1].region != region:
            values = {name: getattr(settings, setting) for name, setting in THRESHOLDS.items()}
            values = {name: value for name, value in values.items() if value >= 0.0}
            tuned = self._tuned = (settings, model.at(region).with_thresholds(values))
        return tuned[1]
