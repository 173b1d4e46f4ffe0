"""The bond with a lifecycle manager: made as Nav2's nodes make it, ended on purpose, and reported when it breaks."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy")
from rclpy.lifecycle import LifecyclePublisher

from rsdfm_ros.nodes.uav.segmentation_head_node import SegmentationHeadNode
from support.ros_world import ACTIVATE, CONFIGURE, DEACTIVATE, MODEL, RosWorld


class Bond:
    """Stands for bondpy's, as far as a node uses it."""

    made: list[Bond]

    def __init__(
        self,
        node: Any,
        topic: str,
        bond_id: str,
        on_broken: Callable[[], None],
        on_formed: Callable[[], None],
    ) -> None:
        from std_msgs.msg import String

        self.topic, self.id, self.on_broken, self.on_formed = topic, bond_id, on_broken, on_formed
        self.period_s, self.events = 1.0, []
        self.pub = node.create_publisher(String, topic, 1)
        self.made.append(self)

    def set_heartbeat_period(self, period_s: float) -> None:
        self.period_s = period_s

    def start(self) -> None:
        self.events.append("start")

    def shutdown(self) -> None:
        self.events.append("shutdown")
        self.pub.destroy()  # as bondpy does it, without asking the node
        self.on_broken()


@pytest.fixture
def bonds(monkeypatch: pytest.MonkeyPatch) -> list[Bond]:
    """The bonds that nodes make."""
    module = types.ModuleType("bondpy.bondpy")
    Bond.made = []
    module.Bond = Bond  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bondpy", types.ModuleType("bondpy"))
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)
    return Bond.made


def head(world: RosWorld, **parameters: Any) -> SegmentationHeadNode:
    node = SegmentationHeadNode(**world.options(**{"model": MODEL, "autostart": False, **parameters}))
    node.said = []  # type: ignore[attr-defined]
    node.warn_seldom = lambda kind, text: node.said.append(text)  # type: ignore[method-assign,attr-defined]
    return world.add(node)


def test_a_managed_node_has_a_bond_while_it_is_active(world: RosWorld, bonds: list[Bond]) -> None:
    node = head(world)
    assert world.change(node, CONFIGURE) and bonds == []
    assert world.change(node, ACTIVATE)
    [bond] = bonds
    assert (bond.topic, bond.id, bond.period_s) == ("bond", "segmentation_head_node", 0.25)
    assert bond.pub.topic_name == "/uav1/bond" and bond.events == ["start"]
    assert not isinstance(bond.pub, LifecyclePublisher), (
        "the last message comes when the node is not active any more"
    )
    bond.on_formed()
    assert world.change(node, DEACTIVATE) and bond.events == ["start", "shutdown"]
    assert node.said == [], "a bond that is ended here is no loss"
    assert world.change(node, ACTIVATE) and len(bonds) == 2
    world.remove(node)
    assert bonds[1].events == ["start", "shutdown"]


def test_a_lost_manager_is_reported_and_the_node_goes_on(world: RosWorld, bonds: list[Bond]) -> None:
    node = world.up(head(world))
    bonds[0].on_broken()
    assert node.said == [], "nobody made the other half"
    bonds[0].on_formed()
    bonds[0].on_broken()
    assert node.said == ["the lifecycle manager is lost (its bond broke): the node goes on"]
    assert world.state(node) == "active"


def test_no_bond_without_a_manager_or_with_a_period_of_0(world: RosWorld, bonds: list[Bond]) -> None:
    world.up(head(world, autostart=True))
    world.up(
        world.add(
            SegmentationHeadNode(
                **{
                    **world.options(model=MODEL, autostart=False, bond_heartbeat_period=0.0),
                    "namespace": "/uav2",
                }
            )
        )
    )
    assert bonds == []


def test_an_activation_that_fails_makes_no_bond(world: RosWorld, bonds: list[Bond]) -> None:
    node = head(world, model="/nowhere")
    assert world.change(node, CONFIGURE) and not world.change(node, ACTIVATE)
    assert bonds == []


def test_without_bondpy_nodes_are_managed_without_a_bond(
    world: RosWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", None)
    node = world.up(head(world))
    assert world.state(node) == "active"


def test_the_real_bond_forms_and_says_when_the_node_ends(world: RosWorld) -> None:
    bondpy = pytest.importorskip("bondpy.bondpy", reason="bondpy is not installed: it comes with ROS")
    node = world.up(head(world))
    broken: list[bool] = []
    manager = types.SimpleNamespace(
        create_publisher=lambda kind, topic, depth: world.manager.create_publisher(
            kind, f"/uav1/{topic}", depth
        ),
        create_subscription=lambda kind, topic, call, depth: world.manager.create_subscription(
            kind, f"/uav1/{topic}", call, depth
        ),
        get_clock=world.manager.get_clock,
        get_logger=world.manager.get_logger,
        context=world.manager.context,
    )
    bond = bondpy.Bond(manager, "bond", node.get_name(), on_broken=lambda: broken.append(True))
    bond.set_heartbeat_period(0.25)
    bond.start()
    world.until(lambda: bond.sm.getState().getName() == "SM.Alive", "the bond is formed")
    world.until(lambda: node._bond._formed, "the node has formed it too")
    assert not broken
    assert world.change(node, DEACTIVATE)
    world.until(lambda: broken, "the manager knows that the node ended")
    assert node.said == []
    bond.shutdown()
