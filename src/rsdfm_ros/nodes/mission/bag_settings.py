"""The parameters of the nodes that play and record bags."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros.nodes.core.parameters import setting
from rsdfm_ros.nodes.core.settings import NodeSettings


@dataclass(frozen=True)
class ReplaySettings(NodeSettings):
    """replay_node: a recorded bag as the world of a fleet."""

    bag: str = setting("", "folder of the bag, or one of its files")
    topic_map: str = setting("", "topic map (YAML) for bags with other topics than ours; empty: our own")
    agents: tuple[str, ...] = setting((), "UAVs that are played; empty: all that the bag has")
    lockstep: bool = setting(True, "wait until every UAV has answered its images before the next ones")
    real_time_factor: float = setting(
        1.0, "recorded seconds per second when not in lockstep", low=0.01, high=100.0
    )
    start_s: float = setting(0.0, "recorded time that is left out at the beginning, s", low=0.0, high=1e9)
    duration_s: float = setting(0.0, "recorded time that is played, s; 0: to the end", low=0.0, high=1e9)
    loops: int = setting(1, "how often the bag is played", low=1, high=1_000_000)
    answer: str = setting(
        "status",
        "topic of a UAV whose stamp says that an image is answered",
        choices=("status", "trajectories"),
    )
    first_answer_timeout_s: float = setting(
        30.0, "longest wait for the first answers, s", low=0.1, high=600.0
    )
    answer_timeout_s: float = setting(
        5.0, "longest wait for the answers to an instant, s", low=0.1, high=600.0
    )
    ready_timeout_s: float = setting(60.0, "longest wait for the fleet to be there, s", low=0.1, high=600.0)
    wait_for_truth_listener: bool = setting(
        False, "the fleet is there only when somebody listens to the truth"
    )


@dataclass(frozen=True)
class RecordSettings(NodeSettings):
    """record_node: topics of a fleet to a bag."""

    out: str = setting("", "folder of the bag; must not exist, or be empty")
    topics: str = setting("", "regular expression of the topics that are recorded; empty: those of the fleet")
    exclude: str = setting("", "regular expression of topics that are not recorded; empty: none")
    storage: str = setting("mcap", "format of the bag", choices=("mcap", "sqlite3"))
    duration_s: float = setting(
        0.0, "recorded time after which it ends, s; 0: until stopped", low=0.0, high=1e9
    )
    max_bytes: int = setting(
        0, "a further file is begun after so many bytes of messages; 0: one file", low=0, high=2**50
    )
    flush_s: float = setting(1.0, "what is older survives a killed recorder, s", low=0.05, high=60.0)
    discovery_period_s: float = setting(0.2, "time between two looks for new topics, s", low=0.05, high=60.0)
    queue_bytes: int = setting(
        512_000_000,
        "messages that wait to be written take at most so much memory; more are dropped and counted",
        low=1_000_000,
        high=2**40,
    )
