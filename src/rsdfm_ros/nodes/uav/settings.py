"""The parameters of every node."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.agent.options import DEFAULTS, SEND_BOXES
from rsdfm_ros.nodes.core.optional import OPTIONAL
from rsdfm_ros.nodes.core.parameters import setting
from rsdfm_ros.nodes.core.qos import RELIABILITY
from rsdfm_ros.nodes.uav.ground_settings import GroundSettings
from rsdfm_ros.nodes.uav.input_settings import InputSettings

_AUTOSTART = "configure and activate by itself; otherwise a lifecycle manager does"
_FRAME = "frame of the world lattice, ENU metres"
_MODEL = "model folder, or random:<configuration>[:<seed>] for untrained weights"
_THREADS = "threads of torch in this process"
_SINGLE = "also answer without any peer, on topics under single/, for comparison"
_RELIABILITY = "how images, camera information and poses are subscribed to"
_REGION = (
    "region of interest x_min y_min x_max y_max, m, widened to whole tiles and at most as large as the model's window; "
    "empty: the model's own window"
)
_DEADLINE = (
    "QoS deadline of feature packets: the sender promises and the receivers expect one at least that often, s; 0: no "
    "deadline; the same on every UAV"
)
_OWN = "negative: what the model was calibrated for"
_FEATURES = "reliability of feature packets; the same on every UAV"


@dataclass(frozen=True)
class NodeSettings:
    """What every node has."""

    autostart: bool = setting(True, _AUTOSTART, read_only=True)
    frame_id: str = setting("map", _FRAME)
    input_timeout_s: float = setting(
        5.0,
        "an input that does not come for that long is reported; answers older than that are stale, s",
        low=0.1,
        high=3600.0,
        dynamic=True,
    )


@dataclass(frozen=True)
class PipelineSettings(NodeSettings):
    """What the nodes of a UAV's pipeline have."""

    agent: str = setting("", "name of this UAV; empty: the node's namespace")
    model: str = setting("models/nano", _MODEL)
    threads: int = setting(1, _THREADS, low=1, high=64)
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
class EncoderSettings(InputSettings, GroundSettings, PipelineSettings):
    """encoder_node: images to bird's-eye-view features and packets."""

    features_reliability: str = setting("best_effort", _FEATURES, choices=RELIABILITY)
    liveliness_lease_s: float = setting(1.0, "a UAV silent for that long is dead, s", low=0.1, high=60.0)
    lifespan_s: float = setting(
        0.0, "packets older than this are not delivered, s; 0: always", low=0.0, high=60.0
    )
    deadline_s: float = setting(0.0, _DEADLINE, low=0.0, high=60.0)
    region_m: tuple[float, ...] = setting((), _REGION, length=(0, 4), low=-1e6, high=1e6, dynamic=True)
    budget_bytes: int = setting(
        DEFAULTS.budget_bytes, "mean serialised bytes per image", low=1000, high=10_000_000, dynamic=True
    )
    max_packet_bytes: int = setting(
        DEFAULTS.max_packet_bytes, "largest packet payload in bytes", low=512, high=65_536
    )
    send_boxes: str = setting(
        DEFAULTS.send_boxes,
        "send own detections beside the features, within the budget, so that peers can correct poses and carry on what "
        "moves; auto: while the pose is uncertain or, in uav_node, peers' features come late",
        choices=SEND_BOXES,
        dynamic=True,
    )


