"""The parameters of the nodes that play and record bags."""

from __future__ import annotations

from dataclasses import dataclass

from rsdfm_ros import parameters as shared
from rsdfm_ros.data.bags.writer import STORAGES
from rsdfm_ros.nodes.core.settings import NodeSettings
from rsdfm_ros.nodes.mission.settings import PlayerSettings
from rsdfm_ros.settings import setting


@dataclass(frozen=True)
class ReplaySettings(PlayerSettings):
    """replay_node: a recorded bag as the world of a fleet."""

    bag: str = shared.BAG()
    topic_map: str = shared.TOPIC_MAP()
    agents: tuple[str, ...] = setting(
        (), "UAVs that are run; empty: all that the bag has; recorded packets of the others are played"
    )
    liveliness_lease_s: float = shared.LIVELINESS_LEASE_S()
    start_s: float = shared.START_S()
    duration_s: float = shared.DURATION_S()
    loops: int = shared.LOOPS()


@dataclass(frozen=True)
class RecordSettings(NodeSettings):
    """record_node: topics of a fleet to a bag."""

    out: str = setting("", "folder of the bag; must not exist, or be empty")
    topics: str = setting("", "regular expression of the topics that are recorded; empty: those of the fleet")
    exclude: str = setting("", "regular expression of topics that are not recorded; empty: none")
    storage: str = setting(STORAGES[0], "format of the bag", choices=STORAGES)
    duration_s: float = setting(
        0.0, "recorded time after which it ends, s; 0: until stopped", low=0.0, high=1e9
    )
    max_bytes: int = setting(
        0, "a further file is begun after so many bytes of messages; 0: one file", low=0, high=2**50
    )
    flush_s: float = setting(
        1.0, "older data is on disk even if the recorder is killed, s", low=0.05, high=60.0
    )
    discovery_period_s: float = setting(0.2, "time between two looks for new topics, s", low=0.05, high=60.0)
    queue_bytes: int = setting(
        512_000_000,
        "messages that wait to be written take at most so much memory; more are dropped and counted",
        low=1_000_000,
        high=2**40,
    )
