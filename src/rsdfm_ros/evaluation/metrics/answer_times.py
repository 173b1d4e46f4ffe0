"""Images of a mission and their answers in time: rate, time from stamp to output, images without an answer. Free of
ROS.

Times are those at which the publishers handed messages over, of the system clock: the load of the process that
measures is not in them. UAVs on other computers need clocks that agree with the world's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def published_ns(info: Any, now_ns: int) -> int:
    """The time at which a message was published, ns of the system clock.

    info: as rclpy gives it, a mapping or an object · now_ns: the time of its arrival, for middleware that does not
    tell.
    """
    name = "source_timestamp"
    told = info.get(name) if isinstance(info, Mapping) else getattr(info, name, None)
    return told if isinstance(told, int) and told > 0 else now_ns


class AnswerTimes:
    """Instants by stamp, and the answers of every UAV to them.

    open_end: the world does not say how many instants have images: those after the last one of which a UAV has sent
    anything do not count.
    """

    def __init__(self, *, open_end: bool = False) -> None:
        self._open_end = open_end
        self._shown_ns: dict[int, int] = {}
        self._answered_ns: dict[str, dict[int, int]] = {}
        self._newest_ns = -1

    def shown(self, stamp_ns: int, at_ns: int) -> None:
        """Note that the world published an instant; the first time counts."""
        self._shown_ns.setdefault(stamp_ns, at_ns)

    def without_images(self, stamp_ns: int) -> None:
        """Note that an instant is only looked forward to and has no images."""
        self._shown_ns.pop(stamp_ns, None)

    def noticed(self, stamp_ns: int) -> None:
        """Note that a UAV has received an image of that stamp."""
        self._newest_ns = max(self._newest_ns, stamp_ns)

    def answered(self, agent: str, stamp_ns: int, at_ns: int) -> None:
        """Note that a UAV has published its last output for an image; the first time counts."""
        self.noticed(stamp_ns)
        self._answered_ns.setdefault(agent, {}).setdefault(stamp_ns, at_ns)

    def figures(self, agent: str) -> dict[str, float | int | None]:
        """Figures of one UAV.

        images: instants of the world · images_answered, images_not_answered · rate_images_hz: instants per second of
        real time, which a world that the machine is too slow for does not keep; None for fewer than two ·
        rate_answered_hz: the share of it that was answered · stamp_to_output_p50_ms, stamp_to_output_p95_ms: from the
        publication of an image's instant to the last output for it, over the answered ones; None without any.
        """
        shown = {s: t for s, t in self._shown_ns.items() if not self._open_end or s <= self._newest_ns}
        answered = self._answered_ns.get(agent, {})
        took_ms = [(answered[s] - t) / 1e6 for s, t in shown.items() if s in answered]
        span_s = (max(shown.values()) - min(shown.values())) / 1e9 if shown else 0.0
        world_hz = (len(shown) - 1) / span_s if span_s > 0 else None
        return {
            "images": len(shown),
            "images_answered": len(took_ms),
            "images_not_answered": len(shown) - len(took_ms),
            "rate_images_hz": world_hz,
            "rate_answered_hz": None if world_hz is None else world_hz * len(took_ms) / len(shown),
            "stamp_to_output_p50_ms": float(np.percentile(took_ms, 50)) if took_ms else None,
            "stamp_to_output_p95_ms": float(np.percentile(took_ms, 95)) if took_ms else None,
        }
