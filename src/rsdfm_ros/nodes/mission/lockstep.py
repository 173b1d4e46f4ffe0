"""Lockstep with a fleet: wait until all UAVs are connected, and until all have answered an instant.

The nodes that drive the mission clock (simulator, replayed bag) use this, so that results do not depend on a machine's
speed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from rclpy.duration import Duration

from rsdfm_ros.data.messages import stamps
from rsdfm_ros.msg import AgentStatus, TrajectoryArray
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode

POLL_S = 0.05
ENDING_S = 10.0
"""Interval of the reports on a thread that does not end."""


class Lockstep:
    """Subscribes to the answers of UAVs.

    answer: `status` or `trajectories`, the topic whose stamp marks an instant as answered. `timeouts` counts instants
    that a UAV did not answer in time. Call `stop` to end every wait.
    """

    def __init__(self, node: RsdfmNode[Any], agents: Sequence[str], answer: str) -> None:
        self.timeouts = 0
        self.stopped = threading.Event()
        self._node, self._agents, self._answer = node, tuple(agents), answer
        self._answers = threading.Condition()
        self._answered_ns = dict.fromkeys(self._agents, -1)
        self._late: set[str] = set()
        self._connected: dict[str, set[str]] = {agent: set() for agent in self._agents}
        kind: Any = AgentStatus if answer == "status" else TrajectoryArray
        for agent in self._agents:
            node.create_subscription(
                kind, f"{agent}/{answer}", lambda m, a=agent: self._on_answer(a, m), qos.outputs()
            )

    def stop(self) -> None:
        """End every wait."""
        self.stopped.set()
        with self._answers:
            self._answers.notify_all()

    def start(self) -> None:
        """Start anew, without any answers."""
        self.stopped.clear()
        with self._answers:
            self._answered_ns = dict.fromkeys(self._agents, -1)
            self._late.clear()

    def wait(self, stamp_ns: int, limit_s: float, agents: Collection[str] | None = None) -> None:
        """Wait until these UAVs (all by default) have answered the instant, at most `limit_s`.

        A UAV that timed out is not waited for again until it answers.
        """
        wanted = set(self._agents if agents is None else agents)
        with self._answers:
            self._answers.wait_for(
                lambda: self.stopped.is_set() or not self._behind(stamp_ns, wanted) - self._late, limit_s
            )
            silent = sorted(self._behind(stamp_ns, wanted) - self._late)
            self._late |= set(silent)
        if silent and not self.stopped.is_set():
            self.timeouts += 1
            self._node.health.count("answer_timeouts")
            self._node.get_logger().warning(
                f"no answer from {', '.join(silent)} within {limit_s:.1f} s: flying on"
            )

    def wait_for_fleet(
        self,
        inputs: Mapping[str, Collection[Any]],
        timeout_s: float,
        more: Callable[[], list[str]] = list,
        listeners: int = 0,
    ) -> bool:
        """Wait until every UAV has subscribed to its inputs (publishers by UAV) and to its peers; returns whether to go
        on.

        After the time limit it goes on with a warning. more: further things that are missing, as sentences.
        listeners: subscribers of bev/features beside the UAVs.
        """
        deadline_s = monotonic() + timeout_s
        while not self.stopped.wait(POLL_S):
            missing = [*self._missing(inputs, listeners), *more()]
            if not missing:
                return True
            if monotonic() > deadline_s:
                self._node.get_logger().warning(f"starting although {'; '.join(missing)}")
                return True
        return False

    def _missing(self, inputs: Mapping[str, Collection[Any]], listeners: int) -> list[str]:
        missing = []
        with self._answers:
            connected = {agent: set(peers) for agent, peers in self._connected.items()}
        for agent, publishers in inputs.items():
            if any(p.get_subscription_count() == 0 for p in publishers):
                missing.append(f"no subscriber of the images of {agent}")
            elif self._answer != "status":
                # Nodes in separate processes have no common status: look at the subscribers of the features.
                topic = self._node.resolve_topic_name(f"{agent}/bev/features")
                if self._node.count_subscribers(topic) < len(self._agents) + listeners:
                    missing.append(f"not all UAVs receive from {agent}")
            elif deaf := set(inputs) - {agent} - connected[agent]:
                missing.append(f"{agent} does not receive from {', '.join(sorted(deaf))}")
        return missing

    def _on_answer(self, agent: str, message: Any) -> None:
        with self._answers:
            self._answered_ns[agent] = max(self._answered_ns[agent], stamps.stamp_ns(message.header.stamp))
            if self._answered_ns[agent] > 0:
                self._late.discard(agent)
            if isinstance(message, AgentStatus):
                self._connected[agent] = set(message.peers)
            self._answers.notify_all()

    def _behind(self, stamp_ns: int, wanted: set[str]) -> set[str]:
        return {agent for agent in wanted if self._answered_ns[agent] < stamp_ns}


ACKNOWLEDGED_S = 5.0
"""Longest wait at the end for subscribers to acknowledge everything."""


IMAGE_RECEIVED_S = 0.05
"""Longest wait for the subscribers of one image before the next one is published."""


def acknowledged(publishers: Iterable[Any], within_s: float = ACKNOWLEDGED_S) -> None:
    """Wait until reliable subscribers have received all messages, within_s in sum at most.

    At the end: messages that a publisher has not delivered when it ends are lost. Between the images of several UAVs:
    together they do not fit into the shared memory of a process (512 kB of Fast DDS), and what found no room is sent
    again after up to 3 s.
    """
    deadline_s = monotonic() + within_s
    for publisher in publishers:
        publisher.wait_for_all_acked(Duration(seconds=max(0.0, deadline_s - monotonic())))


def wait_for_end(thread: threading.Thread, node: RsdfmNode[Any]) -> None:
    """Wait without a limit until a thread that was told to stop has ended: its renderer or open bag must not be
    destroyed while it runs. At the end of a process its time limit ends this wait too."""
    while thread.is_alive():
        thread.join(ENDING_S)
        if thread.is_alive():
            node.get_logger().warning(f"the {thread.name} is still finishing its work: waiting for it")
