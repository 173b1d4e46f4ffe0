"""Publishers of collaboration_node."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import Image

from rsdfm_ros.agent.types import Fused
from rsdfm_ros.msg import DemandMap, FusedBev
from rsdfm_ros.nodes.convert.features import fused_to_message
from rsdfm_ros.nodes.convert.images import contributors_to_message
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.entities import has_subscribers
from rsdfm_ros.nodes.uav.pipeline_node import PipelineNode
from rsdfm_ros.nodes.uav.settings import CollaborationSettings


class FusedOutputs:
    """Publishers of a configured node."""

    def __init__(self, node: PipelineNode[CollaborationSettings]) -> None:
        self._node = node
        self.contributors = node.create_publisher(Image, "bev/contributors", qos.outputs())
        self.fused = node.create_publisher(FusedBev, "bev/fused", qos.fused())
        self.demand = node.create_publisher(DemandMap, "bev/demand", qos.demand())

    @property
    def shows_contributors(self) -> bool:
        """Whether somebody looks at the contributors."""
        return has_subscribers(self.contributors)

    def publish(self, fused: Fused, model: Any) -> None:
        """Publish a fused map. model: the Perception on its region."""
        node, s = self._node, self._node.settings
        if s.publish_fused and has_subscribers(self.fused):
            node.send(self.fused, fused_to_message(fused, model, agent=node.agent, frame_id=s.frame_id))
        if fused.collaborative.dominant is not None:
            dominant = fused.collaborative.dominant.cpu().numpy()
            node.send(self.contributors, contributors_to_message(dominant, fused.stamp_ns, s.frame_id))
