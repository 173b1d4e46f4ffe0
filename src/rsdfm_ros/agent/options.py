"""Options of one UAV, with every default: nodes, bags and offline methods read these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from rsdfm_ros.model.thresholds import DEFAULT_THRESHOLDS
from rsdfm_ros.wire.budget import DEFAULT_BUDGET_BYTES
from rsdfm_ros.wire.limits import MAX_PACKET_BYTES

SEND_BOXES = ("auto", "always", "never")
"""Times at which own detections are sent beside the features; auto: while the pose is uncertain or peers' features
arrive late."""

PACKET_BYTES_RANGE = (512, 65_536)
"""Values of max_packet_bytes: below, hardly a tile fits beside the fields of the message; a UDP datagram ends there."""

MAP_CONSISTENCY = "map_consistency"
"""Name of the model's threshold of map consistency."""
EVERYBODY = -1.0
"""Value of map_consistency with which every peer is believed."""


@dataclass(frozen=True)
class PreFusionOptions:
    """Steps before maps are fused.

    compensate_latency: shift moving objects in older maps of peers to the present, by their boxes · align_poses:
    correct uncertain poses by common objects · reject_inconsistent: leave out peers whose maps are inconsistent with
    the ego's, that is, true with a probability below `map_consistency` (agent/prefusion/consistency.py); EVERYBODY for
    no check.
    """

    compensate_latency: bool = True
    align_poses: bool = True
    reject_inconsistent: bool = True
    map_consistency: float = DEFAULT_THRESHOLDS[MAP_CONSISTENCY]


NO_PRE_FUSION = PreFusionOptions(compensate_latency=False, align_poses=False, reject_inconsistent=False)
"""Maps are fused as they come."""


@dataclass(frozen=True)
class AgentOptions:
    """Options of one UAV; parameters of the nodes have the same names.

    budget_bytes: mean of the serialised bytes per image · budget_bytes_s: serialised bytes per second, 0 for no limit
    beside that · max_packet_bytes: largest serialised message of a packet · send_boxes: one of SEND_BOXES · max_age_s:
    features of peers that are older are not fused · peer_wait_s: longest wait for the packets of peers of the same
    instant · max_peers: largest number of peers · quarantine_after: refused packets in a row after which a peer is
    ignored for quarantine_s (0: never) · move_peers, correct_poses, doubt_peers,
    map_consistency: PreFusionOptions, a negative map_consistency is the model's own · max_gap_s: a longer gap between
    images starts the history anew · id_memory_s: time that an unseen object keeps its id.
    """

    budget_bytes: int = DEFAULT_BUDGET_BYTES
    budget_bytes_s: int = 0
    max_packet_bytes: int = MAX_PACKET_BYTES
    send_boxes: str = "auto"
    max_age_s: float = 1.0
    peer_wait_s: float = 0.1
    max_peers: int = 16
    quarantine_after: int = 8
    quarantine_s: float = 30.0
    move_peers: bool = True
    correct_poses: bool = True
    doubt_peers: bool = True
    map_consistency: float = -1.0
    max_gap_s: float = 1.6
    id_memory_s: float = 3.5

    @classmethod
    def of(cls, settings: object) -> AgentOptions:
        """The options that an object with attributes of these names has, such as the settings of a node."""
        names = (f.name for f in fields(cls))
        return cls(**{name: getattr(settings, name) for name in names if hasattr(settings, name)})

    def pre_fusion(self, thresholds: Mapping[str, float]) -> PreFusionOptions:
        """The steps before fusion. thresholds: of the model."""
        given = self.map_consistency
        return PreFusionOptions(
            compensate_latency=self.move_peers,
            align_poses=self.correct_poses,
            reject_inconsistent=self.doubt_peers,
            map_consistency=given if given >= 0 else thresholds[MAP_CONSISTENCY],
        )


DEFAULTS = AgentOptions()