@dataclass(frozen=True)
class CollaborationSettings(GroundSettings, PipelineSettings):
    """collaboration_node: own and peers' features to fused maps."""

    features_reliability: str = setting("best_effort", _FEATURES, choices=RELIABILITY)
    liveliness_lease_s: float = setting(1.0, "a UAV silent for that long is dead, s", low=0.1, high=60.0)
    deadline_s: float = setting(0.0, _DEADLINE, low=0.0, high=60.0)
    region_m: tuple[float, ...] = setting((), _REGION, length=(0, 4), low=-1e6, high=1e6, dynamic=True)
    max_age_s: float = setting(
        DEFAULTS.max_age_s,
        "peers' features older than this are not fused, s",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    peer_wait_s: float = setting(
        DEFAULTS.peer_wait_s,
        "longest wait of the steady clock for peers' packets of the same instant, s",
        low=0.0,
        high=60.0,
        dynamic=True,
    )
    move_peers: bool = setting(
        DEFAULTS.move_peers,
        "carry what moves in older maps of peers, by their boxes, on to the present",
        dynamic=True,
    )
    correct_poses: bool = setting(
        DEFAULTS.correct_poses,
        "correct uncertain poses by the objects that UAVs have in common",
        dynamic=True,
    )
    doubt_peers: bool = setting(
        DEFAULTS.doubt_peers,
        "do not fuse peers whose maps do not resemble the UAV's own where both tell something",
        dynamic=True,
    )
    map_consistency: float = setting(
        DEFAULTS.map_consistency,
        f"excess of the correlation over that elsewhere from which maps resemble each other; {_OWN}",
        low=-1.0,
        high=1.0,
        dynamic=True,
    )
    max_peers: int = setting(DEFAULTS.max_peers, "peers listened to at most", low=0, high=64, dynamic=True)
    peers: tuple[str, ...] = setting(
        (),
        "feature topics or names of the peers to listen to; empty: all that the ROS graph shows",
        dynamic=True,
    )
    quarantine_after: int = setting(
        DEFAULTS.quarantine_after,
        "a peer with so many refused packets in a row is not listened to for a while; 0: never",
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
        0.5, "time between two looks at the graph for peers, s", low=0.05, high=60.0
    )
    publish_single: bool = setting(False, _SINGLE)
    publish_fused: bool = setting(True, "publish bev/fused for head nodes in other processes", dynamic=True)


@dataclass(frozen=True)
class HeadSettings(PipelineSettings):
    """The three head nodes: fused maps to task outputs."""

    publish_single: bool = setting(False, _SINGLE)
    publish_future: bool = setting(False, "publish future_masks, the predicted instance masks")
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


@dataclass(frozen=True)
class SimSettings(NodeSettings):
    """sim_node: the simulated world."""

    seed: int = setting(9000, "seed of layout, traffic and flights", low=0, high=2**31 - 1)
    uavs: int = setting(4, "number of UAVs", low=1, high=8)
    agents: tuple[str, ...] = setting((), "names of the UAVs, which are their namespaces; empty: uav1 …")
    frames: int = setting(60, "frames to fly, at 2 Hz of mission time", low=1, high=120)
    lockstep: bool = setting(True, "wait until every UAV has answered a frame before the next one")
    real_time_factor: float = setting(
        1.0, "mission seconds per second when not in lockstep", low=0.01, high=100.0
    )
    answer: str = setting(
        "status",
        "topic of a UAV whose stamp says that a frame is answered",
        choices=("status", "trajectories"),
    )
    first_answer_timeout_s: float = setting(
        30.0, "longest wait for the first answers, s", low=0.1, high=600.0
    )
    answer_timeout_s: float = setting(5.0, "longest wait for the answers to a frame, s", low=0.1, high=600.0)
    ready_timeout_s: float = setting(60.0, "longest wait for the fleet to be there, s", low=0.1, high=600.0)
    wait_for_truth_listener: bool = setting(
        False, "the fleet is there only when somebody listens to the truth"
    )


@dataclass(frozen=True)
class EvaluatorSettings(NodeSettings):
    """evaluator_node: the fleet's answers against the truth, status, records."""

    agents: tuple[str, ...] = setting(("uav1", "uav2", "uav3", "uav4"), "names of the UAVs")
    frames: int = setting(
        0, "the mission ends after so many frames; 0: runs until stopped", low=0, high=1_000_000
    )
    map_bounds_m: tuple[float, ...] = setting(
        (-64.0, -64.0, 64.0, 64.0), "map that the UAVs answer on: x_min y_min x_max y_max, m", length=(4,)
    )
    cell_size_m: float = setting(0.5, "side of a cell of that map, m", low=0.01, high=10.0)
    foreground_percent: int = setting(
        50, "occupancy from which a cell counts as vehicle, per cent", low=0, high=100
    )
    expect_future: bool = setting(True, "the UAVs publish future_masks: score VPQ, and wait for them")
    expect_status: bool = setting(True, "the UAVs publish status, as uav_node does: wait for it")
    own_answers: bool = setting(
        False,
        "an answer by a node outside the UAV's namespace makes the mission void, as two publishers of a topic do",
    )
    uavs_return: bool = setting(
        False, "a UAV whose process was lost may come back: its answers then have two publishers for a while"
    )
    out: str = setting(
        "", "folder for result.json, status.jsonl and what is recorded; empty: nothing is written"
    )
    about: str = setting(
        "{}",
        "JSON object with what result.json says beside the figures: entries of its `protocol` and its `provenance`",
    )
    record_frames: bool = setting(False, "write the arrays of every frame to <out>/frames")
    record_bag: bool = setting(False, "write all topics to <out>/bag as MCAP")
    end_timeout_s: float = setting(
        20.0, "longest wait for missing answers at the end, s", low=0.1, high=600.0
    )
    features_reliability: str = setting("best_effort", _FEATURES, choices=RELIABILITY)
    image_reliability: str = setting("best_effort", _RELIABILITY, choices=RELIABILITY)
    liveliness_lease_s: float = setting(1.0, "a UAV silent for that long is dead, s", low=0.1, high=60.0)


@dataclass(frozen=True)
class ViewSettings(NodeSettings):
    """view_node: what `rsdfm view` shows of a live fleet."""

    save: str = setting("", "recording (.rrd) to write instead of opening a window")
    web: bool = setting(False, "serve a page to browsers instead of opening a window")
    connect: str = setting(
        "", "address of a viewer that runs already, such as rerun+http://127.0.0.1:9876/proxy"
    )
    topic_map: str = setting("", "topic map (YAML) for other topic names than ours; empty: ours")
