"""The parameters of the nodes of a mission: simulator, evaluator, fault injector."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros import parameters as shared
from rsdfm_ros.nodes.core.settings import FeatureTopicSettings, ImageTopicSettings, NodeSettings
from rsdfm_ros.settings import setting
from rsdfm_ros.wire.faults import attack, link


@dataclass(frozen=True)
class PlayerSettings(NodeSettings):
    """The nodes that show the UAVs their images: how mission time passes, and what they wait for."""

    lockstep: bool = shared.LOCKSTEP()
    real_time_factor: float = shared.REAL_TIME_FACTOR()
    answer: str = setting(
        "status",
        "topic of a UAV whose stamp marks a frame as answered",
        choices=("status", "trajectories"),
    )
    first_answer_timeout_s: float = shared.FIRST_ANSWER_TIMEOUT_S()
    answer_timeout_s: float = shared.ANSWER_TIMEOUT_S()
    ready_timeout_s: float = setting(60.0, "longest wait for the fleet to connect, s", low=0.1, high=600.0)
    wait_for_truth_listener: bool = setting(
        False, "the fleet counts as connected only with a subscriber of the truth"
    )


@dataclass(frozen=True)
class SimSettings(PlayerSettings):
    """sim_node: the simulated world."""

    seed: int = shared.SEED()
    style: str = shared.STYLE()
    weather: str = shared.WEATHER()
    uavs: int = setting(4, "number of UAVs", low=1, high=8)
    agents: tuple[str, ...] = setting((), "names of the UAVs, which are their namespaces; empty: uav1 …")
    frames: int = shared.FRAMES()


@dataclass(frozen=True)
class EvaluatorSettings(FeatureTopicSettings, ImageTopicSettings, NodeSettings):
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
    record_frames: bool = shared.RECORD_FRAMES()
    record_bag: bool = shared.RECORD_BAG()
    end_timeout_s: float = shared.END_TIMEOUT_S()


@dataclass(frozen=True)
class FaultInjectorSettings(FeatureTopicSettings, NodeSettings):
    """fault_injector_node: links with faults between feature topics of UAVs."""

    links: tuple[str, ...] = setting(
        (), "feature topics that are passed on, such as /uav2/bev/features: one link each"
    )
    output_prefix: str = setting("/faulty", "put before the names of these topics for what leaves the links")
    seed: int = setting(0, "seed of the random numbers; every link has its own", low=0, high=2**31 - 1)
    loss: float = setting(
        link.LinkFaults.loss, "share of the messages that are lost", low=0.0, high=1.0, dynamic=True
    )
    loss_correlation: float = setting(
        link.LinkFaults.loss_correlation,
        "0: losses are independent; towards 1 they come in bursts of 1 / ((1 - loss) (1 - correlation)) messages",
        low=0.0,
        high=0.99,
        dynamic=True,
    )
    delay_s: float = setting(
        link.LinkFaults.delay_s, "time of a message on the way, s", low=0.0, high=10.0, dynamic=True
    )
    jitter_s: float = setting(
        link.LinkFaults.jitter_s,
        "the delay is drawn evenly from delay_s - jitter_s (at least 0) to delay_s + jitter_s; the order stays, s",
        low=0.0,
        high=10.0,
        dynamic=True,
    )
    reorder: float = setting(
        link.LinkFaults.reorder,
        "share of the messages that are held back and overtaken by others",
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    reorder_s: float = setting(
        link.LinkFaults.reorder_s, "time for which they are held back, s", low=0.0, high=10.0, dynamic=True
    )
    duplicate: float = setting(
        link.LinkFaults.duplicate, "share of the messages that arrive twice", low=0.0, high=1.0, dynamic=True
    )
    corrupt: float = setting(
        link.LinkFaults.corrupt,
        "share of the messages with up to four flipped bits in their payload",
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    rate_bytes_s: float = setting(
        link.LinkFaults.rate_bytes_s,
        "serialised bytes that a link passes in a second; 0: no limit",
        low=0.0,
        high=1e9,
        dynamic=True,
    )
    queue_s: float = setting(
        link.LinkFaults.queue_s,
        "longest wait of a message for its turn at that rate; it is dropped where it would wait longer, s",
        low=0.0,
        high=10.0,
        dynamic=True,
    )
    attack: str = setting(
        attack.NONE,
        "what the senders turn into: attackers that shift their map by a tile, repeat the image of 5 s ago, send all "
        "latents at their maximum, or claim to know their pose exactly",
        choices=attack.WIRE_ATTACKS,
        dynamic=True,
    )
    cell_size_m: float = setting(
        1.0,
        "side of a cell of the features, by which the attack `shifted` moves boxes, m",
        low=0.01,
        high=10.0,
    )
    held_bytes: int = setting(
        64_000_000,
        "messages on the way take at most so much memory; more are dropped and counted",
        low=1_000_000,
        high=2**40,
    )
