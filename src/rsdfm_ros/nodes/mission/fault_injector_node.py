"""fault_injector_node: feature packets of UAVs over links with loss, delay, disorder, damage, a rate limit or attacks.

Each topic of `links` is one link with random numbers of its own; what arrives is published on the same name below
`output_prefix`. Receivers list those topics as their `peers`. Delays pass on the steady clock.
"""

from __future__ import annotations

import dataclasses
import heapq
import sys
import threading
from array import array
from collections.abc import Iterable
from time import monotonic
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.serialization import deserialize_message, serialize_message

from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.msg import FeaturePacket
from rsdfm_ros.nodes.convert.attacks import Attacker
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.diagnostics import Status
from rsdfm_ros.nodes.core.runner import run
from rsdfm_ros.nodes.mission.settings import FaultInjectorSettings
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.faults.link import Link, LinkFaults, damaged, link_of

JOIN_S = 5.0
DEPTH = 256
"""Messages that the queues of the middleware hold: the links lose what is asked for and no more."""
COUNTED = (
    "received",
    "falsified",
    "passed",
    "lost",
    "overflowed",
    "duplicated",
    "corrupted",
    "held_back",
    "bytes_passed",
)


class _Relay:
    """One link between two topics, with its counts by what happened. publisher: None while nobody sends."""

    def __init__(self, topic: str, seed: int) -> None:
        self.topic = topic
        self.link = link_of(topic, seed)
        self.attacker = Attacker()
        self.publisher: Any = None
        self.counts = dict.fromkeys(COUNTED, 0)


