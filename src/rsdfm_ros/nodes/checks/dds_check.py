"""Send a message to this process over DDS; print how long it took (`python -m rsdfm_ros.nodes.checks.dds_check`)."""

from __future__ import annotations

import json
import sys
import time

from rsdfm_ros.wire.limits import MAX_PACKET_BYTES

DEADLINE_S = 10.0
PAYLOAD_BYTES = MAX_PACKET_BYTES


def main() -> int:
    """Print {"rmw", "seconds"} and return 0, or return 1 when nothing arrived within the deadline."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile
    from rclpy.utilities import get_rmw_implementation_identifier

    from rsdfm_ros.ending import LEAVE_S, TimeLimit
    from rsdfm_ros.msg import FeaturePacket

    status, received = 1, list[FeaturePacket]()
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("rsdfm_dds_check", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        qos = QoSProfile(depth=1)
        node.create_subscription(FeaturePacket, "rsdfm_dds_check", received.append, qos)
        publisher = node.create_publisher(FeaturePacket, "rsdfm_dds_check", qos)
        end = time.monotonic() + DEADLINE_S
        while publisher.get_subscription_count() == 0 and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        sent = time.monotonic()
        publisher.publish(FeaturePacket(agent="doctor", payload=bytes(PAYLOAD_BYTES)))
        while not received and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        if not received or len(received[0].payload) != PAYLOAD_BYTES:
            return status
        seconds = time.monotonic() - sent
        print(json.dumps({"rmw": get_rmw_implementation_identifier(), "seconds": seconds}), flush=True)
        status = 0
    finally:
        with TimeLimit(LEAVE_S, status) as limit:
            limit.now("the destruction of the node of the check")
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
            context.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(main())
