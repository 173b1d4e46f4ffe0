"""Fixtures of the tests of nodes. ROS is imported where they are used: without it these tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.node_flight import Flight
    from support.ros_world import RosWorld


@pytest.fixture
def world() -> Iterator[RosWorld]:
    """Nodes in this process, in a ROS domain of their own."""
    from support.ros_world import RosWorld

    made = RosWorld()
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with untrained weights that answer something."""
    from support.harness import lively_model

    return lively_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def flight(world: RosWorld, model: Path) -> Flight:
    """What UAVs send, for nodes in the same world."""
    from support.node_flight import Flight

    return Flight(world, model)
