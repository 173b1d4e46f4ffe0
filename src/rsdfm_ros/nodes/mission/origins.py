"""Check of the publishers of a mission: each topic has one publisher, and a fleet's answers come from its UAVs."""

from __future__ import annotations

from typing import Any

UNKNOWN = "_UNKNOWN_"
"""End of the names that a middleware gives to nodes not yet discovered."""


class Origins:
    """The topics of a mission and their publishers.

    node: reads the graph · own_answers: a UAV's answers come from its own nodes · uavs_return: a UAV whose process was
    lost may come back; DDS keeps the publisher of the lost one in the graph for a while, so that two of them are wrong
    only if the first publishes again after the second. Where nodes share a topic, they take turns, and two of each are
    then never wrong.
    """

    def __init__(self, node: Any, *, own_answers: bool, uavs_return: bool) -> None:
        self._node, self._own_answers, self._uavs_return = node, own_answers, uavs_return
        self._namespaces: dict[str, str] = {}
        self._shared: set[str] = set()
        self._heard: dict[str, list[bytes]] = {}
        self._returned: set[str] = set()

    def add(self, topic: str, namespace: str = "", *, shared: bool = False) -> None:
        """Add a topic to check.

        namespace: of the UAV that answers on it, "" for what the world publishes · shared: every node of the UAV has a
        publisher there.
        """
        self._namespaces[topic] = namespace
        if shared:
            self._shared.add(topic)
        self._heard[topic] = []

    def heard(self, topic: str, info: Any) -> None:
        """Note a message. info: as rclpy gives it; not every version names the publisher in it."""
        publisher = info.get("publisher_gid") if isinstance(info, dict) else None
        heard = self._heard.get(topic)
        if publisher is None or heard is None or topic in self._returned | self._shared:
            return
        gid = bytes(publisher["data"])
        if heard and heard[-1] == gid:
            return
        if gid in heard:
            self._returned.add(topic)
        heard.append(gid)

    def foreign(self) -> str:
        """Publishers that do not belong to the mission, as a sentence, "" if there are none."""
        for topic, namespace in self._namespaces.items():
            infos = self._node.get_publishers_info_by_topic(topic)
            publishers = {bytes(i.endpoint_gid): i for i in infos}.values()
            names = sorted(map(name_of, publishers))
            if topic in self._shared:
                known = [name_of(info) for info in publishers if not _unknown(info)]
                names = sorted(name for name in known if known.count(name) > 1)
            lost = bool(namespace) and self._uavs_return and topic not in self._returned
            if len(names) > 1 and not lost:
                return f"{topic} has {len(names)} publishers instead of one: {', '.join(names)}"
            for info in publishers if namespace and self._own_answers else ():
                if info.node_namespace != namespace and not _unknown(info):
                    return f"{topic} comes from a node that does not belong to the UAV: {name_of(info)}"
        return ""


def name_of(info: Any) -> str:
    """The readable node name of a publisher."""
    return (
        "a node without a name" if _unknown(info) else f"{info.node_namespace.rstrip('/')}/{info.node_name}"
    )


def _unknown(info: Any) -> bool:
    return str(info.node_name).endswith(UNKNOWN) or str(info.node_namespace).endswith(UNKNOWN)
