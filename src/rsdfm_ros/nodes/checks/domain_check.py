"""Look for nodes and publishers that are in a ROS domain already.

python -m rsdfm_ros.nodes.checks.domain_check '{"topics": ["/clock"], "nodes": [], "below": ["/uav1"]}'

topics: names whose publishers count · nodes: whole names that count · below: namespaces in which every publisher and
every node counts · expected: whether participants are known to be in the domain, and have to be waited for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from rsdfm_ros.nodes.mission.origins import name_of

QUIET_S, NAMED_S, AT_MOST_S, POLL_S = 1.0, 0.3, 4.0, 0.05
"""It looks until the graph has not changed for QUIET_S, or, once something is found, for NAMED_S: names of nodes come
after their topics. On a busy machine it looks for AT_MOST_S."""
EXPECTED_S = 15.0
"""Longest search where participants are known to be in the domain, until they are discovered."""
OWN_NAME = "rsdfm_domain_check"


def found_in(node: Any, topics: Sequence[str], nodes: Sequence[str], below: Sequence[str]) -> list[str]:
    """Findings that count among all that a node sees, as texts."""
    names = {n for n, _ in node.get_topic_names_and_types() if n in topics or _lies(n, below)}
    texts = []
    for name in sorted(names):
        publishers = sorted({name_of(info) for info in node.get_publishers_info_by_topic(name)})
        texts += [f"{name} from {', '.join(publishers)}"] if publishers else []
    alive = {f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces()}
    return texts + [f"node {name}" for name in sorted(alive) if name in nodes or _lies(name, below)]


def _lies(name: str, below: Sequence[str]) -> bool:
    return any(name.startswith(f"{space}/") for space in below)


def main() -> int:
    """Print what was found as a JSON list of texts."""
    import rclpy

    wanted = json.loads(sys.argv[1])
    expected = bool(wanted.pop("expected", False))
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node(
        OWN_NAME,
        context=context,
        enable_rosout=False,
        start_parameter_services=False,
        use_global_arguments=False,
    )
    try:
        start_s = changed_s = now_s = time.monotonic()
        graph: list[Any] = []
        found: list[str] = []
        while now_s - changed_s < (NAMED_S if found else QUIET_S) and now_s - start_s < (
            EXPECTED_S if expected else AT_MOST_S
        ):
            time.sleep(POLL_S)
            now_s, before = time.monotonic(), graph
            found = found_in(node, **wanted)
            others = [name for name, _ in node.get_node_names_and_namespaces() if name != OWN_NAME]
            graph = [found, node.get_topic_names_and_types(), others]
            changed_s = changed_s if graph == before and (others or not expected) else now_s
    finally:
        node.destroy_node()
        context.shutdown()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