class FaultInjectorNode(RsdfmNode[FaultInjectorSettings]):
    """See the module."""

    def __init__(self, **options: Any) -> None:
        super().__init__("fault_injector_node", FaultInjectorSettings, **options)
        self._relays: list[_Relay] = []
        self._faults = LinkFaults()
        self._waiting: list[tuple[float, int, _Relay, bytes]] = []
        self._waiting_bytes = 0
        self._sent = 0
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self.diagnostics.add(self._links_status)

    def check(self, settings: FaultInjectorSettings) -> None:
        for topic in (*settings.links, settings.output_prefix):
            if not topic.startswith("/") or topic.endswith("/"):
                raise RsdfmError(
                    f"links, output_prefix: expected names such as /uav2/bev/features, got {topic!r}"
                )
        if len(set(settings.links)) < len(settings.links):
            raise RsdfmError("links: a topic is listed twice")

    def configure(self) -> None:
        s = self.settings
        if not s.links:
            raise RsdfmError("fault_injector_node needs topics to pass on: set `links`")
        self._faults = _faults_of(s)
        self._relays = [_Relay(topic, s.seed) for topic in s.links]

    def changed(self, before: FaultInjectorSettings, after: FaultInjectorSettings) -> None:
        self._faults = _faults_of(after)

    def activate(self) -> None:
        self._thread = threading.Thread(target=self._deliver, name="links", daemon=True)
        self._thread.start()
        for relay in self._relays:
            self._listen(relay)

    def deactivate(self) -> None:
        thread, self._thread = self._thread, None
        with self._condition:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._condition.notify()
        if thread is not None:
            thread.join(JOIN_S)
        for relay in self._relays:
            relay.publisher = None

    def cleanup(self) -> None:
        self._relays = []

    # --- links ----------------------------------------------------------------------------------------------------

    def _listen(self, relay: _Relay) -> None:
        events = SubscriptionEventCallbacks(
            matched=self.guarded(lambda event: self._on_senders(relay, event.current_count), relay.topic),
            liveliness=self.guarded(lambda event: self._on_senders(relay, event.alive_count), relay.topic),
        )
        self.create_subscription(
            FeaturePacket,
            relay.topic,
            lambda raw: self._take(relay, raw),
            self._profile(),
            event_callbacks=events,
            raw=True,
        )
        self.expect(relay.topic, "feature packets")

    def _profile(self) -> Any:
        s = self.settings
        return qos.features(s.features_reliability, s.liveliness_lease_s, depth=DEPTH)

    def _on_senders(self, relay: _Relay, number: int) -> None:
        """A sender that is gone, or silent for its lease, is gone behind the link too."""
        with self._condition:
            if number:
                self._open(relay)
            elif relay.publisher is not None:
                publisher, relay.publisher = relay.publisher, None
                self.destroy_publisher(publisher)

    def _open(self, relay: _Relay) -> None:
        if relay.publisher is None:
            name = self.settings.output_prefix + relay.topic
            relay.publisher = self.create_publisher(FeaturePacket, name, self._profile())

    def _take(self, relay: _Relay, raw: bytes) -> None:
        s = self.settings
        try:
            messages = relay.attacker.messages(raw, s.attack, s.cell_size_m, relay.topic)
        except WireError as error:  # what is no packet passes as it is
            self.reject(error.reason, f"a message of {relay.topic} is not falsified: {error}")
            messages = [raw]
        with self._condition:
            self._open(relay)  # a message may be handled before the event of its sender
            relay.counts["received"] += 1
            relay.counts["falsified"] += sum(message != raw for message in messages)
            for message in messages:
                self._send_over(relay, message)
            self._condition.notify()

    def _send_over(self, relay: _Relay, raw: bytes) -> None:
        """Put what arrives of a message into the queue. The lock is held."""
        link, counts = relay.link, relay.counts
        arrivals = link.arrivals(len(raw), monotonic(), self._faults)
        counts["lost"], counts["overflowed"] = link.lost, link.overflowed
        counts["duplicated"] += len(arrivals) > 1
        for arrival in arrivals:
            if self._waiting_bytes + len(raw) > self.settings.held_bytes:
                self.reject("held_bytes", f"a message of {relay.topic} was dropped: too many are on the way")
                continue
            counts["corrupted"] += arrival.corrupt
            counts["held_back"] += arrival.late
            data = self._corrupted(raw, link) if arrival.corrupt else raw
            self._sent += 1
            self._waiting_bytes += len(data)
            heapq.heappush(self._waiting, (arrival.due_s, self._sent, relay, data))

    @staticmethod
    def _corrupted(raw: bytes, link: Link) -> bytes:
        """The message with damage in its payload: it stays one that the middleware can read."""
        message = deserialize_message(raw, FeaturePacket)
        message.payload = array("B", damaged(bytes(message.payload), link.rng))
        return bytes(serialize_message(message))

    def _deliver(self) -> None:
        """Publish messages when they are due, until the node is deactivated."""
        with self._condition:
            while self._thread is threading.current_thread():
                wait_s = self._waiting[0][0] - monotonic() if self._waiting else None
                if wait_s is None or wait_s > 0:
                    self._condition.wait(wait_s)
                    continue
                _, _, relay, data = heapq.heappop(self._waiting)
                self._waiting_bytes -= len(data)
                if relay.publisher is not None and self.send(relay.publisher, data):
                    relay.counts["passed"] += 1
                    relay.counts["bytes_passed"] += len(data)

    def _links_status(self) -> Iterable[tuple[str, Status]]:
        for relay in self._relays:
            with self._condition:
                values: dict[str, object] = dict(relay.counts)
                sending = relay.publisher is not None
            text = (
                f"{values['passed']} of {values['received']} messages passed" if sending else "nobody sends"
            )
            yield f"link {relay.topic}", Status(message=text, values=values)


def _faults_of(settings: FaultInjectorSettings) -> LinkFaults:
    return LinkFaults(**{f.name: getattr(settings, f.name) for f in dataclasses.fields(LinkFaults)})


def main() -> int:
    """Pass packets on in a process of its own until it is stopped."""
    return run(lambda: [FaultInjectorNode()])


if __name__ == "__main__":
    sys.exit(main())
