"""What a node says of itself on /diagnostics, once a second: one status per concern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from rsdfm_ros.nodes.entities import STEADY

if TYPE_CHECKING:
    from rsdfm_ros.nodes.base import RsdfmNode

PATIENCE_S = 5.0


class Diagnostics:
    """Publishes the health of a node."""

    def __init__(self, node: RsdfmNode[Any]) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10, always=True)
        self._timer = node.create_timer(1.0, self.publish, clock=STEADY)

    def close(self) -> None:
        """Publish no more."""
        self._node.destroy_timer(self._timer)

    def publish(self) -> None:
        """One DiagnosticArray."""
        node, health = self._node, self._node.health
        level = DiagnosticStatus.OK if not health.counts["errors"] else DiagnosticStatus.ERROR
        missing = node.expectations.check(PATIENCE_S)
        if level == DiagnosticStatus.OK and (health.rejects or missing):
            level = DiagnosticStatus.WARN
        name = node.get_fully_qualified_name()
        status = DiagnosticStatus(level=level, name=name, hardware_id=node.get_namespace())
        facts: dict[str, object] = {"rate_hz": f"{health.rate_hz():.2f}"}
        facts |= {f"latency_p{p}_ms": f"{1e3 * health.latency_s(p):.1f}" for p in (50, 95)}
        facts |= {f"stage_{name}_ms": f"{ms:.1f}" for name, ms in health.stages_ms().items()}
        facts |= dict(health.counts) | {f"rejected_{r}": n for r, n in dict(health.rejects).items()}
        facts |= {f"age_{peer}_s": f"{age:.2f}" for peer, age in health.peer_ages_s.items()}
        sentences = [m.sentence() for m in missing]
        status.message = node.last_error or "; ".join(sentences) or "working"
        status.values = [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = node.get_clock().now().to_msg()
        self._publisher.publish(message)
