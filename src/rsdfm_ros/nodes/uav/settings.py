"""The parameters of the nodes of a UAV."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros import parameters as shared
from rsdfm_ros.agent.interest.demand import KINDS
from rsdfm_ros.agent.options import DEFAULTS, SEND_BOXES
from rsdfm_ros.former_names import FORMER_NAMES
from rsdfm_ros.nodes.convert.optional import OPTIONAL
from rsdfm_ros.nodes.core.settings import FeatureTopicSettings, NodeSettings
from rsdfm_ros.nodes.uav.ground_settings import GroundSettings
from rsdfm_ros.nodes.uav.input_settings import InputSettings
from rsdfm_ros.settings import setting

_REGION = (
    "region of interest x_min y_min x_max y_max, m, widened to whole tiles and at most as large as the model's window; "
    "empty: the model's own window"
)
_DEADLINE = (
    "QoS deadline of feature packets: the sender promises and the receivers expect one at least that often, s; 0: no "
    "deadline; the same on every UAV"
)
_OWN = "negative: the model's calibrated value"


@dataclass(frozen=True)
class PipelineSettings(NodeSettings):
    """Settings of the nodes of a UAV's pipeline."""

    agent: str = setting("", "name of this UAV; empty: the node's namespace")
    model: str = shared.MODEL()
    bond_heartbeat_period: float = setting(
        0.25,
        "time between heartbeats to a lifecycle manager, where bondpy is installed and autostart is off, s; 0: no bond",
        low=0.0,
        high=60.0,
    )
    engine: str = shared.ENGINE()
    threads: int = shared.THREADS()
    latency_warn_s: float = setting(
        1.0,
        "diagnostics warn when the 95th percentile of the latency is above, s",
        low=0.0,
        high=3600.0,
        dynamic=True,
    )
    latency_error_s: float = setting(
        5.0, "diagnostics report an error when it is above, s", low=0.0, high=3600.0, dynamic=True
    )
    max_gap_s: float = setting(
        DEFAULTS.max_gap_s,
        "a longer gap between images starts the history anew, s",
        low=0.1,
        high=60.0,
        dynamic=True,
    )


@dataclass(frozen=True)
class EncoderSettings(FeatureTopicSettings, InputSettings, GroundSettings, PipelineSettings):
    """encoder_node: images to bird's-eye-view features and packets."""

    lifespan_s: float = setting(
        0.0, "packets older than this are not delivered, s; 0: always", low=0.0, high=60.0
    )
    deadline_s: float = setting(0.0, _DEADLINE, low=0.0, high=60.0)
    region_m: tuple[float, ...] = setting((), _REGION, length=(0, 4), low=-1e6, high=1e6, dynamic=True)
    budget_bytes: int = shared.BUDGET_BYTES(dynamic=True)
    budget_bytes_s: int = shared.BUDGET_BYTES_S(dynamic=True)
    max_packet_bytes: int = shared.PACKET_BYTES()
    send_boxes: str = setting(
        DEFAULTS.send_boxes,
        "send own detections beside the features, within the budget, so that peers can correct poses and compensate "
        "latency; auto: while the pose is uncertain or, in uav_node, peers' features arrive late",
        choices=SEND_BOXES,
        dynamic=True,
    )
    publish_pose_tf: str = setting(
        "auto",
        "offer the frames <agent>/<camera>_optical and <agent>/body on /tf; auto: where tf2_msgs is installed and "
        "neither poses nor extrinsics come from TF",
        choices=OPTIONAL,
    )


