"""The bond of a node with a lifecycle manager such as Nav2's, which notices by it that the process has died.

As Nav2's own nodes make it: on the topic `bond` of the node's namespace, with the node's name as id, while the node is
active. The manager therefore belongs in the namespace of its nodes. A manager that is lost is reported, and the node
goes on: a UAV in the air needs its perception more than its manager.
"""

from __future__ import annotations

from typing import Any

from rsdfm_ros.nodes.convert.optional import AUTO, optional_module

TOPIC = "bond"


class ManagerBond:
    """A bond where bondpy is installed, from `start` to `end`; otherwise nothing."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._bond: Any = None
        self._formed = False

    def start(self, heartbeat_period_s: float) -> None:
        """Offer the bond; it forms when a manager does the same within bondpy's time limit. 0: no bond."""
        bondpy = (
            optional_module("bondpy.bondpy", AUTO, "bond_heartbeat_period") if heartbeat_period_s else None
        )
        if bondpy is None:
            return
        bond = bondpy.Bond(
            _Unmanaged(self._node), TOPIC, self._node.get_name(), on_broken=self._lost, on_formed=self._met
        )
        bond.set_heartbeat_period(heartbeat_period_s)
        self._bond, self._formed = bond, False
        bond.start()

    def end(self) -> None:
        """Break the bond, so that the manager knows that the node ends on purpose; may be called without a bond."""
        bond, self._bond = self._bond, None
        if bond is not None:
            bond.shutdown()

    def _met(self) -> None:
        self._formed = True

    def _lost(self) -> None:
        """Called in a thread of bondpy: after a broken bond, and also when none was formed or it was ended here."""
        if self._formed and self._bond is not None:
            self._node.warn_seldom("bond", "the lifecycle manager is lost (its bond broke): the node goes on")


class _Unmanaged:
    """A node whose publishers also work while it is not active: the last message of a bond comes after that."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def create_publisher(self, kind: Any, topic: str, profile: Any) -> Any:
        return self._node.create_publisher(kind, topic, profile, always=True)
