"""The node of any plug-in task: the head declares the messages that it publishes and fills them.

It is composed into uav_node when the model has such a head; nothing here depends on the task.
"""

from __future__ import annotations

from typing import Any

from rsdfm_ros.agent.tasks import TaskInput
from rsdfm_ros.agent.types import Fused
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core.message_types import message_class
from rsdfm_ros.nodes.uav.head_node import PREFIX, HeadNode


class TaskHeadNode(HeadNode):
    """Publishes the topics of a plug-in head (`Head.messages`) in its namespace; the node is <task>_head_node."""

    def __init__(self, task: str, *args: Any, **options: Any) -> None:
        self.task = task  # type: ignore[misc]
        super().__init__(*args, **options)

    def configure(self) -> None:
        from rsdfm_ros.model.heads.lookup import head_class  # imports torch: only when it is needed

        self._kinds = {topic: message_class(kind) for topic, kind in head_class(self.task).messages.items()}
        super().configure()

    def advertise(self, variant: str, prefix: str) -> None:
        for topic, kind in self._kinds.items():
            self.output(kind, prefix + topic)

    def work(self, given: TaskInput, fused: Fused, model: Any) -> None:
        answer, head = self.tasks.plug_in(model, self.task, given), model.model.head(self.task)
        for topic, kind in self._kinds.items():

            def build(topic: str = topic, kind: Any = kind) -> Any:
                message = kind()
                if hasattr(message, "header"):
                    message.header.stamp = time_of(fused.stamp_ns)
                    message.header.frame_id = self.settings.frame_id
                head.fill(topic, message, answer)
                return message

            self.offer(PREFIX[given.variant] + topic, build)
