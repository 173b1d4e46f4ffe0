"""Health of the UAVs and of their links, from /diagnostics: the newest state only."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

from rsdfm_ros.data.messages.answers.serialized_tasks import PEER
from rsdfm_ros.view.sink import MAX_AGENTS

MAX_CONCERNS = 64
"""Of one UAV."""
MAX_TEXT = 200
FINE, STALE = 0, 3


class Health:
    """`revision` counts changes. May be used from several threads."""

    def __init__(self) -> None:
        self.revision = 0
        self._lock = threading.Lock()
        self._concerns: dict[str, dict[str, tuple[int, str]]] = {}
        self._links: dict[str, dict[str, dict[str, Any]]] = {}

    def note(self, agent: str, concern: str, level: int, sentence: str, values: Mapping[str, str]) -> None:
        """One status of a UAV's node: `peer NAME` is about a link, everything else about the UAV."""
        level, sentence = min(max(level, FINE), STALE), sentence[:MAX_TEXT]
        with self._lock:
            concerns = self._concerns.setdefault(agent, {})
            if len(self._concerns) > MAX_AGENTS:
                del self._concerns[agent]
                return
            if concern.startswith(PEER):
                links = self._links.setdefault(agent, {})
                peer = concern.removeprefix(PEER)[:64]
                if peer in links or len(links) < MAX_AGENTS:
                    links[peer] = {
                        "level": level,
                        "sentence": sentence,
                        "loss": _number(values.get("loss")),
                        "bytes_per_s": _number(values.get("bytes_per_second")),
                    }
            elif concern in concerns or len(concerns) < MAX_CONCERNS:
                concerns[concern[:64]] = (level, sentence)
            self.revision += 1

    def now(self) -> dict[str, Any]:
        """uavs: UAV → the worst level and its sentence · links: UAV → peer → level, sentence, loss, bytes_per_s."""
        with self._lock:
            worst = {
                agent: max(concerns.values(), key=lambda state: state[0] % STALE)
                for agent, concerns in self._concerns.items()
                if concerns
            }
            links = {agent: dict(of) for agent, of in self._links.items()}
        return {"uavs": {a: list(w) if w[0] else [FINE, "works"] for a, w in worst.items()}, "links": links}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
