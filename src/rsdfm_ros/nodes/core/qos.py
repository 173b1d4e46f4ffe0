"""Quality of service of every topic, in one place.

Best effort and shallow where only the newest message matters, as on a radio. Images of the simulator and of a replay
are reliable instead (parameter `image_reliability`), and in lockstep features too (`features_reliability`): there a
lost message would stall the mission. A best-effort publisher does not match a reliable subscription, so both ends of a
fleet take the setting from the same description.
"""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

RELIABILITY = ("best_effort", "reliable")


def sensor(reliability: str, depth: int = 2) -> QoSProfile:
    """Images, camera information and poses."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=_policy(reliability))


def features(
    reliability: str, lease_s: float, lifespan_s: float = 0.0, depth: int = 16, deadline_s: float = 0.0
) -> QoSProfile:
    """Feature packets: the packets of two frames deep. lease_s: a sender silent for that long counts as lost.

    deadline_s: packets are promised, or expected, at least that often; 0 for no promise. A subscriber that expects one
    is not connected with a publisher that promises none.

    lifespan_s: packets older than this are not delivered any more; 0 for never, as in a simulation that is slower
    than real time.
    """
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=_policy(reliability),
        liveliness=LivelinessPolicy.AUTOMATIC,
        liveliness_lease_duration=Duration(seconds=lease_s),
    )
    if lifespan_s > 0:
        profile.lifespan = Duration(seconds=lifespan_s)
    if deadline_s > 0:
        profile.deadline = Duration(seconds=deadline_s)
    return profile


def demand() -> QoSProfile:
    """Demands of UAVs: small, repeated every second."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def fused(depth: int = 1) -> QoSProfile:
    """Fused maps for head nodes in other processes of the same computer. Reliable: a map of a megabyte is more than
    the shared memory of Fast DDS holds at once, and as best effort it would never arrive."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def outputs(depth: int = 10) -> QoSProfile:
    """Task outputs, status and ground truth: small and wanted completely."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def latched(depth: int = 1) -> QoSProfile:
    """Small facts that late joiners need too. depth: for a subscriber, of as many publishers."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def _policy(reliability: str) -> ReliabilityPolicy:
    return ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
