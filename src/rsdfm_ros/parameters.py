"""Parameters that nodes declare and fleet descriptions set: default, sentence and limits, once. Free of ROS.

Each is a field of a dataclass when it is called: `seed: int = parameters.SEED()`; what is given there replaces what
stands here.
"""

from __future__ import annotations

from functools import partial

from rsdfm_ros.agent.options import DEFAULTS, PACKET_BYTES_RANGE
from rsdfm_ros.model.config import ENGINES
from rsdfm_ros.settings import setting
from rsdfm_ros.shipped import SHIPPED_MODEL
from rsdfm_ros.sim.config import HELD_OUT_STYLES, MIXED, STYLES, TEST_SEEDS_FROM, WEATHERS, WorldConfig
from rsdfm_ros.wire.message import DATAGRAM_PACKET_BYTES

# --- every UAV ---

AUTOSTART = partial(
    setting, True, text="configure and activate at the start; otherwise a lifecycle manager does it"
)
MODEL = partial(
    setting,
    SHIPPED_MODEL,
    text="model folder, or random:<configuration>[:<seed>] for untrained weights",
)
ENGINE = partial(
    setting,
    "auto",
    text="what runs the network; auto: torch; openvino has to be installed",
    choices=ENGINES,
)
THREADS = partial(setting, 1, text="threads of the network in a process", low=1, high=64)
BUDGET_BYTES = partial(
    setting, DEFAULTS.budget_bytes, text="mean serialised bytes per image", low=1000, high=10_000_000
)
BUDGET_BYTES_S = partial(
    setting,
    DEFAULTS.budget_bytes_s,
    text="serialised bytes per second of everything that goes to peers, beside budget_bytes as the bound of an image; "
    "0: no limit; a lower value on radio/rate counts instead",
    low=0,
    high=1_000_000_000,
)
PACKET_BYTES = partial(
    setting,
    DEFAULTS.max_packet_bytes,
    text=f"largest serialised feature packet, bytes; {DATAGRAM_PACKET_BYTES}: with all headers one Ethernet frame",
    low=PACKET_BYTES_RANGE[0],
    high=PACKET_BYTES_RANGE[1],
)
MAX_AGE_S = partial(
    setting, DEFAULTS.max_age_s, text="peers' features older than this are not fused, s", low=0.0, high=60.0
)
PEER_WAIT_S = partial(
    setting,
    DEFAULTS.peer_wait_s,
    text="longest wait of the steady clock for peers' packets of the same instant, s",
    low=0.0,
    high=60.0,
)
LIVELINESS_LEASE_S = partial(setting, 1.0, text="a UAV silent for that long is dead, s", low=0.1, high=60.0)
PUBLISH_SINGLE = partial(
    setting, False, text="also answer without any peer, on topics under single/, for comparison"
)
PUBLISH_FUTURE = partial(setting, False, text="publish future_masks, the predicted instance masks")

# --- the world ---

SEED = partial(setting, TEST_SEEDS_FROM, text="seed of layout, traffic and flights", low=0, high=2**31 - 1)
STYLE = partial(
    setting,
    WorldConfig.style,
    text=f"kind of place of the simulated world; {MIXED}: by seed, all but {', '.join(HELD_OUT_STYLES)}",
    choices=(*STYLES, MIXED),
)
WEATHER = partial(
    setting,
    WorldConfig.weather,
    text=f"weather and light of the simulated world; {MIXED}: by seed",
    choices=(*WEATHERS, MIXED),
)
FRAMES = partial(setting, 60, text="frames to fly, at 2 Hz of mission time", low=1, high=120)
LOCKSTEP = partial(
    setting,
    True,
    text="mission time stands still until every UAV has answered; otherwise it passes at a fixed rate",
)
REAL_TIME_FACTOR = partial(
    setting, 1.0, text="mission seconds per second when not in lockstep", low=0.01, high=100.0
)
GAZEBO_START_S = partial(
    setting, 20.0, text="simulation time of the mission's first frame, s", low=0.0, high=3600.0
)
FIRST_ANSWER_TIMEOUT_S = partial(
    setting, 30.0, text="longest wait for the answers to the first frame in lockstep, s", low=0.1, high=600.0
)
ANSWER_TIMEOUT_S = partial(
    setting, 5.0, text="longest wait for the answers to a later frame, s", low=0.1, high=600.0
)
BAG = partial(setting, "", text="folder of the bag, or one of its files")
TOPIC_MAP = partial(
    setting, "", text="topic map (YAML) for bags with other topics than ours (docs/bags.md); empty: our own"
)
START_S = partial(setting, 0.0, text="recorded time that is left out at the beginning, s", low=0.0, high=1e9)
DURATION_S = partial(setting, 0.0, text="recorded time that is played, s; 0: to the end", low=0.0, high=1e9)
LOOPS = partial(setting, 1, text="how often the bag is played", low=1, high=1_000_000)

# --- the evaluator ---

RECORD_FRAMES = partial(setting, False, text="write the arrays of every frame to <out>/frames")
RECORD_BAG = partial(setting, False, text="write all topics of the fleet to <out>/bag")
END_TIMEOUT_S = partial(
    setting, 20.0, text="longest wait for the last answers after the last truth, s", low=0.1, high=600.0
)
