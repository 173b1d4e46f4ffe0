"""What happens to a fleet, and when: drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsdfm_ros.wire.faults.attack import NONE, WIRE_ATTACKS

KILL, STOP, RESTART, RADIO, ATTACK = "kill", "stop", "restart", "radio", "attack"
DOWN_S = (0.2, 4.0)
"""Time between a kill or an end and the next start, s."""
STOPPED_S = (0.5, 8.0)
"""Time between SIGSTOP and SIGCONT, s: shorter and longer than leases of liveliness."""
WEIGHTS = {KILL: 0.25, RESTART: 0.15, STOP: 0.25, RADIO: 0.2, ATTACK: 0.15}


@dataclass(frozen=True)
class Event:
    """at_s: since the beginning of the disturbances · agent: of a kill, a stop or a restart · length_s: until it is
    over · parameters: of the radio or the attacker."""

    at_s: float
    kind: str
    agent: str = ""
    length_s: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)


def events(seed: int, agents: Sequence[str], mean_gap_s: float) -> Iterator[Event]:
    """Events without end. The first of the agents is stopped at times but never killed or restarted: its memory is
    that of a whole run."""
    rng = np.random.default_rng(seed)
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    at_s = 0.0
    while True:
        at_s += float(rng.exponential(mean_gap_s))
        kind = kinds[rng.choice(len(kinds), p=weights)]
        if kind == RADIO:
            yield Event(at_s, kind, parameters=_radio(rng))
        elif kind == ATTACK:
            yield Event(
                at_s, kind, parameters={"attack": str(rng.choice([a for a in WIRE_ATTACKS if a != NONE]))}
            )
        elif kind == STOP:
            yield Event(at_s, kind, str(rng.choice(list(agents))), float(rng.uniform(*STOPPED_S)))
        else:
            yield Event(at_s, kind, str(rng.choice(list(agents[1:]))), float(rng.uniform(*DOWN_S)))


def _radio(rng: np.random.Generator) -> dict[str, Any]:
    """Strengths of a link: none, weak or strong, each by itself."""
    delay_s = float(rng.choice([0.0, 0.05, 0.2]))
    return {
        "loss": float(rng.choice([0.0, 0.05, 0.2, 0.5])),
        "loss_correlation": float(rng.choice([0.0, 0.5])),
        "delay_s": delay_s,
        "jitter_s": float(rng.choice([0.0, 0.6])) * delay_s,
        "reorder": float(rng.choice([0.0, 0.1])),
        "duplicate": float(rng.choice([0.0, 0.1])),
        "corrupt": float(rng.choice([0.0, 0.0, 0.1])),
        "rate_bytes_s": float(rng.choice([0.0, 0.0, 4000.0])),
    }
