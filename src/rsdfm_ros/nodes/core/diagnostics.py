"""Diagnostics of a node on /diagnostics, once a second of the steady clock: one status per concern.

As diagnostic_updater does it: a status is called `<node>: <concern>`, and the worst of several levels counts. Outdated
numbers are left out and the status is STALE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from rsdfm_ros.nodes.core.entities import ACTIVE, STEADY
from rsdfm_ros.nodes.core.reporting import ReportingNode
from rsdfm_ros.wire.budget import COARSER, FEWER_CELLS, NO_LOW_BAND, NOT_SENT

if TYPE_CHECKING:
    from rsdfm_ros.agent.peers import Peer

OK, WARN, ERROR, STALE = range(4)
PERIOD_S = 1.0
RECENT_S = 10.0
"""Time for which errors and refusals raise the level; the counts stay."""
LOSS_WARN = 0.2
"""Share of lost packets of a peer from which a warning is due."""
RATE_TICKS = 5
REDUCTIONS = {
    FEWER_CELLS: "fewer cells",
    COARSER: "coarser latents",
    NO_LOW_BAND: "no low band",
    NOT_SENT: "images left out",
}
"""What a rate takes from images, in this order as it falls; counted as images_<name>."""
UNWANTED = "unwanted"
"""Images that no peer wants, counted likewise."""
LEFT_OUT = {
    "misplaced": "its pose is too uncertain",
    "contradicts": "its map shows other vehicles than ours",
}


@dataclass
class Status:
    """One concern: level OK, WARN, ERROR or STALE, a sentence, and facts."""

    level: int = OK
    message: str = ""
    values: dict[str, object] = field(default_factory=dict)


Concern = Callable[[], Iterable[tuple[str, Status]]]


class Diagnostics:
    """Collects the statuses of a node and publishes them. own_timer: see RsdfmNode."""

    def __init__(self, node: ReportingNode[Any], *, own_timer: bool = True) -> None:
        self._node = node
        self._concerns: list[Concern] = [self._lifecycle, self._inputs, self._work, self._refused]
        self._ticks: dict[str, deque[tuple[float, float]]] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10, always=True)
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=STEADY) if own_timer else None
        self._closed = False

    def add(self, concern: Concern) -> None:
        """Add a function that returns (name, Status) pairs."""
        self._concerns.append(concern)

    def close(self) -> None:
        """Publish no more."""
        self._closed = True
        if self._timer is not None:
            self._node.destroy_timer(self._timer)

    def publish(self) -> None:
        """One DiagnosticArray with every concern."""
        if self._closed:
            return
        node = self._node
        full, hardware = node.get_fully_qualified_name(), getattr(node, "agent", "") or node.get_namespace()
        message = DiagnosticArray()
        message.header.stamp = node.get_clock().now().to_msg()
        for name, status in self.statuses():
            values = [KeyValue(key=key, value=str(value)) for key, value in status.values.items()]
            message.status.append(
                DiagnosticStatus(
                    level=bytes([status.level]),
                    name=f"{full}: {name}",
                    message=status.message,
                    hardware_id=hardware,
                    values=values,
                )
            )
        node.send(self._publisher, message)

    def statuses(self) -> list[tuple[str, Status]]:
        """The status of every concern; one that fails reports an error and does not stop the others."""
        found: list[tuple[str, Status]] = []
        for concern in self._concerns:
            try:
                found.extend(concern())
            except Exception as error:
                self._node.on_callback_error("diagnostics", error)
                found.append(("diagnostics", Status(ERROR, f"{type(error).__name__}: {error}")))
        return found

    def per_second(self, name: str, total: float) -> float:
        """Rate of a total over the last few calls; call it once per publication."""
        now_s = self._node.health.clock()
        ticks = self._ticks.setdefault(name, deque(maxlen=RATE_TICKS + 1))
        if ticks and total < ticks[-1][1]:
            ticks.clear()  # the counts were reset
        ticks.append((now_s, total))
        span_s = now_s - ticks[0][0]
        return (total - ticks[0][1]) / span_s if span_s > 0 else 0.0

    # --- what every node has --------------------------------------------------------------------------------------

    def _lifecycle(self) -> Iterable[tuple[str, Status]]:
        node = self._node
        level = ERROR if node.last_error else OK
        yield "lifecycle", Status(level, node.last_error or node.state, {"state": node.state})

    def _inputs(self) -> Iterable[tuple[str, Status]]:
        node = self._node
        missing = node.expectations.check(node.settings.input_timeout_s, node.hint)
        values = {topic: _ago(silent_s) for topic, silent_s in node.expectations.silences().items()}
        if not values:
            return
        standing, level = node.time.standing(node.settings.input_timeout_s), OK
        if missing:
            level = WARN if all(m.ever for m in missing) else ERROR
        elif standing:
            level = WARN
        sentences = "; ".join(m.sentence() + node.hint(m.topic) for m in missing)
        yield "inputs", Status(level, sentences or standing or "all inputs come", values)

    def _work(self) -> Iterable[tuple[str, Status]]:
        node, health = self._node, self._node.health
        counts, _ = health.snapshot()
        status = Status(OK, "works" if node.state == ACTIVE else node.state)
        silence_s = health.silence_s()
        stale_s = node.settings.input_timeout_s
        if node.state == ACTIVE and silence_s is not None:
            status.values["last_answer_s"] = f"{silence_s:.1f}"
            if silence_s > stale_s:
                status.level, status.message = STALE, f"nothing answered for {silence_s:.0f} s"
            else:
                self._judge_latency(status)
        elif node.state == ACTIVE and hasattr(node.settings, "latency_warn_s"):
            status.level, status.message = STALE, "nothing answered yet"
        if health.recent("errors", RECENT_S):
            status.level, status.message = ERROR, f"{counts['errors']} errors since the start: see the log"
        status.values |= counts
        yield "pipeline" if hasattr(node.settings, "latency_warn_s") else "work", status

    def _judge_latency(self, status: Status) -> None:
        health, s = self._node.health, self._node.settings
        median_s, high_s = health.latency_s(50), health.latency_s(95)
        status.values |= {
            "rate_hz": f"{health.rate_hz():.2f}",
            "latency_p50_ms": f"{1e3 * median_s:.1f}",
            "latency_p95_ms": f"{1e3 * high_s:.1f}",
        }
        status.values |= {f"stage_{name}_ms": f"{ms:.1f}" for name, ms in health.stages_ms().items()}
        for level, limit_s in ((WARN, s.latency_warn_s), (ERROR, s.latency_error_s)):
            if high_s > limit_s:
                status.level = level
                status.message = f"95 % of the answers take up to {high_s:.2f} s, more than {limit_s:.2f} s"

    def _refused(self) -> Iterable[tuple[str, Status]]:
        health = self._node.health
        _, rejects = health.snapshot()
        if not rejects:
            return
        fresh = [reason for reason in rejects if health.recent(f"rejected_{reason}", RECENT_S)]
        words = f"refused lately: {', '.join(sorted(fresh))}" if fresh else "nothing refused lately"
        yield "refused", Status(WARN if fresh else OK, words, {r: rejects[r] for r in sorted(rejects)})


def features_status(node: Any) -> Iterable[tuple[str, Status]]:
    """Status of the features that an encoder sends, and what a rate takes from them."""
    counts, _ = node.health.snapshot()
    sent, rate = counts.get("bytes_sent", 0), node.sender.bytes_per_s if node.state == ACTIVE else None
    values = {
        "bytes_per_second": f"{node.diagnostics.per_second('bytes_sent', sent):.0f}",
        "bytes_newest_picture": node.health.frame_bytes,
        "budget_bytes": node.settings.budget_bytes,
        "budget_bytes_per_second": "none" if rate is None else rate,
        "bytes": sent,
        "packets": counts.get("packets_sent", 0),
    }
    lately = [name for name in REDUCTIONS if node.health.recent(f"images_{name}", RECENT_S)]
    silence_s = node.health.silence_s()
    if node.state != ACTIVE or silence_s is None or silence_s > node.settings.input_timeout_s:
        for fresh_only in ("bytes_per_second", "bytes_newest_picture"):
            del values[fresh_only]
        yield "features out", Status(STALE, "nothing sent lately", values)
    elif lately:
        words = ", ".join(REDUCTIONS[name] for name in lately)
        yield "features out", Status(WARN, f"{rate} bytes/s are too few for the budget: {words}", values)
    elif node.health.recent(f"images_{UNWANTED}", RECENT_S):
        yield "features out", Status(OK, f"{values['bytes_per_second']} bytes/s: not all is wanted", values)
    else:
        yield "features out", Status(OK, f"{values['bytes_per_second']} bytes/s", values)


def peer_status(peer: Peer, now_s: float, stale_s: float) -> Status:
    """Status of a peer at `now_s` of the steady clock; silent for more than `stale_s` is stale."""
    values: dict[str, object] = {
        "topic": peer.topic,
        "packets": peer.packets,
        "bytes": peer.bytes,
        "lost": peer.lost,
        "loss": f"{peer.loss():.3f}",
        "rejected": peer.rejected,
        "ignored_in_quarantine": peer.ignored,
        "waited_in_vain": peer.waits,
        "quarantines": peer.quarantines,
    }
    if peer.quarantined(now_s):
        left_s = peer.quarantined_until_s - now_s
        return Status(ERROR, f"quarantined for another {left_s:.0f} s: all its packets are refused", values)
    if peer.last_s is None or now_s - peer.last_s > stale_s:
        words = "connected, sends nothing" if peer.matched else "gone"
        if peer.last_s is not None:
            values["last_packet_s"] = f"{now_s - peer.last_s:.1f}"
        return Status(STALE, words, values)
    packets, size = peer.rates(now_s)
    values |= {"packets_per_second": f"{packets:.1f}", "bytes_per_second": f"{size:.0f}"}
    if peer.age_s is not None:
        values["age_s"] = f"{peer.age_s:.2f}"
    if peer.moved_m is not None:
        values |= {"moved_m": f"{peer.moved_m:.2f}", "turned_deg": f"{peer.turned_deg:.2f}"}
        values["common_objects"] = peer.common
    if not peer.alive:
        return Status(WARN, "gone", values)
    if peer.left_out:
        return Status(WARN, f"left out: {LEFT_OUT.get(peer.left_out, peer.left_out)}", values)
    if peer.late:
        return Status(WARN, "late: not waited for", values)
    if peer.loss() > LOSS_WARN:
        return Status(WARN, f"{100 * peer.loss():.0f} % of its packets are lost", values)
    return Status(OK, "is fused" if peer.age_s is not None else "is heard", values)


def _ago(silent_s: float | None) -> str:
    return "never came" if silent_s is None else f"{silent_s:.1f} s ago"