@dataclass(frozen=True)
class CollaborationSettings(FeatureTopicSettings, GroundSettings, PipelineSettings):
    """collaboration_node: own and peers' features to fused maps."""

    deadline_s: float = setting(0.0, _DEADLINE, low=0.0, high=60.0)
    region_m: tuple[float, ...] = setting((), _REGION, length=(0, 4), low=-1e6, high=1e6, dynamic=True)
    max_age_s: float = shared.MAX_AGE_S(dynamic=True)
    peer_wait_s: float = shared.PEER_WAIT_S(dynamic=True)
    move_peers: bool = setting(
        DEFAULTS.move_peers,
        "latency compensation: shift moving objects in older maps of peers to the present, by their boxes",
        dynamic=True,
    )
    correct_poses: bool = setting(
        DEFAULTS.correct_poses,
        "pose alignment: correct uncertain poses by the objects that UAVs have in common",
        dynamic=True,
    )
    doubt_peers: bool = setting(
        DEFAULTS.doubt_peers,
        "consistency check: do not fuse peers whose maps are inconsistent with the UAV's own",
        dynamic=True,
    )
    map_consistency: float = setting(
        DEFAULTS.map_consistency,
        f"probability that a peer's maps are true, below which it is left out; {_OWN}",
        low=-1.0,
        high=1.0,
        renamed_from=FORMER_NAMES["map_consistency"],
        dynamic=True,
    )
    demand: str = setting(
        "region",
        "what the UAV asks of its peers, and whether in uav_node it sends only what they ask for; region: the tiles of "
        "the region of interest; evidence: with them, where the own map is weak; off: nothing, and everything is sent",
        choices=KINDS,
        dynamic=True,
    )
    max_peers: int = setting(DEFAULTS.max_peers, "largest number of peers", low=0, high=64, dynamic=True)
    peers: tuple[str, ...] = setting(
        (),
        "feature topics or names of the peers; empty: all in the ROS graph",
        dynamic=True,
    )
    quarantine_after: int = setting(
        DEFAULTS.quarantine_after,
        "a peer with so many refused packets in a row is ignored for a while; 0: never",
        low=0,
        high=10_000,
    )
    quarantine_s: float = setting(
        DEFAULTS.quarantine_s,
        "first quarantine, s; it doubles each time, up to tenfold",
        low=0.1,
        high=3600.0,
    )
    discovery_period_s: float = setting(
        0.5, "time between two searches for peers in the graph, s", low=0.05, high=60.0
    )
    publish_single: bool = shared.PUBLISH_SINGLE()
    publish_fused: bool = setting(True, "publish bev/fused for head nodes in other processes", dynamic=True)


@dataclass(frozen=True)
class HeadSettings(PipelineSettings):
    """The three head nodes: fused maps to task outputs."""

    publish_single: bool = shared.PUBLISH_SINGLE()
    publish_future: bool = shared.PUBLISH_FUTURE()
    publish_markers: bool = setting(True, "offer markers and paths for RViz and Foxglove")
    publish_detections_3d: str = setting(
        "auto", "offer detections_3d (vision_msgs); auto: where that package is installed", choices=OPTIONAL
    )
    publish_lattice_tf: str = setting(
        "auto",
        "broadcast the frame <agent>/lattice on /tf_static; auto: where tf2_ros is installed",
        choices=OPTIONAL,
    )
    id_memory_s: float = setting(
        DEFAULTS.id_memory_s,
        "how long an object that is not seen keeps its id, s",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    marker_lifetime_s: float = setting(
        5.0, "viewers remove markers that are older, s; 0: never", low=0.0, high=3600.0, dynamic=True
    )
    detection_score: float = setting(
        -1.0, f"boxes with a lower score are not published; {_OWN}", low=-1.0, high=1.0, dynamic=True
    )
    object_score: float = setting(
        -1.0,
        f"boxes with this score count as objects: ids over time, markers, status; {_OWN}",
        low=-1.0,
        high=1.0,
        dynamic=True,
    )
    segmentation_probability: float = setting(
        -1.0, f"cells above this probability belong to instances; {_OWN}", low=-1.0, high=1.0, dynamic=True
    )
    trajectory_probability: float = setting(
        -1.0, f"the same for the coming steps; {_OWN}", low=-1.0, high=1.0, dynamic=True
    )


@dataclass(frozen=True)
class DetectionHeadSettings(GroundSettings, HeadSettings):
    """detection_head_node: boxes stand on the ground."""
